import * as HttpApiError from "@effect/platform/HttpApiError"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"
import type { Leaf } from "../../../src/event/failure.js"
import { judge, type PolicyRule, statusOf } from "../../../src/event/policy.js"
import { anyRecipe, build } from "../support/values.js"

class NotFound extends Data.TaggedError("NotFound")<{ readonly id?: number }> {}
class Special extends TypeError {}
class Teapot extends Schema.TaggedError<Teapot>()("Teapot", {}, HttpApiSchema.annotations({ status: 418 })) {}

const attempt = <A>(call: () => A): A | undefined => {
  try {
    return call()
  } catch {
    return undefined
  }
}

const verdict = (error: unknown, rules: ReadonlyArray<PolicyRule>, kind: Leaf["kind"] = "fail") =>
  judge({ error, kind, span: undefined, position: "" }, rules, attempt)

describe("a rule holds", () => {
  const holding: ReadonlyArray<readonly [what: string, rule: PolicyRule, error: unknown, holds: boolean]> = [
    ["by tag", { tag: "NotFound" }, new NotFound({}), true],
    ["by one of several tags", { tag: ["A", "NotFound"] }, new NotFound({}), true],
    ["not by another tag", { tag: "A" }, new NotFound({}), false],
    ["by the tag of what is no Error", { tag: "A" }, { _tag: "A" }, true],
    ["not by the tag of a text", { tag: "A" }, "A", false],
    ["by class", { class: NotFound }, new NotFound({}), true],
    ["by the class above", { class: TypeError }, new Special(), true],
    ["not by a class beside", { class: RangeError }, new Special(), false],
    ["not by a class, of what is none", { class: TypeError }, undefined, false],
    ["by status", { status: 404 }, { status: 404 }, true],
    ["by statusCode", { status: 404 }, Object.assign(new Error("x"), { statusCode: 404 }), true],
    ["by the status of the response", { status: 404 }, { response: { status: 404 } }, true],
    ["by kind of status", { status: "4xx" }, { status: 499 }, true],
    ["by one of several", { status: [301, "5xx"] }, { status: 503 }, true],
    ["not by another kind", { status: "4xx" }, { status: 500 }, false],
    ["not by the status of what has none", { status: "4xx" }, new Error("x"), false],
    ["by the status a schema is annotated with", { status: 418 }, new Teapot(), true],
    ["by the status of an error of HttpApi", { status: 401 }, new HttpApiError.Unauthorized(), true],
    ["by predicate", { when: (error) => error === "x" }, "x", true],
    ["not by a predicate that throws", { when: () => assert.fail("no") }, "x", false],
    ["not by a predicate that is only true-ish", { when: (() => 1) as unknown as () => boolean }, "x", false],
    ["by all of them", { tag: "NotFound", class: NotFound, when: () => true }, new NotFound({}), true],
    ["not by some of them", { tag: "NotFound", class: TypeError }, new NotFound({}), false]
  ]
  for (const [what, rule, error, holds] of holding) {
    it(what, () => assert.strictEqual(verdict(error, [{ ...rule, ignore: true }]).ignore, holds))
  }
})

