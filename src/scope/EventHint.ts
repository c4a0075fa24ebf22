import type * as Cause from "effect/Cause"
import type { Attachment } from "../protocol/Event.js"

/**
 * What an event was made from, for processors, `beforeSend` and samplers to look at. `attachments` may be changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventHint {
  /** The error that was reported: the original object, never a proxy of it. */
  readonly originalException?: unknown
  /** The whole Cause, where the event comes from one. */
  readonly cause?: Cause.Cause<unknown> | undefined
  /** The name of the integration that reported it; absent for the program's own captures. */
  readonly integration?: string | undefined
  /** The log message and its arguments, where the event comes from a log line. */
  readonly logRecord?: unknown
  attachments: Array<Attachment>
}
