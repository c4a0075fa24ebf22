/**
 * Combinators that report what goes wrong in an effect, and change nothing else about it unless they say so.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type { Scope } from "effect/Scope"
import { typeOf, valueOf } from "../event/exceptions.js"
import { failureOfCause } from "../event/failure.js"
import type { Event, EventId } from "../protocol/Event.js"
import { stateOfFiber } from "../scope/carrier.js"
import * as ScopeData from "../scope/ScopeData.js"
import { type CaptureContext, captureCause, captureException } from "./Capture.js"
import { attemptCapture, clientOf, placeOf, reportOf } from "./report.js"
import { addBreadcrumb, withScope } from "./Scope.js"
import { within } from "./within.js"

/**
 * What a monitored effect reports.
 *
 * @since 0.1.0
 * @category models
 */
export interface MonitorOptions extends CaptureContext {
  /** Only what is not in the type of the effect: typed failures are left to whoever handles them. Default: `false`. */
  readonly defectsOnly?: boolean | undefined
}

/**
 * Reports whatever the effect fails or dies with, and lets it go on failing. Interruption is not reported. A failure that is
 * monitored in several places, or escapes afterwards, is still one event; if it has escaped by the time the event leaves, the event
 * says so (`handled: false`). A fiber that ends with it while nobody listens is given a second to be joined before it does.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const program = Effect.fail("card declined").pipe(Faultline.monitor({ tags: { step: "charge" } }), Effect.ignore)
 */
export const monitor: {
  (options?: MonitorOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: MonitorOptions): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, options: MonitorOptions = {}): Effect.Effect<A, E, R> => {
    const { defectsOnly, ...context } = options
    return Effect.tapErrorCause(self, (cause) =>
      defectsOnly === true && Chunk.isEmpty(Cause.defects(cause))
        ? Effect.void
        : captureCause(cause, caughtBy("monitor", context))
    )
  }
)

/**
 * Reports an error, and fails with it.
 *
 * @since 0.1.0
 * @category capture
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const charge = (amount: number) => (amount > 100 ? Faultline.captureAndFail(new Error("too much")) : Effect.void)
 */
export const captureAndFail = <E>(error: E, context?: CaptureContext): Effect.Effect<never, E> =>
  Effect.zipRight(captureException(error, context), Effect.fail(error))

/**
 * Reports whatever the effect fails or dies with and puts another failure in its place, which may name the event: for an answer
 * that tells a customer what to quote, and nothing else. The new failure counts as reported.
 *
 * @param f what to fail with; the id is none if nothing was sent
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Data, Effect, Option } from "effect"
 *
 * class InternalError extends Data.TaggedError("InternalError")<{ readonly eventId: string | undefined }> {}
 *
 * const handler = Effect.die("a bug").pipe(
 *   Faultline.captureAs((eventId) => new InternalError({ eventId: Option.getOrUndefined(eventId) }))
 * )
 */
