/**
 * The queue between a capture and the server: bounded, never waiting, and exact about what became of everything in it.
 */
import type { Category, ItemType } from "../protocol/Category.js"
import { type EncodedItem, type EnvelopeHeaders, encodeHeaders, encodeItem } from "../protocol/Envelope.js"
import type { Debug } from "./debug.js"
import type { Outcomes } from "./Outcomes.js"
import { type DiscardedEvents } from "./Outcomes.js"
import { limitedUntil, noLimits, type RateLimits, updateLimits } from "./rateLimits.js"
import type { Sender, Sending, SendResult } from "./Transport.js"

/** An item that knows what it counts as. @internal */
export interface CountedItem extends EncodedItem {
  readonly category: Category
  readonly quantity: number
}

/** An envelope that is ready to leave, but for its `sent_at`. @internal */
export interface Outgoing {
  readonly headers: EnvelopeHeaders
  readonly items: ReadonlyArray<CountedItem>
  /** Leaves before everything else: the program is about to die of it. */
  readonly urgent: boolean
}

/** @internal */
export interface DeliveryConfig {
  readonly sender: Sender
  readonly outcomes: Outcomes
  readonly debug: Debug
  /** How many envelopes may wait. */
  readonly maxQueue: number
  /** How many bytes they may have together. */
  readonly maxQueueBytes: number
  /** The headers of an envelope that holds nothing but a client report. */
  readonly reportHeaders: EnvelopeHeaders
}

/** @internal */
export interface DeliveryStats {
  readonly queued: number
  readonly queuedBytes: number
  readonly inFlight: number
  readonly sent: number
  readonly discarded: ReadonlyArray<DiscardedEvents>
}

/** @internal */
export class Delivery {
  readonly #urgent: Array<Waiting> = []
  readonly #queue: Array<Waiting> = []
  readonly #inFlight = new Set<InFlight>()
  readonly #idleCallbacks = new Set<() => void>()
  #queuedBytes = 0
  #sent = 0
  #limits: RateLimits = noLimits
  #lastReport = performance.now()
  #scheduled = false
  #pumping = false
  #closed = false
  #exit: { readonly deadline: number; readonly onWaiting: (pending: number) => void } | undefined

  constructor(readonly config: DeliveryConfig) {}

