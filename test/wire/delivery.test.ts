import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Faultline from "effect-faultline"
import { type Answer, gate, Ingest, selfSigned } from "../support/ingest.js"
import { boom, boomEvent, discarded, flushed, hubAt, ingestOf, messagesAt, quiet, reportsAt, settle } from "./kit.js"

const say = (message: string) => Faultline.captureMessage(message)

describe("a server that", () => {
  const failures: ReadonlyArray<readonly [what: string, answer: Answer, reason: string]> = [
    ["answers 400", { status: 400 }, "send_error"],
    ["answers 403", { status: 403 }, "send_error"],
    ["answers 404", { status: 404 }, "send_error"],
    ["answers 413", { status: 413 }, "send_error"],
    ["answers 500", { status: 500 }, "send_error"],
    ["answers 503", { status: 503, headers: { "retry-after": "100" } }, "send_error"],
    ["redirects", { status: 302, headers: { location: "/elsewhere" } }, "send_error"],
    ["hangs up", "hangUp", "network_error"],
    ["resets the connection", "reset", "network_error"],
    ["answers with garbage", "garbage", "network_error"],
    ["says without end that it is going to answer", "hints", "network_error"],
    ["goes over to another protocol", "upgrade", "network_error"],
    ["has no end of headers", "header", "network_error"]
  ]
  it.scopedLive.each(failures)("%s is asked once, harms nobody, and is told of the loss", ([, answer, reason]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answer(answer)
      const result = yield* Effect.gen(function* () {
        assert.isTrue(Option.isSome(yield* say("lost")))
        yield* flushed
        assert.lengthOf(ingest.envelopes, 1)
        yield* say("delivered")
        yield* flushed
        return "unharmed"
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.strictEqual(result, "unharmed")
      assert.deepStrictEqual(messagesAt(ingest), ["delivered", "lost"])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded(reason)]])
      assert.lengthOf(ingest.others, 0)
    })
  )

  const odd: ReadonlyArray<readonly [what: string, answer: Answer]> = [
    ["answers 201 with nothing", { status: 201, body: "" }],
    ["answers 204", { status: 204, body: "" }],
    ["breaks off its answer", "cutOff"],
    ["answers byte by byte", "trickle"],
    ["never stops answering", "endless"],
    ["answers with a megabyte", { body: "x".repeat(1024 * 1024) }]
  ]
  it.scopedLive.each(odd)("%s has taken the event", ([, answer]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll(answer)
      yield* Effect.gen(function* () {
        for (const message of ["a", "b"]) {
          yield* say(message)
          yield* flushed
        }
        const { stats } = yield* Faultline.Hub
        assert.deepStrictEqual(yield* stats, {
          queued: 0,
          queuedBytes: 0,
          inFlight: 0,
          sent: 2,
          spooled: 0,
          discarded: [],
          limited: []
        })
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b"])
    })
  )

  it.scopedLive("is not there costs nothing but the events", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* ingest.stop
      yield* Effect.gen(function* () {
        yield* Effect.forEach(["a", "b", "c"], say)
        yield* flushed
        const { stats } = yield* Faultline.Hub
        assert.deepStrictEqual<unknown>(yield* stats, {
          queued: 0,
          queuedBytes: 0,
          inFlight: 0,
          sent: 0,
          spooled: 0,
          discarded: [discarded("network_error", 3)],
          limited: []
        })
      }).pipe(Effect.provide(hubAt(ingest)))
    })
  )

  it.scopedLive("never answers holds nobody up for longer than they want to wait", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll("never")
      const begun = Date.now()
      yield* Effect.gen(function* () {
        yield* Effect.forEach(Array.from({ length: 12 }).keys(), (n) => say(`m${n}`))
        yield* ingest.receive(8)
        assert.isFalse(yield* Faultline.flush("50 millis"))
        assert.isFalse(yield* Faultline.flush(0))
        assert.isFalse(yield* Faultline.close("50 millis"))
        assert.deepStrictEqual(yield* say("closed"), Option.none())
        assert.isTrue(yield* Faultline.flush("50 millis"))
      }).pipe(
        Effect.provide(
          Faultline.DefaultIntegrations.pipe(Layer.provideMerge(hubAt(ingest, { shutdownTimeout: "50 millis" })))
        )
      )
      assert.isBelow(Date.now() - begun, 5000)
      assert.lengthOf(ingest.envelopes, 8)
    })
  )

  it.scopedLive("never answers is given up after ten seconds", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll("never")
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
        () => Effect.sync(() => vi.useRealTimers())
      )
      yield* Effect.gen(function* () {
        const { stats } = yield* Faultline.Hub
        yield* say("m")
        yield* ingest.receive(1)
        vi.advanceTimersByTime(9000)
        assert.strictEqual((yield* stats).inFlight, 1)
        vi.advanceTimersByTime(2000)
        assert.deepStrictEqual<unknown>(yield* stats, {
          queued: 0,
          queuedBytes: 0,
          inFlight: 0,
          sent: 0,
          spooled: 0,
          discarded: [discarded("network_error")],
          limited: []
        })
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.lengthOf(ingest.envelopes, 1)
    })
  )

  it.scopedLive("takes its time is waited for, if there is time", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const answering = gate()
      ingest.answerAll({ when: answering.opened })
      yield* Effect.gen(function* () {
        yield* say("late")
        yield* ingest.receive(1)
        assert.isFalse(yield* Faultline.flush("20 millis"))
        answering.open()
        assert.isTrue(yield* Faultline.flush("10 seconds"))
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(messagesAt(ingest), ["late"])
    })
  )
})

