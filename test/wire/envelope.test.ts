import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Faultline from "effect-faultline"
import { Ingest, type Json, type ReceivedEnvelope } from "../support/ingest.js"
import {
  boom,
  boomEvent,
  flushed,
  helloEvent,
  hubAt,
  ingestOf,
  messagesAt,
  reportsAt,
  SDK,
  settle,
  temporaryFolder,
  withEnvironment
} from "./kit.js"

describe("the envelope", () => {
  it.scopedLive("holds one event, under headers that say what it is", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const id = yield* Faultline.captureException(boom("naïve ✓ 𝒳")).pipe(
        Effect.zipLeft(flushed),
        Effect.provide(hubAt(ingest, { release: "shop@1.2.3", environment: "staging" }))
      )
      const { framed } = yield* ingest.envelope()
      const [item] = framed.items
      const event = yield* ingest.event()
      const { sent_at, ...headers } = framed.headers
      assert.closeTo(Date.parse(String(sent_at)), Date.now(), 60_000)
      assert.deepStrictEqual(headers, {
        event_id: Option.getOrThrow(id),
        dsn: ingest.dsn,
        sdk: SDK,
        trace: {
          trace_id: traceIdOf(event),
          public_key: "public",
          environment: "staging",
          release: "shop@1.2.3"
        }
      })
      assert.lengthOf(framed.items, 1)
      assert.deepStrictEqual(item?.headers, { type: "event", length: Buffer.byteLength(JSON.stringify(event)) })
      assert.isAbove(item?.bytes.byteLength ?? 0, JSON.stringify(event).length)
    })
  )

  it.scopedLive("names the DSN, without its secret", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(Faultline.captureException(boom()))
      const withSecret = yield* Ingest.start()
      yield* Effect.zipRight(Faultline.captureException(boom()), flushed).pipe(
        Effect.provide(hubAt(withSecret, { dsn: withSecret.dsnWith("public:hidden", "/a/b/42") }))
      )
      assert.strictEqual((yield* ingest.envelope()).framed.headers["dsn"], ingest.dsnWith("public", "/42"))
      assert.strictEqual((yield* withSecret.envelope()).framed.headers["dsn"], withSecret.dsnWith("public", "/a/b/42"))
    })
  )

  it.scopedLive("leaves out a trace that would make the header too long for some servers", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(Faultline.captureException(boom()), { release: "é".repeat(4000) })
      assert.notProperty((yield* ingest.envelope()).framed.headers, "trace")
    })
  )

  it.scopedLive("is one for each event", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.forEach(["a", "b", "c"], (message) => Faultline.captureMessage(message), { discard: true })
      )
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "c"])
      assert.lengthOf(ingest.envelopes, 3)
      assert.strictEqual(new Set(ingest.envelopes.map(({ framed }) => framed.headers["event_id"])).size, 3)
      assert.strictEqual(new Set(ingest.allEvents.map(traceIdOf)).size, 1)
    })
  )

  describe("says which trace it is of", () => {
    const traceId = "771a43a4192642f0b136d5159a501700"
    const SENTRY_TRACE = `${traceId}-7c51afd529da4a2a-1`

    const inTrace = (variables: Record<string, string>, wrap = <A>(effect: Effect.Effect<A>) => effect) =>
      Effect.gen(function* () {
        yield* withEnvironment(variables)
        const ingest = yield* ingestOf(wrap(Faultline.captureException(boom())))
        const { framed } = yield* ingest.envelope()
        return { trace: framed.headers["trace"], context: (yield* ingest.event())["contexts"] as Record<string, Json> }
      })

    it.scopedLive("as its head has put it, where it began elsewhere", () =>
      Effect.gen(function* () {
        const { context, trace } = yield* inTrace({
          SENTRY_TRACE,
          SENTRY_BAGGAGE: `other=1,sentry-trace_id=${traceId},sentry-public_key=theirs,sentry-release=their%20app`
        })
        assert.deepStrictEqual(trace, { trace_id: traceId, public_key: "theirs", release: "their app" })
        assert.strictEqual(context["trace"]?.["trace_id"], traceId)
        assert.strictEqual(context["trace"]?.["parent_span_id"], "7c51afd529da4a2a")
      })
    )

    it.scopedLive("with nothing made up, where its head has said nothing", () =>
      Effect.gen(function* () {
        const { context, trace } = yield* inTrace({ SENTRY_TRACE })
        assert.isUndefined(trace)
        assert.strictEqual(context["trace"]?.["trace_id"], traceId)
      })
    )

    it.scopedLive("of the span, which may be of another trace than the process", () =>
      Effect.gen(function* () {
        const { context, trace } = yield* inTrace(
          { SENTRY_TRACE, SENTRY_BAGGAGE: `sentry-trace_id=${traceId},sentry-public_key=theirs` },
          Effect.withSpan("work", { root: true })
        )
        assert.notStrictEqual(context["trace"]?.["trace_id"], traceId)
        assert.deepStrictEqual(trace, {
          trace_id: context["trace"]?.["trace_id"],
          public_key: "public",
          environment: "production"
        })
      })
    )

    it.scopedLive("and of the span's place in it", () =>
      Effect.gen(function* () {
        const ingest = yield* Ingest.start()
        const spans = yield* Effect.gen(function* () {
          const outer = yield* Effect.currentSpan
          const inner = yield* Effect.withSpan(
            Effect.zipLeft(Effect.currentSpan, Faultline.captureMessage("hello")),
            "inner"
          )
          yield* flushed
          return { outer, inner }
        }).pipe(Effect.withSpan("outer"), Effect.provide(hubAt(ingest)))
        const { contexts } = (yield* ingest.event()) as { contexts: Record<string, Json> }
        assert.deepStrictEqual(contexts["trace"], {
          trace_id: spans.inner.traceId,
          span_id: spans.inner.spanId,
          parent_span_id: spans.outer.spanId
        })
      })
    )
  })
})

