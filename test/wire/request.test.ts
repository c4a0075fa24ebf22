import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Faultline from "effect-faultline"
import { gate, Ingest, selfSigned } from "../support/ingest.js"
import {
  boom,
  boomEvent,
  flushed,
  hubAt,
  ingestOf,
  messagesAt,
  SDK,
  settle,
  withEnvironment,
  withoutWarnings
} from "./kit.js"

const AGENT = `${SDK.name}/${SDK.version}`

describe("the request", () => {
  const cases: ReadonlyArray<readonly [keys: string, path: string, expected: string, secret: string]> = [
    ["public", "/42", "/api/42/envelope/", ""],
    ["public", "/42/", "/api/42/envelope/", ""],
    ["public", "/a/b/42", "/a/b/api/42/envelope/", ""],
    ["public", "/a/b/0042/?x=1#y", "/a/b/api/0042/envelope/", ""],
    ["public:hush", "/7", "/api/7/envelope/", ", sentry_secret=hush"],
    ["public:", "/7", "/api/7/envelope/", ""]
  ]
  it.scopedLive.each(cases)("of a DSN with the keys %s and the path %s", ([keys, path, expected, secret]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const dsn = ingest.dsnWith(keys, path)
      yield* Faultline.captureException(boom()).pipe(Effect.zipRight(flushed), Effect.provide(hubAt(ingest, { dsn })))
      const request = yield* ingest.envelope()
      assert.strictEqual(request.method, "POST")
      assert.strictEqual(request.path, expected)
      assert.deepStrictEqual(request.headers, {
        host: ingest.host,
        "content-type": "application/x-sentry-envelope",
        "user-agent": AGENT,
        "x-sentry-auth": `Sentry sentry_version=7, sentry_client=${AGENT}, sentry_key=public${secret}`,
        "content-length": String(request.raw.byteLength),
        connection: "keep-alive"
      })
      assert.lengthOf(ingest.others, 0)
    })
  )

  it.scopedLive("is compressed above 32 KiB, and says so", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Faultline.captureException(boom(), { extra: { text: "é".repeat(15_000) } })
          yield* flushed
          yield* Faultline.captureException(boom(), { extra: { text: "é".repeat(17_000) } })
        })
      )
      const [small, large] = yield* ingest.receive(2)
      assert.strictEqual(small?.headers["content-encoding"], undefined)
      assert.strictEqual(small?.headers["content-length"], String(small?.body.byteLength))
      assert.strictEqual(large?.headers["content-encoding"], "gzip")
      assert.strictEqual(large?.headers["content-length"], String(large?.raw.byteLength))
      assert.isBelow(large?.raw.byteLength ?? 0, 10_000)
      assert.deepStrictEqual(ingest.allEvents.map(settle), [
        boomEvent({ extra: { text: "é".repeat(15_000) } }),
        boomEvent({ extra: { text: "é".repeat(17_000) } })
      ])
    })
  )

  it.scopedLive("goes over one connection for one after another, and over eight at most", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const release = gate()
      yield* Effect.gen(function* () {
        for (let n = 0; n < 3; n++) {
          yield* Faultline.captureMessage(`in turn ${n}`)
          yield* flushed
        }
        assert.deepStrictEqual(
          ingest.envelopes.map(({ connection }) => connection),
          [0, 0, 0]
        )

        ingest.answerAll({ when: release.opened })
        for (let n = 0; n < 20; n++) yield* Faultline.captureMessage(`at once ${n}`)
        yield* ingest.receive(3 + 8)
        const { stats } = yield* Faultline.Hub
        assert.deepInclude(yield* stats, { inFlight: 8, queued: 12 })
        assert.lengthOf(ingest.envelopes, 3 + 8)
        release.open()
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.lengthOf(ingest.envelopes, 3 + 20)
      assert.isAtMost(ingest.connections, 8)
      assert.deepStrictEqual(messagesAt(ingest), [
        ...Array.from({ length: 20 }, (_, n) => `at once ${n}`),
        ...[0, 1, 2].map((n) => `in turn ${n}`)
      ])
    })
  )

  it.scopedLive("finds an IPv6 address", ({ skip }) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start({ host: "::1" }).pipe(Effect.timeoutOption("1 second"))
      if (ingest._tag === "None") return skip()
      yield* Faultline.captureException(boom()).pipe(Effect.zipRight(flushed), Effect.provide(hubAt(ingest.value)))
      const [request] = yield* ingest.value.receive(1)
      assert.strictEqual(request?.headers["host"], ingest.value.host)
      assert.match(ingest.value.host, /^\[::1\]:/)
    })
  )

  const certificate = selfSigned()

  describe.skipIf(certificate === undefined)("over https", () => {
    it.scopedLive("is the same", () =>
      Effect.gen(function* () {
        yield* withoutWarnings
        yield* withEnvironment({ NODE_TLS_REJECT_UNAUTHORIZED: "0" })
        const ingest = yield* Ingest.start({ tls: certificate })
        yield* Effect.gen(function* () {
          for (let n = 0; n < 2; n++) {
            yield* Faultline.captureException(boom())
            yield* flushed
          }
        }).pipe(Effect.provide(hubAt(ingest)))
        assert.match(ingest.dsn, /^https:/)
        assert.deepStrictEqual(ingest.allEvents.map(settle), [boomEvent(), boomEvent()])
        assert.strictEqual(ingest.connections, 1)
      })
    )

    it.scopedLive("is not made to a server whose certificate nobody trusts", () =>
      Effect.gen(function* () {
        const ingest = yield* Ingest.start({ tls: certificate })
        yield* Effect.gen(function* () {
          yield* Faultline.captureException(boom())
          yield* flushed
          const { stats } = yield* Faultline.Hub
          assert.deepStrictEqual((yield* stats).discarded, [
            { reason: "network_error", category: "error", quantity: 1 }
          ])
        }).pipe(Effect.provide(hubAt(ingest)))
        assert.lengthOf(ingest.envelopes, 0)
      })
    )
  })
})
