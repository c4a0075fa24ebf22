/**
 * What was not delivered and why, counted until it is told to the server in a client report.
 */
import type { Category, DiscardReason } from "../protocol/Category.js"
import type { Metrics } from "./metrics.js"

/** @internal */
export interface DiscardedEvents {
  readonly reason: DiscardReason
  readonly category: Category
  readonly quantity: number
}

/** @internal */
export class Outcomes {
  readonly #counts = new Map<string, number>()
  /** Everything counted since the start, for whoever wants to look. */
  readonly #totals = new Map<string, number>()

  /** What is in a report that has not been answered yet. */
  readonly #telling = new Set<ReadonlyArray<DiscardedEvents>>()
  /** Told whenever there is more, or less, that the server does not know. */
  onChange: (() => void) | undefined

  constructor(
    readonly enabled: boolean,
    readonly metrics?: Metrics
  ) {}

  record(reason: DiscardReason, category: Category, quantity = 1): void {
    if (quantity < 1) return
    const key = `${reason}:${category}`
    this.#totals.set(key, (this.#totals.get(key) ?? 0) + quantity)
    this.metrics?.dropped(reason, category, quantity)
    // A lost client report is not itself reported: there would be no end to it.
    if (!this.enabled || category === "internal") return
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + quantity)
    this.onChange?.()
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0
  }

  /** Reads and resets, at once. */
  take(): ReadonlyArray<DiscardedEvents> {
    const taken = entries(this.#counts)
    this.#counts.clear()
    this.#telling.add(taken)
    return taken
  }

  /** The server has answered to a report: whatever it said, it was told. */
  told(discarded: ReadonlyArray<DiscardedEvents>): void {
    if (this.#telling.delete(discarded)) this.onChange?.()
  }

  /** For a report that did not arrive: its counts go into the next one. */
  putBack(discarded: ReadonlyArray<DiscardedEvents>): void {
    this.#telling.delete(discarded)
    for (const { category, quantity, reason } of discarded) {
      const key = `${reason}:${category}`
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + quantity)
    }
    this.onChange?.()
  }

  /** What the server does not know yet, as far as we know. */
  untold(): ReadonlyArray<DiscardedEvents> {
    return [...[...this.#telling].flat(), ...entries(this.#counts)]
  }

  totals(): ReadonlyArray<DiscardedEvents> {
    return entries(this.#totals)
  }
}

const entries = (counts: ReadonlyMap<string, number>): ReadonlyArray<DiscardedEvents> =>
  Array.from(counts, ([key, quantity]) => {
    const [reason, category] = key.split(":") as [DiscardReason, Category]
    return { reason, category, quantity }
  })
