/**
 * The scope that this thread or process was started in, where whoever started it has left word.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from "node:worker_threads"
import { continueTrace } from "../protocol/Trace.js"
import { open, type ScopeOwner, type ScopeState } from "./ScopeState.js"
import { isSnapshot, reviveSnapshot } from "./snapshot.js"

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
  inherited ??= { snapshot: takeInherited() }
  const state = revive(owner, inherited.snapshot)
  if (state !== undefined) return state
  const trace = process.env["SENTRY_TRACE"] ?? process.env["SUBPROCESS_SENTRY_TRACE"]
  if (trace === undefined || FALSE.has((process.env["SENTRY_USE_ENVIRONMENT"] ?? "").toLowerCase())) return open(owner)
  const baggage = process.env["SENTRY_BAGGAGE"] ?? process.env["SUBPROCESS_BAGGAGE"]
  return open(owner).withPropagation(continueTrace(trace, baggage))
}

/** `undefined` for what is none of ours, whoever has put it there. */
const revive = (owner: ScopeOwner, snapshot: unknown): ScopeState | undefined => {
  try {
    return isSnapshot(snapshot) ? reviveSnapshot(owner, snapshot) : undefined
  } catch {
    return undefined
  }
}

/** For every hub that is opened here. */
let inherited: { readonly snapshot: unknown } | undefined

/** Once read it is gone: what this one starts in its turn is not to have it from here. */
const takeInherited = (): unknown => {
  if (isMainThread) {
    const text = process.env[SCOPE_VARIABLE]
    delete process.env[SCOPE_VARIABLE]
    return parse(text)
  }
  const data = getEnvironmentData(SCOPE_DATA)
  setEnvironmentData(SCOPE_DATA, undefined)
  return data
}

const FALSE = new Set(["false", "f", "no", "n", "off", "0"])

const parse = (text: string | undefined): unknown => {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
