/**
 * The scope that this thread or process was started in, where whoever started it has left word.
 */
import { getEnvironmentData, isMainThread } from "node:worker_threads"
import { continueTrace } from "../protocol/Trace.js"
import { open, type ScopeOwner, type ScopeState } from "./ScopeState.js"
import { reviveSnapshot, type ScopeSnapshot } from "./snapshot.js"

/** The key of a worker's environment data. @internal */
export const SCOPE_DATA = "effect-faultline/scope"

/** The variable that hands a scope to a child process. @internal */
export const SCOPE_VARIABLE = "FAULTLINE_SCOPE"

/**
 * The scope a hub begins with: that of the thread or process which started this one; or at least its trace, from the variables
 * that Sentry's SDKs share (`SENTRY_TRACE`, `SENTRY_BAGGAGE`, and those written for subprocesses); or an empty one.
 *
 * @internal
 */
export const inheritedScope = (owner: ScopeOwner): ScopeState => {
  const snapshot = isMainThread ? parse(process.env[SCOPE_VARIABLE]) : getEnvironmentData(SCOPE_DATA)
  if (isSnapshot(snapshot)) return reviveSnapshot(owner, snapshot)
  const trace = process.env["SENTRY_TRACE"] ?? process.env["SUBPROCESS_SENTRY_TRACE"]
  if (trace === undefined || FALSE.has((process.env["SENTRY_USE_ENVIRONMENT"] ?? "").toLowerCase())) return open(owner)
  const baggage = process.env["SENTRY_BAGGAGE"] ?? process.env["SUBPROCESS_BAGGAGE"]
  return open(owner).withPropagation(continueTrace(trace, baggage))
}

const FALSE = new Set(["false", "f", "no", "n", "off", "0"])

const parse = (text: string | undefined): unknown => {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

const isSnapshot = (value: unknown): value is ScopeSnapshot =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as Partial<ScopeSnapshot>).sentryTrace === "string" &&
  typeof (value as Partial<ScopeSnapshot>).scope === "object" &&
  Array.isArray((value as Partial<ScopeSnapshot>).breadcrumbs)
