/**
 * A scope as plain data, for where it has to cross into another thread or process.
 */
import { normalizeGiven } from "../event/normalize.js"
import type { Breadcrumb } from "../protocol/Breadcrumb.js"
import { continueTrace, formatBaggage, formatSentryTrace, type SamplingContext } from "../protocol/Trace.js"
import * as ScopeData from "./ScopeData.js"
import { open, type ScopeOwner, ScopeState } from "./ScopeState.js"
import { type Branch, Trail } from "./Trail.js"

/** @internal */
export interface ScopeSnapshot {
  readonly scope: Omit<ScopeData.ScopeContext, "attachments">
  /** A list of them, as JSON: a text is copied into another thread in a fraction of the time. */
  readonly breadcrumbs: string
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
  if (room < 0) return { scope: {}, breadcrumbs: "[]", sentryTrace, baggage }
  const breadcrumbs = newestWithin(room, state.trail.visibleFrom(branch).map(textOf))
  return { scope: plainScope, breadcrumbs: `[${breadcrumbs.join(",")}]`, sentryTrace, baggage }
}

const newestWithin = (room: number, texts: ReadonlyArray<string>): ReadonlyArray<string> => {
  let left = room
  return texts.slice(texts.findLastIndex((text) => (left -= text.length + 1) < 0) + 1)
}

/** A breadcrumb does not change once it was recorded, and may go along with a thousand requests. */
const textOf = (breadcrumb: Breadcrumb): string => {
  let text = texts.get(breadcrumb)
  if (text === undefined) texts.set(breadcrumb, (text = JSON.stringify(normalizeGiven(breadcrumb, 8, 1000))))
  return text
}

const texts = new WeakMap<Breadcrumb, string>()

const breadcrumbsIn = (snapshot: ScopeSnapshot): Array<Breadcrumb> => {
  const breadcrumbs: unknown = JSON.parse(snapshot.breadcrumbs)
  return Array.isArray(breadcrumbs) ? breadcrumbs.filter((item) => typeof item === "object" && item !== null) : []
}

/** A scope of `owner` that begins with what the snapshot says. @internal */
export const reviveSnapshot = (owner: ScopeOwner, snapshot: ScopeSnapshot): ScopeState => {
  const state = open(owner)
    .withIsolation(ScopeData.applyContext(ScopeData.empty, snapshot.scope))
    .withPropagation(continueTrace(snapshot.sentryTrace, snapshot.baggage))
  for (const breadcrumb of breadcrumbsIn(snapshot)) {
    revived.add(breadcrumb)
    state.trail.push(state.trail.root, breadcrumb)
  }
  return state
}

/**
 * A unit of work that another thread or process has asked for: it begins with what that one's scope says, on top of what this one
 * has said of itself. What this one began with is left out: it is about whoever happened to start it.
 *
 * @param state of the code that does the work
 * @param opened what this thread or process began with
 * @internal
 */
export const enterSnapshot = (
  state: ScopeState,
  branch: Branch,
  opened: ScopeState,
  snapshot: ScopeSnapshot
): ScopeState => {
  const own = ScopeData.rebase(opened.isolation, state.isolation, ScopeData.empty)
  const isolation = ScopeData.merge(own, ScopeData.applyContext(ScopeData.empty, snapshot.scope))
  const trail = new Trail(state.trail.limit)
  const ownBreadcrumbs = state.trail.visibleFrom(branch).filter((breadcrumb) => !revived.has(breadcrumb))
  const breadcrumbs = [...ownBreadcrumbs, ...breadcrumbsIn(snapshot)].toSorted(byTime)
  for (const breadcrumb of breadcrumbs) trail.push(trail.root, breadcrumb)
  const propagation = continueTrace(snapshot.sentryTrace, snapshot.baggage)
  return new ScopeState(state.owner, isolation, state.current, trail, propagation, state.outer)
}

/** Breadcrumbs that this thread or process began with. */
const revived = new WeakSet<Breadcrumb>()

const byTime = (a: Breadcrumb, b: Breadcrumb): number => timeOf(a) - timeOf(b)

const timeOf = ({ timestamp }: Breadcrumb): number => (typeof timestamp === "number" ? timestamp : 0)

/** Whoever has put it there. @internal */
export const isSnapshot = (value: unknown): value is ScopeSnapshot =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as Partial<ScopeSnapshot>).sentryTrace === "string" &&
  typeof (value as Partial<ScopeSnapshot>).scope === "object" &&
  typeof (value as Partial<ScopeSnapshot>).breadcrumbs === "string"

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
