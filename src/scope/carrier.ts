/**
 * Where running code keeps its scope: in the fiber, or, outside fibers, in a cell that follows the asynchronous context.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { type AnyFiber, currentFiber, serviceOf, setFiberRef, writerOf } from "./fiber.js"
import { type ScopeData, setTags, type TagValue } from "./ScopeData.js"
import { lent, type ScopeOwner, ScopeState, scopeRef, unowned } from "./ScopeState.js"
import { Branch, type Trail } from "./Trail.js"

/** An isolation scope outside fibers: shared by everything that runs in it. @internal */
export class IsolationCell {
  #isolation: ScopeData
  /** Nobody has seen these data but this cell, which made them: until then they may be changed in place. */
  #unseen = false

  constructor(readonly origin: ScopeState) {
    this.#isolation = origin.isolation
  }

  get isolation(): ScopeData {
    this.#unseen = false
    return this.#isolation
  }

  set isolation(isolation: ScopeData) {
    this.#unseen = false
    this.#isolation = isolation
  }

  /** Most scopes are given several tags before anything looks at them: only the first of these makes a copy. */
  setTag(key: string, value: TagValue): void {
    if (!this.#unseen) {
      this.#isolation = setTags(this.#isolation, {})
      this.#unseen = true
    }
    ;(this.#isolation.tags as Record<string, TagValue>)[key] = value
  }
}

/** The scope of code that is not Effect: an isolation scope, and the block in it that the code is in. @internal */
export class Cell {
  current: ScopeData
  #state: ScopeState | undefined

  constructor(
    readonly home: IsolationCell,
    current: ScopeData = home.origin.current
  ) {
    this.current = current
  }

  get state(): ScopeState {
    const { isolation, origin } = this.home
    const known = this.#state
    if (known?.isolation === isolation && known.current === this.current) return known
    const { outer, owner, propagation, trail } = origin
    this.#state = new ScopeState(owner, isolation, this.current, trail, propagation, outer)
    return this.#state
  }