  /** Puts an envelope into the queue. `false`: there was no room, and it was counted as lost. */
  offer(outgoing: Outgoing): boolean {
    if (this.#closed) return false
    const waiting = makeWaiting(outgoing.headers, this.#allowed(outgoing.items.map(frame)))
    if (waiting.parts.length === 0) return false
    if (!this.#hasRoom(waiting) && !(outgoing.urgent && this.#makeRoom(waiting))) {
      this.#discard("queue_overflow", waiting.parts)
      this.config.debug(`dropped: the queue is full (${this.pending} envelopes, ${this.#queuedBytes} bytes)`)
      return false
    }
    this.#enqueue(waiting, outgoing.urgent)
    return true
  }

  /** Envelopes that have not been answered yet. */
  get pending(): number {
    return this.#queue.length + this.#urgent.length + this.#inFlight.size
  }

  get stats(): DeliveryStats {
    return {
      queued: this.#queue.length + this.#urgent.length,
      queuedBytes: this.#queuedBytes,
      inFlight: this.#inFlight.size,
      sent: this.#sent,
      discarded: this.config.outcomes.totals()
    }
  }

  /** Calls back once nothing is pending; the function it returns forgets the callback. */
  whenIdle(callback: () => void): () => void {
    if (this.pending === 0) {
      callback()
      return () => {}
    }
    this.#idleCallbacks.add(callback)
    this.#pump()
    return () => void this.#idleCallbacks.delete(callback)
  }

  /** What was counted as lost and not told yet leaves in an envelope of its own. */
  sendReport(): void {
    if (this.config.outcomes.isEmpty || this.#closed) return
    const discarded = this.config.outcomes.take()
    this.#lastReport = performance.now()
    const parts = this.#allowed([reportPart(discarded)])
    if (parts.length === 0) this.config.outcomes.putBack(discarded)
    else this.#enqueue(makeWaiting(this.config.reportHeaders, parts, discarded), false)
  }

  /**
   * From here on nothing asynchronous runs any more: what is pending is sent now, and what is still offered at once, all within
   * `timeoutMillis`.
   */
  drainAtExit(timeoutMillis: number, onWaiting: (pending: number) => void): void {
    this.#exit = { deadline: performance.now() + timeoutMillis, onWaiting }
    this.#drainSync()
  }

  /** Takes nothing more; what is still on its way is left to itself or cut off. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const left = [...this.#urgent.splice(0), ...this.#queue.splice(0)]
    if (left.length > 0) this.config.debug(`closed with ${left.length} envelopes unsent`)
    this.#queuedBytes = 0
    const onTheWay = [...this.#inFlight]
    this.#inFlight.clear()
    for (const { sending } of onTheWay) sending?.abort()
    this.config.sender.close()
    this.#notifyIdle()
  }

  #drainSync(): void {
    const exit = this.#exit
    if (exit === undefined) return
    const waiting = [...this.#urgent.splice(0), ...this.#queue.splice(0)]
    this.#queuedBytes = 0
    const onTheWay = [...this.#inFlight].filter(({ sending }) => sending?.handedOver !== true)
    // Forgotten first: being cut off here is not what became of them.
    this.#inFlight.clear()
    for (const { sending } of onTheWay) sending?.abort()
    waiting.unshift(...onTheWay.map((inFlight) => inFlight.waiting))
    const allowed = waiting.filter((envelope) => this.#allowed(envelope.parts).length > 0)
    if (allowed.length === 0) return
    const left = exit.deadline - performance.now()
    const results =
      this.config.sender.sendSync?.(allowed.map(bytesOf), left, () => exit.onWaiting(allowed.length)) ?? []
    allowed.forEach((envelope, index) => this.#settle(envelope, results[index] ?? NOT_IN_TIME))
  }

  #enqueue(waiting: Waiting, urgent: boolean): void {
    const lane = urgent ? this.#urgent : this.#queue
    lane.push(waiting)
    this.#queuedBytes += waiting.size
    if (this.#exit === undefined) this.#schedule()
    else this.#drainSync()
  }

  #hasRoom(waiting: Waiting): boolean {
    return (
      this.#queue.length + this.#urgent.length < this.config.maxQueue &&
      this.#queuedBytes + waiting.size <= this.config.maxQueueBytes
    )
  }

  /** The newest of the ordinary envelopes give way. */
  #makeRoom(waiting: Waiting): boolean {
    while (this.#queue.length > 0 && !this.#hasRoom(waiting)) {
      const displaced = this.#queue.pop() as Waiting
      this.#queuedBytes -= displaced.size
      this.#lose("queue_overflow", displaced)
    }
    return this.#hasRoom(waiting)
  }

  /** Not within the capture: the caller should not pay for the connection. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    }).unref()
  }

  #pump(): void {
    // A sender that answers at once must not make this recurse as deep as the queue is long.
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#closed && this.#inFlight.size < CONCURRENCY) {
      const waiting = this.#urgent.shift() ?? this.#queue.shift()
      if (waiting === undefined) break
      this.#queuedBytes -= waiting.size
      this.#send(waiting)
    }
    this.#pumping = false
    this.#notifyIdle()
  }

  #send(queued: Waiting): void {
    const parts = this.#allowed(queued.parts)
    if (parts.length === 0) return
    const waiting = this.#withReport({ ...queued, parts })
    const inFlight = new InFlight(waiting)
    this.#inFlight.add(inFlight)
    inFlight.sending = this.config.sender.send(bytesOf(waiting), (result) => {
      if (!this.#inFlight.delete(inFlight) || this.#closed) return
      this.#settle(waiting, result)
      this.#pump()
    })
  }

  /** A report that is due rides on an envelope that leaves anyway. */
  #withReport(waiting: Waiting): Waiting {
    const due = performance.now() - this.#lastReport >= REPORT_INTERVAL_MILLIS
    if (!due || this.config.outcomes.isEmpty || waiting.report !== undefined) return waiting
    this.#lastReport = performance.now()
    const discarded = this.config.outcomes.take()
    return makeWaiting(waiting.headers, [...waiting.parts, reportPart(discarded)], discarded)
  }

  #settle(waiting: Waiting, result: SendResult): void {
    if (result._tag === "Failed") {
      this.#lose("network_error", waiting)
      this.config.debug(`not sent: ${result.reason}`)
      return
    }
    this.#limits = updateLimits(
      this.#limits,
      { status: result.status, rateLimits: result.rateLimits, retryAfter: result.retryAfter },
      performance.now(),
      Date.now()
    )
    if (result.status >= 200 && result.status < 300) {
      this.#sent++
      this.config.debug(`sent ${describe(waiting)}`)
      return
    }
    // The server counts what it refuses with a 429.
    if (result.status === 429) {
      if (waiting.report !== undefined) this.config.outcomes.putBack(waiting.report)
    } else this.#lose("send_error", waiting)
    this.config.debug(`refused with ${result.status}: ${describe(waiting)}${detail(result.detail)}`)
  }

  #allowed(parts: ReadonlyArray<Part>, now = performance.now()): ReadonlyArray<Part> {
    if (this.#limits.size === 0) return parts
    const isLimited = (part: Part): boolean => limitedUntil(this.#limits, part.category, now) !== undefined
    // An attachment is nothing without its event.
    const withEvent = parts.some((part) => part.type === "event" && isLimited(part))
    const limited = parts.filter((part) => withEvent || isLimited(part))
    if (limited.length === 0) return parts
    this.#discard("ratelimit_backoff", limited)
    this.config.debug(`held back by the server's rate limit: ${limited.map((part) => part.type).join(", ")}`)
    return parts.filter((part) => !limited.includes(part))
  }

  #lose(reason: "queue_overflow" | "network_error" | "send_error", waiting: Waiting): void {
    this.#discard(reason, waiting.parts)
    if (waiting.report !== undefined) this.config.outcomes.putBack(waiting.report)
  }

  #discard(
    reason: "queue_overflow" | "network_error" | "send_error" | "ratelimit_backoff",
    parts: ReadonlyArray<Part>
  ): void {
    for (const part of parts) this.config.outcomes.record(reason, part.category, part.quantity)
  }

  #notifyIdle(): void {
    if (this.pending > 0) return
    const callbacks = [...this.#idleCallbacks]
    this.#idleCallbacks.clear()
    for (const callback of callbacks) callback()
  }
}

