/**
 * What nothing in the program dealt with: the failure an Effect program ends with, uncaught exceptions and unhandled rejections.
 *
 * @since 0.1.0
 */

import type { EventEmitter } from "node:events"
import { isMainThread } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import { clientOf, reportOf } from "../hub/report.js"
import { checkOptions, isFlag } from "../protocol/checkOptions.js"
import { type Carrier, currentCarrier, stateOf } from "../scope/carrier.js"
import { currentFiber } from "../scope/fiber.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether errors of an interactive session (`node -i`) are reported, too. Default: `false`. */
  readonly alwaysRun?: boolean | undefined
}

/**
 * Reports, with `handled: false`:
 *
 * - the failure with which whatever this layer is provided to ends, also that of a layer that cannot be built (but not
 *   interruption alone);
 * - exceptions nobody caught and rejections nobody handled, each one, also in a process that stays alive. Node's own output and
 *   exit code are unchanged. In an interactive session (`node -i`) only with `alwaysRun`; whether it is one is looked at when it
 *   happens. Of several hubs in a process, the one whose code it was reports; what was no hub's, the first one.
 *
 * In a worker thread uncaught exceptions are left to the parent, which sees them too. Where an `uncaughtException` listener of the
 * program throws in its turn, Node ends the process without a word to anyone: the error it was called for is reported, the one it
 * has thrown is not (and a line of this file is in the stack that Node prints).
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, { alwaysRun: isFlag })
  const { alwaysRun = false } = options
  return Integration.make("excepthook", ({ client }) =>
    Effect.succeed({
      onExit(exit) {
        // The fiber that closes the scope knows what the program has set.
        if (exit._tag === "Failure") report(client, exit.cause, "exit", currentFiber())
      },
      activate: () => (isMainThread ? watchProcess(client, alwaysRun) : () => {})
    })
  )
}

type Origin = "exit" | "repl" | NodeJS.UncaughtExceptionOrigin

const watchProcess = (client: Client, alwaysRun: boolean): (() => void) => {
  const onUncaught = (error: unknown, origin: NodeJS.UncaughtExceptionOrigin): void => {
    if (!alwaysRun && startedRepl() !== undefined) return
    // The asynchronous context is still that of the code that threw.
    const carrier = currentCarrier()
    if (responsibleFor(carrier) === client) report(client, error, origin, carrier)
    // A listener for the exit has thrown, perhaps before ours had its turn.
    if ((process as { readonly _exiting?: boolean })._exiting === true) client.drainAtExit?.()
    else if (process.listenerCount("uncaughtException") > 0) guardListeners(client)
  }
  process.on("uncaughtExceptionMonitor", onUncaught)
  if (client.delivery !== undefined) watching.add(client)
  const unwatchPrompt = alwaysRun ? watchPrompt((error) => report(client, error, "repl")) : () => {}
  return () => {
    process.off("uncaughtExceptionMonitor", onUncaught)
    watching.delete(client)
    unwatchPrompt()
  }
}

/** The hubs that report what nobody caught, oldest first. */
const watching = new Set<Client>()

/** Every hub hears of it, one reports it: the hub whose code it was (or one around it); where it was no hub's, the oldest. */
const responsibleFor = (carrier: Carrier | undefined): Client | undefined => {
  let state = carrier === undefined ? undefined : stateOf(carrier)
  if (state?.owner === undefined) return watching.values().next().value
  for (; state !== undefined; state = state.outer?.opened) {
    const owner = clientOf(state)
    if (owner !== undefined && watching.has(owner)) return owner
  }
  return undefined
}

/** A listener of the program that throws in its turn ends the process there and then, and nobody hears of it. */
const guardListeners = (client: Client): void => {
  const target = process as unknown as { emit?: Emit }
  const emit = target.emit as Emit
  const isOwn = Object.hasOwn(target, "emit")
  const restore = (): void => {
    if (target.emit !== guarded) return
    if (isOwn) target.emit = emit
    else delete target.emit
  }
  const guarded: Emit = function (...args) {
    if (args[0] !== "uncaughtException") return emit.apply(this, args)
    restore()
    let survived = false
    // Not caught and thrown again: Node would show this line as the one that threw.
    try {
      const isHeard = emit.apply(this, args)
      survived = true
      return isHeard
    } finally {
      if (!survived) client.drainAtExit?.()
    }
  }
  target.emit = guarded
  setImmediate(restore).unref()
}

type Emit = (this: unknown, ...args: Array<unknown>) => boolean

/** What is thrown at the prompt goes no further than the prompt's own domain. What is preloaded runs before there is a prompt. */
const watchPrompt = (onError: (error: unknown) => void): (() => void) => {
  let prompt: EventEmitter | undefined
  const look = (): void => {
    if (prompt !== undefined) return
    prompt = startedRepl()?._domain
    prompt?.on("error", onError)
  }
  look()
  const later = LOOK_AGAIN_MILLIS.map((millis) => setTimeout(look, millis).unref())
  return () => {
    for (const timer of later) clearTimeout(timer)
    prompt?.off("error", onError)
  }
}

const LOOK_AGAIN_MILLIS = [0, 20, 200, 2000]

const report = (client: Client, error: unknown, origin: Origin, carrier?: Carrier): void => {
  const built = reportOf(error, {
    mechanism: { type: "excepthook", handled: false, data: { origin } },
    integration: "excepthook",
    escaped: true
  })
  if (built !== undefined) client.capture(built, client.mainPlace(carrier))
}

/**
 * The read-eval-print loop of this process, if one was started. Not asked for where it was not loaded: loading it changes how
 * Node reports errors.
 *
 * SAFETY: `moduleLoadList` is not documented; without it no session counts as interactive.
 */
const startedRepl = (): { readonly _domain?: EventEmitter } | undefined => {
  const { moduleLoadList } = process as { readonly moduleLoadList?: ReadonlyArray<string> }
  if (moduleLoadList?.includes("NativeModule repl") !== true) return undefined
  return (process.getBuiltinModule("node:repl") as { readonly repl?: { readonly _domain?: EventEmitter } } | undefined)
    ?.repl
}
