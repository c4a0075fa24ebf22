/**
 * Reporting, as effects. With no hub provided they do nothing, so that a library may call them.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Report } from "../event/build.js"
import { bringsStack } from "../event/failure.js"
import { describeValue } from "../event/normalize.js"
import { callSite } from "../event/stack.js"
import type { Event, EventId, Level } from "../protocol/Event.js"
import { stateOfFiber } from "../scope/carrier.js"
import type { ScopeContext } from "../scope/ScopeData.js"
import { drain, drainAndClose } from "./drain.js"
import { attemptCapture, clientOf, reportOf } from "./report.js"

/**
 * What one report says besides its error: scope data for this event alone, and how the error was caught.
 *
 * @since 0.1.0
 * @category models
 */
export interface CaptureContext extends ScopeContext {
  /** Default: `{ type: "generic", handled: true }`. */
  readonly mechanism?: { readonly type?: string; readonly handled?: boolean; readonly data?: Record<string, unknown> }
}

/**
 * Reports an error, or anything else that was thrown; a `Cause` or a `FiberFailure` is taken apart. The id of the event is
 * returned: none when it was dropped or was nothing but an interruption, the first id when the error was reported before.
 *
 * @since 0.1.0
 * @category capture
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const charge = Effect.fail(new Error("card declined")).pipe(
 *   Effect.tapError((error) => Faultline.captureException(error, { tags: { step: "charge" } }))
 * )
 */
export const captureException = (error: unknown, context?: CaptureContext): Effect.Effect<Option.Option<EventId>> => {
  const stack = bringsStack(error) ? undefined : callSite(captureException)
  return capture(() => exceptionReport(error, context, stack))
}

/**
 * Reports everything that is in a Cause: every failure and defect of it, the first defect (else the first failure) as the
 * event's own. A Cause that holds nothing but interruption is not reported.
 *
 * @since 0.1.0
 * @category capture
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const monitored = Effect.die("a bug").pipe(Effect.tapErrorCause((cause) => Faultline.captureCause(cause)))
 */
export const captureCause = (
  cause: Cause.Cause<unknown>,
  context?: CaptureContext
): Effect.Effect<Option.Option<EventId>> => captureException(cause, context)

/**
 * Reports a message, at level `info` unless another is given.
 *
 * @since 0.1.0
 * @category capture
 */
export const captureMessage = (
  message: string,
  context?: Level | CaptureContext
): Effect.Effect<Option.Option<EventId>> => {
  const stack = callSite(captureMessage)
  return capture(() => messageReport(message, context, stack))
}

/**
 * Reports an event as it is given; what it does not say is filled in from the scope and the options.
 *
 * @since 0.1.0
 * @category capture
 */
export const captureEvent = (event: Partial<Event>, context?: CaptureContext): Effect.Effect<Option.Option<EventId>> =>
  capture(() => eventReport(event, context))

/**
 * The id of the last event that was sent from this scope.
 *
 * @since 0.1.0
 * @category capture
 */
export const lastEventId: Effect.Effect<Option.Option<EventId>> = Effect.withFiberRuntime((fiber) =>
  Effect.succeed(Option.fromNullable(stateOfFiber(fiber).isolation.lastEventId))
)

/**
 * Waits until everything captured so far was answered by the server; `false` if that took longer than `timeout`.
 *
 * @since 0.1.0
 * @category delivery
 */
export const flush = (timeout: Duration.DurationInput): Effect.Effect<boolean> =>
  withClient((client) => drain(client, Duration.toMillis(timeout)), true)

/**
 * Flushes within `timeout` (default: the option `shutdownTimeout`), then stops reporting for good.
 *
 * @since 0.1.0
 * @category delivery
 */
export const close = (timeout?: Duration.DurationInput): Effect.Effect<boolean> =>
  withClient((client) => drainAndClose(client, timeout), true)

/** @param stack of whoever reports, for what has none of its own @internal */
export const exceptionReport = (
  error: unknown,
  context: CaptureContext | undefined,
  stack: Error | undefined
): Report | undefined => {
  const { mechanism, ...scope } = context ?? {}
  return reportOf(error, {
    mechanism: { type: mechanism?.type ?? "generic", handled: mechanism?.handled ?? true, data: mechanism?.data },
    context: scope,
    stack
  })
}

/** @internal */
export const messageReport = (message: unknown, context: Level | CaptureContext | undefined, stack: Error): Report => ({
  message: describeValue(message, 1_000_000),
  level: "info",
  mechanism: { type: "generic", handled: true },
  context: typeof context === "string" ? { level: context } : (context ?? {}),
  get stack() {
    return stack.stack
  }
})

/** @internal */
export const eventReport = (event: Partial<Event>, context: CaptureContext | undefined): Report => {
  if (typeof event !== "object" || event === null)
    throw new TypeError(`an event is an object, not ${describeValue(event)}`)
  return {
    event,
    level: event.level ?? (event.exception === undefined ? "info" : "error"),
    mechanism: { type: "generic", handled: true },
    context
  }
}

const capture = (report: () => Report | undefined): Effect.Effect<Option.Option<EventId>> =>
  Effect.withFiberRuntime((fiber) => Effect.succeed(Option.fromNullable(attemptCapture(fiber, report))))

const withClient = <A>(
  use: (client: NonNullable<ReturnType<typeof clientOf>>) => Effect.Effect<A>,
  otherwise: A
): Effect.Effect<A> =>
  Effect.withFiberRuntime((fiber) => {
    const client = clientOf(stateOfFiber(fiber))
    return client === undefined ? Effect.succeed(otherwise) : use(client)
  })
