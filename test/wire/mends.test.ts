/**
 * What a program gets wrong is put right, and said.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { TestHub } from "effect-faultline/testing"
import { Ingest } from "../support/ingest.js"
import { hubAt, stderrLines } from "./kit.js"

const nonsense = (value: unknown): never => value as never

describe("secrets in texts", () => {
  it.effect("are masked in breadcrumb data, extra and a request, as they are in messages", () =>
    Effect.gen(function* () {
      const url = "https://u:hunter2@host/?api_key=hunter2"
      yield* Faultline.addBreadcrumb({ message: "m", data: { url, nested: { note: "password=hunter2" } } })
      yield* Faultline.setExtra("url", url)
      yield* Faultline.setExtra("list", ["token: hunter2"])
      yield* Faultline.captureEvent({ message: "m", request: { url, query_string: "token=hunter2" } })
      const [event] = yield* TestHub.events
      assert.notInclude(JSON.stringify(event), "hunter2")
      assert.strictEqual(event?.request?.query_string, "token=[Filtered]")
    }).pipe(Effect.provide(TestHub.layer))
  )
})

describe("nonsense", () => {
  it.scopedLive("is put right where it can be, left out where not, and debug says which", () =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        yield* Faultline.setLevel(nonsense("bogus"))
        yield* Faultline.setTransactionName(nonsense(5))
        yield* Faultline.addBreadcrumb(nonsense({ message: "m", timestamp: "x", level: "zz" }))
        yield* Faultline.addBreadcrumb(nonsense(null))
        yield* Faultline.addEventProcessor(nonsense(5))
        yield* Faultline.captureEvent(nonsense(null))
        yield* Faultline.captureMessage("m")
        yield* Faultline.flush("10 seconds")
      }).pipe(Effect.provide(hubAt(ingest, { debug: true })))
      const event = yield* ingest.event()
      assert.strictEqual(event["level"], "info")
      assert.strictEqual(event["transaction"], "5")
      const { values } = event["breadcrumbs"] as { values: Array<Record<string, unknown>> }
      assert.lengthOf(values, 1)
      assert.strictEqual(typeof values[0]?.["timestamp"], "number")
      assert.isUndefined(values[0]?.["level"])
      assert.lengthOf(ingest.allEvents, 1)
      for (const said of [
        "[faultline] a breadcrumb threw TypeError: it is an object, not null",
        "[faultline] a capture threw TypeError: an event is an object, not null",
        "[faultline] the level bogus is none: it was put right",
        "[faultline] transaction is no text: it was put right"
      ])
        assert.include(lines, said)
      assert.include(lines.join("\n"), "an event processor is a function")
    })
  )

  it.effect("a transport that cannot be opened is an error of the layer that says so", () =>
    Effect.gen(function* () {
      const transport = {
        open: (): never => {
          throw new Error("open boom")
        }
      }
      const dsn = "https://k@sentry.example/1"
      const exit = yield* Effect.exit(Effect.provide(Effect.void, Faultline.Hub.layer({ dsn, transport })))
      assert.deepStrictEqual(
        exit,
        Exit.fail(new Faultline.OptionsError({ option: "transport", reason: "could not be opened: Error: open boom" }))
      )
      assert.throws(() => Facade.init({ dsn, transport }), /"transport" could not be opened: Error: open boom/)
    })
  )

  it("options of the facade that are no object are an error that says so", () => {
    for (const options of [null, 3, [], "x"])
      assert.throws(() => Facade.init(nonsense(options)), /"options" must be an object/)
  })
})

describe("a hub that closes before an answer came", () => {
  it.scopedLive("says which events it leaves behind", () =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const ingest = yield* Ingest.start()
      ingest.answerAll("never")
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("m")
        yield* ingest.receive(1)
      }).pipe(Effect.provide(hubAt(ingest, { debug: true })))
      const id = String(ingest.allEvents[0]?.["event_id"])
      assert.include(lines, `[faultline] closed before an answer came: event ${id}`)
    })
  )
})

describe("a transport of fetch", () => {
  const post = async (
    url: string,
    headers: Faultline.Target["headers"],
    envelope: Uint8Array,
    done: (result: Faultline.SendResult) => void
  ): Promise<void> => {
    const { status } = await fetch(url, { method: "POST", headers, body: Buffer.from(envelope) })
    done({ _tag: "Answered", status })
  }

  it.scopedLive("can take the headers as they are", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const transport: Faultline.Transport.Service = {
        open: ({ headers, url }) => ({
          send(envelope, done) {
            void post(url, headers, envelope, done)
            return { handedOver: false, abort: () => {} }
          },
          close: () => {}
        })
      }
      yield* Effect.zipRight(Faultline.captureMessage("m"), Faultline.flush("10 seconds")).pipe(
        Effect.provide(hubAt(ingest, { transport }))
      )
      const { headers } = yield* ingest.envelope()
      assert.match(headers["x-sentry-auth"] ?? "", /sentry_key=public/)
      assert.isUndefined(headers["tojson"])
    })
  )
})
