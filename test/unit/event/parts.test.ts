import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { exceptionsOf } from "../../../src/event/exceptions.js"
import { failureOf, failureOfCause, spanSites } from "../../../src/event/failure.js"
import { partsOf } from "../../../src/event/parts.js"
import { StackParser } from "../../../src/event/stack.js"
import { anyRecipe, build } from "../support/values.js"

class A extends Data.TaggedError("A")<{ readonly id: number }> {}

const parser = new StackParser({ projectRoot: process.cwd(), contextLines: 0, inAppInclude: [], inAppExclude: [] })

const shown = (failed: unknown) =>
  exceptionsOf(failureOf(failed), { type: "generic", handled: true }, parser).map(({ mechanism, type, value }) => [
    type,
    value,
    mechanism?.source
  ])

const failing = (id: number): Effect.Effect<never, A> => Effect.fail(new A({ id }))

const causeOf = (effect: Effect.Effect<unknown, unknown>): Cause.Cause<unknown> =>
  Effect.runSync(Effect.flip(Effect.sandbox(effect)))

const TWO = [
  ["A", '{"id":2}', "errors[2]"],
  ["A", '{"id":1}', undefined]
]

describe("what fails with several errors is all of them, the first last", () => {
  const effects: ReadonlyArray<readonly [what: string, effect: Effect.Effect<unknown, unknown>]> = [
    ["Effect.all that validates", Effect.all([failing(1), Effect.void, failing(2)], { mode: "validate" })],
    ["in a span", Effect.all([failing(1), Effect.void, failing(2)], { mode: "validate" }).pipe(Effect.withSpan("s"))],
    ["Effect.fail with a list", Effect.fail([new A({ id: 1 }), Option.none(), new A({ id: 2 })])],
    ["a defect", Effect.die([new A({ id: 1 }), Option.none(), Option.some(new A({ id: 2 }))])],
    ["an Option of a list", Effect.fail(Option.some([new A({ id: 1 }), Option.none(), new A({ id: 2 })]))]
  ]
  for (const [what, effect] of effects) it(what, () => assert.deepStrictEqual(shown(causeOf(effect)), TWO))

  it("a record that validates, by its keys", () => {
    const effect = Effect.all({ name: failing(1), age: Effect.void, mail: failing(2) }, { mode: "validate" })
    assert.deepStrictEqual(shown(causeOf(effect)), [
      ["A", '{"id":2}', "errors.mail"],
      ["A", '{"id":1}', undefined]
    ])
  })

  it("Effect.validateAll, beside another error, each in the span it failed in", () => {
    const all = Effect.validateAll([1, 2], (id) => Effect.withSpan(failing(id), `check ${id}`))
    const cause = Cause.parallel(causeOf(all), Cause.fail("late"))
    assert.deepStrictEqual(shown(cause), [
      ["Error", "late", "parallel[1]"],
      ["A", '{"id":2}', "parallel[0].errors[1]"],
      ["A", '{"id":1}', undefined]
    ])
    const spans = failureOfCause(cause).leaves.map(({ span }) => spanSites(span).map(({ name }) => name))
    assert.deepStrictEqual(spans, [["check 1"], ["check 2"], []])
  })

  it("also of what is not an Error, but was failed with", () => {
    assert.deepStrictEqual(shown(causeOf(Effect.all([Effect.fail("no name"), Effect.void], { mode: "validate" }))), [
      ["Error", "no name", undefined]
    ])
  })

  it("within bounds, and once", () => {
    const error = new A({ id: 1 })
    assert.deepStrictEqual(shown([error, error, Option.some(error)]), [["A", '{"id":1}', undefined]])
    const round: Array<unknown> = [error]
    round.push(Option.some(round))
    assert.deepStrictEqual(shown(round), [["A", '{"id":1}', undefined]])
    const endless = (): object => Object.defineProperty(Option.some(0), "value", { get: endless })
    assert.lengthOf(shown(endless()), 1)
    const many = Array.from({ length: 100_000 }, (_, id) => new A({ id }))
    assert.lengthOf(shown(many), 32)
  })
})

describe("a value of its own stays one", () => {
  const values: ReadonlyArray<readonly [what: string, value: unknown]> = [
    ["an empty list", []],
    ["a list of texts", ["a", "b"]],
    ["a list of data", [{ field: "a" }]],
    ["a list of which some are errors", [new A({ id: 1 }), 3]],
    ["a list with a tag", Object.assign([new A({ id: 1 })], { _tag: "Errors" })],
    ["a record of other things", { a: Option.some(1), b: 2 }],
    ["a record with a tag", { _tag: "Failed", a: Option.some(new A({ id: 1 })) }],
    ["nothing", Option.none()],
    ["a list of nothing", [Option.none(), Option.none()]],
    ["an error", new A({ id: 1 })],
    ["a list that throws when it is read", new Proxy([], { get: () => assert.fail("no") })]
  ]
  for (const [what, value] of values) {
    it(what, () => {
      assert.deepStrictEqual(partsOf(value), [])
      assert.deepStrictEqual(
        failureOf(value).leaves.map(({ error }) => error),
        [value]
      )
    })
  }

  it.prop("never throws, whatever it is", [anyRecipe], ([recipe]) => {
    for (const [, place] of partsOf(build(recipe))) assert.isAtMost(place.length, 80)
  })
})
