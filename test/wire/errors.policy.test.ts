import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Faultline from "effect-faultline"
import type { Json } from "../support/ingest.js"
import { eventOf, eventsOf, quiet } from "./kit.js"

class NotFound extends Data.TaggedError("NotFound")<{ readonly id: number }> {}
class Declined extends Data.TaggedError("Declined") {}
class Noted extends Data.TaggedError("Noted") {
  readonly "~effect/ErrorReporter/ignore" = true
}

const types = (event: Json): ReadonlyArray<unknown> =>
  (event["exception"] as { values: Array<Json> }).values.map((value) => value["type"])

const handled = (event: Json): ReadonlyArray<unknown> =>
  (event["exception"] as { values: Array<Json> }).values.map((value) => (value["mechanism"] as Json)["handled"])

describe("the policy of a hub", () => {
  it.scopedLive("leaves out expected failures, not the same error as a defect", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          assert.strictEqual((yield* Faultline.captureCause(Cause.fail(new NotFound({ id: 1 }))))._tag, "None")
          assert.strictEqual((yield* Faultline.captureException(new NotFound({ id: 2 })))._tag, "None")
          assert.strictEqual((yield* Faultline.captureCause(Cause.die(new NotFound({ id: 3 }))))._tag, "Some")
          assert.strictEqual((yield* Faultline.captureException(new Noted()))._tag, "None")
        }),
        { policy: [{ tag: "NotFound", ignore: true }] }
      )
      assert.deepStrictEqual(events.map(types), [["NotFound"]])
    })
  )

  it.scopedLive("reports a defect whatever the error says of itself, as it does whatever a rule says", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          const failed = Effect.die(new Noted()).pipe(Effect.sandbox, Effect.flip)
          assert.strictEqual((yield* Effect.flatMap(failed, Faultline.captureCause))._tag, "Some")
          assert.strictEqual((yield* Faultline.captureCause(Cause.fail(new Noted())))._tag, "None")
        })
      )
      assert.deepStrictEqual(events.map(types), [["Noted"]])
      const [event = {}] = events
      const { values } = event["exception"] as { values: Array<Json> }
      assert.strictEqual(values[0]?.["value"], "(no message)")
      assert.notProperty(event["contexts"], "Noted")
    })
  )

  it.scopedLive("an error by the name of what every object has is an event", () =>
    Effect.gen(function* () {
      for (const _tag of ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"]) {
        const event = yield* eventOf(Faultline.captureException({ _tag, id: 7 }))
        assert.deepStrictEqual(types(event), [_tag])
        const name = _tag === "__proto__" ? "__proto__ error" : _tag
        const contexts = event["contexts"] as Json
        assert.isTrue(Object.hasOwn(contexts, name))
        assert.deepStrictEqual(contexts[name], { id: 7 })
      }
    })
  )

  it.scopedLive("an ignored failure hides none beside it, and is still shown there", () =>
    Effect.gen(function* () {
      const cause = Cause.parallel(Cause.fail(new NotFound({ id: 1 })), Cause.fail(new Declined()))
      for (const options of [{ policy: [{ tag: "NotFound", ignore: true }] }, { ignoreErrors: ["NotFound"] }]) {
        const event = yield* eventOf(Faultline.captureCause(cause), options)
        assert.deepStrictEqual(types(event), ["NotFound", "Declined"])
      }
      assert.deepStrictEqual(types(yield* eventOf(Faultline.captureCause(cause))), ["Declined", "NotFound"])
      assert.deepStrictEqual(
        yield* eventsOf(Faultline.captureCause(cause), { policy: [{ tag: ["NotFound", "Declined"], ignore: true }] }),
        []
      )
    })
  )

  it.scopedLive("says level, handled, fingerprint and tags, below what the capture says itself", () =>
    Effect.gen(function* () {
      const [plain, own] = yield* eventsOf(
        Effect.gen(function* () {
          yield* Faultline.captureException(new NotFound({ id: 1 })).pipe(
            Faultline.withScope({ tags: { team: "scope", other: "scope" }, level: "debug" })
          )
          yield* Faultline.captureException(new NotFound({ id: 2 }), {
            level: "info",
            tags: { team: "mine" },
            fingerprint: ["mine"]
          })
        }),
        {
          policy: [
            { tag: "NotFound", level: "warning", handled: false, fingerprint: ["404"], tags: { team: "shop", n: 1 } }
          ]
        }
      )
      const said = (event: Json | undefined) => [event?.["level"], event?.["fingerprint"], event?.["tags"]]
      assert.deepStrictEqual(said(plain), ["warning", ["404"], { team: "shop", n: "1", other: "scope" }])
      assert.deepStrictEqual(handled(plain as Json), [false])
      assert.deepStrictEqual(said(own), ["info", ["mine"], { team: "mine", n: "1" }])
    })
  )

  it.scopedLive("a rule that throws, or captures, costs no event", () =>
    Effect.gen(function* () {
      const event = yield* eventOf(Faultline.captureException(new Declined()), {
        policy: [
          { when: () => assert.fail("no"), ignore: true },
          { tag: "Declined", tags: () => assert.fail("no"), fingerprint: () => assert.fail("no") }
        ]
      })
      assert.deepStrictEqual(event["fingerprint"], ["{{ default }}", "Declined"])
    })
  )

  it.scopedLive("holds for what is logged, too, and for what a program ends with", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* Effect.logError("no", Cause.fail(new NotFound({ id: 1 })))
          yield* Effect.fail(new NotFound({ id: 2 }))
        }).pipe(Effect.provide([Faultline.Logging.layer(), Faultline.Excepthook.layer(), quiet]), Effect.ignore),
        { policy: [{ tag: "NotFound", ignore: true }] }
      )
      assert.deepStrictEqual(events, [])
    })
  )
})

