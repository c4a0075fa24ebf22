import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as fc from "effect/FastCheck"
import * as Tracer from "effect/Tracer"
import { addMachine, addScope, addTrace, type BuildOptions, buildEvent, type Report } from "../../../src/event/build.js"
import { encodeEvent } from "../../../src/event/encode.js"
import { failureOf } from "../../../src/event/failure.js"
import { StackParser } from "../../../src/event/stack.js"
import type { Event } from "../../../src/protocol/Event.js"
import { PropagationContext } from "../../../src/protocol/Trace.js"
import * as ScopeData from "../../../src/scope/ScopeData.js"
import { eventOf } from "../support/event.js"
import { anyRecipe, build, HIDDEN, HIGH, illFormed } from "../support/values.js"

const parser = new StackParser({ projectRoot: process.cwd(), contextLines: 0, inAppInclude: [], inAppExclude: [] })

const options: BuildOptions = {
  release: undefined,
  environment: "production",
  dist: undefined,
  serverName: undefined,
  maxValueLength: undefined,
  attachStacktrace: false
}

const ID = "0".repeat(32)

const built = (report: Partial<Report>, more: Partial<BuildOptions> = {}): Event =>
  buildEvent(
    ID,
    { mechanism: { type: "generic", handled: true }, level: "error", ...report },
    1_500,
    { ...options, ...more },
    parser
  )

const ofError = (error: unknown, more?: Partial<BuildOptions>): Event => built({ failure: failureOf(error) }, more)

class NotFound extends Data.TaggedError("NotFound")<{
  readonly id: number
  readonly apiKey: string
  readonly cause?: unknown
}> {}
class Declined extends Data.TaggedError("Declined")<{ readonly order: string; readonly message: string }> {}

describe("buildEvent", () => {
  it("has what every event must have, and no more", () => {
    assert.deepStrictEqual(built({ message: "m", level: "info" }), {
      event_id: ID,
      timestamp: 1.5,
      platform: "node",
      level: "info",
      environment: "production",
      message: "m"
    })
    const { dist, release, server_name } = built({}, { release: "r", dist: "d", serverName: "s" })
    assert.deepStrictEqual([release, dist, server_name], ["r", "d", "s"])
  })

  it("the fields of a typed error are a context of its own", () => {
    assert.deepStrictEqual(ofError(new NotFound({ id: 7, apiKey: "x" })).contexts, {
      NotFound: { id: 7, apiKey: "[Filtered]" }
    })
    assert.notProperty(ofError(new Error("x")), "contexts")
  })

  it("so are those of errors beside and below it, five in all, its own first", () => {
    const declined = new Declined({ order: "o-1", message: "hello" })
    const bug = new TypeError("bug")
    const beside = built({ failure: failureOf(Cause.sequential(Cause.fail(declined), Cause.die(bug))) })
    assert.deepStrictEqual(beside.contexts, { Declined: { order: "o-1" } })
    const below = ofError(new NotFound({ id: 7, apiKey: "x", cause: new Error("x", { cause: declined }) }))
    assert.deepStrictEqual(Object.entries(below.contexts ?? {}), [
      ["NotFound", { id: 7, apiKey: "[Filtered]" }],
      ["Declined", { order: "o-1" }]
    ])
    const many = ofError(new AggregateError(Array.from({ length: 9 }, (_, id) => new NotFound({ id, apiKey: "" }))))
    assert.deepStrictEqual(
      Object.entries(many.contexts ?? {}).map(([name, fields]) => [name, fields?.["id"]]),
      [
        ["NotFound", 0],
        ["NotFound (2)", 1],
        ["NotFound (3)", 2],
        ["NotFound (4)", 3],
        ["NotFound (5)", 4]
      ]
    )
  })

  it("those of other errors that are no typed ones are not", () => {
    const inner = Object.assign(new Error("x"), { code: "ENOENT" })
    assert.notProperty(ofError(new Error("y", { cause: inner })), "contexts")
    assert.deepStrictEqual(ofError(inner).contexts, { Error: { code: "ENOENT" } })
  })

  it("a user's event wins, but for its id, which is that of the envelope", () => {
    const event = built({
      event: { event_id: "nonsense", level: "fatal", environment: "e", message: "m", extra: { password: "x" } }
    })
    assert.strictEqual(event.event_id, ID)
    assert.strictEqual(event.level, "fatal")
    assert.strictEqual(event.environment, "e")
    assert.deepStrictEqual(event.extra, { password: "[Filtered]" })
  })

  it("texts are cut where servers would reject them, values where the user says so", () => {
    assert.isAtMost(String(built({ message: "x".repeat(10_000_000) }).message).length, 8192)
    assert.strictEqual(built({ message: "x".repeat(100) }, { maxValueLength: 10 }).message, "xxxxxxx...")
    assert.strictEqual(
      ofError(new Error("x".repeat(100)), { maxValueLength: 10 }).exception?.values[0]?.value,
      "xxxxxxx..."
    )
    assert.isAtMost(String(built({ logger: "x".repeat(100) }).logger).length, 64)
    assert.notInclude(String(built({ logger: "a\nb" }).logger), "\n")
  })

  it("secrets in texts are masked, in messages of logs as in others", () => {
    const report: Partial<Report> = {
      message: `password=${HIDDEN}`,
      logentry: { message: `password=${HIDDEN}`, formatted: `password=${HIDDEN}`, params: [`password=${HIDDEN}`] },
      failure: failureOf(new Error(`password=${HIDDEN}`))
    }
    for (const [key, value] of Object.entries(report)) {
      assert.notInclude(JSON.stringify(built({ [key]: value })), HIDDEN, key)
    }
  })

  it("a stack for what has none: only if asked for, and not beside an exception", () => {
    const stack = "Error\n    at reporter (/srv/a.ts:1:1)"
    assert.notProperty(built({ message: "m", stack }), "threads")
    const { threads } = built({ message: "m", stack }, { attachStacktrace: true })
    assert.strictEqual(threads?.values.length, 1)
    assert.include(JSON.stringify(threads), "reporter")
    assert.notProperty(built({ failure: failureOf(new Error("x")), stack }, { attachStacktrace: true }), "threads")
  })

  it.prop("never throws, whatever was thrown; the event can be sent", [anyRecipe], ([recipe]) => {
    const json = encodeEvent(ofError(build(recipe)))
    assert.notInclude(json, HIDDEN)
    assert.deepStrictEqual(illFormed(json), [])
  })

  it.prop(
    "never throws, whatever event a user builds",
    [
      fc.dictionary(
        fc.constantFrom("extra", "user", "tags", "contexts", "message", "exception", "request", "breadcrumbs"),
        anyRecipe
      )
    ],
    ([recipes]) => {
      const event = Object.fromEntries(Object.entries(recipes).map(([key, recipe]) => [key, build(recipe)]))
      const json = encodeEvent(built({ event, message: HIGH }))
      assert.deepStrictEqual(illFormed(json), [])
    }
  )
})

