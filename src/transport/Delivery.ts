/**
 * The queue between a capture and the server: bounded, never waiting, and exact about what became of everything in it.
 */
import { type Category, categoryOf, type ItemType } from "../protocol/Category.js"
import {
  type EncodedItem,
  type EnvelopeHeaders,
  encodeHeaders,
  encodeItem,
  splitEnvelope
} from "../protocol/Envelope.js"
import { logBytes } from "../protocol/Log.js"
import { type Debug, describeError } from "./debug.js"
import { GRACE_MILLIS } from "./exitSender.js"
import { Fifo } from "./Fifo.js"
import type { Metrics } from "./metrics.js"
import type { Outcomes } from "./Outcomes.js"
import { type DiscardedEvents } from "./Outcomes.js"
import { type Held, lengthOf, Packer, writeHeld } from "./pack.js"
import { isRejection } from "./profiles.js"
import { activeLimits, isItemLimited, limitedUntil, noLimits, type RateLimits, updateLimits } from "./rateLimits.js"
import type { Store, Stored } from "./Store.js"
import { Slabs } from "./slabs.js"
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
  /** Where envelopes outlive the process. With one, they leave one at a time, and a dead network keeps them. */
  readonly store?: Store | undefined
  readonly metrics?: Metrics | undefined
  /** The kinds of items that the server takes. */
  readonly accepted: ReadonlySet<ItemType>
}

/** @internal */
export interface DeliveryStats {
  readonly queued: number
  readonly queuedBytes: number
  readonly inFlight: number
  readonly sent: number
  /** How many envelopes are in the spool. */
  readonly spooled: number
  readonly discarded: ReadonlyArray<DiscardedEvents>
  /** What the server does not want to hear of, and until when. */
  readonly limited: ReadonlyArray<{ readonly category: Category | "all"; readonly until: Date }>
}

/** @internal */
export class Delivery {
  readonly #config: DeliveryConfig
  readonly #urgent = new Fifo<Waiting>()
  readonly #queue = new Fifo<Waiting>()
  readonly #idle: Array<() => void> = []
  readonly #packer = new Packer()
  readonly #slabs = new Slabs()
  /** No Set: V8 lets the tables that it has outgrown hold on to what was in them. */
  readonly #inFlight: Array<InFlight> = []
  readonly #waiters = new Set<{ readonly upTo: number; readonly callback: (settled: boolean) => void }>()
  /** How many envelopes were taken into the queue: their numbers count up from 1. */
  #offered = 0
  #queuedBytes = 0
  #sent = 0
  #limits: RateLimits = noLimits
  /** The kinds of items that the server has refused to know. */
  readonly #rejected = new Set<ItemType>()
  #lastReport = performance.now()
  #reportsWaiting = 0
  #scheduled = false
  #pumping = false
  #closed = false
  #exit: AtExit | undefined

  /** Set while the network is down: when it is tried again. */
  #retry: NodeJS.Timeout | undefined
  #retryMillis = 0
  #recovery: NodeJS.Timeout | undefined

  constructor(config: DeliveryConfig) {
    this.#config = config
    const { outcomes, store } = config
    if (store === undefined) return
    outcomes.onChange = () => store.saveCounts(outcomes.untold())
    this.#recover(store)
    this.#recovery = setInterval(() => this.#recover(store), RECOVERY_INTERVAL_MILLIS).unref()
  }

