import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Faultline from "effect-faultline"
import type { Json } from "../support/ingest.js"
import {
  anEvent,
  boom,
  boomEvent,
  eventOf,
  exception,
  FRAMES,
  GENERIC,
  helloEvent,
  ingestOf,
  settle,
  settleStacks,
  temporaryFolder,
  withStack
} from "./kit.js"

class CardDeclined extends Data.TaggedError("CardDeclined")<{
  readonly amount: number
  readonly card: { last4: string }
}> {}

const FILE = "/test/wire/capture.test.ts"

describe("captureException sends exactly", () => {
  it.scopedLive("an error, what it says and where it came from", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* eventOf(Faultline.captureException(boom())), boomEvent())
    })
  )

  it.scopedLive("the frames of a real stack, the newest last, with the source around those of the application", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const path = join(folder, "charge.mjs")
      const lines = Array.from({ length: 20 }, (_, n) => `// line ${n + 1}`)
      lines[1] = "const inner = (n) => { throw new RangeError(`no ${n}`) }"
      lines[10] = "export const outer = (n) => inner(n)"
      writeFileSync(path, lines.join("\n"))
      const { outer } = (yield* Effect.promise(() => import(/* @vite-ignore */ path))) as {
        outer: (n: number) => never
      }
      const event = yield* eventOf(
        Effect.catchAllDefect(
          Effect.sync(() => outer(1)),
          (error) => Faultline.captureException(error)
        ),
        { projectRoot: folder }
      )
      const [value] = (event["exception"] as { values: [{ stacktrace: { frames: Array<Json> } }] }).values
      const { frames } = value.stacktrace
      const common = { abs_path: path, filename: "charge.mjs", module: "charge", in_app: true }
      assert.deepStrictEqual(frames.slice(-2), [
        {
          function: "outer",
          lineno: 11,
          colno: 29,
          ...common,
          pre_context: lines.slice(5, 10),
          context_line: lines[10],
          post_context: lines.slice(11, 16)
        },
        {
          function: "inner",
          lineno: 2,
          colno: 30,
          ...common,
          pre_context: lines.slice(0, 1),
          context_line: lines[1],
          post_context: lines.slice(2, 7)
        }
      ])
      assert.isAbove(frames.length, 2)
      assert.deepStrictEqual(
        { ...value, stacktrace: undefined },
        {
          type: "RangeError",
          value: "no 1",
          mechanism: GENERIC,
          stacktrace: undefined
        }
      )
    })
  )

  it.scopedLive("a typed error, with its fields as a context", () =>
    Effect.gen(function* () {
      const error = withStack(new CardDeclined({ amount: 12, card: { last4: "4242" } }))
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(error)),
        anEvent({
          exception: { values: [exception("CardDeclined", '{"amount":12,"card":{"last4":"4242"}}')] },
          contexts: { CardDeclined: { amount: 12, card: { last4: "4242" } } },
          fingerprint: ["{{ default }}", "CardDeclined"]
        })
      )
    })
  )

  it.scopedLive("a chain of causes, the root first", () =>
    Effect.gen(function* () {
      const root = withStack(new TypeError("root"))
      const mid = withStack(new Error("mid", { cause: root }))
      const top = withStack(new Error("top", { cause: mid }))
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(top)),
        anEvent({
          exception: {
            values: [
              exception("TypeError", "root", chained(2, 1, "cause")),
              exception("Error", "mid", chained(1, 0, "cause")),
              exception("Error", "top", { ...GENERIC, exception_id: 0 })
            ]
          }
        })
      )
    })
  )

  it.scopedLive("a chain that ends where it began", () =>
    Effect.gen(function* () {
      const inner = boom("inner")
      const outer = withStack(new Error("outer", { cause: inner }))
      inner.cause = outer
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(outer)),
        anEvent({
          exception: {
            values: [
              exception("Error", "inner", chained(1, 0, "cause")),
              exception("Error", "outer", { ...GENERIC, exception_id: 0 })
            ]
          }
        })
      )
    })
  )

  it.scopedLive("an AggregateError as a group, its errors before it", () =>
    Effect.gen(function* () {
      const group = withStack(new AggregateError([boom("first"), "second"], "both"))
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(group)),
        anEvent({
          exception: {
            values: [
              { type: "Error", value: "second", mechanism: { ...chained(2, 0, "errors[1]"), synthetic: true } },
              exception("Error", "first", chained(1, 0, "errors[0]")),
              exception("AggregateError", "both", { ...GENERIC, exception_id: 0, is_exception_group: true })
            ]
          }
        })
      )
    })
  )

  it.scopedLive("what it was told about this one error", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(
          Faultline.captureException(boom(), {
            level: "fatal",
            tags: { step: "charge", attempt: 2 },
            extra: { cart: [1, 2] },
            contexts: { order: { id: 7 } },
            user: { id: "u1" },
            fingerprint: ["{{ default }}", "charge"],
            transactionName: "checkout",
            mechanism: { type: "auto.job", handled: false, data: { queue: "q1" } }
          })
        ),
        anEvent({
          level: "fatal",
          exception: {
            values: [exception("Error", "boom", { type: "auto.job", handled: false, data: { queue: "q1" } })]
          },
          tags: { step: "charge", attempt: "2" },
          extra: { cart: [1, 2] },
          contexts: { order: { id: 7 } },
          user: { id: "u1" },
          fingerprint: ["{{ default }}", "charge"],
          transaction: "checkout"
        })
      )
    })
  )

  const others: ReadonlyArray<
    readonly [thrown: unknown, value: string, grouping: ReadonlyArray<string>, contexts?: Json]
  > = [
    ["just text", "just text", ["Error", "just text"]],
    [undefined, "undefined", ["Error", "undefined"]],
    [null, "null", ["Error", "null"]],
    [42, "42", ["Error", "<n>"]],
    [10n, "[BigInt: 10]", ["Error", "[BigInt: <n>]"]],
    [Symbol("s"), "[Symbol(s)]", ["Error", "[Symbol(s)]"]],
    [{ status: 500 }, '{"status":500}', ["Object", "status:500", "status"], { Object: { status: 500 } }],
    [[1, 2], "[1,2]", ["Array"], { Array: { 0: 1, 1: 2 } }]
  ]
  it.scopedLive.each(others)(
    "%s, which is no error, as one with the stack of whoever reports",
    ([thrown, value, grouping, contexts]) =>
      Effect.gen(function* () {
        const event = yield* eventOf(Effect.suspend(() => Faultline.captureException(thrown)))
        const type =
          typeof thrown !== "object" || thrown === null ? "Error" : Array.isArray(thrown) ? "Array" : "Object"
        assert.deepStrictEqual(
          settleStacks(event, FILE),
          anEvent({
            exception: { values: [{ type, value, mechanism: { ...GENERIC, synthetic: true }, stacktrace: "<stack>" }] },
            fingerprint: ["{{ default }}", ...grouping],
            ...(contexts === undefined ? undefined : { contexts })
          })
        )
      })
  )

  it.scopedLive("the failure inside of a FiberFailure, and the error inside of an UnknownException", () =>
    Effect.gen(function* () {
      const failed = Runtime.makeFiberFailure(Cause.die(boom()))
      const values = [exception("Error", "boom", { ...GENERIC, data: { cause: "die" } })]
      assert.deepStrictEqual(yield* eventOf(Faultline.captureException(failed)), boomEvent({ exception: { values } }))
      const unknown = new Cause.UnknownException(boom())
      assert.deepStrictEqual(yield* eventOf(Faultline.captureException(unknown)), boomEvent())
    })
  )

  it.scopedLive("the error itself where Effect hands around a proxy of it, and the span it failed in", () =>
    Effect.gen(function* () {
      const error = Object.freeze(withStack(new CardDeclined({ amount: 1, card: { last4: "1" } })))
      let span: { spanId: string; traceId: string } | undefined
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          span = yield* Effect.currentSpan
          return yield* error
        }).pipe(
          Effect.withSpan("charge", { captureStackTrace: false }),
          Effect.catchAll((proxy) => {
            assert.notStrictEqual(proxy, error)
            return Faultline.captureException(proxy)
          }),
          Effect.orDie
        ),
        {
          beforeSend(event, { originalException }) {
            assert.strictEqual(originalException, error)
            return event
          }
        }
      )
      const event = yield* ingest.event()
      assert.deepStrictEqual((event["contexts"] as Record<string, Json>)["trace"], {
        trace_id: span?.traceId,
        span_id: span?.spanId
      })
      assert.deepStrictEqual(
        settle(event),
        anEvent({
          exception: {
            values: [
              {
                ...exception("CardDeclined", '{"amount":1,"card":{"last4":"1"}}'),
                stacktrace: { frames: [{ function: "charge", filename: "<span>", in_app: false }, ...FRAMES] }
              }
            ]
          },
          contexts: { CardDeclined: { amount: 1, card: { last4: "1" } } },
          fingerprint: ["{{ default }}", "CardDeclined"]
        })
      )
    })
  )
})

