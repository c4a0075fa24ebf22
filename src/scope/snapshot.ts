/**
 * A scope as plain data, for where it has to cross into another thread or process.
 */
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

/** Attachments and processors stay behind: bytes are too large for it and functions cannot travel. @internal */
export const takeSnapshot = (state: ScopeState, branch: Branch, trace: TraceHeaders): ScopeSnapshot => {
  const { attachments: _, lastEventId: __, processors: ___, ...scope } = ScopeData.merge(state.isolation, state.current)
  const { baggage, sentryTrace } = trace
  return { scope, breadcrumbs: state.trail.visibleFrom(branch), sentryTrace, baggage }
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
  const context = traceId === propagation.traceId ? propagation.incoming : undefined
  return {
    sentryTrace: formatSentryTrace(traceId, span?.spanId ?? propagation.spanId, propagation.sampled),
    baggage: formatBaggage(context ?? samplingContext(traceId), existingBaggage)
  }
}
