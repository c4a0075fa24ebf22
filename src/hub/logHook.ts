/**
 * How integrations hear of log lines.
 */
import * as FiberRef from "effect/FiberRef"
import * as Inspectable from "effect/Inspectable"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import { stateOfFiber } from "../scope/carrier.js"
import { type AnyFiber, currentFiber, type FiberInternals, fiberNow } from "../scope/fiber.js"
import { patchMethod, refCounted } from "./patch.js"
import { clientOf } from "./report.js"

/**
 * Begins to listen; the function it returns ends that. Which hub a line belongs to is decided by the fiber that logs it.
 *
 * We listen where a fiber hands a line to its loggers, and after they have had it: whichever loggers a program has, has replaced
 * or removed, and whether or not one of them throws. (A logger of our own in the FiberRef of loggers would be heard only beside
 * some of them, and makes every fork of a program that otherwise leaves that FiberRef alone a sixth more expensive.)
 *
 * @param prototype what all fibers are made from
 * @internal
 */
export const watchLogs = (prototype: object): (() => void) => {
  fiberPrototype = prototype
  return acquire()
}

/** Whether loggers are being called: what reaches the console meanwhile was heard as a log line. @internal */
export const isLogging = (): boolean => withinLoggers

let fiberPrototype: FiberInternals = {}
let withinLoggers = false
let telling = false

// SAFETY: `Effect.log` and the runtime itself call this method of the fiber. Should that change, we listen along with a logger
// that most programs have.
const acquire = refCounted(() =>
  typeof fiberPrototype.log === "function"
    ? patchMethod(
        fiberPrototype as Required<FiberInternals>,
        "log",
        (original, isActive) =>
          function (this: AnyFiber, message, cause, level) {
            const logLevel = level._tag === "Some" ? level.value : this.getFiberRef(FiberRef.currentLogLevel)
            if (!isActive() || !isLetThrough(this, logLevel)) return original.call(this, message, cause, level)
            const outer = withinLoggers
            withinLoggers = true
            try {
              original.call(this, message, cause, level)
            } finally {
              withinLoggers = outer
              tell(this, () => lineOf(this, message, cause, logLevel))
            }
          }
      )
    : patchMethod(
        Logger.tracerLogger,
        "log",
        (original, isActive) =>
          function (this: unknown, options) {
            original.call(this, options)
            const fiber = isActive() ? currentFiber() : undefined
            if (fiber !== undefined) tell(fiber, () => options)
          }
      )
)

const isLetThrough = (fiber: AnyFiber, level: LogLevel.LogLevel): boolean =>
  fiber.getFiberRef(FiberRef.currentMinimumLogLevel).ordinal <= level.ordinal

/** What the loggers were given. */
const lineOf = (
  fiber: AnyFiber,
  message: unknown,
  cause: Logger.Logger.Options<unknown>["cause"],
  logLevel: LogLevel.LogLevel
): Logger.Logger.Options<unknown> => ({
  fiberId: fiber.id(),
  logLevel,
  message,
  cause,
  context: fiber.getFiberRefs(),
  spans: fiber.getFiberRef(FiberRef.currentLogSpan),
  annotations: fiber.getFiberRef(FiberRef.currentLogAnnotations),
  date: new Date(fiberNow(fiber))
})

const tell = (fiber: AnyFiber, line: () => Logger.Logger.Options<unknown>): void => {
  const client = clientOf(stateOfFiber(fiber))
  // What is logged from inside a callback of ours, by one that hears of log lines above all, would come back to it without end.
  if (client === undefined || telling || client.isInCallback) return
  const listeners = client.registry.having("onLog")
  if (listeners.length === 0) return
  telling = true
  client.attempt("a log line", () => {
    const options = line()
    // Values that hide what is in them go by it.
    Inspectable.withRedactableContext(options.context, () => {
      for (const { hooks, name } of listeners) {
        client.attempt(`onLog of the integration "${name}"`, () => hooks.onLog?.(options, fiber))
      }
    })
  })
  telling = false
}