describe("captureCause sends exactly", () => {
  const of = (kind: "fail" | "die"): Json => ({ ...GENERIC, data: { cause: kind } })
  const inGroup = (kind: "fail" | "die", id: number, source?: string): Json =>
    source === undefined ? { ...of(kind), exception_id: id } : { ...chained(id, 0, source), data: { cause: kind } }

  const causes: ReadonlyArray<readonly [what: string, cause: Cause.Cause<unknown>, values: ReadonlyArray<Json>]> = [
    ["a failure", Cause.fail(boom("a")), [exception("Error", "a", of("fail"))]],
    ["a defect", Cause.die(boom("a")), [exception("Error", "a", of("die"))]],
    [
      "failures in parallel",
      Cause.parallel(Cause.fail(boom("a")), Cause.fail(boom("b"))),
      [exception("Error", "b", inGroup("fail", 1, "parallel[1]")), exception("Error", "a", inGroup("fail", 0))]
    ],
    [
      "failures in sequence",
      Cause.sequential(Cause.fail(boom("a")), Cause.fail(boom("b"))),
      [exception("Error", "b", inGroup("fail", 1, "sequential[1]")), exception("Error", "a", inGroup("fail", 0))]
    ],
    [
      "a defect before any failure",
      Cause.parallel(Cause.fail(boom("a")), Cause.sequential(Cause.die(boom("b")), Cause.fail(boom("c")))),
      [
        exception("Error", "c", inGroup("fail", 2, "parallel[1].sequential[1]")),
        exception("Error", "a", inGroup("fail", 1, "parallel[0]")),
        exception("Error", "b", inGroup("die", 0))
      ]
    ],
    [
      "nothing of an interruption beside a failure",
      Cause.parallel(Cause.interrupt(FiberId.none), Cause.fail(boom("a"))),
      [exception("Error", "a", of("fail"))]
    ]
  ]
  it.scopedLive.each(causes)("%s", ([, cause, values]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* eventOf(Faultline.captureCause(cause)), anEvent({ exception: { values } }))
    })
  )

  it.scopedLive("one exception for one error that failed twice", () =>
    Effect.gen(function* () {
      const error = boom()
      const event = yield* eventOf(Faultline.captureCause(Cause.parallel(Cause.fail(error), Cause.die(error))))
      assert.lengthOf((event["exception"] as { values: Array<Json> }).values, 1)
    })
  )

  it.scopedLive.each([
    ["interruption", Cause.interrupt(FiberId.none)],
    ["interruptions", Cause.sequential(Cause.interrupt(FiberId.none), Cause.interrupt(FiberId.none))],
    ["no failure at all", Cause.empty]
  ] as const)("nothing of %s", ([, cause]) =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.map(Faultline.captureCause(cause), (id) => assert.deepStrictEqual(id, Option.none()))
      )
      assert.lengthOf(ingest.envelopes, 0)
    })
  )

  it.scopedLive("what an effect really failed with", () =>
    Effect.gen(function* () {
      const failing = Effect.fail(boom("in")).pipe(Effect.ensuring(Effect.die(boom("out"))))
      const event = yield* eventOf(Effect.sandbox(failing).pipe(Effect.catchAll(Faultline.captureCause)))
      assert.deepStrictEqual(
        event,
        anEvent({
          exception: {
            values: [
              exception("Error", "in", inGroup("fail", 1, "sequential[0]")),
              exception("Error", "out", inGroup("die", 0))
            ]
          }
        })
      )
    })
  )
})

