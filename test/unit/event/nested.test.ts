/** What Causes hold besides plain errors, and in what numbers: nothing is missing, nothing appears twice, everything ends. */
import { createContext, runInContext } from "node:vm"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as fc from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import { exceptionsOf } from "../../../src/event/exceptions.js"
import { bringsStack, failureOf, failureOfCause, withoutPrimary } from "../../../src/event/failure.js"
import { StackParser } from "../../../src/event/stack.js"
import type { Exception } from "../../../src/protocol/Event.js"
import { quickly } from "../support/clock.js"

const parser = new StackParser({ projectRoot: process.cwd(), contextLines: 0, inAppInclude: [], inAppExclude: [] })

const exceptions = (error: unknown): ReadonlyArray<Exception> =>
  exceptionsOf(failureOf(error), { type: "generic", handled: true }, parser)

const shown = (error: unknown) =>
  exceptions(error).map(({ mechanism, type, value }) => [type, value, mechanism?.parent_id, mechanism?.source])

class DbError extends Data.TaggedError("DbError")<{ readonly error: unknown; readonly query: string }> {}
class JobFailed extends Data.TaggedError("JobFailed")<{ readonly failure: Cause.Cause<unknown> }> {}
class Many extends Data.TaggedError("Many")<{ readonly errors: ReadonlyArray<unknown> }> {}

const interrupt = Cause.interrupt(FiberId.none)

describe("an error shows what it holds", () => {
  it("in any field that is an error or a Cause", () => {
    assert.deepStrictEqual(shown(new DbError({ error: new TypeError("t"), query: "q" })), [
      ["TypeError", "t", 0, "error"],
      ["DbError", '{"query":"q"}', undefined, undefined]
    ])
    const cause = Cause.parallel(Cause.fail("a"), Cause.die(new Error("b")))
    assert.deepStrictEqual(shown(new JobFailed({ failure: cause })), [
      ["Error", "b", 0, "failure"],
      ["Error", "a", 0, "failure"],
      ["JobFailed", "(no message)", undefined, undefined]
    ])
    assert.deepStrictEqual(shown({ _tag: "Plain", inner: new Error("x") }).at(0), ["Error", "x", 0, "inner"])
  })

  it("in a list of errors, without being a group that hides behind them", () => {
    const list = exceptions(new Many({ errors: [new Error("a"), new Error("b")] }))
    assert.deepStrictEqual(
      list.map(({ mechanism, value }) => [value, mechanism?.source, mechanism?.is_exception_group]),
      [
        ["b", "errors[1]", undefined],
        ["a", "errors[0]", undefined],
        ["(no message)", undefined, undefined]
      ]
    )
    assert.lengthOf(exceptions(new Many({ errors: ["a", "b"] })), 1)
  })

  it("in a SuppressedError", () => {
    const error = Object.assign(new Error("closing failed"), { name: "SuppressedError" })
    Object.defineProperty(error, "error", { value: new Error("close") })
    Object.defineProperty(error, "suppressed", { value: new Error("use") })
    assert.deepStrictEqual(shown(error), [
      ["Error", "use", 0, "suppressed"],
      ["Error", "close", 0, "error"],
      ["SuppressedError", "closing failed", undefined, undefined]
    ])
  })

  it("once, however often", () => {
    const shared = new Error("shared")
    const one = new DbError({ error: shared, query: "1" })
    one.cause = shared
    const list = exceptions(Cause.parallel(Cause.fail(one), Cause.sequential(Cause.die(shared), Cause.fail(one))))
    assert.deepStrictEqual(
      list.map(({ value }) => value),
      ['{"query":"1"}', "shared"]
    )
  })
})

describe("errors of another realm", () => {
  const realm = createContext({})
  const run = (code: string): unknown => runInContext(code, realm)

  it("are errors, groups and causes as any other", () => {
    assert.deepStrictEqual(shown(run('new RangeError("x", { cause: new TypeError("y") })')), [
      ["TypeError", "y", 0, "cause"],
      ["RangeError", "x", undefined, undefined]
    ])
    const group = exceptions(run('new AggregateError([new Error("a"), "b"], "group")'))
    assert.deepStrictEqual(
      group.map(({ mechanism, value }) => [value, mechanism?.source, mechanism?.is_exception_group]),
      [
        ["b", "errors[1]", undefined],
        ["a", "errors[0]", undefined],
        ["group", undefined, true]
      ]
    )
    const [error] = exceptions(Cause.die(run('new Error("x")')))
    assert.notProperty(error?.mechanism, "synthetic")
    assert.isAbove(error?.stacktrace?.frames.length ?? 0, 0)
  })

  it("with nothing to say are no objects without a name", () => {
    assert.deepStrictEqual(shown(run("new Error()")), [["Error", "(no message)", undefined, undefined]])
    assert.deepStrictEqual(shown(run("({ a: 1 })")), [["Object", '{"a":1}', undefined, undefined]])
  })
})

