/**
 * How integrations hear of log lines.
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import { stateOfFiber } from "../scope/carrier.js"
import { currentFiber } from "../scope/fiber.js"
import type { Client } from "./Client.js"
import { patchMethod, refCounted } from "./patch.js"
import { clientOf } from "./report.js"

/**
 * Begins to listen; the function it returns ends that. Which hub a line belongs to is decided by the fiber that logs it.
 *
 * We listen along with `Logger.tracerLogger`, which is among the loggers of every program that has not removed it. A logger of
 * our own in the FiberRef of loggers would do the same, but makes every fork of a program that otherwise leaves that FiberRef
 * alone a sixth more expensive.
 *
 * @internal
 */
export const watchLogs = refCounted(() =>
  patchMethod(
    Logger.tracerLogger,
    "log",
    (original, isActive) =>
      function (this: unknown, options) {
        original.call(this, options)
        if (isActive()) tell(options)
      }
  )
)

/** For a program without `Logger.tracerLogger`: a logger of our own, in the FiberRefs of the fiber that runs this. @internal */
export const addLoggerWhereMissing: Effect.Effect<void> = Effect.flatMap(
  FiberRef.get(FiberRef.currentLoggers),
  (loggers) =>
    HashSet.has(loggers, Logger.tracerLogger)
      ? Effect.void
      : FiberRef.set(FiberRef.currentLoggers, HashSet.add(loggers, ownLogger))
)

/** @internal */
export const removeOwnLogger: Effect.Effect<void> = Effect.flatMap(FiberRef.get(FiberRef.currentLoggers), (loggers) =>
  HashSet.has(loggers, ownLogger)
    ? FiberRef.set(FiberRef.currentLoggers, HashSet.remove(loggers, ownLogger))
    : Effect.void
)

const tell = (options: Logger.Logger.Options<unknown>): void => {
  const fiber = currentFiber()
  if (fiber === undefined) return
  const client: Client | undefined = clientOf(stateOfFiber(fiber))
  if (client === undefined) return
  for (const { hooks, name } of client.registry.having("onLog")) {
    client.attempt(`onLog of the integration "${name}"`, () => hooks.onLog?.(options))
  }
}

const ownLogger = Logger.make(tell)