/** One framed item. */
interface Part {
  readonly type: ItemType
  readonly category: Category
  readonly quantity: number
  readonly bytes: Buffer
}

interface Waiting {
  readonly headers: EnvelopeHeaders
  readonly parts: ReadonlyArray<Part>
  readonly size: number
  /** The counts that this envelope tells the server, to be put back if it does not arrive. */
  readonly report: ReadonlyArray<DiscardedEvents> | undefined
}

const frame = (item: CountedItem): Part => ({
  type: item.headers.type,
  category: item.category,
  quantity: item.quantity,
  bytes: encodeItem(item)
})

const makeWaiting = (
  headers: EnvelopeHeaders,
  parts: ReadonlyArray<Part>,
  report?: ReadonlyArray<DiscardedEvents>
): Waiting => ({ headers, parts, size: parts.reduce((size, part) => size + part.bytes.byteLength, 0), report })

const bytesOf = (waiting: Waiting): Uint8Array =>
  Buffer.concat([
    encodeHeaders({ ...waiting.headers, sent_at: new Date().toISOString() }),
    ...waiting.parts.map((part) => part.bytes)
  ])

class InFlight {
  sending: Sending | undefined

  constructor(readonly waiting: Waiting) {}
}

const NOT_IN_TIME: SendResult = { _tag: "Failed", reason: "the process ended first" }

const CONCURRENCY = 8
const REPORT_INTERVAL_MILLIS = 30_000

const reportPart = (discarded: ReadonlyArray<DiscardedEvents>): Part =>
  frame({
    headers: { type: "client_report" },
    payload: JSON.stringify({ timestamp: Date.now() / 1000, discarded_events: discarded }),
    category: "internal",
    quantity: 1
  })

const describe = (waiting: Waiting): string =>
  `${waiting.parts.map((part) => part.type).join(" + ")}${
    waiting.headers.event_id === undefined ? "" : ` ${waiting.headers.event_id}`
  }`

const detail = (text: string | undefined): string =>
  text === undefined || text.trim() === "" ? "" : ` (${text.trim().replace(/\s+/g, " ").slice(0, 200)})`
