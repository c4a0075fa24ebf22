/**
 * Nothing is lost because the program ends: what is pending is sent before it is over, within a limit.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import { writeLine } from "../transport/debug.js"
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
      const shutdown = new Shutdown(client, options.callback ?? printPending)
      // `last`: what others still hand over as the hub closes is to be sent, too.
      return { phase: "last", onHubClose: shutdown.drain, activate: () => shutdown.watchProcess() }
    })
  )

/** The wording of Sentry's own SDKs. */
const printPending = (pending: number, seconds: number): void => {
  writeLine(`Sentry is attempting to send ${pending} pending events`)
  writeLine(`Waiting up to ${seconds} seconds`)
  writeLine(`Press Ctrl-${process.platform === "win32" ? "Break" : "C"} to quit`)
}

/** The end of a program, with the time there is for it: one limit, in whichever ways it comes to its end. */
class Shutdown {
  #left: number
  #waitingSince: number | undefined
  #announced = false
  #reported = false

  constructor(
    readonly client: Client,
    readonly callback: NonNullable<Options["callback"]>
  ) {
    this.#left = client.options.shutdownTimeoutMillis
  }

  /** When the hub closes. It ends by its own timers: nothing a transport does can hold it up, nor a clock that stands still. */
  readonly drain: Effect.Effect<void> = Effect.async<void>((resume) => {
    // `process.exit` may come in between.
    const onExit = (): void => this.#drainNow()
    process.on("exit", onExit)
    this.#wait(() => {
      process.off("exit", onExit)
      resume(Effect.void)
    })
    return Effect.sync(() => process.off("exit", onExit))
  })

  /** For programs whose hub nobody closes. Returns what takes the listeners back. */
  watchProcess(): () => void {
    if (this.client.delivery === undefined || this.#left <= 0) return () => {}
    // The loop has run dry: waiting fills it again, for as long as there is something to wait for, and time.
    const onBeforeExit = (): void => this.#wait(() => {})
    const onExit = (): void => this.#drainNow()
    process.on("beforeExit", onBeforeExit)
    process.on("exit", onExit)
    this.client.drainAtExit = onExit
    return () => {
      process.off("beforeExit", onBeforeExit)
      process.off("exit", onExit)
      if (this.client.drainAtExit === onExit) this.client.drainAtExit = undefined
    }
  }

  #wait(done: () => void): void {
    const { client } = this
    const { delivery } = client
    if (delivery === undefined || this.#remaining <= 0 || this.#waitingSince !== undefined) return done()
    client.handOver(true)
    // Told once: a report that does not arrive would have the loop go round for it until the time is up.
    if (delivery.pendingEvents === 0 && this.#reported) return done()
    this.#reported = true
    delivery.sendReport()
    if (delivery.pending === 0) return done()
    this.#waitingSince = performance.now()
    const finish = (): void => {
      this.#left = this.#remaining
      this.#waitingSince = undefined
      done()
    }
    const onGrace = (drained: boolean): void => {
      if (drained) return finish()
      this.#announce(delivery.pendingEvents)
      if (this.#remaining <= 0) return finish()
      this.#waitOrQuit(finish)
    }
    client.flush(Math.min(GRACE_MILLIS, this.#left), onGrace, true)
  }

  /** Where something listens to Ctrl-C, it would not end the wait, though that is what was promised. */
  #waitOrQuit(done: () => void): void {
    let ended = false
    let stopWaiting = (): void => {}
    const end = (): void => {
      if (ended) return
      ended = true
      process.off("SIGINT", quit)
      stopWaiting()
      done()
    }
    const quit = (): void => {
      this.#left = 0
      end()
    }
    if (process.listenerCount("SIGINT") > 0) process.on("SIGINT", quit)
    stopWaiting = this.client.flush(this.#remaining, end, true)
  }

  #drainNow(): void {
    const { delivery } = this.client
    if (delivery === undefined) return
    this.client.handOver(true)
    // With a listener in the way, Ctrl-C would do nothing until the wait is over.
    if (delivery.pending > 0) process.removeAllListeners("SIGINT")
    delivery.drainAtExit(this.#remaining, (pending) => this.#announce(pending))
  }

  get #remaining(): number {
    return this.#waitingSince === undefined ? this.#left : this.#left - (performance.now() - this.#waitingSince)
  }

  #announce(pending: number): void {
    if (this.#announced || pending === 0) return
    this.#announced = true
    this.client.attempt("the callback of atexit", () =>
      this.callback(pending, this.client.options.shutdownTimeoutMillis / 1000)
    )
  }
}
