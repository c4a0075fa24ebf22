/**
 * A scope as plain data, for where it has to cross into another thread or process.
 */
import { normalizeGiven } from "../event/normalize.js"
import type { Breadcrumb } from "../protocol/Breadcrumb.js"
import { continueTrace, formatBaggage, formatSentryTrace, type SamplingContext } from "../protocol/Trace.js"
import * as ScopeData from "./ScopeData.js"
import { open, type ScopeOwner, type ScopeState } from "./ScopeState.js"
import type { Branch } from "./Trail.js"

/** @internal */
export interface ScopeSnapshot {
  readonly scope: Omit<ScopeData.ScopeContext, "attachments">
  readonly breadcrumbs: ReadonlyArray<Breadcrumb>
  readonly sentryTrace: string
  readonly baggage: string
}

/**
 * Attachments and processors stay behind: bytes are too large for it and functions cannot travel. What remains is plain data,
 * whatever the program has put there, and at most `maxLength` characters of JSON: the oldest breadcrumbs go first.
 *
 * @internal
 */
export const takeSnapshot = (
  state: ScopeState,
  branch: Branch,
  { baggage, sentryTrace }: TraceHeaders,
  maxLength: number
): ScopeSnapshot => {
  const { attachments: _, lastEventId: __, processors: ___, ...scope } = ScopeData.merge(state.isolation, state.current)
  const plainScope = normalizeGiven(scope, 8, 1000) as ScopeSnapshot["scope"]
  const room = maxLength - JSON.stringify({ scope: plainScope, baggage, sentryTrace }).length
  if (room < 0) return { scope: {}, breadcrumbs: [], sentryTrace, baggage }
  const breadcrumbs = newestWithin(room, normalizeGiven(state.trail.visibleFrom(branch), 8, 1000) as Array<Breadcrumb>)
  return { scope: plainScope, breadcrumbs, sentryTrace, baggage }
}

const newestWithin = (room: number, breadcrumbs: ReadonlyArray<Breadcrumb>): ReadonlyArray<Breadcrumb> => {
  let left = room
  const first = breadcrumbs.findLastIndex((breadcrumb) => (left -= JSON.stringify(breadcrumb).length + 1) < 0)
  return breadcrumbs.slice(first + 1)
}

/** A scope of `owner` that begins with what the snapshot says. @internal */
export const reviveSnapshot = (owner: ScopeOwner, snapshot: ScopeSnapshot): ScopeState => {
  const state = open(owner)
    .withIsolation(ScopeData.applyContext(ScopeData.empty, snapshot.scope))
    .withPropagation(continueTrace(snapshot.sentryTrace, snapshot.baggage))
  for (const breadcrumb of snapshot.breadcrumbs) state.trail.push(state.trail.root, breadcrumb)
  return state
}

/** @internal */
export interface TraceHeaders {
  readonly sentryTrace: string
  readonly baggage: string
}

/**
 * What to send along with a request, so that whoever answers it continues the trace.
 *
 * @param span the span that makes the request, where there is one
 * @internal
 */
export const traceHeaders = (
  state: ScopeState,
  span: { readonly traceId: string; readonly spanId: string } | undefined,
  samplingContext: (traceId: string) => SamplingContext,
  existingBaggage?: string
): TraceHeaders => {
  const { propagation } = state
  const traceId = span?.traceId ?? propagation.traceId
  const isSame = traceId === propagation.traceId
  const context = isSame ? propagation.incoming : undefined
  return {
    sentryTrace: formatSentryTrace(
      traceId,
      span?.spanId ?? propagation.spanId,
      isSame ? propagation.sampled : undefined
    ),
    baggage: formatBaggage(context ?? samplingContext(traceId), existingBaggage)
  }
}