  /** Puts an envelope into the queue. `false`: there was no room, and it was counted as lost. */
  offer(outgoing: Outgoing): boolean {
    if (this.#closed) return false
    const framed = outgoing.items.map((item) => this.#frame(item))
    const waiting = makeWaiting(outgoing.headers, this.#allowed(framed))
    if (waiting.parts.length === 0) return false
    const stored = this.#config.store?.put(storedBytesOf(waiting))
    if (stored !== undefined) {
      this.#enqueue(this.#hasRoom(waiting) ? { ...waiting, stored } : onDisk(stored), outgoing.urgent)
      return true
    }
    if (!this.#hasRoom(waiting) && !(outgoing.urgent && this.#makeRoom(waiting))) {
      this.#discard("queue_overflow", waiting.parts)
      this.#config.debug(`dropped: the queue is full (${this.pending} envelopes, ${this.#queuedBytes} bytes)`)
      return false
    }
    this.#enqueue(waiting, outgoing.urgent)
    return true
  }

  /**
   * Takes back the envelope of an event, if it still waits: another one is to be offered in its place, sooner or later.
   *
   * @returns to be called once it has been: until then it stays in the spool, in case that nothing else comes to it
   */
  retract(eventId: string): (() => void) | undefined {
    const isIt = ({ headers }: Waiting): boolean => headers.event_id === eventId
    const taken = this.#taken(this.#urgent.remove(isIt) ?? this.#queue.remove(isIt))
    return taken === undefined ? undefined : () => this.#forget(taken)
  }

  /** Whether items of this kind are sent: the server takes them, and has not said otherwise. */
  accepts(type: ItemType): boolean {
    return this.#config.accepted.has(type) && !this.#rejected.has(type)
  }

  /** Envelopes that have not been answered yet. */
  get pending(): number {
    return this.#waiting + this.#inFlight.length
  }

  get stats(): DeliveryStats {
    return {
      queued: this.#waiting,
      queuedBytes: this.#queuedBytes,
      inFlight: this.#inFlight.length,
      sent: this.#sent,
      spooled: this.#config.store?.count ?? 0,
      discarded: this.#config.outcomes.totals(),
      limited: activeLimits(this.#limits, performance.now(), Date.now())
    }
  }

  /** Whether anything but client reports is pending. */
  get hasPending(): boolean {
    const reports = this.#inFlight.filter(({ waiting }) => isReport(waiting)).length
    return this.pending > reports + this.#reportsWaiting
  }

  /** Of what is pending, the events: logs, sessions and client reports are none. */
  get pendingEvents(): number {
    return this.#queue.count(isEvent) + this.#urgent.count(isEvent) + this.#eventsInFlight
  }

  get #eventsInFlight(): number {
    return this.#inFlight.filter(({ waiting }) => isEvent(waiting)).length
  }

  /** Whether what is offered leaves at once, since nothing asynchronous runs any more. */
  get isExiting(): boolean {
    return this.#exit !== undefined
  }

  /**
   * Calls back once everything offered so far is answered, or (`false`) has to stay in the spool, since the network is down; the
   * function it returns forgets the callback.
   *
   * @param inHurry whether somebody waits for it
   */
  whenSettled(callback: (settled: boolean) => void, inHurry = true): () => void {
    const waiter = { upTo: this.#offered, callback }
    if (this.#oldestPending > waiter.upTo) {
      callback(true)
      return () => {}
    }
    this.#waiters.add(waiter)
    if (inHurry) this.#tryAgain()
    return () => void this.#waiters.delete(waiter)
  }

  /** Calls back once nothing is pending; unlike `whenSettled` it sets nothing in motion. */
  whenIdle(callback: () => void): void {
    if (this.pending === 0) callback()
    else this.#idle.push(callback)
  }

  /**
   * What was counted as lost and not told yet leaves in an envelope of its own; where one waits already, in a later one.
   *
   * @param answered called when it was answered, or lost; `false` is returned where there was none to send
   */
  sendReport(answered?: () => void): boolean {
    return this.#sendReport(() => true, answered)
  }

  /**
   * From here on nothing asynchronous runs any more: what is pending is sent now, and what is still offered at once, all within
   * `timeoutMillis`.
   *
   * @param onWaiting called, maybe often, with the number of events that are not answered yet, when it takes longer than a moment
   */
  drainAtExit(timeoutMillis: number, onWaiting: (pending: number) => void): void {
    this.sendReport()
    this.#config.store?.flush()
    this.#exit = { deadline: performance.now() + timeoutMillis, onWaiting }
    this.#drainSync()
  }

  /** Takes nothing more; what is still on its way is cut off. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#config.store?.flush()
    const left = this.#takeWaiting()
    const kept = left.filter((waiting) => this.#isKept(waiting)).length
    if (left.length > kept) this.#config.debug(`closed with ${left.length - kept} envelopes unsent`)
    const unanswered = this.#inFlight.filter(({ waiting }) => !this.#isKept(waiting))
    if (unanswered.length > 0)
      this.#config.debug(`closed before an answer came: ${listed(unanswered.map(({ waiting }) => waiting))}`)
    if (kept > 0) this.#config.debug(`closed with ${kept} envelopes left in the spool`)
    this.#cutOff(() => true)
    clearTimeout(this.#retry)
    clearInterval(this.#recovery)
    this.#config.outcomes.onChange = undefined
    this.#config.store?.close()
    this.#guard("close", () => this.#config.sender.close())
    this.#notify()
  }

  /** Whether it is there for whoever comes next. */
  #isKept({ stored }: Waiting): boolean {
    return stored !== undefined && this.#config.store?.holds(stored) === true
  }

  #resize(sign: 1 | -1, bytes: number): void {
    this.#queuedBytes += sign * bytes
    this.#config.metrics?.queued(sign, sign * bytes)
  }

  get #waiting(): number {
    return this.#queue.length + this.#urgent.length
  }

  #enqueue(waiting: Waiting, urgent: boolean): void {
    const lane = urgent ? this.#urgent : this.#queue
    lane.push({ ...waiting, number: ++this.#offered })
    this.#resize(1, waiting.size)
    if (waiting.report !== undefined) this.#reportsWaiting++
    if (this.#exit === undefined) this.#schedule()
    else this.#drainSync()
  }

  #next(): Waiting | undefined {
    for (;;) {
      const waiting = this.#taken(this.#urgent.shift() ?? this.#queue.shift())
      const loaded = waiting === undefined ? undefined : this.#load(waiting)
      if (loaded !== undefined || waiting === undefined) return loaded
    }
  }

  /** What was on disk alone, in memory; `undefined` if it cannot be read. */
  #load(waiting: Waiting): Waiting | undefined {
    const { number, parts, stored } = waiting
    const { store } = this.#config
    if (parts.length > 0 || stored === undefined || store === undefined) return waiting
    try {
      const bytes = store.read(stored)
      if (bytes !== undefined) return { ...readStored(bytes), number, stored }
    } catch {
      // It is told below.
    }
    store.spoiled(stored)
    this.#config.outcomes.record("internal_sdk_error", "error")
    return undefined
  }

  #recover(store: Store): void {
    const found = store.recover(
      (counts) => this.#config.outcomes.putBack(counts),
      (expired) => {
        const waiting = this.#load(onDisk(expired))
        if (waiting === undefined) return
        this.#discard("cache_overflow", waiting.parts)
        store.remove(expired)
      }
    )
    for (const stored of found) this.#enqueue(onDisk(stored), false)
    if (found.length > 0) this.#config.debug(`found ${found.length} envelopes in the spool`)
  }

