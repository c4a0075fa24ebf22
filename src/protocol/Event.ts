/**
 * The event payload of the Sentry protocol, as plain data: field names are the wire's own.
 *
 * @since 0.1.0
 */
import type { Breadcrumb } from "./Breadcrumb.js"

/**
 * An event id: 32 lowercase hex digits (a UUID v4 without dashes).
 *
 * @since 0.1.0
 * @category models
 */
export type EventId = string

/**
 * Severity, as the protocol knows it.
 *
 * @since 0.1.0
 * @category models
 */
export type Level = "fatal" | "error" | "warning" | "info" | "debug"

/**
 * The person or system an event happened to. At least one identifying field is expected.
 *
 * @since 0.1.0
 * @category models
 */
export interface User {
  id?: string | number | undefined
  username?: string | undefined
  email?: string | undefined
  ip_address?: string | undefined
  [key: string]: unknown
}

/**
 * One call frame. Frames are ordered from the oldest call to the one that failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface StackFrame {
  filename?: string | undefined
  abs_path?: string | undefined
  function?: string | undefined
  /** The name as it was, where `function` is without what varies in it. */
  raw_function?: string | undefined
  module?: string | undefined
  lineno?: number | undefined
  colno?: number | undefined
  in_app?: boolean | undefined
  pre_context?: Array<string> | undefined
  context_line?: string | undefined
  post_context?: Array<string> | undefined
  vars?: Record<string, unknown> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Stacktrace {
  frames: Array<StackFrame>
}

/**
 * How an exception was caught. `handled: false` says that nothing in the program dealt with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mechanism {
  type: string
  handled?: boolean | undefined
  synthetic?: boolean | undefined
  exception_id?: number | undefined
  parent_id?: number | undefined
  source?: string | undefined
  is_exception_group?: boolean | undefined
  data?: Record<string, unknown> | undefined
}

/**
 * One exception of an event. The last of `exception.values` is the one that was thrown or reported.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exception {
  type?: string | undefined
  value?: string | undefined
  module?: string | undefined
  mechanism?: Mechanism | undefined
  stacktrace?: Stacktrace | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface LogEntry {
  message: string
  formatted?: string | undefined
  params?: Array<unknown> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Request {
  method?: string | undefined
  url?: string | undefined
  query_string?: string | undefined
  data?: unknown
  cookies?: Record<string, string> | string | undefined
  headers?: Record<string, string> | undefined
  env?: Record<string, string> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SdkInfo {
  name: string
  version: string
  integrations?: Array<string> | undefined
  packages?: Array<{ name: string; version: string }> | undefined
  settings?: { infer_ip: "auto" | "never" } | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type Contexts = Record<string, Record<string, unknown> | undefined>

/**
 * An error or message event. Event processors and `beforeSend` receive it and may change it in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  event_id: EventId
  /** Seconds since the epoch. */
  timestamp: number
  platform: string
  level?: Level | undefined
  logger?: string | undefined
  transaction?: string | undefined
  server_name?: string | undefined
  release?: string | undefined
  dist?: string | undefined
  environment?: string | undefined
  message?: string | undefined
  logentry?: LogEntry | undefined
  exception?: { values: Array<Exception> } | undefined
  threads?: { values: Array<Record<string, unknown>> } | undefined
  fingerprint?: Array<string> | undefined
  tags?: Record<string, string> | undefined
  extra?: Record<string, unknown> | undefined
  user?: User | undefined
  contexts?: Contexts | undefined
  request?: Request | undefined
  breadcrumbs?: { values: Array<Breadcrumb> } | undefined
  modules?: Record<string, string> | undefined
  debug_meta?: { images: Array<Record<string, unknown>> } | undefined
  sdk?: SdkInfo | undefined
  _meta?: Record<string, unknown> | undefined
}

/**
 * A file that travels with an event. `data` given as a string is sent as UTF-8; `path` is read when the event is captured.
 *
 * @since 0.1.0
 * @category models
 */
export type Attachment = {
  readonly filename: string
  readonly contentType?: string | undefined
  readonly attachmentType?: string | undefined
} & (
  | { readonly data: string | Uint8Array; readonly path?: undefined }
  | { readonly path: string; readonly data?: undefined }
)
