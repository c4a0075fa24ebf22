/**
 * Servers of `@effect/rpc`: each call in a scope of its own, and a report of what fails.
 *
 * @since 0.1.0
 */
export { layer, Monitored } from "./middleware.js"
export type { CallOutcome, DefectAnswer, MiddlewareOptions } from "./options.js"
