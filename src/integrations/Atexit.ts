/**
 * Nothing is lost because the program ends: what is pending is sent before it is over, within a limit.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import { checkOptions, isFunction, isListOf } from "../protocol/checkOptions.js"
import { describeError, writeLine } from "../transport/debug.js"
import { GRACE_MILLIS } from "../transport/exitSender.js"
import { SPOTLIGHT_PATIENCE_MILLIS } from "../transport/spotlight.js"
import { beforeSignals, FATAL } from "./atexit/signals.js"

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
  /**
   * The signals at which what is pending is sent before they end the process. Default: `["SIGINT", "SIGTERM"]`. Listened to from
   * when something is first pending (SIGINT: only while something is), and only acted upon where nothing else in the program
   * listens to the signal.
   */
  readonly signals?: ReadonlyArray<Signal> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type Signal = (typeof FATAL)[number]

/**
 * Drains within the hub's `shutdownTimeout` (0: not at all) when the hub closes, when the event loop has nothing left to do,
 * and, synchronously, on `process.exit`, after an uncaught exception, and at a signal that nothing in the program listens to. Exit
 * code and signal are never changed, a second signal ends the process at once, and a program that has nothing to send is not held
 * up. What is captured after the hub has closed is not sent.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, {
    callback: isFunction,
    signals: isListOf(`some of ${FATAL.join(", ")}`, (signal) => FATAL.includes(signal as Signal))
  })
  const { callback = printPending, signals = SIGNALS } = options
  return Integration.make("atexit", ({ client }) =>
    Effect.sync(() => {
      const shutdown = new Shutdown(client, callback, [...signals])
      return {
        // What others still hand over as the hub closes is to be sent, too.
        phase: "last",
        onHubClose: shutdown.drain,
        activate: () => shutdown.watchProcess(),
        settle(_, sent) {
          if (sent) shutdown.watchSignals()
        }
      }
    })
  )
}

const SIGNALS: ReadonlyArray<Signal> = ["SIGINT", "SIGTERM"]

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
  #isWatching = false
  #unwatchSignals: (() => void) | undefined
  #unwatchInterrupt: (() => void) | undefined

  constructor(
    readonly client: Client,
    readonly callback: NonNullable<Options["callback"]>,
    readonly signals: ReadonlyArray<Signal>
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
    this.#isWatching = true
    return () => {
      this.#isWatching = false
      this.#ignoreSignals()
      process.off("beforeExit", onBeforeExit)
      process.off("exit", onExit)
      if (this.client.drainAtExit === onExit) this.client.drainAtExit = undefined
    }
  }

  /**
   * From when something is pending. To Ctrl-C only until nothing is: a busy program that listens to it cannot be stopped by it. To the
   * others until the hub closes: a signal that arrives as its last listener goes is lost, and unlike Ctrl-C it comes once.
   */
  watchSignals(): void {
    const { delivery } = this.client
    if (!this.#isWatching || this.#waitingSince !== undefined || delivery === undefined) return
    const drain = (): void => this.#drainNow()
    this.#unwatchSignals ??= beforeSignals(
      this.signals.filter((signal) => signal !== "SIGINT"),
      drain
    )
    if (this.#unwatchInterrupt !== undefined || !this.signals.includes("SIGINT")) return
    const unwatch = beforeSignals(["SIGINT"], drain)
    this.#unwatchInterrupt = unwatch
    const look = (): void => {
      if (this.#unwatchInterrupt !== unwatch) return
      if (delivery.pending === 0) this.#ignoreInterrupt()
      else delivery.whenIdle(lookSoon)
    }
    // Only after what has already arrived was heard.
    const lookSoon = (): void => void setImmediate(look).unref()
    delivery.whenIdle(lookSoon)
  }

  #ignoreSignals(): void {
    this.#ignoreInterrupt()
    this.#unwatchSignals?.()
    this.#unwatchSignals = undefined
  }

  #ignoreInterrupt(): void {
    this.#unwatchInterrupt?.()
    this.#unwatchInterrupt = undefined
  }

  #wait(ended: () => void): void {
    const { client } = this
    const { delivery } = client
    if (delivery === undefined || this.#remaining <= 0 || this.#waitingSince !== undefined) return ended()
    const begin = (): void => void (this.#waitingSince ??= performance.now())
    const end = (): void => {
      this.#left = this.#remaining
      this.#waitingSince = undefined
      ended()
    }
    const done = (): void => {
      begin()
      client.settleMirror(end, this.#remaining)
    }
    client.handOver(true)
    // Told once: a report that does not arrive would have the loop go round for it until the time is up.
    if (!delivery.hasPending && this.#reported) return done()
    this.#reported = true
    delivery.sendReport()
    if (delivery.pending === 0) return done()
    begin()
    const onGrace = (drained: boolean): void => {
      if (drained) return done()
      this.#ignoreSignals()
      this.#announce(delivery.pendingEvents)
      if (this.#remaining <= 0) return done()
      this.#waitOrQuit(done)
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
    // Before the server, which may need all the time there is; on the developer's own machine it is a matter of milliseconds, and one
    // that is silent takes no more than a half.
    const patience = Math.min(SPOTLIGHT_PATIENCE_MILLIS, this.#remaining / 2)
    atExit(() => this.client.mirror?.drainAtExit(patience, () => {}))
    atExit(() => delivery.drainAtExit(this.#remaining, (pending) => this.#announce(pending)))
  }

  get #remaining(): number {
    const waited = this.#waitingSince === undefined ? 0 : performance.now() - this.#waitingSince
    return this.#left - waited - spentAtExit
  }

  #announce(pending: number): void {
    if (this.#announced || pending === 0) return
    this.#announced = true
    const { client } = this
    client.attempt("the callback of atexit", () => {
      const result: unknown = this.callback(pending, client.options.shutdownTimeoutMillis / 1000)
      // An unhandled rejection would end the process with an exit code that is not its own.
      if (result instanceof Promise)
        result.catch((error: unknown) => client.debug(`the callback of atexit failed: ${describeError(error)}`))
    })
  }
}

/** For how long the hubs of this process have held up its hard exit: there is one limit, however many they are. */
let spentAtExit = 0

const atExit = (drain: () => void): void => {
  const begun = performance.now()
  try {
    drain()
  } finally {
    spentAtExit += performance.now() - begun
  }
}
