/**
 * Servers of `@effect/platform`: each request in a scope of its own, and a report of what fails.
 *
 * @since 0.1.0
 */
export { middleware } from "./middleware.js"
export type { ErrorAnswer, MiddlewareOptions, RequestOutcome } from "./options.js"