describe("a verdict", () => {
  it("is everything that holding rules say, the later of two that differ", () => {
    assert.deepStrictEqual(
      verdict(new NotFound({ id: 7 }), [
        { tag: "NotFound", level: "warning", handled: false, tags: { a: 1, b: 1 }, fingerprint: ["x"] },
        { tag: "Other", level: "fatal", tags: { c: 3 } },
        { class: NotFound, level: "info", tags: (error) => ({ b: (error as NotFound).id }) },
        { when: () => true, fingerprint: (error) => ["y", String((error as NotFound)._tag)] }
      ]),
      {
        ignore: false,
        level: "info",
        handled: false,
        fingerprint: ["y", "NotFound"],
        tags: { a: 1, b: 7 },
        extra: {}
      }
    )
  })

  it("what a rule's function makes that throws, or is nothing, is left out", () => {
    const { fingerprint, tags } = verdict(new NotFound({}), [
      { tag: "NotFound", fingerprint: ["x"], tags: { a: 1 } },
      { tag: "NotFound", fingerprint: () => assert.fail("no"), tags: () => assert.fail("no") },
      { tag: "NotFound", fingerprint: () => [], tags: () => undefined as never }
    ])
    assert.deepStrictEqual([fingerprint, tags], [["x"], { a: 1 }])
  })

  it("never has a defect ignored, unless it is meant", () => {
    const error = new NotFound({})
    assert.isTrue(verdict(error, [{ tag: "NotFound", ignore: true }], "fail").ignore)
    assert.isTrue(verdict(error, [{ tag: "NotFound", ignore: true }], "throw").ignore)
    assert.isFalse(verdict(error, [{ tag: "NotFound", ignore: true }], "die").ignore)
    assert.isTrue(verdict(error, [{ tag: "NotFound", ignore: true, defects: true }], "die").ignore)
  })

  it("a later rule takes back what an earlier one ignores", () => {
    const rules: ReadonlyArray<PolicyRule> = [
      { status: "4xx", ignore: true },
      { status: 429, ignore: false, level: "warning" }
    ]
    assert.isTrue(verdict({ status: 404 }, rules).ignore)
    assert.isFalse(verdict({ status: 429 }, rules).ignore)
  })

  describe("of an error with the annotations of Effect 4", () => {
    class Annotated extends Data.TaggedError("Annotated") {
      readonly "~effect/ErrorReporter/ignore" = true
      readonly "~effect/ErrorReporter/severity" = "Warn"
      readonly "~effect/ErrorReporter/attributes" = { team: "shop", retries: 3, password: "hunter2", cart: { a: 1 } }
    }

    it("is what they say: ignored, its severity, its attributes as tags or extra, masked", () => {
      assert.deepStrictEqual(verdict(new Annotated(), []), {
        ignore: true,
        level: "warning",
        handled: undefined,
        fingerprint: undefined,
        tags: { team: "shop", retries: 3, password: "[Filtered]" },
        extra: { cart: { a: 1 } }
      })
    })

    it("never has a defect ignored, as with a rule", () => {
      assert.isFalse(verdict(new Annotated(), [], "die").ignore)
      assert.isTrue(verdict(new Annotated(), [], "throw").ignore)
      assert.isTrue(verdict(new Annotated(), [{ tag: "Annotated", ignore: true, defects: true }], "die").ignore)
    })

    it("rules win over them", () => {
      const { ignore, level } = verdict(new Annotated(), [{ tag: "Annotated", ignore: false, level: "fatal" }])
      assert.deepStrictEqual([ignore, level], [false, "fatal"])
    })

    const severities = { Trace: "debug", Debug: "debug", Info: "info", Warn: "warning", Error: "error", Fatal: "fatal" }
    for (const [severity, level] of Object.entries(severities)) {
      it(`${severity} is ${level}`, () =>
        assert.strictEqual(verdict({ "~effect/ErrorReporter/severity": severity }, []).level, level))
    }

    it("what they cannot mean means nothing", () => {
      for (const value of [undefined, null, 1, "yes", {}, "toString"]) {
        const { ignore, level, tags } = verdict(
          {
            "~effect/ErrorReporter/ignore": value,
            "~effect/ErrorReporter/severity": value,
            "~effect/ErrorReporter/attributes": value
          },
          []
        )
        assert.deepStrictEqual([ignore, level, tags], [false, undefined, {}])
      }
    })
  })

  it.prop("never throws, whatever was thrown", [anyRecipe], ([recipe]) => {
    const error = build(recipe)
    const { ignore } = verdict(error, [{ tag: "x", class: Error, status: 404, when: () => true, ignore: true }])
    assert.isFalse(ignore)
    statusOf(error)
  })
})
