/**
 * What an error remembers of where it was raised, for whoever reports it later and further out. Errors are remembered weakly: by
 * themselves, and for each isolation scope that they reached.
 */
import type * as Cause from "effect/Cause"
import type * as Tracer from "effect/Tracer"
import { failureOf, failureOfCause, identitiesOf, type Leaf } from "../event/failure.js"
import type { Breadcrumb } from "../protocol/Breadcrumb.js"
import * as ScopeData from "./ScopeData.js"
import type { ScopeState } from "./ScopeState.js"
import { type Branch, nextMoment, type Trail } from "./Trail.js"

/** A place in the program, at a time. @internal */
export interface Memory {
  readonly state: ScopeState
  readonly branch: Branch
  readonly span: Tracer.AnySpan | undefined
  /** When it was: what was recorded later was not there yet. */
  readonly moment: number
}

/** @internal */
export interface RaisedAt {
  readonly state: ScopeState
  readonly branch: Branch
  readonly span: Tracer.AnySpan | undefined
}

/**
 * The errors of a failure leave a place. Those that come from further in keep what they remember of there.
 *
 * @param isFromWithin whether what an error remembers was raised inside of what it leaves now, and not on another occasion
 * @param reached the isolation scope that they come to, where it is another one
 * @internal
 */
export const remember = (
  cause: Cause.Cause<unknown>,
  place: RaisedAt,
  isFromWithin: (memory: Memory) => boolean,
  reached: Trail = place.state.trail
): void => {
  if (place.state.owner === undefined || cause._tag === "Interrupt" || cause._tag === "Empty") return
  for (const error of identitiesOf(failureOfCause(cause))) {
    let byTrail = memories.get(error)
    if (byTrail === undefined) memories.set(error, (byTrail = new WeakMap()))
    const { trail } = place.state
    const earlier = memoryIn(error, trail)
    const memory =
      earlier !== undefined && isFromWithin(earlier)
        ? earlier
        : { state: place.state, branch: place.branch, span: place.span, moment: nextMoment() }
    byTrail.set(trail, memory)
    if (reached !== trail) byTrail.set(reached, memory)
  }
}

/** What an error, or else the nearest of its causes, remembers of an isolation scope. */
const memoryIn = (error: object, trail: Trail): Memory | undefined => {
  for (const link of chainOf(error)) {
    const memory = memories.get(link)?.get(trail)
    if (memory !== undefined) return memory
  }
  return undefined
}

/**
 * What an error and its causes remember, as far as it is the business of whoever reports it: they were raised here, or further in; or
 * in an isolation scope around this one (by a worker that serves many requests), then `isOuter`. Never what another request knows.
 *
 * @internal
 */
export const recall = (leaf: Leaf | undefined, { trail }: ScopeState): Recollection | undefined => {
  const chain = chainOf(leaf?.error)
  const known = new Set<Memory>()
  for (const error of chain) {
    const memory = memories.get(error)?.get(trail)
    if (memory !== undefined) known.add(memory)
  }
  const around = [...known]
  const memory = around.pop()
  if (memory !== undefined) return { memory, around, isOuter: false }
  for (const error of chain) {
    const byTrail = memories.get(error)
    for (const outer of byTrail === undefined ? [] : trail.lineage()) {
      const memory = byTrail?.get(outer)
      if (memory?.state.trail === outer) return { memory, around, isOuter: true }
    }
  }
  return undefined
}

/** @internal */
export interface Recollection {
  /** Of the innermost cause that has one. */
  readonly memory: Memory
  /** Of the errors that have come of that one, the last of them first. */
  readonly around: ReadonlyArray<Memory>
  readonly isOuter: boolean
}

/** The scope of a report: that of the place it is made from, and those of the places its error was raised in. @internal */
export const scopeOf = (state: ScopeState, recollection: Recollection | undefined): ScopeData.ScopeData => {
  const here = ScopeData.merge(state.isolation, state.current)
  if (recollection === undefined) return here
  const raised = [...recollection.around, recollection.memory]
    .map((memory) => memory.state)
    .filter(({ current, isolation }) => isolation !== state.isolation || current !== state.current)
    .map(({ current, isolation }) => ScopeData.merge(isolation, current))
  if (raised.length === 0) return here
  const merged = (recollection.isOuter ? [...raised, here] : [here, ...raised]).reduce(ScopeData.merge)
  return ScopeData.change(merged, {
    attachments: [...new Set(merged.attachments)],
    processors: [...new Set(merged.processors)]
  })
}

/** The breadcrumbs of a report, in the order in which they were recorded. @internal */
export const breadcrumbsOf = (
  state: ScopeState,
  branch: Branch,
  recollection: Recollection | undefined
): Array<Breadcrumb> => {
  const memory = recollection?.memory
  return memory === undefined || memory.branch === branch
    ? state.trail.visibleFrom(branch)
    : state.trail.visibleFromBoth(branch, memory.branch, memory.moment)
}

const memories = new WeakMap<object, WeakMap<Trail, Memory>>()

/** An error and its causes, each as the object that the program made: in a span, and out of another runtime, it is wrapped. */
const chainOf = (error: unknown): Array<object> => {
  const chain: Array<object> = []
  let current = error
  while (isObject(current) && chain.length < MAX_CAUSES) {
    chain.push(current)
    const cause = causeOf(current)
    current = isObject(cause) ? failureOf(cause).primary?.error : undefined
  }
  return chain
}

const MAX_CAUSES = 8

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const causeOf = (error: object): unknown => {
  try {
    return (error as { readonly cause?: unknown }).cause
  } catch {
    return undefined
  }
}