describe("flush", () => {
  it.scopedLive("waits for what was captured before it, and not for what comes after", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const answering = gate()
      ingest.answer({ when: answering.opened })
      ingest.answerAll("never")
      yield* Effect.gen(function* () {
        yield* say("before")
        const flushing = yield* Effect.fork(Faultline.flush("1 second"))
        yield* ingest.receive(1)
        yield* say("after")
        yield* ingest.receive(2)
        answering.open()
        assert.isTrue(yield* Fiber.join(flushing))
      }).pipe(Effect.provide(hubAt(ingest)))
    })
  )
})

describe("a connection that is used again and breaks", () => {
  /** Two events that arrive over two connections, then one over one of them that is answered with these. */
  const second = (...answers: ReadonlyArray<Answer>) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const both = gate()
      ingest.answer({ when: both.opened }, { when: both.opened })
      yield* Effect.gen(function* () {
        yield* Effect.all([say("first"), say("first")])
        yield* ingest.receive(2)
        both.open()
        yield* flushed
        ingest.answer(...answers)
        yield* say("second")
        yield* flushed
        ingest.answerAll({})
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest)))
      return ingest
    })

  it.scopedLive.each([["reset"], ["hangUp"]] as const)("by a %s is replaced, once", ([answer]) =>
    Effect.gen(function* () {
      const ingest = yield* second(answer)
      const [, , lost, again] = ingest.envelopes
      assert.deepStrictEqual(messagesAt(ingest), ["first", "first", "second", "second"])
      assert.isBelow(lost?.connection ?? 2, 2)
      assert.notStrictEqual(again?.connection, lost?.connection)
      assert.deepStrictEqual(again?.body, lost?.body)
      assert.deepStrictEqual(reportsAt(ingest), [])
    })
  )

  it.scopedLive("and breaks again loses the event, which is counted", () =>
    Effect.gen(function* () {
      const ingest = yield* second("reset", "reset")
      assert.deepStrictEqual(messagesAt(ingest), ["first", "first", "second", "second"])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("network_error")]])
    })
  )

  it.scopedLive("between two events is no loss", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        for (const message of ["a", "b", "c"]) {
          yield* say(message)
          yield* flushed
          yield* ingest.closeIdle
        }
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "c"])
      assert.deepStrictEqual(reportsAt(ingest), [])
    })
  )

  const certificate = selfSigned()
  for (const answer of ["thenCloses", "thenResets"] as const) {
    for (const tls of answer === "thenResets" || certificate === undefined ? [undefined] : [undefined, certificate]) {
      const name = `after each answer is no loss (${answer}${tls === undefined ? "" : ", https"})`
      it.scopedLive(name, () =>
        Effect.gen(function* () {
          const ingest = yield* Ingest.start({ tls })
          ingest.answerAll(answer)
          const messages = Array.from({ length: 100 }, (_, n) => `m${n}`)
          yield* Effect.zipRight(Effect.forEach(messages, say), flushed).pipe(
            Effect.provide(hubAt(ingest, tls === undefined ? {} : { caCerts: tls.cert }))
          )
          assert.deepStrictEqual(messagesAt(ingest), messages)
          assert.deepStrictEqual(reportsAt(ingest), [])
        })
      )
    }
  }
})

