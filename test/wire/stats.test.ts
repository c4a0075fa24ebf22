/**
 * What delivery tells about itself: `Hub.stats`, metrics of Effect, and lines of `debug`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricKeyType from "effect/MetricKeyType"
import * as Faultline from "effect-faultline"
import { gate, Ingest } from "../support/ingest.js"
import { discarded, flushed, hubAt, stderrLines } from "./kit.js"

const valueOf = (name: string, ...tags: ReadonlyArray<string>): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (pairs) => {
    const found = pairs.find(
      ({ metricKey }) =>
        metricKey.name === name && tags.every((tag) => metricKey.tags.some(({ value }) => value === tag))
    )
    if (found === undefined) return 0
    const { metricKey, metricState } = found
    assert.isTrue(MetricKeyType.isCounterKey(metricKey.keyType) || MetricKeyType.isGaugeKey(metricKey.keyType))
    const state = metricState as unknown as { readonly count?: number; readonly value?: number }
    return state.count ?? state.value ?? Number.NaN
  })

describe("stats, metrics and debug", () => {
  it.scopedLive("tell what is queued, sent, lost and why, and limited until when", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const lines = yield* stderrLines
      const answering = gate()
      const before = yield* Effect.all({
        sent: valueOf("faultline_envelopes_sent"),
        dropped: valueOf("faultline_items_dropped", "ratelimit_backoff", "error"),
        queued: valueOf("faultline_queue_envelopes")
      })
      yield* Effect.gen(function* () {
        const { stats } = yield* Faultline.Hub
        ingest.answer(
          { when: answering.opened, headers: { "x-sentry-rate-limits": "60:error:org, 10:session:org" } },
          ...Array.from({ length: 7 }, () => ({ when: answering.opened }))
        )
        yield* Effect.forEach(Array.from({ length: 10 }).keys(), (n) => Faultline.captureMessage(`m${n}`))
        yield* ingest.receive(8)
        assert.deepInclude(yield* stats, { queued: 2, inFlight: 8, sent: 0 })
        assert.strictEqual((yield* valueOf("faultline_queue_envelopes")) - before.queued, 2)
        assert.isAbove(yield* valueOf("faultline_queue_bytes"), 1000)
        answering.open()
        yield* flushed
        const after = yield* stats
        const { limited, sent } = after
        assert.isAtLeast(sent, 8)
        assert.deepStrictEqual<unknown>(after.discarded, [discarded("ratelimit_backoff", 2)])
        const seconds = Object.fromEntries(
          limited.map(({ category, until }) => [category, (until.getTime() - Date.now()) / 1000])
        )
        assert.deepStrictEqual(Object.keys(seconds).toSorted(), ["error", "session"])
        assert.closeTo(seconds["error"] ?? 0, 60, 10)
        assert.closeTo(seconds["session"] ?? 0, 10, 10)
        assert.isAtLeast((yield* valueOf("faultline_envelopes_sent")) - before.sent, 8)
        assert.strictEqual(
          (yield* valueOf("faultline_items_dropped", "ratelimit_backoff", "error")) - before.dropped,
          2
        )
        assert.closeTo(yield* valueOf("faultline_limited_until", "error"), Date.now() / 1000 + 60, 10)
        assert.strictEqual(yield* valueOf("faultline_queue_envelopes"), before.queued)
      }).pipe(Effect.provide(hubAt(ingest, { debug: true })))
      const said = lines.join("\n")
      assert.match(said, /the server wants to hear nothing of "error" until \d{4}-\d\d-\d\dT/)
      assert.match(said, /held back by the server's rate limit: event/)
      assert.match(said, /closed: \d+ envelopes sent, 2 error lost \(ratelimit_backoff\)/)
    })
  )

  it.scopedLive("no limit is endless, whatever a server says", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answer({ headers: { "x-sentry-rate-limits": `${"9".repeat(400)}:error:org` } })
      yield* Effect.gen(function* () {
        yield* Effect.zipRight(Faultline.captureMessage("a"), flushed)
        const { stats } = yield* Faultline.Hub
        const [limit] = (yield* stats).limited
        assert.isBelow(limit?.until.getTime() ?? Number.NaN, Date.now() + 400 * 24 * 60 * 60 * 1000)
      }).pipe(Effect.provide(hubAt(ingest)))
    })
  )
})
