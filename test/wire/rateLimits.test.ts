import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Faultline from "effect-faultline"
import { Ingest, type ReceivedEnvelope } from "../support/ingest.js"
import { boom, discarded, flushed, hubAt, ingestOf, messagesAt, monotonicClock, reportsAt, SDK } from "./kit.js"

/** Stands for the HTTP date that is then 30 seconds ahead. */
const IN_30_SECONDS = "in 30 seconds"

const say = (message: string) => Effect.zipRight(Faultline.captureMessage(message), flushed)
const limited = (limits: string, status = 200) => ({ status, headers: { "x-sentry-rate-limits": limits } })

describe("a rate limit", () => {
  /** A server's answer to an event, and for how many seconds errors are then held back. */
  const vectors: ReadonlyArray<readonly [status: number, headers: Record<string, string>, seconds: number]> = [
    [200, limits("60:transaction:key"), 0],
    [429, limits("2700:default;error;security:organization, 60:error:key"), 2700],
    [200, limits("60::organization"), 60],
    [200, limits("60:unknown_thing:key"), 0],
    [200, limits("60:unknown;error:key"), 60],
    [200, limits("2.5:session:org:quota:ns:future"), 0],
    [200, limits("2.5:error:org:quota:ns:future"), 2.5],
    [200, limits(" 10 : error ; transaction : key , 20 : : org "), 20],
    [429, { "retry-after": "17" }, 17],
    [429, { "retry-after": IN_30_SECONDS }, 30],
    [429, {}, 60],
    [429, { "x-sentry-rate-limits": "1:session:key", "retry-after": "99" }, 0],
    [200, limits("60:metric_bucket:org:x:custom"), 0],
    [200, limits("1:error:key, 60::org"), 60],
    [200, limits("soon:error:key"), 60],
    [200, limits(",,"), 0],
    [200, { "retry-after": "17" }, 0],
    [503, { "retry-after": "17" }, 0],
    [413, limits("60:error:key"), 60],
    [500, limits("60:error:key"), 60]
  ]
  it.scopedLive.each(vectors)("of %d with %j holds errors back for %d seconds", ([status, headers, seconds]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const clock = yield* monotonicClock
      ingest.answer({
        status,
        headers: { ...headers, ...(headers["retry-after"] === IN_30_SECONDS && { "retry-after": httpDate(30) }) }
      })
      yield* Effect.gen(function* () {
        yield* say("limits")
        const margin = Math.min(2, seconds / 10)
        if (seconds > 0) {
          yield* say("held at once")
          clock.forward(seconds - margin)
          yield* say("held to the last")
        }
        clock.forward(2 * margin)
        yield* say("sent")
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(messagesAt(ingest), ["limits", "sent"])
      // What the server refused with a 429 it counts itself.
      const refused = status < 300 || status === 429 ? [] : [discarded("send_error")]
      const held = seconds > 0 ? [discarded("ratelimit_backoff", 2)] : []
      assert.sameDeepMembers(reportsAt(ingest).flat().reduce(sum, []), [...refused, ...held])
    })
  )

  it.scopedLive("is never made shorter by a later one", () =>
    Effect.gen(function* () {
      const clock = yield* monotonicClock
      const attachments = [{ filename: "f", data: "12345" }]
      const withFile = (message: string) => Effect.zipRight(Faultline.captureMessage(message, { attachments }), flushed)
      const ingest = yield* Ingest.start()
      ingest.answer(limited("50:attachment:key"), limited("1:attachment:key"))
      yield* Effect.gen(function* () {
        yield* withFile("a")
        yield* withFile("b")
        clock.forward(48)
        yield* withFile("c")
        clock.forward(3)
        yield* withFile("d")
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(
        ingest.envelopes.map(typesIn).filter(([type]) => type !== "client_report"),
        [["event", "attachment"], ["event"], ["event"], ["event", "attachment"]]
      )
      assert.deepStrictEqual(reportsAt(ingest).flat().reduce(sum, []), [
        discarded("ratelimit_backoff", 10, "attachment")
      ])
    })
  )

  it.scopedLive("of errors holds back their attachments, too, and each is counted", () =>
    Effect.gen(function* () {
      const clock = yield* monotonicClock
      const ingest = yield* Ingest.start()
      ingest.answer(limited("60:error:key"))
      yield* Effect.gen(function* () {
        yield* say("a")
        const id = yield* Faultline.captureMessage("b", { attachments: [{ filename: "f", data: "12345" }] })
        assert.deepStrictEqual(id, Option.none())
        yield* flushed
        clock.forward(61)
        yield* say("c")
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(messagesAt(ingest), ["a", "c"])
      assert.deepStrictEqual(reportsAt(ingest), [
        [discarded("ratelimit_backoff"), discarded("ratelimit_backoff", 5, "attachment")]
      ])
    })
  )

  it.scopedLive("of everything holds back the client report, and makes no new one of it", () =>
    Effect.gen(function* () {
      const clock = yield* monotonicClock
      const ingest = yield* Ingest.start()
      ingest.answer(limited("60::org"))
      yield* Effect.gen(function* () {
        yield* say("a")
        for (const message of ["b", "c"]) yield* say(message)
        yield* flushed
        assert.lengthOf(ingest.envelopes, 1)
        clock.forward(61)
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("ratelimit_backoff", 2)]])
    })
  )

  it.scopedLive("holds back what was already waiting", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll(limited("60:error:key"))
      yield* Effect.gen(function* () {
        for (let n = 0; n < 20; n++) yield* Faultline.captureMessage(`m${n}`)
        yield* flushed
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest)))
      const sent = ingest.allEvents.length
      assert.isAtLeast(sent, 8)
      assert.isBelow(sent, 20)
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("ratelimit_backoff", 20 - sent)]])
    })
  )

  it.scopedLive("of one hub is none of another's", () =>
    Effect.gen(function* () {
      const [one, other] = yield* Effect.all([Ingest.start(), Ingest.start()])
      one.answer(limited("60::org"))
      const twice = Effect.zipRight(say("a"), say("b"))
      yield* twice.pipe(Effect.provide(hubAt(one)))
      yield* twice.pipe(Effect.provide(hubAt(other)))
      assert.deepStrictEqual([messagesAt(one), messagesAt(other)], [["a"], ["a", "b"]])
    })
  )
})