describe("the queue", () => {
  it.scopedLive("takes so many envelopes, and counts the others", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          const ids = yield* Effect.forEach(Array.from({ length: 8 }).keys(), (n) =>
            Faultline.captureMessage(`m${n}`, { attachments: [{ filename: "f", data: "1234" }] })
          )
          assert.deepStrictEqual(ids.map(Option.isSome), [true, true, true, true, true, false, false, false])
        }),
        { maxQueueSize: 5 }
      )
      assert.deepStrictEqual(messagesAt(ingest), ["m0", "m1", "m2", "m3", "m4"])
      assert.deepStrictEqual(reportsAt(ingest), [
        [discarded("queue_overflow", 3), discarded("queue_overflow", 12, "attachment")]
      ])
    })
  )

  it.scopedLive("takes so many bytes", () =>
    Effect.gen(function* () {
      const extra = { text: "x".repeat(10_000) }
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          for (const message of ["a", "b", "c"]) yield* Faultline.captureMessage(message, { extra })
          yield* say("small")
        }),
        { maxQueueBytes: 25_000 }
      )
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "small"])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("queue_overflow")]])
    })
  )

  it.scopedLive("has room again once it was sent", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.forEach(["a", "b", "c"], (message) => Effect.zipRight(say(message), flushed)),
        { maxQueueSize: 1 }
      )
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "c"])
    })
  )

  it.scopedLive("makes room for what the program dies of", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          const { unsafeCapture } = yield* Faultline.Hub
          yield* say("a")
          yield* say("b")
          assert.isTrue(Option.isSome(unsafeCapture(boom(), { escaped: true })))
        }) as Effect.Effect<void>,
        { maxQueueSize: 2 }
      )
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => event["message"]),
        [undefined, "a"]
      )
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("queue_overflow")]])
    })
  )
})

describe("close", () => {
  it.scopedLive("sends what is pending, and nothing afterwards, however often it is called", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        const hub = yield* Faultline.Hub
        yield* Faultline.captureException(boom())
        assert.isTrue(hub.isEnabled())
        assert.deepStrictEqual(yield* Effect.all([Faultline.close(), Faultline.close("1 second"), hub.close()]), [
          true,
          true,
          true
        ])
        assert.isFalse(hub.isEnabled())
        assert.deepStrictEqual(yield* Faultline.captureException(boom()), Option.none())
        assert.deepStrictEqual(hub.unsafeCapture(boom()), Option.none())
        yield* Faultline.addBreadcrumb({ message: "m" })
        yield* Effect.logError("no event")
        yield* flushed
      }).pipe(
        Effect.provide(Faultline.DefaultIntegrations.pipe(Layer.provideMerge(hubAt(ingest)))),
        Effect.provide(quiet)
      )
      assert.lengthOf(ingest.envelopes, 1)
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => settle(event)["exception"]),
        [boomEvent()["exception"]]
      )
    })
  )

  it.scopedLive("of the layer ends everything, too", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const hub = yield* Faultline.Hub.pipe(Effect.provide(hubAt(ingest)))
      assert.isFalse(hub.isEnabled())
      assert.deepStrictEqual(hub.unsafeCapture(boom()), Option.none())
      assert.isTrue(yield* hub.flush("1 second"))
      assert.isTrue(yield* hub.close())
      assert.lengthOf(ingest.envelopes, 0)
    })
  )

  it.scopedLive("cuts off what nobody waits for any more", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll("never")
      yield* Effect.zipRight(say("m"), ingest.receive(1)).pipe(Effect.provide(hubAt(ingest)))
      // Returns once no connection is left.
      yield* ingest.closeIdle
      assert.lengthOf(ingest.envelopes, 1)
    })
  )
})

describe("without a DSN", () => {
  it.scopedLive.each([[undefined], [""], ["  "]])("(%j) nothing is sent, and everything may be called", ([dsn]) =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const hub = yield* Faultline.Hub
        assert.isFalse(hub.isEnabled())
        yield* Faultline.setTag("a", 1)
        assert.deepStrictEqual(yield* Faultline.captureException(boom()), Option.none())
        yield* Effect.logError("no event")
        yield* flushed
        assert.isTrue(yield* Faultline.close())
      }).pipe(
        Effect.provide(Faultline.DefaultIntegrations.pipe(Layer.provideMerge(Faultline.Hub.layer({ dsn })))),
        Effect.provide(quiet)
      )
    })
  )
})
