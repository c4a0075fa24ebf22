/**
 * @since 0.1.0
 */
import type { Level } from "./Event.js"

/**
 * One step on the way to an event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Breadcrumb {
  /** Seconds since the epoch; filled in when the breadcrumb is recorded. */
  timestamp?: number | undefined
  /** `default`, `http`, `log`, `subprocess`, `navigation`, `query`, `user`, `error`, `info` or `debug`. */
  type?: string | undefined
  category?: string | undefined
  message?: string | undefined
  level?: Level | undefined
  data?: Record<string, unknown> | undefined
}

/**
 * What `beforeBreadcrumb` may look at besides the breadcrumb: the objects it was made from.
 *
 * @since 0.1.0
 * @category models
 */
export type BreadcrumbHint = Readonly<Record<string, unknown>>
