import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import type { Category } from "../../../src/protocol/Category.js"
import { encodeItem } from "../../../src/protocol/Envelope.js"
import { type CountedItem, Delivery, type DeliveryConfig, type Outgoing } from "../../../src/transport/Delivery.js"
import { type DiscardedEvents, Outcomes } from "../../../src/transport/Outcomes.js"
import { profiles } from "../../../src/transport/profiles.js"
import type { Sender, SendResult } from "../../../src/transport/Transport.js"
import { monotonicClock } from "../support/clock.js"
import { type Arrival, answered, failed, Server } from "../support/server.js"

const eventItem = (size = 0): CountedItem => ({
  headers: { type: "event" },
  payload: JSON.stringify({ message: "x".repeat(size) }),
  category: "error",
  quantity: 1
})

const attachmentItem = (size: number): CountedItem => ({
  headers: { type: "attachment", filename: "a" },
  payload: Buffer.alloc(size, "\n"),
  category: "attachment",
  quantity: Math.max(1, size)
})

const logItem: CountedItem = {
  headers: { type: "log", item_count: 1, content_type: "application/vnd.sentry.items.log+json" },
  payload: '{"items":[{}]}',
  category: "log_item",
  quantity: 1
}
const sessionItem: CountedItem = { headers: { type: "session" }, payload: "{}", category: "session", quantity: 1 }

const outgoing = (id: string, items: ReadonlyArray<CountedItem> = [eventItem()], urgent = false): Outgoing => ({
  headers: { event_id: id },
  items,
  urgent
})

const sizeOf = (items: ReadonlyArray<CountedItem>): number =>
  items.reduce((size, item) => size + encodeItem(item).byteLength, 0)

const setUp = (config: Partial<DeliveryConfig> = {}) => {
  const server = new Server()
  const outcomes = new Outcomes(true)
  const said: Array<string> = []
  const delivery = new Delivery({
    sender: server,
    outcomes,
    debug: (message) => said.push(message),
    maxQueue: 100,
    maxQueueBytes: 1_000_000,
    reportHeaders: { sdk: { name: "test", version: "1" } },
    accepted: profiles.sentry,
    ...config
  })
  /** Sends now what would be sent in a moment. */
  const pump = (): void => {
    delivery.whenSettled(() => {})()
    // A machine that was busy with something else has ended the stretch.
    if (config.store === undefined && delivery.stats.queued > 0 && delivery.stats.inFlight < 8)
      delivery.whenSettled(() => {})()
  }
  return { server, outcomes, said, delivery, pump }
}

const offerAll = (delivery: Delivery, ...ids: ReadonlyArray<string>): ReadonlyArray<boolean> =>
  ids.map((id) => delivery.offer(outgoing(id)))

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const lost = (reason: DiscardedEvents["reason"], category: Category, quantity = 1): DiscardedEvents => ({
  reason,
  category,
  quantity
})

