/**
 * Where running code keeps its scope: in the fiber, or, outside fibers, in a cell that follows the asynchronous context.
 */
import { AsyncLocalStorage } from "node:async_hooks"
import { type AnyFiber, currentFiber, setFiberRef } from "./fiber.js"
import type { ScopeData } from "./ScopeData.js"
import { ScopeState, scopeRef } from "./ScopeState.js"
import { Branch } from "./Trail.js"

/** An isolation scope outside fibers: shared by everything that runs in it. @internal */
export class IsolationCell {
  isolation: ScopeData

  constructor(readonly origin: ScopeState) {
    this.isolation = origin.isolation
  }
}

/** The scope of code that is not Effect: an isolation scope, and the block in it that the code is in. @internal */
export class Cell {
  current: ScopeData

  constructor(
    readonly home: IsolationCell,
    current: ScopeData = home.origin.current
  ) {
    this.current = current
  }

  get state(): ScopeState {
    const { isolation, origin } = this.home
    return new ScopeState(origin.owner, isolation, this.current, origin.trail, origin.propagation)
  }

  set state(state: ScopeState) {
    this.home.isolation = state.isolation
    this.current = state.current
  }
}

/** @internal */
export type Carrier = AnyFiber | Cell

/**
 * The carrier of the code that is running: its fiber, where a hub was provided to it; else the cell of its asynchronous
 * context; else that of the whole process, if the facade opened one.
 *
 * @internal
 */
export const currentCarrier = (): Carrier | undefined => {
  const fiber = currentFiber()
  if (block !== undefined && block.fiber === fiber) return block.cell
  if (fiber !== undefined && fiber.getFiberRef(scopeRef).owner !== undefined) return fiber
  return storage.getStore() ?? processCell
}

/** @internal */
export const stateOf = (carrier: Carrier): ScopeState =>
  carrier instanceof Cell ? carrier.state : carrier.getFiberRef(scopeRef)

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
  const state = parent.getFiberRef(scopeRef)
  ;(child as Branched)[BRANCH] = new Branch(state.trail, branchOf(parent, state))
}

/** @internal */
export const replaceState = (carrier: Carrier, state: ScopeState): void => {
  if (carrier instanceof Cell) carrier.state = state
  else setFiberRef(carrier, scopeRef, state)
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

const storage = new AsyncLocalStorage<Cell>()

let processCell: Cell | undefined

/** The plain function that a fiber is in the middle of, where it was given a scope of its own. */
let block: { readonly fiber: AnyFiber; readonly cell: Cell } | undefined

const BRANCH = Symbol("effect-faultline/branch")

type Branched = AnyFiber & { [BRANCH]?: Branch }
