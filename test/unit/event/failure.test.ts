import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import { contextOf } from "../../../src/event/describe.js"
import { exceptionsOf, typeOf, valueOf } from "../../../src/event/exceptions.js"
import { failureOf, failureOfCause, identitiesOf, isCause, spanSites } from "../../../src/event/failure.js"
import { StackParser } from "../../../src/event/stack.js"
import type { Exception } from "../../../src/protocol/Event.js"
import { quickly } from "../support/clock.js"
import { anyFailure, buildFailure } from "../support/errors.js"
import { anyRecipe, build, HIDDEN, leaves, MASKED } from "../support/values.js"

const parser = new StackParser({ projectRoot: process.cwd(), contextLines: 0, inAppInclude: [], inAppExclude: [] })

const mechanism = { type: "generic", handled: true }

const exceptions = (error: unknown, stack?: string): ReadonlyArray<Exception> =>
  exceptionsOf(failureOf(error), mechanism, parser, stack)

const values = (error: unknown): ReadonlyArray<string | undefined> => exceptions(error).map(({ value }) => value)

const links = (error: unknown) =>
  exceptions(error).map(({ mechanism: { exception_id, is_exception_group, parent_id, source } = {}, value }) => ({
    value,
    ...(exception_id === undefined ? undefined : { id: exception_id }),
    ...(parent_id === undefined ? undefined : { parent: parent_id }),
    ...(source === undefined ? undefined : { source }),
    ...(is_exception_group === undefined ? undefined : { group: is_exception_group })
  }))

/** What holds for the exceptions of any failure. */
const assertSound = (list: ReadonlyArray<Exception>): void => {
  assert.isAtMost(list.length, 32)
  list.forEach(({ mechanism, type, value }, index) => {
    assert.isString(type)
    assert.isAtMost(String(type).length, 256)
    assert.isString(value)
    assert.isString(mechanism?.type)
    const isPrimary = index === list.length - 1
    if (isPrimary) {
      assert.notProperty(mechanism, "parent_id")
      assert.notProperty(mechanism, "source")
    } else {
      assert.isAbove(String(mechanism?.source).length, 0)
      assert.isAtMost(String(mechanism?.source).length, 512)
      // Every parent was met before its child: there can be no cycle.
      assert.isAtLeast(Number(mechanism?.parent_id), 0)
      assert.isBelow(Number(mechanism?.parent_id), Number(mechanism?.exception_id))
    }
    if (list.length > 1) assert.strictEqual(mechanism?.exception_id, list.length - 1 - index)
  })
}

const assertNothingLeaks = (list: ReadonlyArray<Exception>): void => {
  assert.notInclude(JSON.stringify(list), HIDDEN)
  assert.notInclude(JSON.stringify(list), MASKED)
}

class NotFound extends Data.TaggedError("NotFound")<{ readonly id: number; readonly token: string }> {}

const inSpan = (error: unknown, ...names: ReadonlyArray<string>): Cause.Cause<unknown> => {
  const failing: Effect.Effect<never, unknown> = names.reduce<Effect.Effect<never, unknown>>(
    (effect, name) => Effect.withSpan(effect, name),
    Effect.fail(error)
  )
  return Option.getOrThrow(Exit.causeOption(Effect.runSyncExit(failing)))
}

