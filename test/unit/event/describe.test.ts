import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"
import { contextOf, typeOf, valueOf } from "../../../src/event/describe.js"
import { fingerprintOf } from "../../../src/event/grouping.js"

class Anything extends Data.TaggedError("Anything")<Record<string, unknown>> {}
class Person extends Schema.TaggedError<Person>()("Person", { name: Schema.String, age: Schema.Number }) {}
class OwnName extends Error {
  readonly _tag = "Own"
  override name = "OwnName"
}

const shown = (error: unknown) => ({ value: valueOf(error), fields: contextOf(error) })

describe("the fields of a typed error", () => {
  const fields: ReadonlyArray<Record<string, unknown>> = [
    { name: "alice" },
    { name: { first: "a", last: "b" } },
    { errors: ["a required", "b required"] },
    { errors: [{ field: "a" }] },
    { errors: { a: "required" } },
    { errors: 3 },
    { message: { text: "no" } }
  ]
  for (const given of fields) {
    const json = JSON.stringify(given)
    it(`are also ${json}`, () => assert.deepStrictEqual(shown(new Anything(given)), { value: json, fields: given }))
  }

  it("are also the `name` of a Schema.TaggedError, and of a tagged object", () => {
    assert.deepStrictEqual(contextOf(new Person({ name: "alice", age: 7 })), { name: "alice", age: 7 })
    assert.deepStrictEqual(contextOf({ _tag: "Person", name: "alice" }), { name: "alice" })
  })

  it("are not what is shown as its type, its value, its stack or as errors", () => {
    for (const error of [
      new OwnName("m"),
      new Anything({ message: "m" }),
      new Anything({ message: "m", name: "Anything", cause: "c", stack: "s" }),
      new Anything({ message: "m", errors: [new Error("x")] }),
      Object.assign(new Error("m"), { name: "Some" }),
      { _tag: "A", name: "A", message: "m" }
    ]) {
      assert.deepStrictEqual(shown(error), { value: "m", fields: {} })
    }
  })

  it("are not the annotations of Effect 4", () => {
    class Annotated extends Data.TaggedError("Annotated")<{ readonly id?: number }> {
      readonly "~effect/ErrorReporter/ignore" = true
      readonly "~effect/ErrorReporter/severity" = "Warn"
      readonly "~effect/ErrorReporter/attributes" = { team: "shop" }
    }
    assert.deepStrictEqual(shown(new Annotated({})), { value: "(no message)", fields: {} })
    assert.deepStrictEqual(shown(new Annotated({ id: 1 })), { value: '{"id":1}', fields: { id: 1 } })
    const plain = { code: 3, "~effect/ErrorReporter/severity": "Warn" }
    assert.deepStrictEqual(shown(plain), { value: '{"code":3}', fields: { code: 3 } })
    assert.deepStrictEqual(fingerprintOf(plain), fingerprintOf({ code: 3 }))
  })
})

describe("an error by the name of what every object has", () => {
  for (const name of ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"]) {
    it(name, () => {
      for (const error of [{ _tag: name }, Object.assign(new Error(""), { name })]) {
        assert.strictEqual(typeOf(error), name)
        assert.deepStrictEqual(shown(error), { value: "(no message)", fields: {} })
        fingerprintOf(error)
      }
    })
  }
})

it("the type of an error from elsewhere has a bound", () => {
  for (const error of [{ _tag: "x".repeat(100_000) }, Object.assign(new Error(""), { name: "x".repeat(100_000) })]) {
    assert.isAtMost(typeOf(error).length, 259)
    assert.isAtMost((fingerprintOf(error) ?? []).join().length, 600)
  }
})
