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
  /** What came before, in the isolation scope that this one was forked from: every branch sees it. Shared, never changed. */
  #inherited: ReadonlyArray<Seen> = NONE
  /** What one branch saw last, as long as nothing was added. */
  #view: { readonly branch: Branch; readonly seen: ReadonlyArray<Seen> } | undefined
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

  /** The isolation scope that this one was forked from, if that is still in use. */
  get origin(): Trail | undefined {
    return this.#origin?.deref()
  }

  /** This isolation scope and those it was forked from, as far as they are still in use. */
  lineage(): Array<Trail> {
    const lineage: Array<Trail> = [this]
    for (let { origin } = this; origin !== undefined; origin = origin.origin) lineage.push(origin)
    return lineage
  }

  /** Another isolation scope that begins with what `branch` sees now. */
  fork(branch: Branch): Trail {
    const forked = new Trail(this.limit, this)
    forked.#inherited = this.#seenFrom(branch)
    return forked
  }

  /** Another isolation scope that begins as this one began. */
  renew(): Trail {
    const renewed = new Trail(this.limit, this.#origin?.deref())
    renewed.#inherited = this.#inherited
    return renewed
  }

  push(branch: Branch, breadcrumb: Breadcrumb): void {
    if (this.limit <= 0) return
    this.#view = undefined
    const entry = new Entry(branch, breadcrumb, nextMoment(), this.#newest)
    if (this.#newest === undefined) this.#oldest = entry
    else this.#newest.next = entry
    this.#newest = entry
    this.#size++

    if (branch.tail === undefined) branch.head = entry
    else branch.tail.nextInBranch = entry
    branch.tail = entry
    branch.size++

    if (branch.size > this.limit) this.#remove(branch.head)
    else if (this.#size > this.limit * 10) {
      // What is older than what goes now goes first.
      this.#inherited = NONE
      this.#remove(this.#oldest)
    }
  }

  /** What an event of `branch` shows: the newest `limit` entries it may see, oldest first, in the order of recording. */
  visibleFrom(branch: Branch): Array<Breadcrumb> {
    return this.#seenFrom(branch).map(({ breadcrumb }) => breadcrumb)
  }

  /**
   * The same, and what was seen from another place (perhaps in another trail) at an earlier moment.
   *
   * @param then a value of `moment` at that time
   */
  visibleFromBoth(branch: Branch, other: Branch, then: number): Array<Breadcrumb> {
    const all = this.#seenFrom(branch).slice()
    const seen = new Set(all.map(({ breadcrumb }) => breadcrumb))
    for (const step of other.trail.#seenFrom(other))
      if (step.order <= then && !seen.has(step.breadcrumb)) all.push(step)
    const ordered = all.toSorted((a, b) => a.order - b.order).slice(-this.limit)
    return ordered.map(({ breadcrumb }) => breadcrumb)
  }

  clear(): void {
    for (let entry = this.#oldest; entry !== undefined; entry = entry.next) {
      entry.branch.head = entry.branch.tail = undefined
      entry.branch.size = 0
    }
    this.#oldest = this.#newest = this.#view = undefined
    this.#inherited = NONE
    this.#size = 0
  }

  #seenFrom(branch: Branch): ReadonlyArray<Seen> {
    if (this.#size === 0) return this.#inherited
    if (this.#view?.branch === branch) return this.#view.seen
    const seen: Array<Seen> = []
    for (let entry = this.#newest; entry !== undefined && seen.length < this.limit; entry = entry.previous) {
      const { breadcrumb, order } = entry
      if (entry.branch === branch || related(entry.branch, branch)) seen.push({ breadcrumb, order })
    }
    for (let index = this.#inherited.length - 1; index >= 0 && seen.length < this.limit; index--)
      seen.push(this.#inherited[index] as Seen)
    this.#view = { branch, seen: seen.reverse() }
    return seen
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

    // One that has grown old would keep all that came after it from being collected while they are young.
    entry.next = entry.nextInBranch = entry.previous = undefined
  }
}

/** The point that was reached in the order of all that is recorded, in whichever trail. @internal */
export const moment = (): number => moments

/** @internal */
export const nextMoment = (): number => ++moments

let moments = 0

const MAX_DEPTH = 256
const NONE: ReadonlyArray<Seen> = []

/** A breadcrumb without its place: that would keep the whole trail. */
interface Seen {
  readonly breadcrumb: Breadcrumb
  readonly order: number
}

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