describe("a failure as exceptions", () => {
  it.prop(
    "has every error of any Cause exactly once, the one that matters last",
    [anyFailure],
    ([recipe]) => {
      const { all, cause, leaves, primary } = buildFailure(recipe)
      const failure = failureOfCause(cause)
      if (primary === undefined) {
        assert.deepStrictEqual(failure, { leaves: [], primary: undefined })
        assert.deepStrictEqual(exceptions(cause), [])
        return
      }
      assert.strictEqual(failure.leaves.length, leaves.length)
      assert.strictEqual(failure.primary?.kind, primary.kind)
      const list = exceptions(cause)
      assertSound(list)
      if (all.size > 32) return
      assert.deepStrictEqual(new Set(list.map(({ value }) => value)), all)
      assert.strictEqual(list.length, all.size)
      assert.strictEqual(list.at(-1)?.value, primary.name)
    },
    { fastCheck: { numRuns: 1000 } }
  )

  it.prop("never throws, whatever was thrown", [anyRecipe], ([recipe]) => {
    const error = build(recipe)
    const list = exceptions(error)
    if (!isCause(error)) assert.isAtLeast(list.length, 1)
    assertSound(list)
    assertNothingLeaks(list)
    for (const object of identitiesOf(failureOf(error))) assert.strictEqual(typeof object, "object")
  })

  for (const [name, make] of Object.entries(leaves)) {
    if (name === "emptyCause" || name === "claimsCause") continue
    it(`${name} thrown, failed with, as a cause, in a group and in a span`, () => {
      const holders = [
        make(),
        Cause.fail(make()),
        Cause.die(make()),
        new Error("x", { cause: make() }),
        new AggregateError([make(), make()], "x"),
        Cause.parallel(Cause.fail(make()), Cause.die(make()))
      ]
      for (const holder of holders) {
        const list = exceptions(holder)
        assert.isAtLeast(list.length, 1)
        assertSound(list)
        assertNothingLeaks(list)
      }
    })
  }

  describe("order and links", () => {
    it("a chain of causes: the root first, ids from the last", () => {
      const root = new Error("root")
      const top = new Error("top", { cause: new Error("mid", { cause: root }) })
      assert.deepStrictEqual(links(top), [
        { value: "root", id: 2, parent: 1, source: "cause" },
        { value: "mid", id: 1, parent: 0, source: "cause" },
        { value: "top", id: 0 }
      ])
    })

    it("one error alone has no ids", () => assert.deepStrictEqual(links(new Error("x")), [{ value: "x" }]))

    it("a group, its members numbered", () => {
      assert.deepStrictEqual(links(new AggregateError([new Error("a"), new Error("b")], "group")), [
        { value: "b", id: 2, parent: 0, source: "errors[1]" },
        { value: "a", id: 1, parent: 0, source: "errors[0]" },
        { value: "group", id: 0, group: true }
      ])
    })

    it("groups within groups, with a cause", () => {
      const inner = new AggregateError([new Error("a", { cause: "why" })], "inner")
      assert.deepStrictEqual(links(new AggregateError([inner, new Error("b")], "outer", { cause: new Error("c") })), [
        { value: "b", id: 5, parent: 0, source: "errors[1]" },
        { value: "why", id: 4, parent: 3, source: "cause" },
        { value: "a", id: 3, parent: 2, source: "errors[0]" },
        { value: "inner", id: 2, parent: 0, source: "errors[0]", group: true },
        { value: "c", id: 1, parent: 0, source: "cause" },
        { value: "outer", id: 0, group: true }
      ])
    })

    it("errors that stood beside the one that matters name their place in the Cause", () => {
      const cause = Cause.parallel(
        Cause.fail(new Error("a")),
        Cause.sequential(Cause.die(new Error("b")), Cause.fail(new Error("c")))
      )
      assert.deepStrictEqual(links(cause), [
        { value: "c", id: 2, parent: 0, source: "parallel[1].sequential[1]" },
        { value: "a", id: 1, parent: 0, source: "parallel[0]" },
        { value: "b", id: 0 }
      ])
    })

    it("a defect matters more than a failure, the first of a kind more than the next", () => {
      const a = Cause.fail(new Error("a"))
      const b = Cause.fail(new Error("b"))
      assert.strictEqual(values(Cause.parallel(a, b)).at(-1), "a")
      assert.strictEqual(values(Cause.sequential(a, Cause.die(new Error("d")))).at(-1), "d")
      assert.strictEqual(values(Cause.parallel(Cause.interrupt(FiberId.none), b)).at(-1), "b")
    })

    it("interruption alone is nothing", () => {
      const interrupt = Cause.interrupt(FiberId.none)
      for (const cause of [
        Cause.empty,
        interrupt,
        Cause.parallel(interrupt, interrupt),
        Cause.die(interrupt),
        Cause.fail(Runtime.makeFiberFailure(interrupt))
      ]) {
        assert.deepStrictEqual(failureOfCause(cause), { leaves: [], primary: undefined })
        assert.deepStrictEqual(exceptions(cause), [])
      }
    })
  })

  describe("cycles", () => {
    it("an error that causes itself", () => {
      const error = new Error("x")
      error.cause = error
      assert.deepStrictEqual(values(error), ["x"])
    })

    it("errors that cause each other", () => {
      const a = new Error("a")
      const b = new Error("b", { cause: a })
      a.cause = b
      assert.deepStrictEqual(values(a), ["b", "a"])
    })

    it("a group that holds itself", () => {
      const group = new AggregateError([new Error("a")], "group")
      group.errors.push(group, group)
      assert.deepStrictEqual(values(group), ["a", "group"])
    })

    it("a group that is its own cause, through the proxy of a span", () => {
      const group = new AggregateError([], "group")
      group.cause = inSpan(group, "span")
      assert.deepStrictEqual(values(group), ["group"])
    })

    it("a FiberFailure that holds itself", () => {
      const failure = Runtime.makeFiberFailure(Cause.die(new Error("x")))
      let reads = 0
      Object.defineProperty(failure, Runtime.FiberFailureCauseId, {
        get: () => {
          // Instead of for ever.
          if (++reads > 1000) throw new Error("ENDLESS")
          return Cause.parallel(Cause.die(failure), Cause.fail(new Error("a")))
        }
      })
      assert.deepStrictEqual(values(failure), ["a"])
    })

    it("a cause that is another one each time it is asked for", () => {
      class Endless extends Error {
        override get cause(): unknown {
          return new Endless("x")
        }
      }
      assertSound(exceptions(new Endless("x")))
    })
  })

  describe("bounds", () => {
    const wide = (length: number): Cause.Cause<Error> =>
      Array.from({ length }, (_, index) => Cause.fail(new Error(`e${index}`))).reduce((all, one) =>
        Cause.parallel(all, one)
      )

    const bounded: ReadonlyArray<readonly [what: string, make: () => unknown]> = [
      ["a Cause nested 100,000 deep", () => wide(100_000)],
      [
        "a Cause nested 100,000 deep to the right",
        () => {
          let cause: Cause.Cause<unknown> = Cause.fail(new Error("e"))
          for (let i = 0; i < 100_000; i++) cause = Cause.sequential(Cause.fail(new Error(`e${i}`)), cause)
          return cause
        }
      ],
      [
        "a hundred thousand interruptions around an error",
        () => {
          let cause: Cause.Cause<unknown> = Cause.fail(new Error("e"))
          for (let i = 0; i < 100_000; i++) cause = Cause.parallel(Cause.interrupt(FiberId.none), cause)
          return cause
        }
      ],
      [
        "causes within causes",
        () => {
          let cause: Cause.Cause<unknown> = Cause.fail(new Error("e"))
          for (let i = 0; i < 100_000; i++) cause = i % 2 === 0 ? Cause.die(cause) : Cause.fail(cause)
          return cause
        }
      ],
      [
        "a long chain of causes",
        () => {
          let error = new Error("root")
          for (let i = 0; i < 100_000; i++) error = new Error("x", { cause: error })
          return error
        }
      ]
    ]
    for (const [what, make] of bounded) {
      it(`${what} is done in no time, within 32 exceptions`, () => {
        const value = make()
        const list = quickly(500, () => exceptions(value))
        assert.isAtLeast(list.length, 1)
        assertSound(list)
      })
    }
  })

  it("a large group is not gone through", () => {
    let reads = 0
    const errors = new Proxy(
      Array.from({ length: 100_000 }, () => "x"),
      {
        get(target, key) {
          reads++
          return Reflect.get(target, key) as unknown
        }
      }
    )
    assertSound(exceptions(Object.assign(new AggregateError([], "group"), { errors })))
    assert.isBelow(reads, 1_000)
  })

  describe("identity", () => {
    const error = new NotFound({ id: 1, token: "t" })
    const frozen = Object.freeze(new Error("x"))

    it("through the proxies of spans, FiberFailures, UnknownExceptions and Causes to the original", () => {
      const wrapped: ReadonlyArray<unknown> = [
        error,
        inSpan(error, "a", "b"),
        Cause.die(Cause.squash(inSpan(error, "a"))),
        Runtime.makeFiberFailure(inSpan(error, "a")),
        new Cause.UnknownException(error),
        new Cause.UnknownException(new Cause.UnknownException(inSpan(error, "a"))),
        inSpan(new Cause.UnknownException(error), "a"),
        Cause.fail(Cause.fail(error)),
        Cause.sequential(Cause.fail(error), inSpan(error, "a"))
      ]
      for (const value of wrapped) assert.deepStrictEqual(identitiesOf(failureOf(value)), [error])
      assert.deepStrictEqual(identitiesOf(failureOf(inSpan(frozen, "a"))), [frozen])
    })

    it("the span is the innermost one", () => {
      const inner = Cause.squash(inSpan(error, "inner"))
      const spans: ReadonlyArray<readonly [error: unknown, span: string]> = [
        [inSpan(error, "inner", "outer"), "inner"],
        [inSpan(new Cause.UnknownException(error), "outer"), "outer"],
        [new Cause.UnknownException(inner), "inner"],
        [inSpan(new Cause.UnknownException(inner), "outer"), "inner"]
      ]
      for (const [error, name] of spans) {
        const span = failureOf(error).primary?.span
        assert.strictEqual(span?._tag === "Span" ? span.name : undefined, name)
      }
    })

    it("equal errors are errors of their own; primitives have no identity", () => {
      assert.strictEqual(
        identitiesOf(failureOf(Cause.parallel(Cause.fail(new NotFound({ id: 1, token: "t" })), Cause.fail(error))))
          .length,
        2
      )
      assert.deepStrictEqual(identitiesOf(failureOf("text")), [])
      assert.strictEqual(values(Cause.parallel(Cause.fail("a"), Cause.fail("a"))).length, 2)
    })

    it("an UnknownException that holds nothing is what there is", () => {
      assert.strictEqual(exceptions(new Cause.UnknownException(undefined)).at(-1)?.type, "UnknownException")
    })

    it("what failed says how", () => {
      assert.strictEqual(failureOf(Cause.fail(1)).primary?.kind, "fail")
      assert.strictEqual(failureOf(Cause.die(1)).primary?.kind, "die")
      assert.strictEqual(failureOf(1).primary?.kind, "throw")
      assert.strictEqual(failureOf(Runtime.makeFiberFailure(Cause.fail(1))).primary?.kind, "fail")
    })
  })

  describe("type and value", () => {
    class Custom extends Error {}
    class Renamed extends Error {
      override name = "Other"
    }
    const named: ReadonlyArray<readonly [what: string, error: unknown, type: string, value: string]> = [
      ["an Error", new Error("x"), "Error", "x"],
      ["a subclass", new Custom("x"), "Custom", "x"],
      ["a subclass with a name", new Renamed("x"), "Other", "x"],
      ["a built-in one", new RangeError("x"), "RangeError", "x"],
      ["a tagged error", new NotFound({ id: 7, token: "t" }), "NotFound", '{"id":7,"token":"[Filtered]"}'],
      ["a tagged object", { _tag: "Plain", message: "x" }, "Plain", "x"],
      ["a tagged object without message", { _tag: "Plain", a: 1 }, "Plain", '{"a":1}'],
      ["an object", { a: 1 }, "Object", '{"a":1}'],
      [
        "an instance",
        new (class Thing {
          a = 1
        })(),
        "Thing",
        '{"a":1}'
      ],
      ["a text", "x", "Error", "x"],
      ["a number", 5, "Error", "5"],
      ["null", null, "Error", "null"],
      ["undefined", undefined, "Error", "undefined"],
      ["a BigInt", 5n, "Error", "[BigInt: 5]"],
      ["a symbol", Symbol("s"), "Error", "[Symbol(s)]"],
      ["a function", function go() {}, "Error", "[Function: go]"],
      ["no message", new Error(), "Error", "(no message)"],
      ["no prototype", Object.create(null), "Error", "{}"],
      ["a tag that is no text", { _tag: 5, a: 1 }, "Object", '{"_tag":5,"a":1}'],
      ["an empty tag", { _tag: "", a: 1 }, "Object", '{"_tag":"","a":1}'],
      ["a secret in the message", new Error("password=hunter2"), "Error", "password=[Filtered]"],
      ["a hidden value", Redacted.make(HIDDEN), "Object", "<redacted>"]
    ]
    for (const [what, error, type, value] of named) {
      it(what, () => {
        assert.strictEqual(typeOf(error), type)
        assert.strictEqual(valueOf(error), value)
      })
    }

    it("as long as servers take them", () => {
      assert.isAtMost(typeOf({ _tag: "x".repeat(1000) }).length, 256)
      assert.isAtMost(valueOf(new Error("x".repeat(10_000_000))).length, 8192)
      assert.isAtMost(valueOf({ a: "x".repeat(10_000) }).length, 512)
    })

    it("the fields of a typed error are its own, without what every error has", () => {
      assert.deepStrictEqual(contextOf(new NotFound({ id: 7, token: "t" })), { id: 7, token: "[Filtered]" })
      assert.deepStrictEqual(contextOf(Object.assign(new Error("x", { cause: 1 }), { code: "E" })), { code: "E" })
      assert.deepStrictEqual(contextOf("text"), {})
    })
  })

  describe("mechanism", () => {
    it("is the caller's on the primary error, chained on the others, handled alike", () => {
      const list = exceptionsOf(
        failureOf(new Error("a", { cause: new Error("b") })),
        { type: "auto.x", handled: false, data: { n: 1 } },
        parser
      )
      assert.deepStrictEqual(
        list.map(({ mechanism }) => mechanism),
        [
          { type: "chained", handled: false, exception_id: 1, parent_id: 0, source: "cause" },
          { type: "auto.x", handled: false, exception_id: 0, data: { n: 1 } }
        ]
      )
    })

    it("says whether a Cause failed or died", () => {
      const list = exceptions(Cause.sequential(Cause.fail(new Error("a")), Cause.die(new Error("b"))))
      assert.deepStrictEqual(
        list.map(({ mechanism }) => mechanism?.data),
        [{ cause: "fail" }, { cause: "die" }]
      )
    })

    it("is synthetic for what is no error", () => {
      for (const value of ["x", undefined, null, { a: 1 }, 5]) assert.isTrue(exceptions(value)[0]?.mechanism?.synthetic)
      assert.notProperty(exceptions(new Error("x"))[0]?.mechanism, "synthetic")
    })
  })

  describe("stack", () => {
    it("the throw site is the last frame; lines of the message are none", () => {
      const error = new Error("x\n    at fake (/srv/fake.ts:1:1)\n    at fake2 (/srv/fake.ts:1:1)")
      const frames = exceptions(error)[0]?.stacktrace?.frames ?? []
      assert.match(String(frames.at(-1)?.filename), /failure\.test\.ts$/)
      assert.isFalse(frames.some(({ function: name }) => name?.startsWith("fake")))
    })

    it("no frame is lost to a message that was changed after the stack was made", () => {
      for (const message of ["load", "a.ts", "    at ", "at", "e", "(", ":1:1"]) {
        const error = new Error("before")
        error.stack = "Error: before\n    at load (/srv/a.ts:1:1)\n    at main (/srv/b.ts:1:1)"
        error.message = message
        const names = exceptions(error)[0]?.stacktrace?.frames.map(({ function: name }) => name)
        assert.deepStrictEqual(names, ["main", "load"], message)
      }
    })

    it("of a value without one it is that of whoever reports; only for the primary", () => {
      const stack = "Error\n    at reporter (/srv/a.ts:1:1)"
      const list = exceptions(Cause.parallel(Cause.fail("a"), Cause.fail("b")), stack)
      assert.deepStrictEqual(
        list.at(-1)?.stacktrace?.frames.map(({ function: name }) => name),
        ["reporter"]
      )
      assert.notProperty(list[0], "stacktrace")
    })

    const odd: ReadonlyArray<readonly [what: string, stack: unknown]> = [
      ["missing", undefined],
      ["empty", ""],
      ["no text", { frames: [] }],
      ["a list", ["at foo"]],
      ["a number", 5],
      ["no frames in it", "Error: x\nnothing"]
    ]
    for (const [what, stack] of odd) {
      it(`${what}: the event has none, or that of the reporter`, () => {
        const error = new Error("x")
        Object.defineProperty(error, "stack", { value: stack })
        assert.notProperty(exceptions(error)[0], "stacktrace")
        assert.strictEqual(exceptions(error)[0]?.value, "x")
      })
    }

    it("that throws when it is read", () => {
      const error = Object.defineProperty(new Error("x"), "stack", {
        get() {
          throw new Error("no")
        }
      })
      assert.strictEqual(exceptions(error)[0]?.value, "x")
    })

    it("where prepareStackTrace makes something else of it", () => {
      const original: unknown = Reflect.get(Error, "prepareStackTrace")
      try {
        Error.prepareStackTrace = (_, sites) => sites
        const error = new Error("x")
        assert.isArray(error.stack)
        assert.strictEqual(exceptions(error)[0]?.value, "x")
        assert.notProperty(exceptions(error)[0], "stacktrace")
      } finally {
        Reflect.set(Error, "prepareStackTrace", original)
      }
    })

    it("spans that an error failed in come before its own frames, the outermost first", () => {
      const outer = Effect.fn("outer")((error: unknown) => Effect.fn("inner")(() => Effect.fail(error))())
      const exit = Effect.runSyncExit(outer(new Error("x")))
      const frames = exceptions(Option.getOrThrow(Exit.causeOption(exit)))[0]?.stacktrace?.frames ?? []
      const names = frames.map(({ function: name }) => name)
      assert.isAbove(names.indexOf("outer"), -1)
      assert.isAbove(names.indexOf("inner"), names.lastIndexOf("outer"))
      assert.match(String(frames[0]?.filename), /failure\.test\.ts$/)
    })

    it("spans are bounded", () => {
      const names = Array.from({ length: 50 }, (_, index) => `s${index}`)
      const { span } = failureOf(inSpan(new Error("x"), ...names)).leaves[0] ?? {}
      assert.isAtMost(spanSites(span).length, 20)
    })
  })
})