  set state(state: ScopeState) {
    this.home.isolation = state.isolation
    this.current = state.current
  }
}

/** @internal */
export type Carrier = AnyFiber | Cell

/**
 * The carrier of the code that is running: its fiber, where a hub was provided to it; outside of fibers that of its asynchronous
 * context; else that of the whole process, if the facade opened one.
 *
 * @internal
 */
export const currentCarrier = (): Carrier | undefined => {
  const fiber = currentFiber()
  if (block !== undefined && block.fiber === fiber) return block.cell === QUIET ? undefined : block.cell
  // The asynchronous context of a fiber is that of whichever fiber woke Effect's scheduler.
  const carrier = fiber ?? storage.getStore()
  if (carrier === undefined || carrier instanceof Cell) return carrier === QUIET ? undefined : (carrier ?? processCell)
  const { owner } = stateOfFiber(carrier)
  if (owner === silence) return undefined
  return owner === undefined ? processCell : carrier
}

/** @internal */
export const stateOf = (carrier: Carrier): ScopeState =>
  carrier instanceof Cell ? carrier.state.opened : stateOfFiber(carrier)

/** @internal */
export const stateOfFiber = (fiber: AnyFiber): ScopeState => {
  const state = fiber.getFiberRef(scopeRef)
  if (state.owner === undefined || state.outer === lent) return lentTo(fiber, state)
  return ((fiber as Branched)[BRANCH] === undefined ? settle(fiber, state) : state).opened
}

/**
 * A fiber can know of a hub by its Context alone, where that was taken from the layer (`Layer.build`) and provided to it. While it
 * has that Context, its scope is a fork of the one that the hub was opened with, of which nothing comes back.
 */
const lentTo = (fiber: AnyFiber, state: ScopeState): ScopeState => {
  const owner = (serviceOf(fiber, HUB) as { readonly client?: ScopeOwner } | undefined)?.client
  if (owner?.opened === undefined || !owner.isOpen) return state.owner === undefined ? state : unowned
  if (state.owner === owner && (fiber as Branched)[BRANCH] !== undefined) return state
  // A fiber that was forked by one that has a scope of the hub already begins with a fork of that one.
  const from = state.owner === owner ? state : owner.opened
  return setRoot(fiber, from.forRoot(from.trail.root).withOuter(lent))
}

/** The key of the service. @internal */
export const HUB = "effect-faultline/Hub"

/** Where in the trail of its isolation scope the carrier writes. @internal */
export const branchOf = (carrier: Carrier, { trail }: ScopeState): Branch => {
  const branch = carrier instanceof Cell ? undefined : (carrier as Branched)[BRANCH]
  // In another trail than its branch is of, it is the fiber that opened that one.
  return branch?.trail === trail ? branch : trail.root
}

/**
 * Gives a fiber that is about to begin its place below the one that starts it. The place is kept on the fiber, not in a
 * FiberRef: a FiberRef that changes with every fork makes each fork and each join a fifth more expensive, and its history, which
 * Effect keeps, one entry longer for every generation of fibers.
 *
 * @internal
 */
export const branchOff = (parent: AnyFiber, child: AnyFiber): void => {
  const state = stateOfFiber(parent)
  ;(child as Branched)[BRANCH] = new Branch(state.trail, branchOf(parent, state))
}

/**
 * Gives a root fiber a scope of its own: it begins with the very value of the fiber that its runtime was taken from.
 *
 * @param branch where in the trail it begins
 * @internal
 */
export const startRoot = (fiber: AnyFiber, branch: Branch): ScopeState => {
  return setRoot(fiber, fiber.getFiberRef(scopeRef).forRoot(branch))
}

/**
 * The scope of a unit of work that a fiber does: an isolation scope of its own. A root fiber that has done nothing yet has one
 * already, which is then the unit's for good; `isRoot` says so.
 *
 * @internal
 */
export const beginUnit = (fiber: AnyFiber): { readonly state: ScopeState; readonly isRoot: boolean } => {
  const state = stateOfFiber(fiber)
  const rooted = fiber as Branched
  const root = rooted[ROOT]
  if (root?.trail !== state.trail) return { state: state.isolate(branchOf(fiber, state)), isRoot: false }
  if (rooted[TAKEN] === true) return { state: root.renew(), isRoot: false }
  if (root !== state) return { state: state.isolate(branchOf(fiber, state)), isRoot: false }
  rooted[TAKEN] = true
  return { state, isRoot: true }
}

/**
 * The isolation scope that the failure of a root fiber comes to, in a promise: the one its runtime was taken from. None for a unit
 * of work, whose failures are nobody else's.
 *
 * @internal
 */
export const startedFrom = (fiber: AnyFiber, { trail }: ScopeState): Trail | undefined => {
  const { [ROOT]: root, [TAKEN]: isTaken } = fiber as Branched
  return root?.trail === trail && isTaken !== true ? trail.origin : undefined
}

const setRoot = (fiber: AnyFiber, own: ScopeState): ScopeState => {
  setFiberRef(fiber, scopeRef, own)
  const rooted = fiber as Branched
  rooted[BRANCH] = own.trail.root
  rooted[ROOT] = own
  return own
}

/**
 * A root fiber of a runtime that knows of no hub begins with a fork of the scope of the code that starts it, if that one is of
 * `owner`.
 *
 * @internal
 */
export const adopt = (fiber: AnyFiber, owner: ScopeOwner): void => {
  const carrier = currentCarrier()
  if (carrier === undefined) return
  const state = stateOf(carrier)
  if (state.owner !== owner) return
  const own = state.forRoot(branchOf(carrier, state))
  setRoot(fiber, own)
}

/** @internal */
export const replaceState = (carrier: Carrier, state: ScopeState): void => {
  if (carrier instanceof Cell) carrier.state = state
  else setFiberRef(carrier, scopeRef, state)
}

/**
 * Runs what a fiber hands over to code that is not Effect (the function of `Effect.promise`, the callback of `Effect.async`): what
 * that code goes on to do later, when no fiber is running, is done in the scope of this one.
 *
 * @internal
 */
export const runFor = <A>(fiber: AnyFiber, body: () => A): A =>
  fiber.getFiberRef(scopeRef).owner === undefined ? body() : storage.run(fiber, body)

/**
 * A function that runs others in the scope of the code that is running now, whenever and by whomever it is called.
 *
 * @internal
 */
export const bindScope = (): (<A>(body: () => A) => A) => {
  const store = currentStore()
  return (body) => storage.run(store, body)
}

/**
 * Runs what sets something in motion: what that goes on to do is done in the scope of the code that is running now, also where a
 * fiber does it in passing (in `Effect.sync`) and its asynchronous context is that of whichever fiber woke Effect's scheduler.
 *
 * @internal
 */
export const carryOn = <A>(body: () => A): A => {
  const store = currentStore()
  return store === storage.getStore() ? body() : storage.run(store, body)
}

/** Runs `body`, and everything it starts, with `cell` as its scope, also where that is inside of a fiber. @internal */
export const runIn = <A>(cell: Cell, body: () => A): A => {
  const outer = block
  const fiber = currentFiber()
  block = fiber === undefined ? undefined : { fiber, cell }
  try {
    return storage.run(cell, body)
  } finally {
    block = outer
  }
}

/** @internal */
export const setProcessCell = (cell: Cell | undefined): void => {
  processCell = cell
}

/** @internal */
export const getProcessCell = (): Cell | undefined => processCell

/**
 * Runs what the SDK itself sets in motion outside of every scope: what it asks of the world is none of the program's.
 *
 * @internal
 */
export const silently = <A>(body: () => A): A => runIn(QUIET, body)

const QUIET = new Cell(new IsolationCell(unowned))

/** The scope of fibers that the SDK itself starts. @internal */
export const silent: ScopeState = new ScopeState(
  { isOpen: true, maxBreadcrumbs: 0, propagateScope: true },
  unowned.isolation,
  unowned.current,
  unowned.trail,
  unowned.propagation,
  undefined
)

const silence = silent.owner

/**
 * A fiber that no supervisor has seen begin. It has opened the hub, or has joined a fiber that did: then it is where the program
 * is. Or it was lent the FiberRefs of another (the first fiber of a `ManagedRuntime` is): then it is a root fiber.
 */
const settle = (fiber: AnyFiber, state: ScopeState): ScopeState => {
  if (writerOf(fiber, scopeRef) !== fiber.id()) return startRoot(fiber, state.trail.root)
  ;(fiber as Branched)[BRANCH] = state.trail.root
  state.owner?.settled?.(fiber)
  return state
}

const currentStore = (): Carrier | undefined => {
  const fiber = currentFiber()
  if (block !== undefined && block.fiber === fiber) return block.cell
  return fiber === undefined || fiber.getFiberRef(scopeRef).owner === undefined ? storage.getStore() : fiber
}

const storage = new AsyncLocalStorage<Carrier | undefined>()

let processCell: Cell | undefined

/** The plain function that a fiber is in the middle of, where it was given a scope of its own. */
let block: { readonly fiber: AnyFiber; readonly cell: Cell } | undefined

const BRANCH = Symbol("effect-faultline/branch")

/** The scope that a root fiber began with. */
const ROOT = Symbol("effect-faultline/root")
/** Whether that one belongs to a unit of work. */
const TAKEN = Symbol("effect-faultline/taken")

type Branched = AnyFiber & { [BRANCH]?: Branch; [ROOT]?: ScopeState; [TAKEN]?: boolean }
