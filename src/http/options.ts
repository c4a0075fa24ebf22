/**
 * What the middleware is told.
 *
 * @since 0.1.0
 */
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import type * as Cause from "effect/Cause"
import { type Checks, checkOptions as check, isCount, isFlag, isFunction, isTexts } from "../protocol/checkOptions.js"
import type { EventId, User } from "../protocol/Event.js"

/**
 * How a request ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestOutcome {
  readonly request: { readonly method: string; readonly url: string }
  /** Of the answer that was sent. 499: the client did not wait for it. */
  readonly status: number
  /** What failed, without the answer that it was turned into; `undefined` where the program has answered by itself. */
  readonly cause: Cause.Cause<unknown> | undefined
  /** Whether there is a defect in it that is no answer in itself. */
  readonly hasDefect: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ErrorAnswer {
  /** Of the event that the request was reported as. */
  readonly eventId: EventId
}

/**
 * @since 0.1.0
 * @category models
 */
export interface MiddlewareOptions {
  /** Whom a request comes from, as far as the request itself tells. `Faultline.setUser` in a handler says it later. */
  readonly user?: ((request: HttpServerRequest) => User | null | undefined) | undefined
  /** Which requests are reported. Default: those answered with 500 or more, and those with a defect. */
  readonly shouldReport?: ((outcome: RequestOutcome) => boolean) | undefined
  /** What to answer in the place of the answer to a request that is reported: it may name the event. */
  readonly errorResponse?: ((response: HttpServerResponse, answer: ErrorAnswer) => HttpServerResponse) | undefined
  /** Headers whose values events show, beside those that say nothing of a person. */
  readonly allowedHeaders?: ReadonlyArray<string> | undefined
  /** Whether events show the body, as far as the program has read it. Default: the hub's `sendDefaultPii`. */
  readonly captureBody?: boolean | undefined
  /** Longer bodies are not shown. Default: 10,000 bytes. */
  readonly maxBodyBytes?: number | undefined
}

/** Throws an `OptionsError`. @internal */
export const checkOptions = (options: MiddlewareOptions): void => check(options, CHECKS)

const CHECKS: Checks<MiddlewareOptions> = {
  user: isFunction,
  shouldReport: isFunction,
  errorResponse: isFunction,
  allowedHeaders: isTexts,
  captureBody: isFlag,
  maxBodyBytes: isCount
}