describe("addScope", () => {
  const of = (value: string): ScopeData.ScopeData =>
    ScopeData.applyContext(ScopeData.empty, {
      tags: { [value]: value, all: value },
      user: { id: value },
      level: "info"
    })

  it("event > what is said at the capture > current > isolation > global", () => {
    const event = eventOf({ tags: { event: "event" } })
    addScope(event, [of("global"), of("isolation"), of("current")], {
      tags: { capture: "capture", all: "capture" },
      level: "debug"
    })
    assert.deepStrictEqual(event.tags, {
      event: "event",
      capture: "capture",
      current: "current",
      isolation: "isolation",
      global: "global",
      all: "capture"
    })
    assert.strictEqual(event.user?.id, "current")
    assert.strictEqual(event.level, "debug")
    const own = eventOf({ tags: { all: "event" }, user: { id: "event" } })
    addScope(own, [of("global"), of("isolation"), of("current")], undefined)
    assert.strictEqual(own.tags?.["all"], "event")
    assert.strictEqual(own.user?.id, "event")
  })
})

describe("addTrace", () => {
  const propagation = new PropagationContext("a".repeat(32), "b".repeat(16), undefined, undefined, "c".repeat(16))

  it("is the trace of the scope where there is no span", () => {
    const event = eventOf()
    addTrace(event, undefined, propagation)
    assert.deepStrictEqual(event.contexts, {
      trace: { trace_id: "a".repeat(32), span_id: "c".repeat(16), parent_span_id: "b".repeat(16) }
    })
    const fresh = eventOf()
    addTrace(fresh, undefined, new PropagationContext())
    assert.match(String(fresh.contexts?.["trace"]?.["trace_id"]), /^[0-9a-f]{32}$/)
    assert.match(String(fresh.contexts?.["trace"]?.["span_id"]), /^[0-9a-f]{16}$/)
    assert.notProperty(fresh.contexts?.["trace"], "parent_span_id")
  })

  it.effect("is that of the span, with its parent", () =>
    Effect.gen(function* () {
      const outer = yield* Effect.currentSpan
      const inner = yield* Effect.withSpan(Effect.orDie(Effect.currentSpan), "inner")
      const event = eventOf()
      addTrace(event, inner, propagation)
      assert.deepStrictEqual(event.contexts?.["trace"], {
        trace_id: inner.traceId,
        span_id: inner.spanId,
        parent_span_id: outer.spanId
      })
      const external = eventOf()
      addTrace(external, Tracer.externalSpan({ traceId: "d".repeat(32), spanId: "e".repeat(16) }), propagation)
      assert.deepStrictEqual(external.contexts?.["trace"], { trace_id: "d".repeat(32), span_id: "e".repeat(16) })
    }).pipe(Effect.withSpan("outer"))
  )

  it("always has ids that servers take", () => {
    const event = eventOf()
    addTrace(event, Tracer.externalSpan({ traceId: "a trace", spanId: "a span" }), propagation)
    assert.match(String(event.contexts?.["trace"]?.["trace_id"]), /^[0-9a-f]{32}$/)
    assert.match(String(event.contexts?.["trace"]?.["span_id"]), /^[0-9a-f]{16}$/)
  })

  it("is there though an error is called as it is", () => {
    class Trace extends Data.TaggedError("trace")<{ readonly a: number }> {}
    const event = ofError(new Trace({ a: 1 }))
    addTrace(event, undefined, propagation)
    assert.strictEqual(event.contexts?.["trace"]?.["trace_id"], "a".repeat(32))
  })

  it("is the user's, where the user gave one", () => {
    const event = eventOf({ contexts: { trace: { trace_id: "f".repeat(32), span_id: "f".repeat(16) } } })
    addTrace(event, undefined, propagation)
    assert.strictEqual(event.contexts?.["trace"]?.["trace_id"], "f".repeat(32))
  })
})

describe("addMachine", () => {
  it("stays below what the user says", () => {
    const event = eventOf({ contexts: { os: { name: "mine" } } })
    addMachine(event, 1_000)
    assert.deepStrictEqual(event.contexts?.["os"], { name: "mine" })
    assert.isObject(event.contexts?.["device"])
  })
})