describe("captureMessage sends exactly", () => {
  it.scopedLive("the message, at level info", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* eventOf(Faultline.captureMessage("hello")), helloEvent())
    })
  )

  it.scopedLive("the level it was given", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureMessage("hello", "warning")),
        helloEvent({ level: "warning" })
      )
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureMessage("hello", { level: "debug", tags: { a: 1 } })),
        helloEvent({ level: "debug", tags: { a: "1" } })
      )
    })
  )

  it.scopedLive("the stack of whoever reports, if asked to", () =>
    Effect.gen(function* () {
      const event = yield* eventOf(
        Effect.suspend(() => Faultline.captureMessage("hello")),
        { attachStacktrace: true }
      )
      assert.deepStrictEqual(
        settleStacks(event, FILE),
        helloEvent({ threads: { values: [{ id: 0, crashed: false, current: true, stacktrace: "<stack>" }] } })
      )
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(boom()), { attachStacktrace: true }),
        boomEvent()
      )
    })
  )
})

describe("captureEvent sends exactly", () => {
  it.scopedLive("what it is given, over everything that it is given it by others", () =>
    Effect.gen(function* () {
      const event_id = "fc6d8c0c43fc4630ad850ee518f1b9d0"
      const given = {
        event_id,
        timestamp: Math.floor(Date.now() / 1000),
        platform: "other",
        level: "warning" as const,
        logger: "audit",
        transaction: "import",
        server_name: "db-1",
        release: "other@1",
        dist: "d2",
        environment: "test",
        logentry: { message: "row %s", params: [7], formatted: "row 7" },
        exception: { values: [{ type: "T", value: "v", stacktrace: { frames: FRAMES }, mechanism: { type: "x" } }] },
        fingerprint: ["f"],
        tags: { a: "event" },
        extra: { b: "event" },
        user: { id: "event" },
        contexts: { c: { d: "event" }, trace: { trace_id: "0".repeat(32), span_id: "0".repeat(16), op: "job" } },
        request: { method: "GET", url: "https://shop.example/" },
        breadcrumbs: { values: [{ timestamp: Math.floor(Date.now() / 1000), message: "before" }] },
        modules: { "effect-faultline": "0.1.0", effect: "3.0.0" },
        debug_meta: { images: [{ type: "sourcemap", code_file: "/a.js", debug_id: "d" }] }
      }
      const sent = yield* eventOf(
        Effect.gen(function* () {
          yield* Faultline.addBreadcrumb({ message: "after" })
          const id = yield* Faultline.captureEvent(given, { tags: { a: "context", e: "context" } })
          assert.deepStrictEqual(id, Option.some(event_id))
        }).pipe(
          Faultline.withScope({
            tags: { a: "scope", f: "scope" },
            user: { id: "scope" },
            contexts: { c: { g: "scope" } },
            extra: { b: "scope" },
            fingerprint: ["scope"],
            transactionName: "scope"
          })
        ),
        { release: "mine@1", dist: "d1" }
      )
      const { trace } = given.contexts
      assert.deepStrictEqual(sent, {
        ...anEvent({}),
        ...given,
        event_id: "<event_id>",
        timestamp: "<timestamp>",
        modules: "<modules>",
        tags: { a: "event", e: "context", f: "scope" },
        contexts: {
          os: "<os>",
          device: "<device>",
          app: "<app>",
          culture: "<culture>",
          c: { d: "event" },
          trace: { ...trace, trace_id: "<trace_id>", span_id: "<span_id>" }
        },
        breadcrumbs: {
          values: [
            { timestamp: "<timestamp>", message: "before" },
            { timestamp: "<timestamp>", message: "after" }
          ]
        }
      })
    })
  )

  const levels: ReadonlyArray<readonly [event: Partial<Faultline.Event>, level: string]> = [
    [{ message: "m" }, "info"],
    [{ exception: { values: [{ type: "T" }] } }, "error"]
  ]
  it.scopedLive.each(levels)("%j, with the level that it needs", ([event, level]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* eventOf(Faultline.captureEvent(event)), anEvent({ ...event, level }))
    })
  )

  it.scopedLive("the same event twice under two ids, and ids that are none under new ones", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.forEach([undefined, undefined, "FC6D8C0C43FC4630AD850EE518F1B9D0", "x"], (event_id) =>
          Faultline.captureEvent({ message: "m", ...(event_id === undefined ? undefined : { event_id }) })
        )
      )
      const ids = ingest.allEvents.map((event) => event["event_id"])
      assert.strictEqual(new Set(ids).size, 4)
      assert.deepStrictEqual(
        ingest.allEvents.map(settle),
        ids.map(() => anEvent({ level: "info", message: "m" }))
      )
    })
  )

  it.scopedLive("tags as texts, and no fingerprint that is empty", () =>
    Effect.gen(function* () {
      const tags = { n: 1, "with space": true, long: "x".repeat(300) } as unknown as Record<string, string>
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureEvent({ message: "m", tags, fingerprint: [] })),
        anEvent({
          level: "info",
          message: "m",
          tags: { n: "1", "with-space": "true", long: "x".repeat(200) }
        })
      )
    })
  )

  it.scopedLive("what only its name makes look secret", () =>
    Effect.gen(function* () {
      const modules = { "effect-faultline": "0.1.0", effect: "3.0.0", "js-tokens": "4.0.0", "cookie-parser": "1.0.0" }
      const given = { message: "m", contexts: { session: { state: "open" } }, tags: { session: "s1" } }
      const ingest = yield* ingestOf(Faultline.captureEvent({ ...given, modules }))
      const event = yield* ingest.event()
      assert.deepStrictEqual(settle(event), anEvent({ level: "info", ...given, modules: "<modules>" }))
      assert.deepStrictEqual(event["modules"], modules)
    })
  )
})

