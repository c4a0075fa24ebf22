/**
 * What a schema did not accept, on every way that it can take into an envelope: it never leaves, nor do the keys of the data.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Faultline from "effect-faultline"
import { eventOf, ingestOf, quiet } from "./kit.js"

/** Not in one word: events show the lines of this file. */
const HIDDEN = ["hunter", 2].join("")

const Login = Schema.Struct({ user: Schema.Struct({ password: Schema.Number }) })
const error = Effect.runSync(Effect.flip(Schema.decodeUnknown(Login)({ user: { password: HIDDEN } })))
const SAID = "user.password: expected a number, was a string"

class Refused extends Data.TaggedError("Refused")<{ readonly why: unknown }> {}

const logged = Faultline.Logging.layer()

const ways: ReadonlyArray<readonly [name: string, effect: Effect.Effect<unknown, never, Faultline.Hub>]> = [
  ["the error", Faultline.captureException(error)],
  ["a defect", Faultline.captureCause(Cause.die(error))],
  ["a part of a log line", Effect.logError("bad", error).pipe(Effect.provide(logged))],
  ["a log line alone", Effect.logError(error).pipe(Effect.provide(logged))],
  ["the issue in a log line", Effect.logError("bad", error.issue).pipe(Effect.provide(logged))],
  ["a Cause in a log line", Effect.logError("bad", Cause.fail(error)).pipe(Effect.provide(logged))],
  [
    "an annotation of a log line",
    Effect.logError("bad").pipe(Effect.annotateLogs({ why: error, issue: error.issue }), Effect.provide(logged))
  ],
  [
    "a breadcrumb of a log line",
    Effect.zipRight(Effect.logInfo("bad", error), Faultline.captureMessage("x")).pipe(Effect.provide(logged))
  ],
  ["a context", Faultline.captureMessage("x", { contexts: { decode: { error, issue: error.issue } } })],
  ["extra", Faultline.captureMessage("x", { extra: { error, all: [error.issue] } })],
  ["a text in a context", Faultline.captureMessage("x", { contexts: { decode: { message: error.message } } })],
  [
    "a breadcrumb",
    Effect.zipRight(
      Faultline.addBreadcrumb({ message: SAID, data: { error, issue: error.issue } }),
      Faultline.captureMessage("x")
    )
  ],
  ["the field of an error", Faultline.captureException(new Refused({ why: error }))],
  ["the issue in the field of an error", Faultline.captureException(new Refused({ why: error.issue }))],
  ["a list in the field of an error", Faultline.captureException(new Refused({ why: [error] }))],
  ["a record in the field of an error", Faultline.captureException(new Refused({ why: { deep: { error } } }))],
  ["an Either", Faultline.captureException(new Refused({ why: Either.left(error) }))],
  ["a plain object that is thrown", Faultline.captureException({ error, issue: error.issue })]
]

describe("what a schema did not accept does not leave with", () => {
  for (const [name, effect] of ways) {
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const { envelopes } = yield* ingestOf(effect.pipe(Effect.provide(quiet)), { enableLogs: true })
        const sent = JSON.stringify(envelopes.flatMap(({ framed }) => framed.items.map(({ json }) => json)))
        assert.notInclude(sent, HIDDEN)
        assert.include(sent, name === "a text in a context" ? "Expected" : SAID)
      })
    )
  }
})

describe("a ParseError whose schema has sensitive names", () => {
  it.scopedLive("says what was wrong with them, in its title, its context and its issue", () =>
    Effect.gen(function* () {
      const event = yield* eventOf(Faultline.captureException(error))
      const { values } = event["exception"] as { values: ReadonlyArray<{ value: string }> }
      assert.strictEqual(values[0]?.value, SAID)
      assert.deepStrictEqual((event["contexts"] as Record<string, unknown>)["ParseError"], {
        issues: [{ path: "user.password", problem: "expected a number, was a string" }]
      })
      assert.deepStrictEqual((event["fingerprint"] as ReadonlyArray<string>).at(-1), SAID)
    })
  )
})
