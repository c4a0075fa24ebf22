/**
 * Access to the running fiber that Effect's public types do not offer. Everything that relies on how Effect 3 keeps its
 * fibers is in this file; each use checks that what it needs is there and has a fallback that is slower or says less.
 *
 * @internal
 */

import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import type * as FiberRef from "effect/FiberRef"
import type * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"

/** @internal */
export type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** What of a fiber's class is not in its public type. @internal */
export interface FiberInternals {
  readonly setFiberRef?: <A>(ref: FiberRef.FiberRef<A>, value: A) => void
  /** Makes an effect of one that is not an instruction of the fiber's own. */
  Commit?: (this: AnyFiber, op: Committing) => unknown
  /** Hands a line to the fiber's loggers, if its minimum level lets it through. */
  log?: (this: AnyFiber, message: unknown, cause: Cause.Cause<unknown>, level: Option.Option<LogLevel.LogLevel>) => void
}

/** @internal */
export interface Committing {
  /** The function that `Effect.async` calls is here. */
  readonly effect_instruction_i0?: unknown
}

/** The fiber whose code is running right now on this thread. @internal */
export const currentFiber = (): AnyFiber | undefined => Option.getOrUndefined(Fiber.getCurrentFiber())

/** The service of this key in the Context that the fiber's code runs with. @internal */
export const serviceOf = (fiber: AnyFiber, key: string): unknown => fiber.currentContext.unsafeMap.get(key)

/** SAFETY: must be called by code that runs on this fiber, or before it has begun. @internal */
export const setFiberRef = <A>(fiber: AnyFiber, ref: FiberRef.FiberRef<A>, value: A): void => {
  const internals = fiber as AnyFiber & FiberInternals
  internals.setFiberRef?.(ref, value)
}

/** The fiber that wrote the value of `ref` which `fiber` holds. @internal */
export const writerOf = (fiber: AnyFiber, ref: FiberRef.FiberRef<any>): FiberId.Single | undefined =>
  fiber.getFiberRefs().locals.get(ref)?.[0][0]

/** The time as the fiber's own Clock tells it, in milliseconds since the epoch. @internal */
export const fiberNow = (fiber: AnyFiber): number =>
  Context.unsafeGet(fiber.currentDefaultServices, Clock.Clock).unsafeCurrentTimeMillis()
