import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Faultline from "effect-faultline"
import { Ingest } from "../support/ingest.js"
import { boom, flushed, hubAt, messagesAt, quiet, reportsAt, stderrLines, withEnvironment } from "./kit.js"

/** Where an ingest stands for Spotlight: it judges what comes to paths that end so. */
const streamAt = (ingest: Ingest): string => `${ingest.origin}/spotlight/envelope`

const say = (...messages: ReadonlyArray<string>) =>
  Effect.zipRight(
    Effect.forEach(messages, (message) => Faultline.captureMessage(message)),
    flushed
  )

describe("Spotlight, beside a server", () => {
  it.scopedLive("is shown every envelope as the server gets it, and is no server", () =>
    Effect.gen(function* () {
      const [server, spotlight] = [yield* Ingest.start(), yield* Ingest.start()]
      yield* Effect.gen(function* () {
        yield* Faultline.captureException(boom(), { attachments: [{ filename: "f", data: "1234" }] })
        yield* spotlight.receive(1)
        yield* flushed
      }).pipe(Effect.provide(hubAt(server, { spotlight: streamAt(spotlight) })))
      const [sent, shown] = [yield* server.envelope(), yield* spotlight.envelope()]
      assert.deepStrictEqual(shown.framed.items, sent.framed.items)
      assert.deepStrictEqual({ ...shown.framed.headers, sent_at: 0 }, { ...sent.framed.headers, sent_at: 0 })
      assert.strictEqual(shown.headers["content-type"], "application/x-sentry-envelope")
      assert.notProperty(shown.headers, "x-sentry-auth")
    })
  )

  it.scopedLive("is shown also what is not sampled, and what the server does not want to hear", () =>
    Effect.gen(function* () {
      const [server, spotlight] = [yield* Ingest.start(), yield* Ingest.start()]
      server.answerAll({ status: 429 })
      spotlight.answerAll({ status: 429 })
      yield* Effect.gen(function* () {
        yield* say("first")
        yield* say("limited", "unsampled")
        yield* spotlight.receive(3)
      }).pipe(
        Effect.provide(
          hubAt(server, {
            spotlight: streamAt(spotlight),
            errorSampler: ({ message }) => message !== "unsampled"
          })
        )
      )
      assert.deepStrictEqual(messagesAt(spotlight), ["first", "limited", "unsampled"])
      assert.deepStrictEqual(messagesAt(server), ["first"])
      assert.deepStrictEqual(reportsAt(spotlight), [])
    })
  )

  it.scopedLive("that is not there costs one line, is left alone for a while, and changes nothing", () =>
    Effect.gen(function* () {
      const [server, spotlight] = [yield* Ingest.start(), yield* Ingest.start()]
      const lines = yield* stderrLines
      yield* spotlight.stop
      yield* Effect.gen(function* () {
        for (let n = 0; n < 10; n++) {
          yield* say(`m${n}`)
          yield* Effect.sleep("5 millis")
        }
        const { stats } = yield* Faultline.Hub
        assert.deepInclude(yield* stats, { sent: 10, discarded: [], limited: [] })
      }).pipe(Effect.provide(hubAt(server, { spotlight: streamAt(spotlight) })))
      assert.lengthOf(server.envelopes, 10)
      assert.deepStrictEqual(lines, [
        `[faultline] Spotlight does not answer at ${streamAt(spotlight)}: it will not show everything`
      ])
    })
  )

  it.scopedLive("is tried again after a second, and after longer with each failure", () =>
    Effect.gen(function* () {
      const [server, spotlight] = [yield* Ingest.start(), yield* Ingest.start()]
      yield* stderrLines
      let ahead = 0
      const real = performance.now.bind(performance)
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.spyOn(performance, "now").mockImplementation(() => real() + ahead)),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      spotlight.answerAll("hangUp")
      yield* Effect.gen(function* () {
        let [failures, pause] = [0, 1000]
        for (; failures < 4; pause *= 2) {
          yield* say("try")
          yield* spotlight.receive(++failures)
          yield* Effect.sleep("50 millis")
          ahead += pause / 2
          yield* say("in between")
          yield* Effect.sleep("20 millis")
          assert.lengthOf(spotlight.envelopes, failures)
          ahead += pause / 2
        }
        spotlight.answerAll({})
        yield* say("again")
        yield* spotlight.receive(failures + 1)
      }).pipe(Effect.provide(hubAt(server, { spotlight: streamAt(spotlight) })))
      assert.notInclude(messagesAt(spotlight), "in between")
    })
  )

  it.scopedLive("has everything by the time the hub is closed", () =>
    Effect.gen(function* () {
      const [server, spotlight] = [yield* Ingest.start(), yield* Ingest.start()]
      yield* Effect.gen(function* () {
        yield* Effect.forEach(Array.from({ length: 30 }).keys(), (n) => Faultline.captureMessage(`m${n}`))
        assert.isTrue(yield* Faultline.close("10 seconds"))
      }).pipe(Effect.provide(hubAt(server, { spotlight: streamAt(spotlight) })))
      assert.lengthOf(server.envelopes, 30)
      assert.lengthOf(spotlight.envelopes, 30)
    })
  )

  it.scopedLive("that never answers holds nobody up", () =>
    Effect.gen(function* () {
      const [server, spotlight] = [yield* Ingest.start(), yield* Ingest.start()]
      yield* stderrLines
      spotlight.answerAll("never")
      const begun = Date.now()
      yield* say("a", "b").pipe(
        Effect.provide(
          Faultline.DefaultIntegrations.pipe(
            Layer.provideMerge(hubAt(server, { spotlight: streamAt(spotlight), shutdownTimeout: "20 seconds" }))
          )
        ),
        Effect.provide(quiet)
      )
      assert.isBelow(Date.now() - begun, 5000)
      assert.deepStrictEqual(messagesAt(server), ["a", "b"])
    })
  )
})