describe("attachments", () => {
  /** Headers and bytes of every item but the first, which is the event. */
  const attached = ({ framed }: ReceivedEnvelope): Array<Json> => {
    assert.strictEqual(framed.items[0]?.headers["type"], "event")
    return framed.items.slice(1).map(({ bytes, headers }) => ({ ...headers, bytes: bytes.toString("latin1") }))
  }

  it.scopedLive("travel with their event, byte for byte", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryFolder, "on disk.bin")
      writeFileSync(path, Buffer.from([0, 10, 13, 10, 255]))
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Faultline.addAttachment({ filename: "text.txt", data: "é\n" })
          yield* Faultline.captureMessage("hello", {
            attachments: [
              { filename: "crlf.bin", data: Buffer.from("a\r\nb\r\n"), contentType: "text/plain" },
              { filename: "empty", data: "" },
              { filename: "empty too", data: new Uint8Array(0), attachmentType: "event.view_hierarchy" },
              { filename: "part.bin", data: new Uint8Array([1, 2, 3, 4]).subarray(1, 3) },
              { filename: "disk.bin", path },
              { filename: "../../etc/pass\nwd", data: "x" }
            ]
          }).pipe(Faultline.withScope({ attachments: [{ filename: "scope.txt", data: "s" }] }))
        }),
        { initialScope: { attachments: [{ filename: "global.txt", data: "g" }] } }
      )
      const type = "attachment"
      assert.deepStrictEqual(attached(yield* ingest.envelope()), [
        { type, filename: "global.txt", length: 1, bytes: "g" },
        { type, filename: "text.txt", length: 3, bytes: "\u00c3\u00a9\n" },
        { type, filename: "scope.txt", length: 1, bytes: "s" },
        { type, filename: "crlf.bin", content_type: "text/plain", length: 6, bytes: "a\r\nb\r\n" },
        { type, filename: "empty", length: 0, bytes: "" },
        { type, filename: "empty too", attachment_type: "event.view_hierarchy", length: 0, bytes: "" },
        { type, filename: "part.bin", length: 2, bytes: "\u0002\u0003" },
        { type, filename: "disk.bin", length: 5, bytes: "\0\n\r\n\u00ff" },
        { type, filename: "pass wd", length: 1, bytes: "x" }
      ])
      assert.deepStrictEqual(ingest.allEvents.map(settle), [helloEvent()])
    })
  )

  it.scopedLive("that cannot be read or are too large stay behind", () =>
    Effect.gen(function* () {
      const nowhere = join(yield* temporaryFolder, "nowhere")
      const ingest = yield* ingestOf(
        Faultline.captureException(boom(), {
          attachments: [
            { filename: "unreadable", path: nowhere },
            { filename: "folder", path: "/" },
            { filename: "ten", data: "0123456789" },
            { filename: "eleven", data: "0123456789x" }
          ]
        }),
        { maxAttachmentBytes: 10 }
      )
      assert.deepStrictEqual(attached(yield* ingest.envelope()), [
        { type: "attachment", filename: "ten", length: 10, bytes: "0123456789" }
      ])
      assert.deepStrictEqual(settle(yield* ingest.event()), boomEvent())
    })
  )

  it.scopedLive("that are too large are counted, in bytes", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Faultline.captureException(boom(), { attachments: [{ filename: "eleven", data: "0123456789x" }] }),
        { maxAttachmentBytes: 10 }
      )
      // The protocol leaves the reason open.
      const discarded = reportsAt(ingest)
        .flat()
        .map(({ category, quantity }) => ({ category, quantity }))
      assert.deepStrictEqual(discarded, [{ category: "attachment", quantity: 11 }])
    })
  )

  const hostile: ReadonlyArray<readonly [what: string, attachment: unknown]> = [
    ["without data", { filename: "a" }],
    ["of null", { filename: "a", data: null }],
    ["of a number", { filename: "a", data: 7 }],
    ["of an object", { filename: "a", data: { a: 1 } }],
    ["of a list", { filename: "a", data: [1, 2] }],
    ["of an ArrayBuffer", { filename: "a", data: new ArrayBuffer(2) }],
    ["with a number for a name", { filename: 7, data: "x" }],
    ["without a name", { data: "x" }],
    ["that is none", null]
  ]
  it.scopedLive.each(hostile)("%s: the event is not lost for it", ([, attachment]) =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Faultline.captureMessage("hello", { attachments: [attachment as Faultline.Attachment] })
      )
      assert.deepStrictEqual(ingest.allEvents.map(settle), [helloEvent()])
    })
  )
})

const traceIdOf = (event: Json): unknown => (event["contexts"] as Record<string, Json>)["trace"]?.["trace_id"]