  /** The network is down: nothing is tried for a while, and nobody waits for it. */
  #pause(waiting: Waiting): void {
    // A crash that came meanwhile still goes first.
    this.#putBack(waiting)
    this.#retryMillis = Math.min(MAX_RETRY_MILLIS, Math.max(MIN_RETRY_MILLIS, this.#retryMillis * 2))
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#tryAgain(), this.#retryMillis).unref()
    const waiters = Array.from(this.#waiters)
    this.#waiters.clear()
    for (const { callback } of waiters) callback(false)
  }

  /** To its place in the order, which those who wait go by: others may have been put back before it. */
  #putBack(waiting: Waiting): void {
    const older: Array<Waiting> = []
    while ((this.#queue.peek()?.number ?? Infinity) < waiting.number) older.push(this.#queue.shift() as Waiting)
    for (const envelope of [waiting, ...older.reverse()]) this.#queue.unshift(envelope)
    this.#resize(1, waiting.size)
  }

  #tryAgain(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#pump()
  }

  #takeWaiting(): ReadonlyArray<Waiting> {
    const waiting = [...this.#urgent.takeAll(), ...this.#queue.takeAll()]
    for (const envelope of waiting) this.#taken(envelope)
    return waiting
  }

  #taken(waiting: Waiting | undefined): Waiting | undefined {
    if (waiting === undefined) return undefined
    this.#resize(-1, waiting.size)
    if (waiting.report !== undefined) this.#reportsWaiting--
    return waiting
  }

  /** A short queue is held as it will be sent; what a long one holds is worth the time to make it small. */
  #frame(item: CountedItem): Part {
    return frame(item, this.#queuedBytes < PACK_ABOVE_BYTES ? encodeItem(item) : this.#packer.pack(item))
  }

  #hasRoom(waiting: Waiting): boolean {
    return this.#waiting < this.#config.maxQueue && this.#queuedBytes + waiting.size <= this.#config.maxQueueBytes
  }

  /** The newest of the ordinary envelopes give way. */
  #makeRoom(waiting: Waiting): boolean {
    if (waiting.size > this.#config.maxQueueBytes) return false
    while (!this.#hasRoom(waiting)) {
      const displaced = this.#taken(this.#queue.pop())
      if (displaced === undefined) return false
      if (!this.#isKept(displaced)) this.#lose("queue_overflow", displaced)
      displaced.answered?.()
    }
    return true
  }

  /** Not within the capture: the caller should not pay for the connection. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // Not unref'd: the loop would fall asleep over it, if nothing else keeps it going.
    setImmediate(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    // A sender that answers at once must not make this recurse as deep as the queue is long.
    if (this.#pumping) return
    this.#pumping = true
    const concurrency = this.#config.store === undefined ? CONCURRENCY : 1
    const begun = performance.now()
    while (!this.#closed && this.#retry === undefined && this.#inFlight.length < concurrency) {
      if (performance.now() - begun > MAX_STRETCH_MILLIS) {
        this.#schedule()
        break
      }
      const waiting = this.#next()
      if (waiting === undefined) break
      this.#send(waiting)
    }
    this.#pumping = false
    this.#notify()
  }

  #send(queued: Waiting): void {
    const waiting = this.#withoutLimited(queued)
    if (waiting === undefined) return
    // In an envelope of its own: a server that does not know reports may refuse what comes along with one.
    if (performance.now() - this.#lastReport >= REPORT_INTERVAL_MILLIS)
      this.#sendReport((report) => this.#hasRoom(report))
    const inFlight = new InFlight(waiting)
    const { sender } = this.#config
    const header = encodeHeader(waiting)
    const length = lengthOfAll(waiting, header)
    const slab = sender.keepsEnvelope === false ? this.#slabs.take(length) : Buffer.allocUnsafe(length)
    const done = (result: SendResult): void => {
      const place = this.#inFlight.indexOf(inFlight)
      if (place < 0 || this.#closed) return
      this.#inFlight.splice(place, 1)
      if (sender.keepsEnvelope === false) this.#slabs.giveBack(slab)
      this.#settle(waiting, result)
      if (this.#exit === undefined) this.#pump()
    }
    this.#inFlight.push(inFlight)
    try {
      inFlight.sending = sender.send(write(waiting, header, slab), done)
    } catch (error) {
      done({ _tag: "Failed", reason: describeError(error) })
    }
  }

  #drainSync(): void {
    const exit = this.#exit
    if (exit === undefined) return
    const graceEnd = performance.now() + GRACE_MILLIS
    // What was handed over is not sent twice: most servers would take it for two.
    do this.#sendSync(exit, [...this.#cutOff((inFlight) => !this.#isAwaited(inFlight)), ...this.#takeWaiting()])
    while (this.#awaitAnswers(exit, graceEnd))
  }

  #sendSync(exit: AtExit, waiting: ReadonlyArray<Waiting>): void {
    const allowed = waiting
      .filter((envelope, index) => !this.#isKept(envelope) || index < MAX_AT_EXIT)
      .map((envelope) => this.#load(envelope))
      .map((envelope) => (envelope === undefined ? undefined : this.#withoutLimited(envelope)))
      .filter((envelope) => envelope !== undefined)
    let left = allowed.filter(isEvent).length
    for (const batch of batches(allowed)) {
      // What the answers to the batch before have forbidden stays behind.
      const still = batch.map((envelope) => this.#withoutLimited(envelope)).filter((envelope) => envelope !== undefined)
      if (still.length > 0) {
        const results = this.#guard("sendSync", () =>
          this.#config.sender.sendSync?.(
            still.map((envelope) => bytesOf(envelope)),
            exit.deadline - performance.now(),
            () => {
              this.#pollAll()
              exit.onWaiting(left + this.#eventsInFlight)
            }
          )
        )
        this.#settleAll(still, results ?? [])
      }
      left -= batch.filter(isEvent).length
    }
  }

  #isAwaited({ isLost, sending }: InFlight): boolean {
    return !isLost && sending?.handedOver === true
  }

  /** Waits for the answers to what was handed over. `true`: some of it has to be sent again after all. */
  #awaitAnswers(exit: AtExit, graceEnd: number): boolean {
    const askable = this.#inFlight.splice(0).filter(({ sending }) => sending?.poll !== undefined)
    this.#inFlight.push(...askable)
    for (;;) {
      this.#pollAll()
      if (this.#inFlight.some(({ isLost }) => isLost)) return true
      if (this.#inFlight.length === 0) return false
      const now = performance.now()
      if (now >= exit.deadline) break
      if (now >= graceEnd) exit.onWaiting(this.#eventsInFlight)
      Atomics.wait(NOTHING, 0, 0, Math.min(POLL_MILLIS, exit.deadline - now))
    }
    this.#settleAll(
      this.#inFlight.splice(0).map(({ waiting }) => waiting),
      []
    )
    return false
  }

  #settleAll(sent: ReadonlyArray<Waiting>, results: ReadonlyArray<SendResult | undefined>): void {
    const late = sent.filter((_, index) => results[index] === undefined)
    if (late.length > 0) this.#config.debug(`not sent: ${NOT_IN_TIME.reason}: ${listed(late)}`)
    sent.forEach((envelope, index) => this.#settle(envelope, results[index] ?? NOT_IN_TIME))
  }

  #pollAll(): void {
    for (const inFlight of Array.from(this.#inFlight)) {
      const { sending } = inFlight
      if (this.#guard("poll", () => sending?.poll?.() ?? true) !== true) inFlight.isLost = true
    }
  }

  /** Stops what is on its way and returns it, for it to be sent otherwise. */
  #cutOff(which: (inFlight: InFlight) => boolean): ReadonlyArray<Waiting> {
    // Forgotten first: being cut off here is not what became of them.
    const all = this.#inFlight.splice(0)
    const chosen = all.filter(which)
    this.#inFlight.push(...all.filter((inFlight) => !chosen.includes(inFlight)))
    for (const { sending } of chosen) this.#guard("abort", () => sending?.abort())
    return chosen.map(({ waiting }) => waiting)
  }

  #sendReport(isWelcome: (report: Waiting) => boolean, answered?: () => void): boolean {
    if (!this.accepts("client_report") || this.#config.outcomes.isEmpty || this.#closed || this.#reportsWaiting > 0)
      return false
    const discarded = this.#takeReport()
    if (discarded === undefined) return false
    const waiting = makeWaiting(this.#config.reportHeaders, [reportPart(discarded)], discarded)
    if (!isWelcome(waiting)) {
      this.#config.outcomes.putBack(discarded)
      return false
    }
    this.#enqueue(answered === undefined ? waiting : { ...waiting, answered }, false)
    return true
  }

  /** `undefined` while the server does not want to hear of it: it is told later. */
  #takeReport(): ReadonlyArray<DiscardedEvents> | undefined {
    const now = performance.now()
    if (limitedUntil(this.#limits, "internal", now) !== undefined) return undefined
    this.#lastReport = now
    return this.#config.outcomes.take()
  }

  #settle(waiting: Waiting, result: SendResult): void {
    if (!isAnswer(result)) {
      const reason = (result as { readonly reason?: string } | undefined)?.reason ?? "no answer"
      const fate = this.#isKept(waiting) ? ", it stays in the spool" : ""
      // Of those that the exit comes too early for there may be thousands.
      if (result !== NOT_IN_TIME) this.#config.debug(`not sent: ${reason}: ${describe(waiting)}${fate}`)
      if (!this.#isKept(waiting)) {
        waiting.answered?.()
        this.#lose("network_error", waiting)
      } else if (this.#exit === undefined) this.#pause(waiting)
      return
    }
    waiting.answered?.()
    this.#retryMillis = 0
    this.#judge(waiting, result)
    // Only now: a process that is killed in between is to tell too much rather than too little.
    this.#forget(waiting)
  }

  #judge(waiting: Waiting, result: SendResult & { readonly _tag: "Answered" }): void {
    this.#heedLimits(result)
    if (result.status >= 200 && result.status < 300) {
      this.#sent++
      this.#config.metrics?.sent()
      if (waiting.report !== undefined) this.#config.outcomes.told(waiting.report)
      this.#config.debug(`sent ${describe(waiting)}`)
      // The event was taken as soon as they were gone.
      if (waiting.suspects !== undefined) this.#reject(waiting.suspects)
      return
    }
    this.#config.debug(`refused with ${result.status}: ${describe(waiting)}${detail(result.detail)}`)
    const isRejected = isRejection(result.status)
    if ((isRejected || result.status === TOO_LARGE) && this.#sendEventAlone(waiting, isRejected)) return
    if (isRejected) this.#reject(waiting.parts)
    // The server counts what it refuses with a 429.
    if (result.status !== 429) this.#lose("send_error", waiting)
    else if (waiting.report !== undefined) this.#config.outcomes.putBack(waiting.report)
  }

  #heedLimits({ rateLimits, retryAfter, status }: SendResult & { readonly _tag: "Answered" }): void {
    const before = this.#limits
    this.#limits = updateLimits(before, { status, rateLimits, retryAfter }, performance.now(), Date.now())
    if (this.#limits === before) return
    for (const { category, until } of activeLimits(this.#limits, performance.now(), Date.now())) {
      if (this.#limits.get(category) === before.get(category)) continue
      this.#config.debug(`the server wants to hear nothing of "${category}" until ${until.toISOString()}`)
      this.#config.metrics?.limited(category, until.getTime() / 1000)
    }
  }

  /**
   * It may have been refused for what came along with it. Whoever waits for it goes on waiting.
   *
   * @param isOfKind whether it may have been refused for the kind of what came along, not for its size
   */
  #sendEventAlone({ headers, number, parts }: Waiting, isOfKind: boolean): boolean {
    const event = parts.find(({ type }) => type === "event")
    if (event === undefined || parts.length === 1 || this.#exit !== undefined) return false
    const others = parts.filter((part) => part !== event)
    this.#discard("send_error", others)
    const alone = { ...makeWaiting(headers, [event]), ...(isOfKind ? { suspects: others } : undefined) }
    this.#putBack({ ...alone, number, stored: this.#config.store?.put(storedBytesOf(alone)) })
    return true
  }

  /** An event may be refused for what is in it; another kind of item is not sent again. */
  #reject(parts: ReadonlyArray<Pick<Part, "type">>): void {
    for (const { type } of parts) {
      if (type === "event" || this.#rejected.has(type)) continue
      this.#rejected.add(type)
      this.#config.debug(`the server does not take items of the type ${type}: no more are sent`)
    }
  }

  #withoutLimited(waiting: Waiting): Waiting | undefined {
    const parts = this.#allowed(waiting.parts)
    if (parts === waiting.parts) return waiting
    const keepsReport = parts.some(({ type }) => type === "client_report")
    if (waiting.report !== undefined && !keepsReport) {
      this.#config.outcomes.putBack(waiting.report)
      waiting.answered?.()
    }
    if (parts.length === 0) {
      this.#forget(waiting)
      return undefined
    }
    const { number, stored } = waiting
    return { ...makeWaiting(waiting.headers, parts, keepsReport ? waiting.report : undefined), number, stored }
  }

  #allowed(given: ReadonlyArray<Part>): ReadonlyArray<Part> {
    const parts = this.#withoutRejected(given)
    if (this.#limits.size === 0) return parts
    const now = performance.now()
    const isLimited = (part: Part): boolean => isItemLimited(this.#limits, part.type, part.category, now)
    // An attachment is nothing without its event.
    const withEvent = parts.some((part) => part.type === "event" && isLimited(part))
    const limited = parts.filter((part) => isLimited(part) || (withEvent && part.type === "attachment"))
    if (limited.length === 0) return parts
    this.#discard("ratelimit_backoff", limited)
    this.#config.debug(`held back by the server's rate limit: ${limited.map((part) => part.type).join(", ")}`)
    return parts.filter((part) => !limited.includes(part))
  }

  /** What has waited while the server refused to know another of its kind. */
  #withoutRejected(parts: ReadonlyArray<Part>): ReadonlyArray<Part> {
    if (this.#rejected.size === 0) return parts
    const rejected = parts.filter(({ type }) => this.#rejected.has(type))
    if (rejected.length === 0) return parts
    this.#discard("send_error", rejected)
    return parts.filter((part) => !rejected.includes(part))
  }

  #forget({ stored }: Waiting): void {
    if (stored !== undefined) this.#config.store?.remove(stored)
  }

  #lose(reason: LossReason, waiting: Waiting): void {
    this.#discard(reason, waiting.parts)
    if (waiting.report !== undefined) this.#config.outcomes.putBack(waiting.report)
  }

  #discard(reason: LossReason | "ratelimit_backoff" | "cache_overflow", parts: ReadonlyArray<Part>): void {
    for (const { category, logBytes, quantity } of parts) {
      this.#config.outcomes.record(reason, category, quantity)
      if (logBytes !== undefined) this.#config.outcomes.record(reason, "log_byte", logBytes)
    }
  }

  get #oldestPending(): number {
    let oldest = Math.min(this.#urgent.peek()?.number ?? Infinity, this.#queue.peek()?.number ?? Infinity)
    for (const { waiting } of this.#inFlight) oldest = Math.min(oldest, waiting.number)
    return oldest
  }

  #notify(): void {
    if (this.#idle.length > 0 && this.pending === 0) for (const callback of this.#idle.splice(0)) callback()
    if (this.#waiters.size === 0) return
    const oldest = this.#oldestPending
    // A callback may add others, which are none of this round.
    for (const waiter of Array.from(this.#waiters)) {
      if (oldest <= waiter.upTo || !this.#waiters.delete(waiter)) continue
      waiter.callback(true)
    }
  }

  #guard<A>(what: string, call: () => A): A | undefined {
    try {
      return call()
    } catch (error) {
      this.#config.debug(`${what} of the transport threw ${describeError(error)}`)
      return undefined
    }
  }
}

type LossReason = "queue_overflow" | "network_error" | "send_error"

const isAnswer = (result: SendResult | undefined): result is SendResult & { readonly _tag: "Answered" } =>
  result?._tag === "Answered" && typeof result.status === "number"

/** One framed item. */
interface Part {
  readonly type: ItemType
  readonly category: Category
  readonly quantity: number
  /** Of an item of logs: servers count these, too. */
  readonly logBytes?: number | undefined
  readonly bytes: Held
}

interface Waiting {
  readonly headers: EnvelopeHeaders
  readonly parts: ReadonlyArray<Part>
  readonly size: number
  /** Its place in the order of all. */
  readonly number: number
  readonly answered?: () => void
  /** An event that was refused: for these, as it may turn out. */
  readonly suspects?: ReadonlyArray<Pick<Part, "type">>
  readonly stored?: Stored | undefined
  /** The counts that this envelope tells the server, to be put back if it does not arrive. */
  readonly report: ReadonlyArray<DiscardedEvents> | undefined
}

const frame = ({ category, headers, payload, quantity }: CountedItem, bytes: Held): Part => ({
  type: headers.type,
  category,
  quantity,
  ...countedBytes(headers.type, payload, quantity),
  bytes
})

/** Of logs also the bytes count. */
const countedBytes = (
  type: string,
  payload: string | Uint8Array,
  quantity: number
): Pick<Part, "logBytes"> | undefined =>
  type === "log" ? { logBytes: logBytes(Buffer.byteLength(payload), quantity) } : undefined

const makeWaiting = (
  headers: EnvelopeHeaders,
  parts: ReadonlyArray<Part>,
  report?: ReadonlyArray<DiscardedEvents>
): Waiting => ({
  headers,
  parts,
  size: parts.reduce((size, part) => size + part.bytes.byteLength, 0),
  number: 0,
  report
})

/** On disk alone: no room is taken in memory. */
const onDisk = (stored: Stored): Waiting => ({ ...makeWaiting({}, []), stored })

const readStored = (bytes: Uint8Array): Waiting => {
  const { headers, items } = splitEnvelope(bytes)
  if (items.length === 0) throw new RangeError("envelope: it is empty")
  return makeWaiting(
    headers,
    items.map(({ framed, headers, payload }) => {
      const quantity = Number(headers["item_count"] ?? (headers.type === "attachment" ? payload.byteLength : 1))
      return {
        type: headers.type as ItemType,
        category: categoryOf(headers.type),
        quantity,
        ...countedBytes(headers.type, payload, quantity),
        bytes: framed
      }
    })
  )
}

const isReport = (waiting: Waiting): boolean =>
  waiting.parts.length > 0 && waiting.parts.every(({ type }) => type === "client_report")

const encodeHeader = ({ headers }: Waiting): Buffer => encodeHeaders({ ...headers, sent_at: new Date().toISOString() })

const lengthOfAll = ({ parts }: Waiting, header: Buffer): number =>
  parts.reduce((sum, { bytes }) => sum + lengthOf(bytes), header.byteLength)

const write = ({ parts }: Waiting, header: Buffer, target: Buffer): Buffer => {
  let at = header.copy(target)
  for (const { bytes } of parts) at = writeHeld(bytes, target, at)
  return target.byteLength === at ? target : target.subarray(0, at)
}

const bytesOf = (waiting: Waiting): Buffer => {
  const header = encodeHeader(waiting)
  return write(waiting, header, Buffer.allocUnsafe(lengthOfAll(waiting, header)))
}

/** What is sent together at an exit: unpacked, and copied for the sender, it is not to be more than the queue may hold. */
const batches = (waiting: ReadonlyArray<Waiting>): ReadonlyArray<ReadonlyArray<Waiting>> => {
  const all: Array<Array<Waiting>> = []
  let size = Number.POSITIVE_INFINITY
  for (const envelope of waiting) {
    const length = envelope.parts.reduce((sum, { bytes }) => sum + lengthOf(bytes), 0)
    if (size + length > BATCH_BYTES) {
      all.push([])
      size = 0
    }
    size += length
    all.at(-1)?.push(envelope)
  }
  return all
}

const BATCH_BYTES = 8 * 1024 * 1024

/** `sent_at` is written when it is sent. */
const storedBytesOf = (waiting: Waiting): Uint8Array => {
  const header = encodeHeaders(waiting.headers)
  return write(waiting, header, Buffer.allocUnsafe(lengthOfAll(waiting, header)))
}

/** An event is what a program would miss. What is on disk alone counts as one: most of it is, and looking takes time. */
const isEvent = ({ parts }: Waiting): boolean => parts.length === 0 || parts.some(({ type }) => !NO_EVENTS.has(type))

const NO_EVENTS: ReadonlySet<ItemType> = new Set<ItemType>([
  "client_report",
  "log",
  "session",
  "sessions",
  "attachment"
])

interface AtExit {
  readonly deadline: number
  readonly onWaiting: (pending: number) => void
}

class InFlight {
  sending: Sending | undefined
  /** No answer to it can be heard any more. */
  isLost = false

  constructor(readonly waiting: Waiting) {}
}

const NOT_IN_TIME: SendResult & { readonly _tag: "Failed" } = { _tag: "Failed", reason: "the process ended first" }

const TOO_LARGE = 413
const CONCURRENCY = 8
/** How often answers are looked for while this thread waits for nothing else. */
const POLL_MILLIS = 5
const NOTHING = new Int32Array(new SharedArrayBuffer(4))
/** Where the answers come at once: the program has its turn in between. */
const MAX_STRETCH_MILLIS = 20
const PACK_ABOVE_BYTES = 1024 * 1024
const REPORT_INTERVAL_MILLIS = 30_000
const MIN_RETRY_MILLIS = 1000
const MAX_RETRY_MILLIS = 60_000
/** How often the spool is searched for what processes have left that have ended meanwhile. */
const RECOVERY_INTERVAL_MILLIS = 60_000
/** A spool may hold more than can be read, let alone sent, in the moment there is. */
const MAX_AT_EXIT = 1000

const reportPart = (discarded: ReadonlyArray<DiscardedEvents>): Part => {
  const item: CountedItem = {
    headers: { type: "client_report" },
    payload: JSON.stringify({ timestamp: Date.now() / 1000, discarded_events: discarded }),
    category: "internal",
    quantity: 1
  }
  return frame(item, encodeItem(item))
}

/** The first few by name. */
const listed = (waiting: ReadonlyArray<Waiting>): string => {
  const more = waiting.length - MAX_LISTED
  return waiting.slice(0, MAX_LISTED).map(describe).join(", ") + (more > 0 ? `, and ${more} more` : "")
}

const MAX_LISTED = 5

const describe = (waiting: Waiting): string =>
  `${waiting.parts.map((part) => part.type).join(" + ")}${
    waiting.headers.event_id === undefined ? "" : ` ${waiting.headers.event_id}`
  }`

const detail = (text: string | undefined): string =>
  text === undefined || text.trim() === "" ? "" : ` (${text.trim().replace(/\s+/g, " ").slice(0, 200)})`
