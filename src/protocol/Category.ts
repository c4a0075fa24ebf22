/**
 * Item types of an envelope and the data categories that servers limit and count them by.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export type ItemType = "event" | "attachment" | "session" | "sessions" | "log" | "client_report" | "check_in"

/**
 * @since 0.1.0
 * @category models
 */
export type Category =
  | "default"
  | "error"
  | "transaction"
  | "span"
  | "session"
  | "attachment"
  | "attachment_item"
  | "monitor"
  | "log_item"
  | "log_byte"
  | "trace_metric"
  | "trace_metric_byte"
  | "profile"
  | "profile_chunk"
  | "profile_chunk_ui"
  | "replay"
  | "feedback"
  | "security"
  | "metric_bucket"
  | "internal"

const known: Record<Category, true> = {
  default: true,
  error: true,
  transaction: true,
  span: true,
  session: true,
  attachment: true,
  attachment_item: true,
  monitor: true,
  log_item: true,
  log_byte: true,
  trace_metric: true,
  trace_metric_byte: true,
  profile: true,
  profile_chunk: true,
  profile_chunk_ui: true,
  replay: true,
  feedback: true,
  security: true,
  metric_bucket: true,
  internal: true
}

/** Whether a server's word for a category is one that we know. @internal */
export const isCategory = (name: string): name is Category => Object.hasOwn(known, name)

/**
 * Why something was not delivered, in the words of a client report.
 *
 * @since 0.1.0
 * @category models
 */
export type DiscardReason =
  | "queue_overflow"
  | "cache_overflow"
  | "buffer_overflow"
  | "ratelimit_backoff"
  | "network_error"
  | "sample_rate"
  | "backpressure"
  | "before_send"
  | "event_processor"
  | "send_error"
  | "internal_sdk_error"
  | "ignored"
  | "invalid"

/** What an item counts as. @internal */
export const categoryOf = (type: string): Category => {
  if (type === "event") return "error"
  if (type === "sessions") return "session"
  if (type === "log") return "log_item"
  if (type === "check_in") return "monitor"
  if (type === "client_report") return "internal"
  return isCategory(type) ? type : "default"
}