describe("what is no failure", () => {
  const response = (status: number): Cause.Cause<never> => Cause.die(HttpServerResponse.empty({ status }))

  it("is interruption, also as the error that a squashed one is", () => {
    const squashed = Cause.squash(interrupt)
    for (const value of [
      squashed,
      Cause.die(squashed),
      Cause.fail(squashed),
      Runtime.makeFiberFailure(Cause.die(squashed))
    ]) {
      assert.deepStrictEqual(failureOf(value), { leaves: [], primary: undefined })
    }
    assert.deepStrictEqual(shown(new Error("x", { cause: squashed })), [["Error", "x", undefined, undefined]])
  })

  it("is the response of a handler", () => {
    assert.deepStrictEqual(failureOf(response(404)), { leaves: [], primary: undefined, status: 404 })
    assert.deepStrictEqual(failureOf(Cause.sequential(interrupt, response(499))), {
      leaves: [],
      primary: undefined,
      status: 499
    })
    assert.deepStrictEqual(shown(Cause.sequential(Cause.fail("a"), response(500))), [
      ["Error", "a", undefined, undefined]
    ])
    assert.deepStrictEqual(shown(response(500)), [["HttpServerResponse", "status 500", undefined, undefined]])
  })
})

describe("bounds", () => {
  const failures = (count: number): Cause.Cause<unknown> =>
    Array.from({ length: count }, (_, index) => Cause.fail(new Error(`f${index}`))).reduce<Cause.Cause<unknown>>(
      (all, one) => Cause.parallel(all, one),
      Cause.empty
    )

  it("a defect behind any number of failures is the one that matters", () => {
    for (const count of [31, 32, 33, 40, 5000]) {
      const list = exceptions(Cause.parallel(failures(count), Cause.die(new Error("bug"))))
      assert.isAtMost(list.length, 32)
      assert.strictEqual(list.at(-1)?.value, "bug")
    }
  })

  it("a chain of causes takes no place from the errors beside it", () => {
    let chain = new Error("root")
    for (let index = 0; index < 100; index++) chain = new Error(`link ${index}`, { cause: chain })
    const list = exceptions(Cause.parallel(Cause.die(chain), failures(10)))
    assert.lengthOf(list, 32)
    assert.strictEqual(list.at(-1)?.value, "link 99")
    assert.lengthOf(
      list.filter(({ value }) => value?.startsWith("f")),
      10
    )
  })

  it("a part that stands in a Cause two to the power of a thousand times is looked at once", () => {
    let cause: Cause.Cause<unknown> = Cause.parallel(Cause.fail(new Error("a")), Cause.die(new Error("b")))
    for (let index = 0; index < 1000; index++) cause = Cause.parallel(cause, cause)
    const list = quickly(500, () => exceptions(cause))
    assert.deepStrictEqual(
      list.map(({ value }) => value),
      ["a", "b"]
    )
  })

  it("at most 200 frames", () => {
    const error = new Error("x")
    error.stack = `Error: x\n${Array.from({ length: 5000 }, (_, index) => `    at f (/a.ts:${index + 1}:1)`).join("\n")}`
    assert.lengthOf(exceptions(error)[0]?.stacktrace?.frames ?? [], 200)
  })
})

it("where it was reported matters for what has no stack of its own, alone or in a Cause", () => {
  const error = new Error("x")
  for (const value of [error, Cause.die(error), Cause.parallel(interrupt, Cause.fail(error)), interrupt]) {
    assert.isTrue(bringsStack(value))
  }
  for (const value of ["x", { a: 1 }, Cause.fail("x"), Cause.sequential(Cause.fail(error), Cause.die("x"))]) {
    assert.isFalse(bringsStack(value))
  }
})

describe("withoutPrimary", () => {
  it.prop(
    "leaves all errors in, and makes the first of those that are left the primary one: a defect before a failure",
    [fc.array(fc.record({ isDefect: fc.boolean(), isOut: fc.boolean() }), { minLength: 1, maxLength: 20 })],
    ([errors]) => {
      const made = errors.map((each, index) => ({ ...each, error: new Error(`e${index}`) }))
      const cause = made
        .map(({ error, isDefect }) => (isDefect ? Cause.die(error) : Cause.fail(error)))
        .reduce<Cause.Cause<unknown>>((all, one) => Cause.sequential(all, one), Cause.empty)
      const failure = failureOfCause(cause)
      const left = withoutPrimary(failure, ({ error }) => made.some((each) => each.error === error && each.isOut))
      const kept = made.filter(({ isOut }) => !isOut)
      assert.strictEqual(left?.primary?.error, (kept.find(({ isDefect }) => isDefect) ?? kept[0])?.error)
      if (left !== undefined) assert.strictEqual(left.leaves, failure.leaves)
    }
  )
})