describe("a client report", () => {
  it.scopedLive("counts everything that was not sent, by reason, and is sent on flush, once", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          for (const message of ["drop", "drop", "ignore me"]) yield* Faultline.captureMessage(message)
          yield* Faultline.captureException(boom()).pipe(
            Effect.tap(() => Faultline.addEventProcessor(() => null)),
            Effect.zipRight(Faultline.captureException(boom())),
            Faultline.withIsolationScope()
          )
          yield* flushed
          yield* flushed
        }),
        {
          ignoreErrors: ["ignore"],
          beforeSend: (event) => (event.message === "drop" ? null : event)
        }
      )
      const report = ingest.envelopes.find(({ framed }) => framed.headers["event_id"] === undefined)
      const { sent_at: _, ...headers } = report?.framed.headers ?? {}
      assert.deepStrictEqual(headers, { dsn: ingest.dsn, sdk: SDK })
      const [item] = report?.framed.items ?? []
      assert.deepStrictEqual<unknown>(item?.headers, { type: "client_report", length: item?.bytes.byteLength })
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("before_send", 2), discarded("event_processor", 2)]])
      assert.lengthOf(ingest.envelopes, 2)
    })
  )

  it.scopedLive("that is due goes out after the next event, in an envelope of its own", () =>
    Effect.gen(function* () {
      const clock = yield* monotonicClock
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("drop")
        yield* Faultline.captureMessage("soon")
        yield* ingest.receive(1)
        clock.forward(31)
        yield* Faultline.captureMessage("later")
        yield* ingest.receive(3)
        yield* Faultline.captureMessage("drop")
        yield* Faultline.captureMessage("last")
        yield* ingest.receive(4)
      }).pipe(Effect.provide(hubAt(ingest, { beforeSend: (event) => (event.message === "drop" ? null : event) })))
      assert.deepStrictEqual(ingest.envelopes.map(typesIn), [["event"], ["event"], ["client_report"], ["event"]])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("before_send")]])
    })
  )

  it.scopedLive.each([
    ["hangUp"],
    [{ status: 500 }],
    [{ status: 429, headers: { "x-sentry-rate-limits": "60:span:o" } }]
  ] as const)("that is answered with %j is told again, and is none of the losses itself", ([answer]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answer(answer)
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("drop")
        yield* flushed
        yield* Faultline.captureMessage("drop")
        yield* flushed
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest, { beforeSend: () => null })))
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("before_send")], [discarded("before_send", 2)]])
    })
  )
})

function limits(header: string): Record<string, string> {
  return { "x-sentry-rate-limits": header }
}

function httpDate(secondsFromNow: number): string {
  return new Date(Date.now() + secondsFromNow * 1000).toUTCString()
}

const typesIn = ({ framed }: ReceivedEnvelope): Array<unknown> => framed.items.map(({ headers }) => headers["type"])

/** Counts of the same kind added up. */
const sum = (
  total: Array<ReturnType<typeof discarded>>,
  next: ReturnType<typeof discarded>
): Array<ReturnType<typeof discarded>> => {
  const same = total.find(({ category, reason }) => category === next.category && reason === next.reason)
  return same === undefined
    ? [...total, next]
    : total.map((other) => (other === same ? { ...same, quantity: same.quantity + next.quantity } : other))
}