describe("what is no error", () => {
  const response = (status: number) => Cause.die(HttpServerResponse.empty({ status }))
  const interrupt = Cause.interrupt(FiberId.none)
  const captured = (cause: Cause.Cause<unknown>) => Faultline.captureCause(cause)
  const logged = (cause: Cause.Cause<unknown>) =>
    Effect.logInfo(cause).pipe(Effect.provide([Faultline.Logging.layer({ eventLevel: "Info", level: null }), quiet]))
  const escaped = (cause: Cause.Cause<unknown>) =>
    Effect.failCause(cause).pipe(Effect.provide(Faultline.Excepthook.layer()), Effect.exit)

  for (const [how, report] of Object.entries({ captured, logged, escaped })) {
    it.scopedLive(`a response below 500, or an interruption, is never the exception of what is ${how}`, () =>
      Effect.gen(function* () {
        for (const nothing of [
          response(404),
          Cause.sequential(interrupt, response(499)),
          interrupt,
          Cause.die(Cause.squash(interrupt))
        ]) {
          const events = yield* eventsOf(report(nothing))
          assert.deepStrictEqual(
            events.filter((event) => event["exception"] !== undefined),
            []
          )
        }
        for (const status of [404, 500]) {
          const cause = Cause.sequential(Cause.fail(new Declined()), response(status))
          const [event] = yield* eventsOf(report(cause))
          assert.deepStrictEqual(types(event as Json), ["Declined"])
        }
        const event = yield* eventOf(report(response(503)))
        const { values } = event["exception"] as { values: [Json] }
        assert.deepStrictEqual([values[0]["type"], values[0]["value"]], ["HttpServerResponse", "status 503"])
        assert.notProperty(event["contexts"] as Json, "HttpServerResponse")
      })
    )
  }
})

describe("handled", () => {
  it.scopedLive("is true of what is captured, whatever it was, and false only of what escaped", () =>
    Effect.gen(function* () {
      for (const thrown of [new Error("x"), Cause.die(new Error("x")), Cause.fail("x"), "x"]) {
        assert.deepStrictEqual(handled(yield* eventOf(Faultline.captureException(thrown))), [true])
      }
      const both = Cause.parallel(Cause.fail(new Error("a", { cause: new Error("b") })), Cause.die(new Error("c")))
      assert.deepStrictEqual(handled(yield* eventOf(Faultline.captureCause(both))), [true, true, true])
      const event = yield* eventOf(
        Effect.failCause(both).pipe(Effect.provide(Faultline.Excepthook.layer()), Effect.exit)
      )
      assert.deepStrictEqual(handled(event), [false, false, false])
    })
  )
})
