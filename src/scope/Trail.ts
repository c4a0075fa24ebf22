/**
 * The breadcrumbs of one isolation scope, and who may see which of them.
 *
 * Concurrent fibers share a trail but not their view of it: every entry carries the branch of the fiber tree it was written in,
 * and a fiber sees its own branch, the branches it came from and the branches it started, never those beside it.
 */
import type { Breadcrumb } from "../protocol/Breadcrumb.js"

/** A place in the tree of fibers that work in one isolation scope. @internal */
export class Branch {
  readonly parent: Branch | undefined
  readonly depth: number
  /** The entries written here, oldest first, in a list of their own so that a busy fiber displaces only itself. */
  head: Entry | undefined
  tail: Entry | undefined
  size = 0
  readonly begun = moments

  constructor(
    readonly trail: Trail,
    parent?: Branch
  ) {
    // A fiber that starts its own successor, for ever, must not hold on to all that came before it.
    this.parent = parent !== undefined && parent.depth >= MAX_DEPTH ? trail.root : parent
    this.depth = this.parent === undefined ? 0 : this.parent.depth + 1
  }
}

/** @internal */
export class Trail {
  #oldest: Entry | undefined
  #newest: Entry | undefined
  #size = 0
  // Weak: a chain of scopes that each began in the one before must not keep them all.
  readonly #origin: WeakRef<Trail> | undefined
  readonly root = new Branch(this)

  /**
   * @param limit how many breadcrumbs an event shows. A branch never holds more (older ones could not be seen by anyone), and
   * the whole trail at most ten times as many.
   */
  constructor(
    readonly limit: number,
    origin?: Trail
  ) {
    this.#origin = origin === undefined ? undefined : new WeakRef(origin)
  }

  /** This isolation scope and those it was forked from, as far as they are still in use. */
  lineage(): Array<Trail> {
    const lineage: Array<Trail> = [this]
    for (let trail = this.#origin?.deref(); trail !== undefined; trail = trail.#origin?.deref()) lineage.push(trail)
    return lineage
  }

  /** Another isolation scope that begins with what `branch` sees now. */
  fork(branch: Branch): Trail {
    const forked = new Trail(this.limit, this)
    if (this.#size > 0) {
      for (const { breadcrumb, order } of this.#visible(branch)) forked.push(forked.root, breadcrumb, order)
    }
    return forked
  }

  push(branch: Branch, breadcrumb: Breadcrumb, order: number = nextMoment()): void {
    if (this.limit <= 0) return
    const entry = new Entry(branch, breadcrumb, order, this.#newest)
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.next = entry
    this.#newest = entry
    this.#size++

    if (branch.tail === undefined) branch.head = entry
    else branch.tail.nextInBranch = entry
    branch.tail = entry
    branch.size++

    if (branch.size > this.limit) this.#remove(branch.head)
    else if (this.#size > this.limit * 10) this.#remove(this.#oldest)
  }

  /** What an event of `branch` shows: the newest `limit` entries it may see, oldest first, in the order of recording. */
  visibleFrom(branch: Branch): Array<Breadcrumb> {
    return this.#visible(branch).map(({ breadcrumb }) => breadcrumb)
  }

  /**
   * The same, and what was seen from another place (perhaps in another trail) at an earlier moment.
   *
   * @param then a value of `moment` at that time
   */
  visibleFromBoth(branch: Branch, other: Branch, then: number): Array<Breadcrumb> {
    const entries = this.#visible(branch)
    const seen = new Set(entries.map(({ breadcrumb }) => breadcrumb))
    for (const entry of other.trail.#visible(other))
      if (entry.order <= then && !seen.has(entry.breadcrumb)) entries.push(entry)
    const ordered = entries.toSorted((a, b) => a.order - b.order).slice(-this.limit)
    return ordered.map(({ breadcrumb }) => breadcrumb)
  }

  #visible(branch: Branch): Array<Entry> {
    const visible: Array<Entry> = []
    let entry = this.#newest
    while (entry !== undefined && visible.length < this.limit) {
      if (entry.branch === branch || related(entry.branch, branch)) visible.push(entry)
      entry = entry.previous
    }
    return visible.reverse()
  }

  clear(): void {
    for (let entry = this.#oldest; entry !== undefined; entry = entry.next) {
      entry.branch.head = entry.branch.tail = undefined
      entry.branch.size = 0
    }
    this.#oldest = this.#newest = undefined
    this.#size = 0
  }

  #remove(entry: Entry | undefined): void {
    if (entry === undefined) return
    if (entry.previous === undefined) this.#oldest = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.#newest = entry.previous
    else entry.next.previous = entry.previous
    this.#size--

    // Both callers remove the oldest entry of its branch: the list of a branch only ever shrinks at its head.
    const branch = entry.branch
    branch.head = entry.nextInBranch
    if (branch.head === undefined) branch.tail = undefined
    branch.size--
  }
}

/** The point that was reached in the order of all that is recorded, in whichever trail. @internal */
export const moment = (): number => moments

/** @internal */
export const nextMoment = (): number => ++moments

let moments = 0

const MAX_DEPTH = 256

class Entry {
  next: Entry | undefined
  nextInBranch: Entry | undefined

  constructor(
    readonly branch: Branch,
    readonly breadcrumb: Breadcrumb,
    readonly order: number,
    public previous: Entry | undefined
  ) {}
}

/** Whether one of the two branches grew out of the other. */
const related = (a: Branch, b: Branch): boolean => {
  let deeper = a.depth >= b.depth ? a : b
  const other = deeper === a ? b : a
  while (deeper.depth > other.depth) deeper = deeper.parent as Branch
  return deeper === other
}
