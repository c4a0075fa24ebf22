/**
 * Structured logs, as users see them and as they are sent.
 *
 * @since 0.1.0
 */

/**
 * The level of a structured log. (Unlike that of an event it may be `trace`, and a warning is called `warn`.)
 *
 * @since 0.1.0
 * @category models
 */
export type LogSeverity = "trace" | "debug" | "info" | "warn" | "error" | "fatal"

/**
 * A structured log on its way, with its values as they were given: `beforeSendLog` may change it in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface Log {
  /** Seconds since the epoch. */
  timestamp: number
  level: LogSeverity
  message: string
  /**
   * Texts, numbers, booleans and lists of them are sent as they are, anything else as JSON. Names that begin with `sentry.` are
   * the protocol's.
   */
  attributes: Record<string, unknown>
}

/**
 * An attribute, as it is sent.
 *
 * @since 0.1.0
 * @category models
 */
export type TypedAttribute =
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "boolean"; readonly value: boolean }
  | { readonly type: "integer" | "double"; readonly value: number }
  | { readonly type: "array"; readonly value: ReadonlyArray<string | number | boolean> }

/**
 * A structured log, as it is sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface SerializedLog {
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly trace_id: string
  readonly span_id?: string | undefined
  readonly level: LogSeverity
  readonly severity_number: number
  readonly body: string
  readonly attributes: Readonly<Record<string, TypedAttribute>>
}

/** The first number of each level's range in OpenTelemetry. @internal */
export const SEVERITY_NUMBERS: Readonly<Record<LogSeverity, number>> = {
  trace: 1,
  debug: 5,
  info: 9,
  warn: 13,
  error: 17,
  fatal: 21
}

/** What servers know the item by: another content type, and they drop it. @internal */
export const LOG_CONTENT_TYPE = "application/vnd.sentry.items.log+json"

/** How many bytes the logs in an item have together: what servers count, beside how many there are. @internal */
export const logBytes = (payloadBytes: number, count: number): number =>
  payloadBytes - '{"items":[]}'.length - (count - 1)
