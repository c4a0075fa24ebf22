/**
 * The scope a piece of running code is in, as one immutable value. A fiber carries it in a FiberRef, non-Effect code in an
 * AsyncLocalStorage; history (the trail of breadcrumbs) is the only part that is shared and grows.
 */
import * as Differ from "effect/Differ"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import { PropagationContext } from "../protocol/Trace.js"
import type { AnyFiber } from "./fiber.js"
import * as ScopeData from "./ScopeData.js"
import { type Branch, Trail } from "./Trail.js"

/** What the scope needs to know of the hub it reports to. @internal */
export interface ScopeOwner {
  readonly isOpen: boolean
  readonly maxBreadcrumbs: number
  /** Whether a root fiber begins with a fork of the scope it came from, or with an empty one. */
  readonly propagateScope: boolean
  /** Told of the fiber that is where the program is: the one that opened the hub, or took it over from one that did. */
  readonly settled?: ((fiber: AnyFiber) => void) | undefined
  /** The scope that it was opened with. */
  readonly opened?: ScopeState | undefined
}

/** @internal */
export class ScopeState {
  constructor(
    readonly owner: ScopeOwner | undefined,
    readonly isolation: ScopeData.ScopeData,
    readonly current: ScopeData.ScopeData,
    readonly trail: Trail,
    readonly propagation: PropagationContext,
    /** The scope in which the owner was opened: the one to go on with after it is closed. */
    readonly outer: ScopeState | undefined
  ) {}

  withIsolation(isolation: ScopeData.ScopeData): ScopeState {
    return new ScopeState(this.owner, isolation, this.current, this.trail, this.propagation, this.outer)
  }

  withCurrent(current: ScopeData.ScopeData): ScopeState {
    return new ScopeState(this.owner, this.isolation, current, this.trail, this.propagation, this.outer)
  }

  withPropagation(propagation: PropagationContext): ScopeState {
    return new ScopeState(this.owner, this.isolation, this.current, this.trail, propagation, this.outer)
  }

  withOuter(outer: ScopeState | undefined): ScopeState {
    return new ScopeState(this.owner, this.isolation, this.current, this.trail, this.propagation, outer)
  }

  /**
   * For a unit of work of its own: it starts with what is known here, and nothing it does is seen here.
   *
   * @param branch where in the trail it begins
   */
  isolate(branch: Branch): ScopeState {
    return this.#withTrail(this.trail.fork(branch))
  }

  /** The same, as it was before anything was done in it. */
  renew(): ScopeState {
    return this.#withTrail(this.trail.renew())
  }

  #withTrail(trail: Trail): ScopeState {
    return new ScopeState(this.owner, this.isolation, this.current, trail, this.propagation, this.outer)
  }

  /** What a root fiber or a worker begins with, by the owner's word on propagation. */
  forRoot(branch: Branch): ScopeState {
    return this.owner?.propagateScope === false ? open(this.owner).withOuter(this.outer) : this.isolate(branch)
  }

  /** This one, or, while its owner is closed, the one outside of it. */
  get opened(): ScopeState {
    return this.owner === undefined || this.owner.isOpen ? this : this.outside.opened
  }

  /** The one to go on with after this one. */
  get outside(): ScopeState {
    return this.outer === undefined || this.outer === lent ? unowned : this.outer
  }
}

/** An empty scope that reports to `owner`. @internal */
export const open = (owner: ScopeOwner): ScopeState =>
  new ScopeState(
    owner,
    ScopeData.empty,
    ScopeData.empty,
    new Trail(owner.maxBreadcrumbs),
    new PropagationContext(),
    undefined
  )

/** Where no hub was opened. @internal */
export const unowned: ScopeState = new ScopeState(
  undefined,
  ScopeData.empty,
  ScopeData.empty,
  new Trail(0),
  new PropagationContext(),
  undefined
)

/** Outside of the scope of a fiber that knows of its hub by its Context alone. @internal */
export const lent: ScopeState = unowned.withOuter(undefined)

/**
 * A change from one state to another, to be made on a third. Between two isolation scopes it is a move; within one, the keys
 * that changed are carried over and the rest of the third state stays.
 */
const move = (onto: ScopeState, [from, to]: Step): ScopeState => {
  if (to.trail !== from.trail && to.trail !== onto.trail) return to
  const isolation = ScopeData.rebase(from.isolation, to.isolation, onto.isolation)
  const current = from.current === to.current ? onto.current : to.current
  if (isolation === onto.isolation && current === onto.current && to.owner === onto.owner) return onto
  return new ScopeState(to.owner, isolation, current, onto.trail, onto.propagation, to.outer)
}

/**
 * What a fiber takes over from one that it joins: the keys the other one changed in the isolation scope they share, and a hub
 * that a layer opened there (merged layers are built in child fibers). Nothing else flows back.
 */
const join = (parent: ScopeState, child: ScopeState): ScopeState => {
  if (child.owner !== parent.owner) return child.owner === undefined || child.outer === lent ? parent : child
  if (child.trail !== parent.trail || child.isolation === parent.isolation) return parent
  return parent.withIsolation(child.isolation)
}

type Step = readonly [from: ScopeState, to: ScopeState]
type Patch = ReadonlyArray<Step>

const NO_CHANGE: Patch = []

const differ = Differ.make<ScopeState, Patch>({
  empty: NO_CHANGE,
  diff: (from, to) => (from === to ? NO_CHANGE : [[from, to]]),
  combine: (first, second) => (first.length === 0 ? second : second.length === 0 ? first : [...first, ...second]),
  patch: (patch, state) => (patch.length === 0 ? state : patch.reduce(move, state))
})

/** @internal */
export const scopeRef: FiberRef.FiberRef<ScopeState> = globalValue(
  Symbol.for("effect-faultline/scope/currentScope"),
  () => FiberRef.unsafeMakePatch<ScopeState, Patch>(unowned, { differ, fork: NO_CHANGE, join })
)