describe("Delivery", () => {
  afterEach(() => vi.restoreAllMocks())

  describe("the way out", () => {
    it("not within the capture, but in the next turn, with the time it leaves", async () => {
      const { delivery, server } = setUp()
      assert.isTrue(delivery.offer(outgoing("a", [eventItem(), attachmentItem(3)])))
      assert.deepStrictEqual(server.ids, [])
      assert.strictEqual(delivery.pending, 1)
      await nextTurn()
      assert.deepStrictEqual(server.ids, ["a"])
      assert.strictEqual(delivery.pending, 1)
      const { headers, items } = server.arrivals[0]!.envelope
      assert.match(String(headers.sent_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.isAtMost(Math.abs(Date.parse(String(headers.sent_at)) - Date.now()), 1000)
      assert.deepStrictEqual(
        items.map(({ headers }) => headers.type),
        ["event", "attachment"]
      )
      server.arrivals[0]?.answer(answered(200))
      assert.strictEqual(delivery.pending, 0)
      assert.deepStrictEqual(delivery.stats, {
        queued: 0,
        queuedBytes: 0,
        inFlight: 0,
        sent: 1,
        spooled: 0,
        discarded: [],
        limited: []
      })
    })

    it("in the order of the captures, no more than eight at a time", () => {
      const { delivery, pump, server } = setUp()
      const ids = Array.from({ length: 20 }, (_, index) => `e${index}`)
      offerAll(delivery, ...ids)
      pump()
      assert.deepStrictEqual(server.ids, ids.slice(0, 8))
      server.waiting[3]?.answer(answered(200))
      assert.deepStrictEqual(server.ids, ids.slice(0, 9))
      while (server.waiting.length > 0) {
        assert.isAtMost(server.waiting.length, 8)
        server.waiting[0]?.answer(answered(200))
      }
      assert.deepStrictEqual(server.ids, ids)
      assert.strictEqual(delivery.stats.sent, 20)
    })

    it("50,000 envelopes that are answered at once neither recurse nor keep the program from its turn", async () => {
      const { delivery, server } = setUp({ maxQueue: 50_000, maxQueueBytes: 1e9 })
      vi.spyOn(server, "send").mockImplementation((_, done) => {
        done(answered(200))
        return { handedOver: true, abort() {} }
      })
      for (let i = 0; i < 50_000; i++) delivery.offer(outgoing(`e${i}`))
      let [turns, sent, most] = [0, 0, 0]
      while (delivery.pending > 0) {
        await nextTurn()
        turns++
        most = Math.max(most, delivery.stats.sent - sent)
        sent = delivery.stats.sent
      }
      assert.deepStrictEqual(delivery.stats, {
        queued: 0,
        queuedBytes: 0,
        inFlight: 0,
        sent: 50_000,
        spooled: 0,
        discarded: [],
        limited: []
      })
      assert.isAbove(turns, 1)
      assert.isBelow(most, 50_000)
    })

    it("what a long queue holds packed arrives as it was offered", () => {
      const { delivery, pump, server } = setUp({ maxQueue: 1000, maxQueueBytes: 1e9 })
      server.atOnce = answered(200)
      const body = { frames: Array.from({ length: 40 }, (_, line) => ({ line, text: "ü".repeat(50) })) }
      const payloads = Array.from({ length: 800 }, (_, n) => JSON.stringify({ n, ...body, last: n % 7 }))
      payloads.forEach((payload, n) =>
        delivery.offer(
          outgoing(`e${n}`, [
            { headers: { type: "event" }, payload, category: "error", quantity: 1 },
            attachmentItem(n)
          ])
        )
      )
      assert.isBelow(delivery.stats.queuedBytes, 800 * (payloads[0] ?? "").length)
      while (delivery.pending > 0) pump()
      assert.deepStrictEqual(
        server.arrivals.map(({ envelope }) => envelope.items.map(({ payload }) => payload)),
        payloads.map((payload, n) => [JSON.parse(payload) as unknown, Buffer.alloc(n, "\n")])
      )
    })

    it("an envelope without items is none", () => {
      const { delivery } = setUp()
      assert.isFalse(delivery.offer(outgoing("a", [])))
      assert.strictEqual(delivery.pending, 0)
    })
  })

  describe("the bounds of the queue", () => {
    it("by count: what has no room is counted, with its attachments", () => {
      const { delivery, outcomes, said, server, pump } = setUp({ maxQueue: 3 })
      assert.deepStrictEqual(offerAll(delivery, "a", "b", "c"), [true, true, true])
      assert.isFalse(delivery.offer(outgoing("d", [eventItem(), attachmentItem(7), attachmentItem(0)])))
      assert.deepStrictEqual(outcomes.take(), [
        lost("queue_overflow", "error"),
        lost("queue_overflow", "attachment", 8)
      ])
      assert.isTrue(said.some((line) => line.includes("the queue is full")))
      pump()
      assert.deepStrictEqual(server.ids, ["a", "b", "c"])
      assert.isTrue(delivery.offer(outgoing("e")), "what is on its way takes no room")
    })

    it("by bytes", () => {
      const items = [eventItem(1000)]
      const { delivery, outcomes } = setUp({ maxQueueBytes: sizeOf(items) * 2 })
      assert.isTrue(delivery.offer(outgoing("a", items)))
      assert.isTrue(delivery.offer(outgoing("b", items)))
      assert.strictEqual(delivery.stats.queuedBytes, sizeOf(items) * 2)
      assert.isFalse(delivery.offer(outgoing("c")))
      assert.deepStrictEqual(outcomes.take(), [lost("queue_overflow", "error")])
    })

    it("one that is too large by itself is lost alone", () => {
      const { delivery, outcomes, pump, server } = setUp({ maxQueueBytes: 10_000 })
      offerAll(delivery, "a", "b")
      assert.isFalse(delivery.offer(outgoing("large", [eventItem(20_000)])))
      assert.deepStrictEqual(outcomes.take(), [lost("queue_overflow", "error")])
      assert.isFalse(delivery.offer(outgoing("urgent", [eventItem(20_000)], true)))
      assert.deepStrictEqual(outcomes.take(), [lost("queue_overflow", "error")])
      pump()
      assert.deepStrictEqual(server.ids, ["a", "b"])
    })

    it("reports alone do not make it grow", () => {
      const { delivery, outcomes, pump, server } = setUp({ maxQueue: 3 })
      // The server does not answer: eight are on their way, three wait.
      for (let i = 0; i < 11; i++) {
        delivery.offer(outgoing(`e${i}`))
        pump()
      }
      for (let i = 0; i < 50; i++) {
        delivery.offer(outgoing("overflow"))
        delivery.sendReport()
      }
      assert.isAtMost(delivery.stats.queued, 4)
      while (server.waiting.length > 0) server.waiting[0]?.answer(answered(200))
      delivery.sendReport()
      pump()
      const reported = server.arrivals.flatMap(({ report }) => report)
      assert.strictEqual(
        reported.reduce((sum, { quantity }) => sum + quantity, 0),
        50
      )
      assert.isTrue(outcomes.isEmpty)
    })
  })

  describe("what is urgent", () => {
    it("leaves first, and in order among its own", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a", "b")
      delivery.offer(outgoing("u1", undefined, true))
      offerAll(delivery, "c")
      delivery.offer(outgoing("u2", undefined, true))
      pump()
      assert.deepStrictEqual(server.ids, ["u1", "u2", "a", "b", "c"])
    })

    it("displaces the newest of the others, which are counted, until there is room", () => {
      const large = [eventItem(3000)]
      const { delivery, outcomes, pump, server } = setUp({ maxQueueBytes: sizeOf(large) + sizeOf([eventItem()]) })
      offerAll(delivery, "a", "b", "c")
      assert.isTrue(delivery.offer(outgoing("u", large, true)))
      assert.deepStrictEqual(outcomes.take(), [lost("queue_overflow", "error", 2)])
      pump()
      assert.deepStrictEqual(server.ids, ["u", "a"])
      assert.strictEqual(delivery.stats.queuedBytes, 0)
    })

    it("does not displace its own", () => {
      const { delivery, outcomes, pump, server } = setUp({ maxQueue: 2 })
      delivery.offer(outgoing("u1", undefined, true))
      offerAll(delivery, "a")
      assert.isTrue(delivery.offer(outgoing("u2", undefined, true)))
      assert.isFalse(delivery.offer(outgoing("u3", undefined, true)))
      assert.deepStrictEqual(outcomes.take(), [lost("queue_overflow", "error", 2)])
      pump()
      assert.deepStrictEqual(server.ids, ["u1", "u2"])
    })

    it("a report that it displaces is not forgotten", () => {
      const { delivery, outcomes } = setUp({ maxQueue: 1 })
      outcomes.record("before_send", "error", 5)
      delivery.sendReport()
      assert.isTrue(outcomes.isEmpty)
      assert.isTrue(delivery.offer(outgoing("u", undefined, true)))
      assert.deepStrictEqual(outcomes.take(), [lost("before_send", "error", 5)])
    })
  })

  describe("answers", () => {
    const all: ReadonlyArray<readonly [result: SendResult, counted: ReadonlyArray<DiscardedEvents>, sent: number]> = [
      [answered(200), [], 1],
      [answered(202), [], 1],
      [answered(429), [], 0],
      [answered(403), [lost("send_error", "error"), lost("send_error", "attachment", 3)], 0],
      [answered(302), [lost("send_error", "error"), lost("send_error", "attachment", 3)], 0],
      [answered(500), [lost("send_error", "error"), lost("send_error", "attachment", 3)], 0],
      [answered(503), [lost("send_error", "error"), lost("send_error", "attachment", 3)], 0],
      [answered(0), [lost("send_error", "error"), lost("send_error", "attachment", 3)], 0],
      [failed, [lost("network_error", "error"), lost("network_error", "attachment", 3)], 0]
    ]
    for (const [result, counted, sent] of all) {
      it(`${JSON.stringify(result)}: sent once, and counted as it should be`, () => {
        const { delivery, outcomes, pump, server } = setUp()
        delivery.offer(outgoing("a", [eventItem(), attachmentItem(3)]))
        pump()
        server.waiting[0]?.answer(result)
        assert.deepStrictEqual(outcomes.take(), counted)
        assert.strictEqual(delivery.stats.sent, sent)
        assert.strictEqual(delivery.pending, 0)
        pump()
        assert.deepStrictEqual(server.ids, ["a"], "no answer is a reason to try again")
      })
    }

    for (const status of [400, 413, 422]) {
      it(`${status}: an event is sent once more, without what came along with it, and whoever waits goes on waiting`, () => {
        const { delivery, outcomes, pump, server } = setUp()
        delivery.offer(outgoing("a", [eventItem(), attachmentItem(3)]))
        let settled = false
        delivery.whenSettled(() => (settled = true))
        server.waiting[0]?.answer(answered(status))
        assert.deepStrictEqual(outcomes.take(), [lost("send_error", "attachment", 3)])
        pump()
        assert.deepStrictEqual(
          server.arrivals.map(({ types }) => types),
          [["event", "attachment"], ["event"]]
        )
        assert.isFalse(settled)
        server.waiting[0]?.answer(answered(status))
        assert.deepStrictEqual(outcomes.take(), [lost("send_error", "error")])
        pump()
        assert.isTrue(settled)
        assert.lengthOf(server.arrivals, 2)
      })
    }

    const verdicts = [
      [400, 200, false],
      [400, 400, true],
      [413, 200, true]
    ] as const
    for (const [first, then, accepts] of verdicts) {
      it(`${first}, and ${then} for the event alone: ${accepts ? "an attachment may come with another" : "no more attachments are sent"}`, () => {
        const { delivery, outcomes, pump, said, server } = setUp()
        const withAttachment = (id: string): boolean => delivery.offer(outgoing(id, [eventItem(), attachmentItem(3)]))
        withAttachment("a")
        pump()
        server.waiting[0]?.answer(answered(first))
        pump()
        // It waits meanwhile.
        for (let n = 0; n < 10; n++) withAttachment(`b${n}`)
        outcomes.take()
        server.waiting[0]?.answer(answered(then))
        pump()
        assert.strictEqual(delivery.accepts("attachment"), accepts)
        assert.deepStrictEqual(server.arrivals.map(({ types }) => types.join("+")).slice(0, 10), [
          "event+attachment",
          "event",
          ...Array.from({ length: 8 }, () => (accepts ? "event+attachment" : "event"))
        ])
        assert.deepStrictEqual(
          outcomes.take(),
          then === 400 ? [lost("send_error", "error")] : accepts ? [] : [lost("send_error", "attachment", 24)]
        )
        assert.strictEqual(
          said.includes("the server does not take items of the type attachment: no more are sent"),
          !accepts
        )
      })
    }

    it("a second answer to the same envelope is none", () => {
      const { delivery, outcomes, pump, server } = setUp()
      offerAll(delivery, "a", "b")
      pump()
      const [a] = server.waiting
      a?.answer(failed)
      a?.answer(answered(200))
      a?.answer(failed)
      assert.deepStrictEqual(outcomes.take(), [lost("network_error", "error")])
      assert.strictEqual(delivery.pending, 1)
    })
  })

  describe("rate limits", () => {
    /** A delivery that has just been told of these limits. */
    const limited = (rateLimits: string, status = 200, config: Partial<DeliveryConfig> = {}) => {
      const clock = monotonicClock()
      const all = setUp(config)
      all.delivery.offer(outgoing("first", [sessionItem]))
      all.pump()
      all.server.waiting[0]?.answer(answered(status, { rateLimits }))
      all.outcomes.take()
      all.server.arrivals.length = 0
      all.server.atOnce = answered(200)
      return { ...all, clock }
    }

    for (const status of [200, 400, 413, 429, 500]) {
      it(`count with a ${status}, until they end`, () => {
        const { clock, delivery, outcomes, pump, server } = limited("10:error:key", status)
        assert.isFalse(delivery.offer(outgoing("a")))
        assert.deepStrictEqual(outcomes.take(), [lost("ratelimit_backoff", "error")])
        clock.advance(9_999)
        assert.isFalse(delivery.offer(outgoing("b")))
        outcomes.take()
        clock.advance(1)
        assert.isTrue(delivery.offer(outgoing("c")))
        pump()
        assert.deepStrictEqual(server.ids, ["c"])
        assert.isTrue(outcomes.isEmpty)
      })
    }

    it("a 429 without headers holds everything back for a minute", () => {
      const clock = monotonicClock()
      const { delivery, outcomes, pump, server } = setUp()
      offerAll(delivery, "a")
      pump()
      server.waiting[0]?.answer(answered(429))
      assert.isFalse(delivery.offer(outgoing("b", [sessionItem])))
      assert.deepStrictEqual(outcomes.take(), [lost("ratelimit_backoff", "session")])
      clock.advance(60_000)
      assert.isTrue(delivery.offer(outgoing("c")))
    })

    it("of attachments: the event goes without them", () => {
      const { delivery, outcomes, pump, server } = limited("10:attachment:key")
      assert.isTrue(delivery.offer(outgoing("a", [eventItem(), attachmentItem(5)])))
      pump()
      assert.deepStrictEqual(server.arrivals[0]?.types, ["event"])
      assert.deepStrictEqual(outcomes.take(), [lost("ratelimit_backoff", "attachment", 5)])
    })

    it("of events: their attachments go with them", () => {
      const { delivery, outcomes, pump, server } = limited("10:error:key")
      assert.isFalse(delivery.offer(outgoing("a", [eventItem(), attachmentItem(5)])))
      pump()
      assert.deepStrictEqual(server.ids, [])
      assert.deepStrictEqual(outcomes.take(), [
        lost("ratelimit_backoff", "error"),
        lost("ratelimit_backoff", "attachment", 5)
      ])
    })

    it("of something else: nothing is held back", () => {
      const { delivery, outcomes, pump, server } = limited("10:session:key")
      assert.isTrue(delivery.offer(outgoing("a", [eventItem(), attachmentItem(5)])))
      pump()
      assert.deepStrictEqual(server.arrivals[0]?.types, ["event", "attachment"])
      assert.isTrue(outcomes.isEmpty)
    })

    it("that come while an envelope waits hold it back, each item counted once", () => {
      const { delivery, outcomes, pump, server } = setUp()
      delivery.offer(outgoing("first", [sessionItem]))
      pump()
      delivery.offer(outgoing("a", [eventItem(), attachmentItem(5)]))
      delivery.offer(outgoing("b", [sessionItem, attachmentItem(6)]))
      server.waiting[0]?.answer(answered(200, { rateLimits: "10:error:key" }))
      assert.deepStrictEqual(server.ids, ["first", "b"])
      assert.deepStrictEqual(outcomes.take(), [
        lost("ratelimit_backoff", "error"),
        lost("ratelimit_backoff", "attachment", 5)
      ])
      assert.strictEqual(delivery.pending, 1)
    })

    it("belong to one server", () => {
      limited("10::key")
      const { delivery } = setUp()
      assert.isTrue(delivery.offer(outgoing("a")))
    })

    it("what all is forbidden to waits for nothing: those who wait are told", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "first", "a", "b")
      pump()
      offerAll(delivery, ...Array.from({ length: 10 }, (_, index) => `e${index}`))
      let told = 0
      delivery.whenSettled(() => told++)
      for (const arrival of server.waiting) arrival.answer(answered(429))
      assert.strictEqual(delivery.pending, 0)
      assert.strictEqual(told, 1)
    })
  })

  describe("client reports", () => {
    it("go out after the next envelope once half a minute has passed, on their own, and say everything", () => {
      const clock = monotonicClock()
      const { delivery, outcomes, pump, server } = setUp()
      server.atOnce = answered(200)
      outcomes.record("before_send", "error", 2)
      outcomes.record("queue_overflow", "attachment", 300)
      offerAll(delivery, "a")
      pump()
      clock.advance(29_999)
      offerAll(delivery, "b")
      pump()
      clock.advance(1)
      offerAll(delivery, "c", "d")
      pump()
      assert.deepStrictEqual(
        server.arrivals.map(({ types }) => types.join("+")),
        ["event", "event", "event", "event", "client_report"]
      )
      assert.deepStrictEqual(server.arrivals[4]?.report, [
        lost("before_send", "error", 2),
        lost("queue_overflow", "attachment", 300)
      ])
      const report = server.arrivals[4]?.envelope.items[0]?.payload as { timestamp: number }
      assert.isAtMost(Math.abs(report.timestamp - Date.now() / 1000), 5, "seconds")
      assert.isTrue(outcomes.isEmpty)
    })

    it("leave alone where they are asked for, one for all that was lost", () => {
      const { delivery, outcomes, pump, server } = setUp()
      server.atOnce = answered(200)
      delivery.sendReport()
      pump()
      assert.deepStrictEqual(server.ids, [], "nothing was lost")
      for (let i = 0; i < 100; i++) outcomes.record("before_send", "error")
      delivery.sendReport()
      delivery.sendReport()
      pump()
      assert.deepStrictEqual(server.ids, ["client_report"])
      assert.deepStrictEqual(server.arrivals[0]?.report, [lost("before_send", "error", 100)])
      assert.deepStrictEqual(server.arrivals[0]?.envelope.headers.sdk, { name: "test", version: "1" })
    })

    for (const result of [failed, answered(500), answered(413), answered(429)]) {
      it(`are told again after ${JSON.stringify(result)}, and are no loss themselves`, () => {
        const { delivery, outcomes, pump, server } = setUp()
        outcomes.record("before_send", "error", 3)
        delivery.sendReport()
        pump()
        outcomes.record("before_send", "error", 1)
        server.waiting[0]?.answer(result)
        assert.deepStrictEqual(outcomes.take(), [lost("before_send", "error", 4)])
      })
    }

    it("that the server refuses to know are not sent again, and events still are", () => {
      const { delivery, outcomes, pump, said, server } = setUp()
      outcomes.record("before_send", "error", 3)
      delivery.sendReport()
      pump()
      server.waiting[0]?.answer(answered(400))
      outcomes.record("before_send", "error")
      delivery.sendReport()
      offerAll(delivery, "a")
      pump()
      assert.deepStrictEqual(
        server.arrivals.map(({ types }) => types.join("+")),
        ["client_report", "event"]
      )
      assert.isFalse(delivery.accepts("client_report"))
      assert.include(said, "the server does not take items of the type client_report: no more are sent")
    })

    for (const status of [401, 403, 408, 413, 429, 500, 503]) {
      it(`are sent again after a ${status}, which says nothing about what they are`, () => {
        const { delivery, outcomes, pump, server } = setUp()
        outcomes.record("before_send", "error", 3)
        delivery.sendReport()
        pump()
        server.waiting[0]?.answer(answered(status))
        assert.isTrue(delivery.accepts("client_report"))
      })
    }

    it("an event that is refused says nothing about others", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a")
      pump()
      server.waiting[0]?.answer(answered(400))
      assert.isTrue(delivery.accepts("event"))
    })

    for (const rateLimits of ["10::key", "10:internal:key"]) {
      const limit = (all: ReturnType<typeof setUp>): void => {
        all.delivery.offer(outgoing("first"))
        all.pump()
        all.server.waiting[0]?.answer(answered(200, { rateLimits }))
      }

      it(`are held, without a word, while ${rateLimits} forbids them`, () => {
        const all = setUp()
        limit(all)
        all.outcomes.record("before_send", "error", 3)
        all.delivery.sendReport()
        all.pump()
        assert.deepStrictEqual(all.server.ids, ["first"])
        assert.deepStrictEqual(all.outcomes.take(), [lost("before_send", "error", 3)])
      })

      it(`are told later where ${rateLimits} comes while they wait`, () => {
        const all = setUp()
        all.delivery.offer(outgoing("first"))
        all.pump()
        all.outcomes.record("before_send", "error", 3)
        all.delivery.sendReport()
        all.server.waiting[0]?.answer(answered(200, { rateLimits }))
        assert.deepStrictEqual(all.server.ids, ["first"])
        assert.strictEqual(all.delivery.pending, 0)
        assert.deepStrictEqual(all.outcomes.take(), [lost("before_send", "error", 3)])
      })
    }

    it("do not go out where only they are forbidden", () => {
      const clock = monotonicClock()
      const { delivery, outcomes, pump, server } = setUp()
      offerAll(delivery, "first")
      pump()
      server.waiting[0]?.answer(answered(200, { rateLimits: "100:internal:key" }))
      outcomes.record("before_send", "error", 3)
      clock.advance(31_000)
      offerAll(delivery, "a")
      pump()
      assert.deepStrictEqual(server.arrivals[1]?.types, ["event"])
      assert.deepStrictEqual(outcomes.take(), [lost("before_send", "error", 3)])
    })

    it("switched off, there are none", () => {
      const clock = monotonicClock()
      const outcomes = new Outcomes(false)
      const { delivery, pump, server } = setUp({ outcomes, maxQueue: 1 })
      server.atOnce = answered(200)
      offerAll(delivery, "a", "b")
      clock.advance(60_000)
      delivery.sendReport()
      pump()
      assert.deepStrictEqual(server.ids, ["a"])
      assert.deepStrictEqual(delivery.stats.discarded, [lost("queue_overflow", "error")])
    })
  })

  describe("whenSettled", () => {
    it("at once where nothing is pending, else once everything is answered; once", () => {
      const { delivery, server } = setUp()
      let calls = 0
      delivery.whenSettled(() => calls++)
      assert.strictEqual(calls, 1)
      offerAll(delivery, "a", "b")
      delivery.whenSettled(() => calls++)
      server.waiting[1]?.answer(answered(200))
      assert.strictEqual(calls, 1)
      server.waiting[0]?.answer(failed)
      assert.strictEqual(calls, 2)
      offerAll(delivery, "c")
      delivery.whenSettled(() => {})
      server.waiting[0]?.answer(answered(200))
      assert.strictEqual(calls, 2)
    })

    it("where the server answers at once", () => {
      const { delivery, server } = setUp()
      server.atOnce = answered(200)
      offerAll(delivery, "a", "b")
      let calls = 0
      delivery.whenSettled(() => calls++)
      assert.strictEqual(calls, 1)
    })

    it("not for those who have stopped waiting", () => {
      const { delivery, server } = setUp()
      offerAll(delivery, "a")
      let calls = 0
      const forget = delivery.whenSettled(() => calls++)
      delivery.whenSettled(() => (calls += 10))
      forget()
      server.waiting[0]?.answer(answered(200))
      assert.strictEqual(calls, 10)
    })

    it("what is offered later is not waited for, what was offered before is, even if it is overtaken", () => {
      const { delivery, server } = setUp()
      offerAll(delivery, ...Array.from({ length: 9 }, (_, index) => `e${index}`))
      let calls = 0
      delivery.whenSettled(() => calls++)
      delivery.offer(outgoing("urgent", undefined, true))
      offerAll(delivery, "later")
      for (let i = 0; i < 8; i++) server.waiting[0]?.answer(answered(200))
      assert.deepStrictEqual(
        server.waiting.map(({ id }) => id),
        ["urgent", "e8", "later"]
      )
      assert.strictEqual(calls, 0)
      server.waiting[1]?.answer(answered(200))
      assert.strictEqual(calls, 1)
      assert.strictEqual(delivery.pending, 2)
    })

    it("nor does it matter what later ones carry", () => {
      const clock = monotonicClock()
      const { delivery, outcomes, pump, server } = setUp()
      offerAll(delivery, "a")
      let calls = 0
      delivery.whenSettled(() => calls++)
      clock.advance(31_000)
      outcomes.record("before_send", "error")
      delivery.offer(outgoing("b", [eventItem(), attachmentItem(3)]))
      pump()
      assert.deepStrictEqual(server.arrivals[1]?.types, ["event", "attachment"])
      server.waiting[0]?.answer(answered(200))
      assert.strictEqual(calls, 1)
    })

    it("what is lost or held back is settled, too", () => {
      const { delivery, server } = setUp({ maxQueue: 2 })
      for (let i = 0; i < 8; i++) {
        offerAll(delivery, `e${i}`)
        delivery.whenSettled(() => {})()
      }
      offerAll(delivery, "displaced", "held back")
      let calls = 0
      delivery.whenSettled(() => calls++)
      delivery.offer(outgoing("u", [sessionItem], true))
      for (let i = 0; i < 8; i++) server.waiting[0]?.answer(answered(200, { rateLimits: "10:error:key" }))
      assert.deepStrictEqual(
        server.waiting.map(({ id }) => id),
        ["u"]
      )
      assert.strictEqual(calls, 1)
    })
  })

  it("events that are sent again on their own are waited for, in whichever order their envelopes were refused", () => {
    const { delivery, pump, server } = setUp()
    for (const id of ["a", "b"]) delivery.offer(outgoing(id, [eventItem(), attachmentItem(3)]))
    let settled = 0
    delivery.whenSettled(() => settled++)
    pump()
    const [a, b] = server.arrivals as [Arrival, Arrival]
    // These go first, so that what is refused has to wait for its turn.
    for (let index = 0; index < 10; index++) delivery.offer(outgoing(`u${index}`, undefined, true))
    pump()
    a.answer(answered(400))
    b.answer(answered(400))
    for (let turn = 0; turn < 30 && delivery.pending > 0; turn++) {
      const left = server.waiting.filter(({ id }) => id === "a" || id === "b").length
      const queued = delivery.stats.queued
      if (left + queued > 0) assert.strictEqual(settled, 0, `after ${turn} answers`)
      server.waiting[0]?.answer(answered(200))
    }
    assert.strictEqual(settled, 1)
    assert.deepStrictEqual(server.ids.slice(-2), ["a", "b"])
  })

  it("pendingEvents leaves out logs, sessions and reports, wherever they are", () => {
    const { delivery, outcomes, pump } = setUp()
    outcomes.record("before_send", "error")
    delivery.sendReport()
    delivery.offer(outgoing("log", [logItem]))
    delivery.offer(outgoing("session", [sessionItem], true))
    offerAll(delivery, "a")
    assert.deepStrictEqual([delivery.pending, delivery.pendingEvents, delivery.hasPending], [4, 1, true])
    pump()
    assert.deepStrictEqual([delivery.pending, delivery.pendingEvents, delivery.hasPending], [4, 1, true])
  })

  it("pendingEvents leaves out what is nothing but a report", () => {
    const { delivery, outcomes, pump, server } = setUp()
    assert.strictEqual(delivery.pendingEvents, 0)
    outcomes.record("before_send", "error")
    delivery.sendReport()
    offerAll(delivery, "a")
    assert.strictEqual(delivery.pendingEvents, 1)
    assert.strictEqual(delivery.pending, 2)
    pump()
    assert.strictEqual(delivery.pendingEvents, 1)
    assert.strictEqual(delivery.pending, 2)
    server.waiting.at(-1)?.answer(answered(200))
    assert.strictEqual(delivery.pendingEvents, 0)
    assert.strictEqual(delivery.pending, 1)
  })

  describe("close", () => {
    it("takes nothing more, cuts off what is on its way, closes the sender once, and those who wait are told", () => {
      const { delivery, outcomes, pump, said, server } = setUp()
      offerAll(delivery, ...Array.from({ length: 10 }, (_, index) => `e${index}`))
      pump()
      let told = 0
      delivery.whenSettled(() => told++)
      outcomes.record("before_send", "error")
      delivery.close()
      delivery.close()
      assert.strictEqual(server.closed, 1)
      assert.strictEqual(told, 1)
      assert.strictEqual(delivery.pending, 0)
      assert.isTrue(server.arrivals.every(({ aborted }) => aborted))
      assert.isTrue(said.some((line) => line.includes("2 envelopes unsent")))
      assert.isFalse(delivery.offer(outgoing("late")))
      delivery.sendReport()
      pump()
      assert.strictEqual(server.arrivals.length, 8)
      for (const arrival of server.arrivals) arrival.answer(answered(200))
      assert.deepStrictEqual(delivery.stats, {
        queued: 0,
        queuedBytes: 0,
        inFlight: 0,
        sent: 0,
        spooled: 0,
        discarded: [lost("before_send", "error")],
        limited: []
      })
    })

    it("from within an answer", () => {
      const { delivery, pump, server } = setUp()
      vi.spyOn(server, "send").mockImplementation((bytes, done) => {
        const sending = Server.prototype.send.call(server, bytes, done)
        delivery.close()
        return sending
      })
      offerAll(delivery, "a", "b")
      pump()
      assert.deepStrictEqual(server.ids, ["a"])
      assert.strictEqual(delivery.pending, 0)
    })
  })

  describe("at exit", () => {
    it("everything pending is sent synchronously: what was on its way first, what is urgent before the rest", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a", "b")
      pump()
      offerAll(delivery, "c")
      delivery.offer(outgoing("u", undefined, true))
      const waited: Array<number> = []
      delivery.drainAtExit(500, (pending) => waited.push(pending))
      assert.deepStrictEqual(server.exits[0]?.ids, ["a", "b", "u", "c"])
      assert.isTrue(server.arrivals.slice(0, 2).every(({ aborted }) => aborted))
      assert.deepStrictEqual(waited, [4])
      assert.deepStrictEqual(delivery.stats, {
        queued: 0,
        queuedBytes: 0,
        inFlight: 0,
        sent: 4,
        spooled: 0,
        discarded: [],
        limited: []
      })
    })

    it("what was handed over, to a sender that cannot be asked, is neither cut off, sent twice nor waited for", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a", "b")
      pump()
      server.waiting[0]!.handedOver = true
      delivery.drainAtExit(500, () => {})
      assert.deepStrictEqual(server.exits[0]?.ids, ["b"])
      assert.isFalse(server.arrivals[0]?.aborted)
      assert.deepStrictEqual(delivery.stats.discarded, [])
    })

    const handOver = (arrival: Arrival, poll: () => boolean): void => {
      arrival.handedOver = true
      arrival.poll = poll
    }

    it("what was handed over is asked for until it is answered, and counts as sent", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a", "b")
      pump()
      const [a, b] = server.arrivals as [Arrival, Arrival]
      let asked = 0
      handOver(a, () => {
        if (++asked === 3) a.answer(answered(200))
        return true
      })
      handOver(b, () => {
        if (asked === 2) b.answer(answered(200))
        return true
      })
      delivery.drainAtExit(60_000, () => {})
      assert.deepStrictEqual([asked, delivery.stats.sent, delivery.pending], [3, 2, 0])
      assert.deepStrictEqual(server.exits, [])
      assert.deepStrictEqual([a.aborted, b.aborted], [false, false])
    })

    it("what was handed over and is not answered in time is counted as lost", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a")
      pump()
      handOver(server.arrivals[0]!, () => true)
      const waited: Array<number> = []
      delivery.drainAtExit(150, (pending) => waited.push(pending))
      assert.strictEqual(delivery.pending, 0)
      assert.deepStrictEqual(new Set(waited), new Set([1]))
      assert.deepStrictEqual(delivery.stats.discarded, [lost("network_error", "error")])
    })

    it("what was handed over over a connection that is lost is sent again; a sender that throws when it is asked, too", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a", "b", "c")
      pump()
      handOver(server.arrivals[0]!, () => false)
      handOver(server.arrivals[1]!, () => {
        throw new Error("asked")
      })
      delivery.drainAtExit(60_000, () => {})
      assert.deepStrictEqual(
        server.exits.map(({ ids }) => ids),
        [["c"], ["a", "b"]]
      )
      assert.strictEqual(delivery.stats.sent, 3)
      assert.deepStrictEqual(delivery.stats.discarded, [])
    })

    it("the number that is told leaves out what was answered meanwhile", () => {
      const { delivery, pump, server } = setUp()
      offerAll(delivery, "a", "b", "c")
      pump()
      const [a, b] = server.arrivals as [Arrival, Arrival]
      handOver(a, () => {
        a.answer(answered(200))
        return true
      })
      handOver(b, () => {
        if (server.exits.length > 0 && waited.length > 0) b.answer(answered(200))
        return true
      })
      const waited: Array<number> = []
      delivery.drainAtExit(60_000, (pending) => waited.push(pending))
      assert.deepStrictEqual(waited, [2])
    })

    it("nothing pending: nothing is sent", () => {
      const { delivery, server } = setUp()
      delivery.drainAtExit(500, () => {})
      assert.deepStrictEqual(server.exits, [])
    })

    it("what is offered afterwards is sent at once, within what is left of the time", () => {
      const clock = monotonicClock()
      const { delivery, outcomes, server } = setUp()
      offerAll(delivery, "a")
      delivery.drainAtExit(500, () => {})
      clock.advance(200)
      assert.isTrue(delivery.offer(outgoing("b")))
      outcomes.record("before_send", "error")
      delivery.sendReport()
      assert.deepStrictEqual(server.exits, [
        { ids: ["a"], timeoutMillis: 500 },
        { ids: ["b"], timeoutMillis: 300 },
        { ids: ["client_report"], timeoutMillis: 300 }
      ])
    })

    it("each answer counts as any other; what gets none in time is counted as lost", () => {
      const { delivery, outcomes, server } = setUp()
      server.exitResults = [answered(200), answered(500), answered(429), undefined, failed]
      offerAll(delivery, "a", "b", "c", "d", "e")
      delivery.drainAtExit(500, () => {})
      assert.strictEqual(delivery.stats.sent, 1)
      assert.strictEqual(delivery.pending, 0)
      assert.deepStrictEqual(outcomes.totals(), [lost("send_error", "error"), lost("network_error", "error", 2)])
    })

    it("a sender that cannot: all is counted as lost", () => {
      const { delivery, outcomes } = setUp({
        sender: { send: () => ({ handedOver: false, abort() {} }), close() {} }
      })
      offerAll(delivery, "a", "b")
      delivery.drainAtExit(500, () => {})
      assert.strictEqual(delivery.pending, 0)
      assert.deepStrictEqual(outcomes.totals(), [lost("network_error", "error", 2)])
    })

    for (const result of [answered(200), failed]) {
      it(`what a rate limit forbids stays behind, item by item, counted once (${JSON.stringify(result)})`, () => {
        const { delivery, outcomes, pump, server } = setUp()
        const items = [eventItem(), attachmentItem(5)]
        delivery.offer(outgoing("first", [sessionItem]))
        for (let i = 0; i < 9; i++) delivery.offer(outgoing(`e${i}`, items))
        delivery.offer(outgoing("last", [sessionItem]))
        pump()
        // Makes room for one more; e8 and last wait on, the others are on their way without an answer.
        server.waiting[0]?.answer(answered(200, { rateLimits: "10:attachment;session:key" }))
        assert.strictEqual(delivery.stats.queued, 2)
        server.exitResults = Array.from({ length: 9 }, () => result)
        server.arrivals.length = 0
        delivery.drainAtExit(500, () => {})
        assert.deepStrictEqual(
          server.arrivals.map(({ types }) => types.join("+")).filter((types) => types !== "client_report"),
          Array.from({ length: 9 }, () => "event")
        )
        assert.deepStrictEqual(
          outcomes.totals().filter(({ category }) => category !== "error"),
          [lost("ratelimit_backoff", "attachment", 45), lost("ratelimit_backoff", "session")]
        )
      })
    }
  })

  describe("a sender that breaks its word", () => {
    const hostile = (broken: Partial<Sender>): Sender & { readonly server: Server } => {
      const server = new Server()
      return {
        server,
        send: (bytes, done) => server.send(bytes, done),
        sendSync: (envelopes, timeoutMillis, onWaiting) => server.sendSync(envelopes, timeoutMillis, onWaiting),
        close: () => server.close(),
        ...broken
      }
    }
    const boom = (): never => {
      throw new Error("boom")
    }

    it("by throwing from send: the envelope is counted as lost, the next one leaves, those who wait are told", () => {
      const sender = hostile({})
      let broken = true
      const { delivery, outcomes, pump } = setUp({
        sender: { ...sender, send: (bytes, done) => (broken ? boom() : sender.send(bytes, done)) }
      })
      offerAll(delivery, "a")
      assert.doesNotThrow(pump)
      broken = false
      offerAll(delivery, "b")
      let told = 0
      delivery.whenSettled(() => told++)
      assert.deepStrictEqual(sender.server.ids, ["b"])
      sender.server.waiting[0]?.answer(answered(200))
      assert.strictEqual(told, 1)
      assert.strictEqual(
        outcomes.totals().reduce((sum, { quantity }) => sum + quantity, 0),
        1
      )
    })

    it("by throwing after it has answered: the answer counts, the next one leaves", () => {
      const sender = hostile({})
      const { delivery, outcomes, pump } = setUp({
        sender: {
          ...sender,
          send: (bytes, done) => {
            sender.send(bytes, done)
            done(answered(200))
            return boom()
          }
        }
      })
      offerAll(delivery, "a", "b")
      assert.doesNotThrow(pump)
      assert.deepStrictEqual(sender.server.ids, ["a", "b"])
      assert.strictEqual(delivery.stats.sent, 2)
      assert.deepStrictEqual(outcomes.totals(), [])
    })

    it("by throwing from sendSync: nothing is thrown into the exit, all is counted as lost", () => {
      const { delivery, outcomes } = setUp({ sender: hostile({ sendSync: boom }) })
      offerAll(delivery, "a", "b")
      assert.doesNotThrow(() => delivery.drainAtExit(500, () => {}))
      assert.deepStrictEqual(outcomes.totals(), [lost("network_error", "error", 2)])
    })

    it("by throwing from abort and close: closing comes to its end", () => {
      const sender = hostile({ close: boom })
      const { delivery, pump } = setUp({
        sender: { ...sender, send: (bytes, done) => ({ ...sender.send(bytes, done), handedOver: false, abort: boom }) }
      })
      offerAll(delivery, "a", "b")
      pump()
      let told = 0
      delivery.whenSettled(() => told++)
      assert.doesNotThrow(() => delivery.close())
      assert.strictEqual(told, 1)
    })

    it("by answering with what is no answer", () => {
      const sender = hostile({})
      const { delivery, outcomes, pump } = setUp({ sender })
      offerAll(delivery, "a", "b", "c")
      pump()
      const nonsense = [undefined, null, { _tag: "Answered" }] as ReadonlyArray<unknown> as ReadonlyArray<SendResult>
      nonsense.forEach((result, index) => assert.doesNotThrow(() => sender.server.arrivals[index]?.done(result)))
      assert.strictEqual(delivery.pending, 0)
      assert.strictEqual(
        outcomes.totals().reduce((sum, { quantity }) => sum + quantity, 0),
        3
      )
    })
  })

  describe("nothing is lost without being counted", () => {
    type Step =
      | { readonly event: number; readonly attachments: ReadonlyArray<number>; readonly urgent: boolean }
      | "session"
      | { readonly answer: SendResult; readonly to: number }
      | { readonly atOnce: SendResult | undefined }
      | { readonly pass: number }
      | "pump"
      | "wait"
      | "report"

    const limits = fc.array(
      fc.tuple(fc.constantFrom(1, 40, 100), fc.constantFrom("error", "attachment", "session", "internal", "")),
      { maxLength: 2 }
    )
    const result: fc.Arbitrary<SendResult> = fc.oneof(
      { weight: 4, arbitrary: fc.constant(answered(200)) },
      { weight: 1, arbitrary: fc.constantFrom(failed, answered(500), answered(413), answered(429)) },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.constantFrom(200, 400, 429), limits)
          .map(([status, limits]) =>
            answered(status, { rateLimits: limits.map(([delay, name]) => `${delay}:${name}:key`).join(",") })
          )
      }
    )
    const size = fc.nat(300)
    const steps = (withReports: boolean): fc.Arbitrary<ReadonlyArray<Step>> =>
      fc.array(
        fc.oneof(
          {
            weight: 6,
            arbitrary: fc.record({ event: size, attachments: fc.array(size, { maxLength: 2 }), urgent: fc.boolean() })
          },
          { weight: 2, arbitrary: fc.constant("session" as const) },
          { weight: 4, arbitrary: fc.record({ answer: result, to: fc.nat(7) }) },
          { weight: 1, arbitrary: fc.record({ atOnce: fc.option(result, { nil: undefined }) }) },
          { weight: 1, arbitrary: fc.record({ pass: fc.constantFrom(1, 5_000, 31_000, 90_000) }) },
          {
            weight: 4,
            arbitrary: fc.constantFrom("pump" as const, "wait" as const, ...(withReports ? (["report"] as const) : []))
          }
        ),
        { maxLength: 60, size: "max" }
      )

    interface Waiter {
      readonly upTo: number
      calls: number
      /** How many envelopes had arrived when it was called. */
      before: number
    }

    type Counts = Record<string, number>

    const countOf = (items: ReadonlyArray<{ readonly category: string; readonly quantity: number }>): Counts => {
      const counts: Counts = { error: 0, attachment: 0, session: 0 }
      for (const { category, quantity } of items) {
        if (category !== "internal") counts[category] = (counts[category] ?? 0) + quantity
      }
      return counts
    }

    /** What arrived in envelopes that were answered so, as it was counted when it was offered. */
    const arrived = (server: Server, accepts: (status: number) => boolean) =>
      server.arrivals
        .filter(({ aborted, result }) => !aborted && result?._tag === "Answered" && accepts(result.status))
        .flatMap(({ envelope }) => envelope.items)
        .flatMap(({ headers, payload }) => {
          if (headers.type === "event") return [{ category: "error", quantity: 1 }]
          if (headers.type === "session") return [{ category: "session", quantity: 1 }]
          if (headers.type !== "attachment") return []
          return [{ category: "attachment", quantity: Math.max(1, (payload as Buffer).byteLength) }]
        })

    const isSuccess = (status: number): boolean => status >= 200 && status < 300

    const run = (steps: ReadonlyArray<Step>, check: (delivery: Delivery) => void) => {
      const clock = monotonicClock()
      const all = setUp({ maxQueue: 6, maxQueueBytes: 1_500 })
      const { delivery, pump, server } = all
      const offered: Array<CountedItem> = []
      const waiters: Array<Waiter> = []
      for (const step of steps) {
        if (step === "pump") pump()
        else if (step === "wait") {
          const waiter: Waiter = { upTo: offered.length, calls: 0, before: 0 }
          waiters.push(waiter)
          delivery.whenSettled(() => {
            waiter.calls++
            waiter.before = server.arrivals.length
            for (const { id } of server.waiting)
              assert.isAbove(numberOf(id), waiter.upTo, "answered before it is settled")
          })
        } else if (step === "report") delivery.sendReport()
        else if (step !== "session" && "atOnce" in step) server.atOnce = step.atOnce
        else if (step !== "session" && "pass" in step) clock.advance(step.pass)
        else if (step !== "session" && "answer" in step) server.waiting[step.to]?.answer(step.answer)
        else {
          const items =
            step === "session" ? [sessionItem] : [eventItem(step.event), ...step.attachments.map(attachmentItem)]
          offered.push(...items)
          delivery.offer(outgoing(`e${offered.length}`, items, step !== "session" && step.urgent))
        }
        check(delivery)
      }
      return { ...all, offered, waiters }
    }

    /** Of an envelope; a report, which nobody waits for, has none. */
    const numberOf = (id: string): number => (id.startsWith("e") ? Number(id.slice(1)) : Number.POSITIVE_INFINITY)

    const balance = ({ offered, outcomes, server }: ReturnType<typeof run>): void => {
      const settled = [
        ...arrived(server, isSuccess),
        ...arrived(server, (status) => status === 429),
        ...outcomes.totals()
      ]
      assert.deepStrictEqual(countOf(settled), countOf(offered), "offered = sent + refused by the server + counted")
      const told = server.arrivals
        .filter(({ aborted, result }) => !aborted && result?._tag === "Answered" && isSuccess(result.status))
        .flatMap(({ report }) => report)
      const totals = outcomes.totals()
      assert.deepStrictEqual(countOf([...told, ...outcomes.take()]), countOf(totals), "told = counted")
    }

    /** Answers everything until nothing is pending. */
    const finish = ({ delivery, pump, server, waiters }: ReturnType<typeof run>): void => {
      server.atOnce = undefined
      for (let turn = 0; turn < 100 && delivery.pending > 0; turn++) {
        pump()
        for (const arrival of server.waiting) arrival.answer(answered(200))
      }
      assert.strictEqual(delivery.pending, 0)
      assert.strictEqual(delivery.stats.queuedBytes, 0)
      for (const { before, calls, upTo } of waiters) {
        assert.strictEqual(calls, 1, "whoever waits is told, once")
        for (const { id } of server.arrivals.slice(before))
          assert.isAbove(numberOf(id), upTo, "sent before it is settled")
      }
    }

    it.prop(
      "and the queue stays within its bounds",
      [steps(false)],
      ([steps]) => {
        const state = run(steps, ({ stats }) => {
          assert.isAtMost(stats.queued, 6)
          assert.isAtMost(stats.queuedBytes, 1_500)
          assert.isAtMost(stats.inFlight, 8)
        })
        finish(state)
        balance(state)
      },
      { fastCheck: { numRuns: 300 } }
    )

    it.prop(
      "with reports between",
      [steps(true)],
      ([steps]) => {
        const state = run(steps, () => {})
        finish(state)
        balance(state)
      },
      { fastCheck: { numRuns: 300 } }
    )

    it.prop(
      "and at the exit",
      [steps(true), fc.array(fc.option(result, { nil: undefined }), { maxLength: 6 })],
      ([steps, results]) => {
        const state = run(steps, () => {})
        state.server.exitResults = results
        state.delivery.drainAtExit(500, () => {})
        assert.strictEqual(state.delivery.pending, 0)
        balance(state)
      },
      { fastCheck: { numRuns: 300 } }
    )
  })
})