describe("a capture", () => {
  it.scopedLive("returns the id under which the event was sent, and remembers it", () =>
    Effect.gen(function* () {
      let sent = Option.none<string>()
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* Faultline.lastEventId, Option.none())
          const id = yield* Faultline.captureException(boom())
          assert.isTrue(Option.isSome(id))
          assert.deepStrictEqual(yield* Faultline.lastEventId, id)
          yield* Effect.yieldNow()
          assert.deepStrictEqual(yield* Faultline.captureCause(Cause.empty), Option.none())
          assert.deepStrictEqual(yield* Faultline.lastEventId, id)
          sent = id
        })
      )
      const event = yield* ingest.event()
      assert.deepStrictEqual(sent, Option.some(event["event_id"] as string))
      assert.lengthOf(ingest.allEvents, 1)
    })
  )

  it.scopedLive("changes nothing about how the program ends", () =>
    Effect.gen(function* () {
      const error = new CardDeclined({ amount: 1, card: { last4: "1" } })
      let exit: Exit.Exit<unknown, unknown> | undefined
      yield* ingestOf(
        Effect.fail(error).pipe(
          Effect.tapErrorCause(Faultline.captureCause),
          Effect.exit,
          Effect.tap((ended) => Effect.sync(() => (exit = ended)))
        )
      )
      assert.deepStrictEqual(exit, Exit.fail(error))
    })
  )
})

function chained(id: number, parent: number, source: string): Json {
  return { type: "chained", handled: true, exception_id: id, parent_id: parent, source }
}
