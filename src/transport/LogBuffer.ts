/**
 * Structured logs, until there are enough of them for an envelope, or they have waited long enough.
 */
import { LOG_CONTENT_TYPE } from "../protocol/Log.js"
import type { CountedItem } from "./Delivery.js"
import type { Outcomes } from "./Outcomes.js"

/** @internal */
export interface LogBufferConfig {
  readonly outcomes: Outcomes
  /** Puts an item into the queue, and tells when it was answered, or lost. */
  readonly offer: (item: CountedItem, settled: () => void) => void
  /** Whether nothing may wait any more. */
  readonly isExiting: () => boolean
  readonly debug: (message: string) => void
}

/** @internal */
export class LogBuffer {
  #logs: Array<string> = []
  #bytes = 0
  /** In envelopes that were not answered yet. */
  #underway = 0
  #timer: NodeJS.Timeout | undefined

  constructor(readonly config: LogBufferConfig) {}

  /** @param log as JSON */
  add(log: string): void {
    const bytes = Buffer.byteLength(log)
    if (this.#logs.length + this.#underway >= MAX_WAITING) {
      this.config.outcomes.record("buffer_overflow", "log_item")
      this.config.outcomes.record("buffer_overflow", "log_byte", bytes)
      this.config.debug(`a log was dropped: ${MAX_WAITING} are waiting`)
      return
    }
    this.#logs.push(log)
    this.#bytes += bytes
    if (this.#logs.length >= MAX_LOGS || this.#bytes >= MAX_BYTES || this.config.isExiting()) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), MAX_WAIT_MILLIS).unref()
  }

  /** What there is becomes an envelope. */
  flush(): void {
    const logs = this.#take()
    if (logs.length === 0) return
    this.#underway += logs.length
    const payload = `{"items":[${logs.join(",")}]}`
    this.config.offer(
      {
        headers: { type: "log", item_count: logs.length, content_type: LOG_CONTENT_TYPE },
        payload,
        category: "log_item",
        quantity: logs.length
      },
      () => (this.#underway -= logs.length)
    )
  }

  /** What is left is forgotten. */
  close(): void {
    this.#take()
  }

  #take(): ReadonlyArray<string> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const logs = this.#logs
    this.#logs = []
    this.#bytes = 0
    return logs
  }
}

const MAX_LOGS = 100
/** As many as may be lost at most, and as wait at most, in memory or in the queue. */
const MAX_WAITING = 1000
const MAX_BYTES = 800_000
const MAX_WAIT_MILLIS = 5000
