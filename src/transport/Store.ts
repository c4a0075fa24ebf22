/**
 * Where the queue keeps envelopes that must outlive the process.
 */
import type { DiscardedEvents } from "./Outcomes.js"

/** An envelope that is stored until it was answered. @internal */
export interface Stored {
  readonly size: number
}

/** @internal */
export interface Store {
  /** `undefined`: there is no room for it, or it cannot be written. */
  readonly put: (envelope: Uint8Array) => Stored | undefined
  /** `undefined`: it is not there any more. */
  readonly read: (stored: Stored) => Uint8Array | undefined
  readonly remove: (stored: Stored) => void
  /** Whether it is stored, or still can be: a disk may have refused it in the background. */
  readonly holds: (stored: Stored) => boolean
  /** What was read is no envelope: it is removed, and somebody is told. */
  readonly spoiled: (stored: Stored) => void
  /** What earlier processes have left, oldest first. Whoever gets it is the only one. */
  readonly recover: (
    onCounts: (counts: ReadonlyArray<DiscardedEvents>) => void,
    onExpired: (stored: Stored) => void
  ) => ReadonlyArray<Stored>
  /** The counts of what was lost and not told to the server yet. */
  readonly saveCounts: (counts: ReadonlyArray<DiscardedEvents>) => void
  /** Makes durable, now, what is still to become so. */
  readonly flush: () => void
  /** How many are stored. */
  readonly count: number
  /** What was not removed stays, for whoever comes next. */
  readonly close: () => void
}
