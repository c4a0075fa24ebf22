import { type ParsedEnvelope, parseEnvelope } from "../../../src/protocol/Envelope.js"
import type { DiscardedEvents } from "../../../src/transport/Outcomes.js"
import type { Sender, Sending, SendResult } from "../../../src/transport/Transport.js"

export const answered = (status: number, more: { rateLimits?: string; retryAfter?: string } = {}): SendResult => ({
  _tag: "Answered",
  status,
  ...more
})

export const failed: SendResult = { _tag: "Failed", reason: "ECONNREFUSED" }

/** An envelope that has arrived. */
export class Arrival implements Sending {
  readonly envelope: ParsedEnvelope
  handedOver = false
  poll: (() => boolean) | undefined
  aborted = false
  result: SendResult | undefined

  constructor(
    bytes: Uint8Array,
    readonly done: (result: SendResult) => void
  ) {
    this.envelope = parseEnvelope(bytes)
  }

  get id(): string {
    return this.envelope.headers.event_id ?? this.types.join("+")
  }

  get types(): ReadonlyArray<string> {
    return this.envelope.items.map(({ headers }) => headers.type)
  }

  get report(): ReadonlyArray<DiscardedEvents> {
    return this.envelope.items
      .filter(({ headers }) => headers.type === "client_report")
      .flatMap(({ payload }) => (payload as { discarded_events: ReadonlyArray<DiscardedEvents> }).discarded_events)
  }

  answer(result: SendResult): void {
    this.result = result
    this.done(result)
  }

  abort(): void {
    this.aborted = true
    this.done({ _tag: "Failed", reason: "aborted" })
  }
}

/** A server in memory that answers when it is told to, or at once. */
export class Server implements Sender {
  readonly arrivals: Array<Arrival> = []
  /** How to answer at once; `undefined`: not before `answer` is called on what has arrived. */
  atOnce: SendResult | undefined
  /** How each envelope that arrives during the exit is answered, in turn; what is beyond them, with a 200. */
  exitResults: ReadonlyArray<SendResult | undefined> = []
  readonly exits: Array<{ readonly ids: ReadonlyArray<string>; readonly timeoutMillis: number }> = []
  closed = 0

  get ids(): ReadonlyArray<string> {
    return this.arrivals.map(({ id }) => id)
  }

  get waiting(): ReadonlyArray<Arrival> {
    return this.arrivals.filter(({ aborted, result }) => result === undefined && !aborted)
  }

  send(bytes: Uint8Array, done: (result: SendResult) => void): Sending {
    const arrival = new Arrival(bytes, done)
    this.arrivals.push(arrival)
    if (this.atOnce !== undefined) arrival.answer(this.atOnce)
    return arrival
  }

  sendSync(envelopes: ReadonlyArray<Uint8Array>, timeoutMillis: number, onWaiting: () => void) {
    const arrivals = envelopes.map((bytes) => new Arrival(bytes, () => {}))
    this.arrivals.push(...arrivals)
    this.exits.push({ ids: arrivals.map(({ id }) => id), timeoutMillis })
    onWaiting()
    return arrivals.map((arrival, index) => {
      arrival.result = index < this.exitResults.length ? this.exitResults[index] : answered(200)
      if (arrival.result === undefined) arrival.aborted = true
      return arrival.result
    })
  }

  close(): void {
    this.closed++
  }
}
