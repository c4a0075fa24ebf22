/**
 * Nothing is lost because the program ends: what is pending is sent before it is over, within a limit.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import { drain } from "../hub/drain.js"
import * as Integration from "../hub/Integration.js"
import { describeError, writeLine } from "../transport/debug.js"
import { GRACE_MILLIS } from "../transport/exitSender.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Called once when events are still pending after a moment (100 ms), with how many and how long (seconds) the program may be
   * held up for them. Default: three lines on standard error that say so.
   */
  readonly callback?: ((pending: number, timeout: number) => void) | undefined
}

/**
 * Drains within the hub's `shutdownTimeout` (0: not at all) when the hub closes, when the event loop has nothing left to do,
 * and, synchronously, on `process.exit` and after an uncaught exception. The exit code is never changed, and a program that has
 * nothing to send is not held up.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer =>
  Integration.make("atexit", ({ client }) =>
    Effect.sync(() => {
      const { shutdownTimeoutMillis: timeout } = client.options
      const announce = announcer(client, options.callback ?? printPending, timeout / 1000)
      return {
        onHubClose: drainWithin(client, timeout, announce),
        activate: () => atProcessEnd(client, timeout, announce)
      }
    })
  )

type Announce = (pending: number) => void

const announcer = (client: Client, callback: NonNullable<Options["callback"]>, seconds: number): Announce => {
  let announced = false
  return (pending) => {
    if (announced) return
    announced = true
    try {
      callback(pending, seconds)
    } catch (error) {
      client.debug(`the callback of atexit threw ${describeError(error)}`)
    }
  }
}

/** The wording of Sentry's own SDKs. */
const printPending = (pending: number, seconds: number): void => {
  writeLine(`Sentry is attempting to send ${pending} pending events`)
  writeLine(`Waiting up to ${seconds} seconds`)
  writeLine(`Press Ctrl-${process.platform === "win32" ? "Break" : "C"} to quit`)
}

/** The hub's finalizer. It ends by its own timer: nothing a transport does can hold it up, nor a clock that stands still. */
const drainWithin = (client: Client, timeout: number, announce: Announce): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (timeout <= 0 || (yield* drain(client, Math.min(GRACE_MILLIS, timeout)))) return
    announce(client.delivery?.pending ?? 0)
    yield* drain(client, timeout - GRACE_MILLIS)
  })

/** For programs whose hub nobody closes. Returns what takes the listeners back. */
const atProcessEnd = (client: Client, timeout: number, announce: Announce): (() => void) => {
  const { delivery } = client
  if (delivery === undefined || timeout <= 0) return () => {}
  let left = timeout

  const wait = (millis: number, then: () => void): void => {
    const begun = performance.now()
    client.flushWith(Math.min(millis, left), () => {
      left -= performance.now() - begun
      then()
    })
  }
  // The loop has run dry: waiting fills it again, for as long as there is something to wait for, and time.
  const onBeforeExit = (): void => {
    if (delivery.pending === 0 || left <= 0) return
    wait(GRACE_MILLIS, () => {
      if (delivery.pending === 0 || left <= 0) return
      announce(delivery.pending)
      wait(left, () => {})
    })
  }
  const onExit = (): void => {
    if (delivery.pending === 0) return delivery.drainAtExit(left, announce)
    // With a listener in the way, Ctrl-C would do nothing until the wait is over.
    process.removeAllListeners("SIGINT")
    delivery.drainAtExit(left, announce)
  }
  process.on("beforeExit", onBeforeExit)
  process.on("exit", onExit)
  return () => {
    process.off("beforeExit", onBeforeExit)
    process.off("exit", onExit)
  }
}
