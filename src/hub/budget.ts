/**
 * How often one and the same thing is reported: a bug in a loop is not to use up what a server takes of a whole project.
 */
import type { Report } from "../event/build.js"
import { typeOf, valueOf } from "../event/exceptions.js"
import type { Exception } from "../protocol/Event.js"

/**
 * For each thing that is reported, by its fingerprint.
 *
 * @since 0.1.0
 * @category models
 */
export interface BudgetOptions {
  /** How many events may come at once. Default: 10,000. */
  readonly burst?: number | undefined
  /** How many more may follow in a minute. Default: 30. */
  readonly perMinute?: number | undefined
}

/** What an event that is within the budget has to say of those that were not. @internal */
export interface Spent {
  /** How many were held back since the last event that was sent, of whatever kind. */
  readonly suppressed: number
  /** How many of the same thing were, since the last event of it. */
  readonly same: number
  /** When the first of them was: milliseconds since the epoch. */
  readonly since: number
  /** As if it had not been asked for: the event is not sent after all. */
  readonly refund: () => void
}

/** A token bucket for each fingerprint; those that were not asked for the longest go first when there are too many. @internal */
export class Budget {
  readonly #buckets = new Map<string, Bucket>()
  readonly #perMilli: number
  /** Of all kinds. */
  readonly #held: Held = { suppressed: 0, since: 0 }

  constructor(readonly options: Required<{ [K in keyof BudgetOptions]: number }>) {
    this.#perMilli = options.perMinute / 60_000
  }

  /**
   * `undefined`: there is nothing left for this one.
   *
   * @param now milliseconds, of whichever clock the program has; one that goes back adds nothing
   */
  spend(key: string, now: number): Spent | undefined {
    const { burst } = this.options
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now, suppressed: 0 }
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value as string)
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, now - bucket.at) * this.#perMilli)
    bucket.at = now
    if (bucket.tokens < 1) {
      bucket.suppressed++
      if (this.#held.suppressed++ === 0) this.#held.since = now
      return undefined
    }
    bucket.tokens--
    const held = this.#held
    const { since, suppressed } = held
    const { suppressed: same } = bucket
    bucket.suppressed = 0
    held.suppressed = 0
    return {
      suppressed,
      same,
      since,
      refund() {
        bucket.tokens++
        bucket.suppressed += same
        if (suppressed > 0) held.since = since
        held.suppressed += suppressed
      }
    }
  }
}

/**
 * What counts as the same thing: an explicit fingerprint, or else the type of the error, the frame it comes from and what its message
 * has in common with others of its kind.
 *
 * @internal
 */
export const budgetKey = (report: Report, fingerprint: ReadonlyArray<string> | undefined): string => {
  const explicit = report.event?.fingerprint ?? report.context?.fingerprint ?? fingerprint
  // Of an event that a user built it may be anything.
  if (!Array.isArray(explicit) || explicit.length === 0) return defaultKey(report)
  return explicit.map((part) => (DEFAULT.test(String(part)) ? defaultKey(report) : String(part))).join("\n")
}

const defaultKey = (report: Report): string => {
  const primary = report.failure?.primary
  if (primary !== undefined) {
    return `${typeOf(primary.error)}\n${shapeOf(valueOf(primary.error))}\n${topFrame(primary.error)}`
  }
  const { event } = report
  const values: unknown = event?.exception?.values
  const exception = Array.isArray(values) ? (values.at(-1) as Exception | null | undefined) : undefined
  const text =
    report.message ?? report.logentry?.message ?? exception?.value ?? event?.message ?? event?.logentry?.message ?? ""
  return `${exception?.type ?? ""}\n${shapeOf(String(text))}`
}

/** A message without what varies in it: numbers, ids, what is quoted. */
const shapeOf = (text: string): string =>
  text
    .slice(0, 300)
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, "0")
    .replace(/[0-9a-f]*\d[0-9a-f-]*/gi, "0")

const topFrame = (error: unknown): string => {
  try {
    const { stack } = error as { readonly stack?: unknown }
    return typeof stack === "string" ? (/^ {4}at .*$/m.exec(stack)?.[0] ?? "") : ""
  } catch {
    return ""
  }
}

const DEFAULT = /^\{\{\s*default\s*\}\}$/

/** A bound on memory, beyond what any program has different errors. */
const MAX_BUCKETS = 1000

interface Bucket {
  tokens: number
  at: number
  suppressed: number
}

interface Held {
  suppressed: number
  /** When the first of them was. */
  since: number
}
