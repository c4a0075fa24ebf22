/**
 * What the middleware is told.
 *
 * @since 0.1.0
 */
import type { Headers } from "@effect/platform/Headers"
import type * as Cause from "effect/Cause"
import { type Checks, checkOptions as check, isFlag, isFunction } from "../protocol/checkOptions.js"
import type { EventId, User } from "../protocol/Event.js"

/**
 * How a call failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOutcome {
  /** The name of the procedure. */
  readonly rpc: string
  readonly cause: Cause.Cause<unknown>
  /** Whether there is a defect in it: what is not in the type of the procedure. */
  readonly hasDefect: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface DefectAnswer {
  /** Of the event that the call was reported as. */
  readonly eventId: EventId
  readonly cause: Cause.Cause<unknown>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface MiddlewareOptions {
  /** Whom a call comes from, as far as the call itself tells. */
  readonly user?:
    | ((call: { readonly headers: Headers; readonly payload: unknown }) => User | null | undefined)
    | undefined
  /** Which failed calls are reported. Default: those with a defect. A typed failure is an answer that the client expects. */
  readonly shouldReport?: ((outcome: CallOutcome) => boolean) | undefined
  /** What the client is told in the place of the defect of a call that is reported: it may name the event. Default: the defect. */
  readonly defect?: ((answer: DefectAnswer) => unknown) | undefined
  /** Whether events show the payload, with what is sensitive masked. Default: the hub's `sendDefaultPii`. */
  readonly capturePayload?: boolean | undefined
}

/** Throws an `OptionsError`. @internal */
export const checkOptions = (options: MiddlewareOptions): void => check(options, CHECKS)

const CHECKS: Checks<MiddlewareOptions> = {
  user: isFunction,
  shouldReport: isFunction,
  defect: isFunction,
  capturePayload: isFlag
}