describe("Spotlight, without a DSN", () => {
  it.scopedLive("gets every event, whatever the rate, and nothing else", () =>
    Effect.gen(function* () {
      const spotlight = yield* Ingest.start()
      const options: Faultline.Options = { dsn: "", spotlight: streamAt(spotlight), sampleRate: 0 }
      yield* Effect.gen(function* () {
        const hub = yield* Faultline.Hub
        assert.isTrue(hub.isEnabled())
        assert.isTrue(hub.options.sendDefaultPii)
        yield* say("a", "drop", "b")
      }).pipe(
        Effect.provide(
          hubAt(spotlight, { ...options, beforeSend: (event) => (event.message === "drop" ? null : event) })
        )
      )
      assert.deepStrictEqual(messagesAt(spotlight), ["a", "b"])
      assert.lengthOf(spotlight.envelopes, 2)
      for (const { framed } of spotlight.envelopes) assert.notProperty(framed.headers, "dsn")
    })
  )

  it.scopedLive("gets no personal data where the options say so", () =>
    Effect.gen(function* () {
      const hub = yield* Faultline.Hub.pipe(
        Effect.provide(Faultline.Hub.layer({ spotlight: true, sendDefaultPii: false }))
      )
      assert.isFalse(hub.options.sendDefaultPii)
      assert.strictEqual(hub.options.spotlight, "http://localhost:8969/stream")
    })
  )
})

describe("where Spotlight is", () => {
  const URL_1 = "http://localhost:1111/stream"
  const URL_2 = "http://localhost:2222/stream"
  const DEFAULT = "http://localhost:8969/stream"
  const cases: ReadonlyArray<
    readonly [option: boolean | string | undefined, variable: string | undefined, expected: string | undefined]
  > = [
    [undefined, undefined, undefined],
    [undefined, "1", DEFAULT],
    [undefined, URL_1, URL_1],
    [undefined, "off", undefined],
    [true, undefined, DEFAULT],
    [true, "off", DEFAULT],
    [true, URL_1, URL_1],
    [false, "1", undefined],
    [false, URL_1, undefined],
    [URL_2, "1", URL_2],
    [URL_2, URL_1, URL_2],
    [undefined, "somewhere", undefined]
  ]
  it.scopedLive.each(cases)("option %j, variable %j: %s", ([option, variable, expected]) =>
    Effect.gen(function* () {
      yield* withEnvironment({ SENTRY_SPOTLIGHT: variable, SENTRY_DSN: undefined })
      const lines = yield* stderrLines
      const hub = yield* Faultline.Hub.pipe(
        Effect.provide(Faultline.Hub.layerConfig(option === undefined ? {} : { spotlight: option }))
      )
      assert.strictEqual(hub.options.spotlight, expected)
      const isOdd = variable === "somewhere" || (typeof option === "string" && variable === URL_1)
      assert.lengthOf(lines, isOdd ? 1 : 0)
    })
  )
})