export const captureAs: {
  <E, E2>(
    f: (eventId: Option.Option<EventId>, cause: Cause.Cause<E>) => E2,
    context?: CaptureContext
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E2, R>
  <A, E, R, E2>(
    self: Effect.Effect<A, E, R>,
    f: (eventId: Option.Option<EventId>, cause: Cause.Cause<E>) => E2,
    context?: CaptureContext
  ): Effect.Effect<A, E2, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, E2>(
    self: Effect.Effect<A, E, R>,
    f: (eventId: Option.Option<EventId>, cause: Cause.Cause<E>) => E2,
    context: CaptureContext = {}
  ): Effect.Effect<A, E2, R> =>
    Effect.catchAllCause(self, (cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.flatMap(captureCause(cause, caughtBy("monitor", context)), (eventId) =>
            Effect.withFiberRuntime<never, E2>((fiber) => {
              const error = f(eventId, cause)
              const state = stateOfFiber(fiber)
              if (Option.isSome(eventId)) clientOf(state)?.standsFor(error, eventId.value, placeOf(fiber, state))
              return Effect.fail(error)
            })
          )
    )
)

/**
 * @since 0.1.0
 * @category models
 */
export interface MonitoredForkOptions extends CaptureContext {
  /** Whether the fiber outlives the one that starts it (`Effect.forkDaemon`). Default: `false`. */
  readonly daemon?: boolean | undefined
  /** The scope that the fiber ends with (`Effect.forkIn`). */
  readonly in?: Scope | undefined
}

/**
 * Runs the effect in a fiber of its own, whose failure is reported as soon as there is one, with `handled: false`, also where
 * somebody takes its exit and says nothing of it (a `FiberSet`, a `FiberMap`). `Threading` does so for all fibers, as far as it can
 * tell that nobody looks.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const program = Effect.sleep("1 second").pipe(Effect.forever, Faultline.withMonitoredFork({ daemon: true }))
 */
export const withMonitoredFork: {
  (
    options?: MonitoredForkOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<Fiber.RuntimeFiber<A, E>, never, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: MonitoredForkOptions
  ): Effect.Effect<Fiber.RuntimeFiber<A, E>, never, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options: MonitoredForkOptions = {}
  ): Effect.Effect<Fiber.RuntimeFiber<A, E>, never, R> => {
    const { daemon, in: scope, mechanism, ...context } = options
    const monitored = Effect.tapErrorCause(self, (cause) =>
      Effect.withFiberRuntime<void>((fiber) => {
        attemptCapture(fiber, () =>
          reportOf(cause, {
            mechanism: {
              type: mechanism?.type ?? "threading",
              handled: mechanism?.handled ?? false,
              data: { thread_kind: "fiber", ...mechanism?.data }
            },
            escaped: mechanism?.handled !== true,
            fiberId: `#${fiber.id().id}`,
            context
          })
        )
        return Effect.void
      })
    )
    if (scope !== undefined) return Effect.forkIn(monitored, scope)
    return daemon === true ? Effect.forkDaemon(monitored) : Effect.fork(monitored)
  }
)

/**
 * Tags for every event of this effect and of the fibers it starts, as `Effect.annotateLogs` is for log lines.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const ship = Effect.void.pipe(Faultline.annotate("order", "o-1"), Faultline.annotate({ region: "eu", express: true }))
 */
export const annotate: {
  (key: string, value: ScopeData.TagValue): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  (
    values: Readonly<Record<string, ScopeData.TagValue>>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, key: string, value: ScopeData.TagValue): Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, values: Readonly<Record<string, ScopeData.TagValue>>): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: string | Readonly<Record<string, ScopeData.TagValue>>,
    value?: ScopeData.TagValue
  ): Effect.Effect<A, E, R> => withScope(self, { tags: typeof key === "string" ? { [key]: value } : key })
)

/**
 * Nothing that happens in this effect is reported: no capture, no log line, no crash of a fiber; nor are the error objects that leave
 * it, wherever they come to. Breadcrumbs are recorded all the same.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const probe = Effect.fail(new Error("not up yet")).pipe(Faultline.ignoreReporting, Effect.retry({ times: 5 }))
 */
export const ignoreReporting = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  within(
    self,
    (state) => state.withCurrent(ScopeData.addProcessor(state.current, drop)),
    (before, after) => (after.trail === before.trail ? after.withCurrent(before.current) : before)
  )

const drop = (_: Event): null => null

/**
 * `Effect.retry` that reports the failure it gives up with: each failed attempt is a breadcrumb, their number is in
 * `contexts.retry`.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect, Schedule } from "effect"
 *
 * const call = Effect.fail("no answer").pipe(
 *   Faultline.retry(Schedule.exponential("100 millis").pipe(Schedule.intersect(Schedule.recurs(3))))
 * )
 */
export const retry: typeof Effect.retry = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, policy: Effect.Retry.Options<E>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      let attempts = 0
      const attempt = Effect.tapErrorCause(self, (cause) => noteAttempt(cause, ++attempts))
      return Effect.tapErrorCause(Effect.retry(attempt, policy), (cause) =>
        captureCause(cause, { ...caughtBy("retry", {}), contexts: { retry: { attempts } } })
      )
    })
)

const noteAttempt = (cause: Cause.Cause<unknown>, attempt: number): Effect.Effect<void> => {
  const primary = failureOfCause(cause).primary
  if (primary === undefined) return Effect.void
  const value = valueOf(primary.error)
  return addBreadcrumb({
    category: "retry",
    level: "warning",
    message: value === "" ? typeOf(primary.error) : `${typeOf(primary.error)}: ${value}`,
    data: { attempt }
  })
}

/**
 * The id of the event that an error was reported as, if it was.
 *
 * @since 0.1.0
 * @category capture
 */
export const eventIdOf = (error: unknown): Effect.Effect<Option.Option<EventId>> =>
  Effect.withFiberRuntime((fiber) =>
    Effect.succeed(Option.fromNullable(clientOf(stateOfFiber(fiber))?.eventIdOf(error)))
  )

const caughtBy = (type: string, context: CaptureContext): CaptureContext => ({
  ...context,
  mechanism: { type, ...context.mechanism }
})
