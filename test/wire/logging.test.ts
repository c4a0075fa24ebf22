import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Headers from "@effect/platform/Headers"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as PlatformLogger from "@effect/platform/PlatformLogger"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { Ingest, type Json } from "../support/ingest.js"
import {
  anEvent,
  boom,
  boomEvent,
  crumbsIn,
  discarded,
  exception,
  flushed,
  hubAt,
  quiet,
  reportsAt,
  settle,
  settleStacks
} from "./kit.js"

/** Runs the effect under a hub with nothing but the integration: what the ingest has, once everything is sent. */
const ingestOf = <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope>,
  logging: Faultline.Logging.Options = {},
  options: Faultline.Options = {},
  loggers: Layer.Layer<never> = quiet
): Effect.Effect<Ingest, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    const layer = Faultline.Logging.layer(logging).pipe(Layer.provideMerge(hubAt(ingest, options)))
    yield* effect.pipe(Effect.zipRight(flushed), Effect.provide(loggers), Effect.provide(layer))
    return ingest
  })

/** The same: the events, settled. */
const eventsOf = (...args: Parameters<typeof ingestOf>): Effect.Effect<ReadonlyArray<Json>, unknown, Scope.Scope> =>
  Effect.map(ingestOf(...args), ({ allEvents }) => allEvents.map((event) => settle(event)))

/** The same: the breadcrumbs that an event at the end shows. */
const crumbsOf = (
  effect: Effect.Effect<unknown, unknown, Scope.Scope>,
  ...rest: Parameters<typeof ingestOf> extends [unknown, ...infer Rest] ? Rest : never
): Effect.Effect<ReadonlyArray<Json>, unknown, Scope.Scope> =>
  Effect.map(eventsOf(Effect.zipRight(effect, Faultline.captureMessage("after")), ...rest), (events) =>
    crumbsIn(events.find((event) => event["message"] === "after") as Json).map((crumb) => settleFiber(crumb))
  )

/** The fiber that wrote a breadcrumb, checked and named. */
const settleFiber = (crumb: Json): Json => {
  const { fiber, ...data } = (crumb["data"] ?? {}) as Json
  if (fiber === undefined) return crumb
  assert.match(String(fiber), /^#\d+$/)
  return { ...crumb, data: { ...data, fiber: "<fiber>" } }
}

/** The event of a log line, settled like its breadcrumbs. */
const settleLine = (event: Json): Json => {
  const { effect, ...contexts } = event["contexts"] as Json
  assert.match(String((effect as Json)["fiber"]), /^#\d+$/)
  return { ...event, contexts, breadcrumbs: { values: crumbsIn(event).map(settleFiber) } }
}

/** A line of Effect's loggers as a breadcrumb. */
const crumb = (message: string, own: Json = {}, data: Json = {}): Json => ({
  timestamp: "<timestamp>",
  type: "log",
  category: "effect",
  level: "info",
  message,
  data: { fiber: "<fiber>", ...data },
  ...own
})

/** A line on the console as a breadcrumb. */
const written = (message: string, level = "info"): Json => ({
  timestamp: "<timestamp>",
  type: "log",
  category: "console",
  level,
  message
})

/** What is in a field of an event that is a record. */
const fieldOf = (event: Json | undefined, field: string): Json => (event ?? {})[field] as Json

/** What is in a field that has its values in a list. */
const valuesOf = (event: Json | undefined, field: string): Array<Json> => fieldOf(event, field)["values"] as Array<Json>

const messages = (crumbs: ReadonlyArray<Json>): ReadonlyArray<unknown> => crumbs.map(({ message }) => message)

/** A console that says nothing, until the scope closes; what is written to it. */
const muted: Effect.Effect<Array<ReadonlyArray<unknown>>, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = { ...console }
      const lines: Array<ReadonlyArray<unknown>> = []
      const write = (...args: Array<unknown>): void => void lines.push(args)
      Object.assign(console, { debug: write, log: write, info: write, warn: write, error: write, group: () => {} })
      return { before, lines }
    }),
    ({ before }) => Effect.sync(() => void Object.assign(console, before))
  ),
  ({ lines }) => lines
)

const all = { level: "All", eventLevel: null } as const

describe("a log line", () => {
  const failed = Effect.gen(function* () {
    yield* Effect.logInfo("starting", { port: 80 })
    yield* Effect.logDebug("not seen")
    yield* Effect.logError("it failed", 7, boom()).pipe(
      Effect.annotateLogs({ logger: "shop", order: 7, password: "hunter2" }),
      Effect.withLogSpan("import")
    )
    yield* Faultline.captureMessage("after")
  })

  it.scopedLive("is a breadcrumb, from Error on an event, and that event's breadcrumb on the next one", () =>
    Effect.gen(function* () {
      const [logged, after] = (yield* eventsOf(failed)).map(settleLine_) as [Json, Json]
      const first = crumb('starting {"port":80}')
      const { logSpans, ...extra } = logged["extra"] as Json
      assert.isNumber((logSpans as Json)["import"])
      assert.deepStrictEqual(
        { ...logged, extra },
        boomEvent(
          {
            exception: { values: [exception("Error", "boom", { type: "logging", handled: true })] },
            logger: "shop",
            logentry: {
              message: "it failed",
              formatted: "it failed 7 Error: boom",
              params: [7, { name: "Error", message: "boom" }]
            },
            extra: { logger: "shop", order: 7, password: "[Filtered]" },
            breadcrumbs: { values: [first] }
          },
          ["logging"]
        )
      )
      const [, second] = crumbsIn(after)
      const data = second?.["data"] as Json
      assert.isNumber((data["logSpans"] as Json)["import"])
      assert.deepStrictEqual(
        [crumbsIn(after)[0], { ...second, data: { ...data, logSpans: "<spans>" } }],
        [
          first,
          crumb(
            "it failed 7 Error: boom",
            { category: "shop", level: "error" },
            { logger: "shop", order: 7, password: "[Filtered]", logSpans: "<spans>" }
          )
        ]
      )
    })
  )

  const settleLine_ = (event: Json): Json =>
    event["logger"] === undefined
      ? { ...event, breadcrumbs: { values: crumbsIn(event).map(settleFiber) } }
      : settleLine(event)

  it.scopedLive("without the integration is nothing", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const integrations = Faultline.defaultIntegrations({ logging: false })
      const writing = Effect.sync(() => console.log("raw"))
      yield* muted
      yield* Effect.zipRight(writing, failed).pipe(
        Effect.provide(quiet),
        Effect.provide(integrations.pipe(Layer.provideMerge(hubAt(ingest))))
      )
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(crumbsIn(ingest.allEvents[0] as Json), [])
    })
  )

  const levels: ReadonlyArray<readonly [level: LogLevel.LogLevel, as: string]> = [
    [LogLevel.Trace, "debug"],
    [LogLevel.Debug, "debug"],
    [LogLevel.Info, "info"],
    [LogLevel.Warning, "warning"],
    [LogLevel.Error, "error"],
    [LogLevel.Fatal, "fatal"]
  ]
  it.scopedLive.each(levels)("at $_tag has its level", ([level, as]) =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.zipRight(
          Logger.withMinimumLogLevel(Effect.logWithLevel(level, "line"), LogLevel.All),
          Faultline.captureMessage("after")
        ),
        { level: "Trace", eventLevel: "Trace" }
      )
      const [logged, after] = events as [Json, Json]
      assert.strictEqual(logged["level"], as)
      assert.deepStrictEqual(
        crumbsIn(after).map((crumb) => crumb["level"]),
        [as]
      )
    })
  )

  it.scopedLive("keeps its level whatever the level is called, and is none where it has none", () =>
    Effect.gen(function* () {
      const renamed = { ...LogLevel.Warning, label: "ACHTUNG" } as unknown as LogLevel.LogLevel
      const crumbs = yield* crumbsOf(
        Effect.all([
          Effect.logWithLevel(renamed, "renamed"),
          Effect.logWithLevel(LogLevel.None, "none"),
          Logger.withMinimumLogLevel(Effect.logWithLevel(LogLevel.All, "all"), LogLevel.All)
        ]),
        { ...all, eventLevel: "None" }
      )
      assert.deepStrictEqual(crumbs, [crumb("renamed", { level: "warning" })])
    })
  )

  it.scopedLive("gives way to the level of the scope", () =>
    Effect.gen(function* () {
      const [event] = yield* eventsOf(
        Effect.logError("line").pipe(Faultline.withScope({ level: "warning", extra: { own: 1, shared: "scope" } })),
        {}
      )
      assert.strictEqual(event?.["level"], "warning")
      assert.deepStrictEqual(event?.["extra"], { own: 1, shared: "scope" })
    })
  )

  it.scopedLive("masks what looks like a secret (C7), also one that a value hides itself", () =>
    Effect.gen(function* () {
      const headers = Headers.fromInput({ "x-plain": "1", "x-hidden": "hunter2" })
      const hiding = Effect.locally(Headers.currentRedactedNames, ["x-hidden"])
      const [event] = yield* eventsOf(
        Effect.zipRight(
          Effect.logInfo("headers", headers).pipe(Effect.annotateLogs("headers", headers), hiding),
          Effect.logError("no luck with password=hunter2", "token=s3cret-s3cret", Redacted.make("hunter2"))
        )
      )
      const message = "no luck with password=[Filtered]"
      assert.deepStrictEqual(event?.["logentry"], {
        message,
        formatted: `${message} token=[Filtered] <redacted>`,
        params: ["token=[Filtered]", "<redacted>"]
      })
      assert.include(JSON.stringify(crumbsIn(event as Json)), "x-plain")
      assert.notInclude(JSON.stringify(event), "hunter2")
    })
  )

  it.scopedLive("is cut where messages are cut", () =>
    Effect.gen(function* () {
      const message = `${"x".repeat(97)}...`
      const [event] = yield* eventsOf(Effect.logError("x".repeat(500)), {}, { maxValueLength: 100 })
      assert.deepStrictEqual(event?.["logentry"], { message, formatted: message, params: [] })
    })
  )

  it.scopedLive("has no template where it begins with no text", () =>
    Effect.gen(function* () {
      const [event] = yield* eventsOf(Effect.logError({ order: 7 }, "failed"))
      const text = '{"order":7} failed'
      assert.deepStrictEqual(event?.["logentry"], { message: text, formatted: text, params: ["failed"] })
    })
  )

  it.scopedLive("shows the spans it was written in, where messages carry a stack", () =>
    Effect.gen(function* () {
      const line = Effect.logError("line").pipe(Effect.withSpan("charge"), Effect.withSpan("order"))
      const [plain] = yield* eventsOf(line)
      assert.isFalse(Object.hasOwn(plain as Json, "threads"))
      const [event] = yield* eventsOf(line, {}, { attachStacktrace: true })
      const [thread] = valuesOf(event, "threads")
      const frames = fieldOf(thread, "stacktrace")["frames"] as Array<Json>
      assert.deepStrictEqual(
        frames.map((frame) => frame["function"]),
        ["order", "charge"]
      )
      assert.isFalse(Object.hasOwn(event as Json, "exception"))
    })
  )

  it.scopedLive("reaches beforeBreadcrumb and beforeSend with what it was made from", () =>
    Effect.gen(function* () {
      const hints: Array<unknown> = []
      yield* eventsOf(
        Effect.logError("line"),
        {},
        {
          beforeBreadcrumb: (breadcrumb, hint) => {
            hints.push(hint["logRecord"])
            return breadcrumb
          },
          beforeSend: (event, hint) => {
            hints.push(hint.logRecord, hint.integration)
            return event
          }
        }
      )
      const [first, integration, second] = hints as [Logger.Logger.Options<unknown>, string, unknown]
      assert.deepStrictEqual(first.message, ["line"])
      assert.strictEqual(integration, "logging")
      assert.strictEqual(second, first)
    })
  )

  it.scopedLive("is told to the hub it was written under, and to no other", () =>
    Effect.gen(function* () {
      const inner = yield* Ingest.start()
      const outer = yield* ingestOf(
        Effect.zipRight(
          Effect.logError("outer"),
          Effect.zipRight(Effect.logError("inner"), flushed).pipe(
            Effect.provide(Faultline.Logging.layer().pipe(Layer.provideMerge(hubAt(inner))))
          )
        )
      )
      const lines = ({ allEvents }: Ingest) => allEvents.map((event) => (event["logentry"] as Json)["message"])
      assert.deepStrictEqual([lines(outer), lines(inner)], [["outer"], ["inner"]])
    })
  )
})

describe("thresholds", () => {
  const lines = Effect.gen(function* () {
    yield* Effect.logInfo("info")
    yield* Effect.logWarning("warning")
    yield* Effect.logError("error")
    yield* Effect.logFatal("fatal")
    yield* Faultline.captureMessage("after")
  })

  const cases: ReadonlyArray<
    readonly [options: Faultline.Logging.Options, crumbs: ReadonlyArray<string>, events: ReadonlyArray<string>]
  > = [
    [{}, ["info", "warning", "error", "fatal"], ["error", "fatal"]],
    [{ level: "Fatal", eventLevel: "Warning" }, ["fatal"], ["warning", "error", "fatal"]],
    [{ level: null }, [], ["error", "fatal"]],
    [{ eventLevel: null }, ["info", "warning", "error", "fatal"], []],
    [{ level: null, eventLevel: null }, [], []],
    [{ level: LogLevel.Error, eventLevel: LogLevel.Fatal }, ["error", "fatal"], ["fatal"]],
    [{ level: "None", eventLevel: "None" }, [], []]
  ]
  it.scopedLive.each([...cases])(
    "are independent of each other, and null turns one off: %j",
    ([options, crumbs, logged]) =>
      Effect.gen(function* () {
        const events = yield* eventsOf(lines, options)
        assert.deepStrictEqual(messages(crumbsIn(events.at(-1) as Json)), crumbs)
        assert.deepStrictEqual(
          events.slice(0, -1).map((event) => (event["logentry"] as Json)["message"]),
          [...logged]
        )
      })
  )

  it.scopedLive("see what the program's minimum level lets through", () =>
    Effect.gen(function* () {
      const crumbs = yield* crumbsOf(
        Effect.gen(function* () {
          yield* Effect.logDebug("below")
          yield* Logger.withMinimumLogLevel(Effect.logDebug("within"), LogLevel.Debug)
          yield* Effect.logDebug("layer").pipe(Effect.provide(Logger.minimumLogLevel(LogLevel.Debug)))
          yield* Logger.withMinimumLogLevel(Effect.logWarning("silenced"), LogLevel.None)
        }),
        all
      )
      assert.deepStrictEqual(messages(crumbs), ["within", "layer"])
    })
  )
})

describe("options", () => {
  const wrong: ReadonlyArray<readonly [options: unknown, option: string]> = [
    [{ level: "Loud" }, "level"],
    [{ eventLevel: 3 }, "eventLevel"],
    [{ console: { level: "Loud" } }, "console.level"],
    [{ console: { eventLevel: "error" } }, "console.eventLevel"],
    [{ console: { levels: [] } }, "console.levels"],
    [{ console: "yes" }, "console"],
    [{ console: null }, "console"],
    [{ ignoreLoggers: "a" }, "ignoreLoggers"],
    [{ ignoreLoggers: [1] }, "ignoreLoggers"],
    [{ evenLevel: null }, "evenLevel"],
    [null, "options"]
  ]
  it.each(wrong)("%j are refused by name", (options, option) => {
    try {
      Faultline.Logging.layer(options as Faultline.Logging.Options)
    } catch (error) {
      assert.instanceOf(error, Faultline.OptionsError)
      assert.strictEqual(error.option, option)
      return
    }
    assert.fail("it was accepted")
  })
})

describe("errors in a line", () => {
  class Declined extends Data.TaggedError("Declined")<{ readonly reason: string }> {
    override get message(): string {
      return `declined: ${this.reason}`
    }
  }

  const exceptionsIn = (event: Json | undefined): Array<string> =>
    valuesOf(event, "exception").map(({ type, value }) => `${String(type)}: ${String(value)}`)

  it.scopedLive("a Cause is the event's exceptions, and each of its breadcrumbs says the main one", () =>
    Effect.gen(function* () {
      const cause = Cause.parallel(Cause.fail(new Declined({ reason: "limit" })), Cause.fail(boom("b")))
      const [event, after] = yield* eventsOf(
        Effect.gen(function* () {
          yield* Effect.logError(cause)
          yield* Effect.logWarning("retrying", cause)
          yield* Effect.logWarning("no error", Cause.fail("just text"))
          yield* Effect.logWarning("secret", Cause.fail(boom("password=hunter2")))
          yield* Effect.logWarning("over", Cause.interrupt(FiberId.none))
          yield* Faultline.captureMessage("after")
        })
      )
      assert.deepStrictEqual(exceptionsIn(event), ["Error: b", "Declined: declined: limit"])
      assert.isFalse(Object.hasOwn(event as Json, "logentry"))
      assert.deepStrictEqual(
        crumbsIn(after as Json).map(({ data, message }) => [message, (data as Json)["cause"]]),
        [
          ["Declined: declined: limit"],
          ["retrying", "Declined: declined: limit"],
          ["no error", "Error: just text"],
          ["secret", "Error: password=[Filtered]"],
          ["over", "Interrupted"]
        ].map(([message, cause]) => [message, cause])
      )
    })
  )

  it.scopedLive("the Cause counts more than an error beside it; the first error more than the others", () =>
    Effect.gen(function* () {
      const [both, two] = yield* eventsOf(
        Effect.zipRight(
          Effect.logError("both", boom("beside"), Cause.die(boom("cause"))),
          Effect.logError("two", boom("first"), boom("second"))
        )
      )
      assert.deepStrictEqual(exceptionsIn(both), ["Error: cause"])
      assert.deepStrictEqual(exceptionsIn(two), ["Error: first"])
      assert.strictEqual(fieldOf(two, "logentry")["formatted"], "two Error: first Error: second")
    })
  )

  it.scopedLive("an interruption is no exception", () =>
    Effect.gen(function* () {
      const [event] = yield* eventsOf(Effect.logError("stopped", Cause.interrupt(FiberId.none)))
      assert.isFalse(Object.hasOwn(event as Json, "exception"))
      assert.deepStrictEqual(event?.["logentry"], { message: "stopped", formatted: "stopped", params: [] })
    })
  )

  const nothing: ReadonlyArray<readonly [what: string, cause: Cause.Cause<unknown>, crumb: string | undefined]> = [
    ["an interruption", Cause.interrupt(FiberId.none), "Interrupted"],
    [
      "several interruptions",
      Cause.parallel(Cause.interrupt(FiberId.none), Cause.sequential(Cause.empty, Cause.interrupt(FiberId.none))),
      "Interrupted"
    ],
    ["what Cause.squash makes of one", Cause.die(new Cause.InterruptedException("by #1")), "Interrupted"],
    ["a response of 404", Cause.die(HttpServerResponse.empty({ status: 404 })), "HTTP 404"],
    [
      "an aborted request",
      Cause.sequential(Cause.interrupt(FiberId.none), Cause.die(HttpServerResponse.empty({ status: 499 }))),
      "HTTP 499"
    ],
    ["an empty Cause", Cause.empty, undefined]
  ]
  it.scopedLive.each(nothing)("with nothing but a Cause of %s is no event (C2)", ([, cause, message]) =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Effect.failCause(cause).pipe(Effect.tapErrorCause(Effect.logError), Effect.exit)
          yield* Effect.logFatal(cause)
          yield* Faultline.captureMessage("after")
        }),
        {},
        { enableLogs: true }
      )
      const [after, ...others] = ingest.allEvents as [Json, ...Array<Json>]
      assert.deepStrictEqual(others, [])
      assert.strictEqual(after["message"], "after")
      const written = crumbsIn(after).map(settleFiber)
      // An empty Cause is none at all: nobody has to be told of that line.
      for (const one of written) assert.include(one, { message, category: "effect" })
      if (message === undefined) assert.deepStrictEqual(written, [])
      else assert.include(written.at(-1), { message, level: "fatal" })
      const logs = ingest.envelopes.flatMap(({ framed }) =>
        framed.items.flatMap(({ headers, json }) => (headers["type"] === "log" ? (json?.["items"] as Array<Json>) : []))
      )
      for (const log of logs) assert.strictEqual(log["body"], message)
      assert.strictEqual(logs.length > 0, message !== undefined)
    })
  )

  it.scopedLive("with nothing in it is nothing, unless it is annotated; that of a 500 is an event", () =>
    Effect.gen(function* () {
      yield* muted
      const crumbs = yield* crumbsOf(
        Effect.all([
          Effect.logError(),
          Effect.logError(""),
          Effect.sync(() => console.error()),
          Effect.annotateLogs(Effect.logError(Cause.empty), "order", 7)
        ]),
        { console: { eventLevel: "Error" } }
      )
      assert.deepStrictEqual(crumbs, [crumb("", { level: "error" }, { order: 7 })])
      const [event] = yield* eventsOf(Effect.logError(Cause.die(HttpServerResponse.empty({ status: 503 }))))
      assert.lengthOf(exceptionsIn(event), 1)
    })
  )

  it.scopedLive("logged and then reported, or the other way round, is one event", () =>
    Effect.gen(function* () {
      yield* muted
      const ingest = yield* Ingest.start()
      const error = boom()
      yield* Effect.gen(function* () {
        yield* Effect.logError("it failed", error)
        yield* Faultline.captureException(error)
        yield* Effect.logError(Cause.fail(error))
        yield* Effect.sync(() => console.error(error))
        yield* flushed
      }).pipe(
        Effect.provide(quiet),
        Effect.provide(
          Faultline.defaultIntegrations({
            logging: Faultline.Logging.layer({ console: { eventLevel: "Error" } })
          }).pipe(Layer.provideMerge(hubAt(ingest)))
        )
      )
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(reportsAt(ingest).flat(), [discarded("event_processor", 3)])
    })
  )
})

describe("ignored loggers", () => {
  const line = (logger: string) => Effect.logError(logger).pipe(Effect.annotateLogs({ logger }))

  it.scopedLive("are ignored by name, by padded name and by wildcard; what is like them is not", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          for (const logger of ["exact", " exact ", "exactly", "a", "a.b", "a.b.c", "v1", "v22", "A.b"])
            yield* line(logger)
          yield* Effect.logError("unnamed")
          yield* Effect.logError("blank").pipe(Effect.annotateLogs({ logger: " " }))
          yield* Faultline.captureMessage("after")
        }),
        { ignoreLoggers: ["exact", " a.* ", "v?"] }
      )
      const left = ["exactly", "a", "v22", "A.b", "unnamed", "blank"]
      assert.deepStrictEqual(
        events.slice(0, -1).map((event) => (event["logentry"] as Json)["message"]),
        left
      )
      assert.deepStrictEqual(
        events.slice(0, -1).map((event) => event["logger"]),
        ["exactly", "a", "v22", "A.b", "effect", "effect"]
      )
      assert.deepStrictEqual(messages(crumbsIn(events.at(-1) as Json)), left)
    })
  )

  it.scopedLive("may be Effect's own, or the console", () =>
    Effect.gen(function* () {
      yield* muted
      const both = Effect.zipRight(
        Effect.logInfo("effect"),
        Effect.sync(() => console.log("console"))
      )
      assert.deepStrictEqual(messages(yield* crumbsOf(both, { ignoreLoggers: ["effect"] })), ["console"])
      assert.deepStrictEqual(messages(yield* crumbsOf(both, { ignoreLoggers: ["console"] })), ["effect"])
    })
  )
})

const no = (): never => {
  throw new Error("trap")
}
const proxy = new Proxy({}, { get: no, has: no, ownKeys: no, getPrototypeOf: no, getOwnPropertyDescriptor: no })
const revoked = Proxy.revocable({}, {})
revoked.revoke()

/** What makes other loggers fail. */
const hostile = (): ReadonlyArray<readonly [name: string, value: unknown]> => {
  const cyclic: Record<string, unknown> = { name: "cyclic" }
  cyclic["self"] = cyclic
  const throwing = {
    get now(): never {
      throw new Error("getter")
    }
  }
  const json = {
    toJSON(): never {
      throw new Error("toJSON")
    }
  }
  const error = new Error("x")
  Object.defineProperty(error, "message", { get: no })
  return [
    ["a cycle", cyclic],
    ["a BigInt", 10n],
    ["a BigInt inside", { amount: 10n }],
    ["a getter that throws", throwing],
    ["a toJSON that throws", json],
    // By itself, neither of the two gets past Effect.
    ["a proxy that throws", { proxy }],
    ["a revoked proxy", { proxy: revoked.proxy }],
    ["an error that throws", error],
    ["a symbol", Symbol("s")],
    ["a function", () => 1],
    ["a Map", new Map([[{}, cyclic]])],
    ["half of a pair", "\ud800"],
    ["what has no prototype", Object.create(null)],
    ["undefined", undefined],
    ["null", null],
    ["__proto__", JSON.parse('{"__proto__":{"polluted":1}}')]
  ]
}

describe("values", () => {
  it.scopedLive.each(hostile())("%s breaks nothing", ([name, value]) =>
    Effect.gen(function* () {
      yield* muted
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* Effect.logInfo(name, value)
          yield* Effect.logInfo(value)
          yield* Effect.logInfo("annotated").pipe(Effect.annotateLogs({ [name]: value, value }))
          yield* Effect.logInfo("caused", Cause.fail(value))
          yield* Effect.sync(() => {
            console.log(name, value)
            console.log("%s %d %i %f %j %o %O %c", value, value, value, value, value, value, value, value)
            console.log(value)
            console.log(name === "a proxy that throws" ? proxy : revoked.proxy)
          })
          yield* Effect.logError(name, value).pipe(Effect.annotateLogs({ value }))
          yield* Faultline.captureMessage("after")
        })
      )
      assert.lengthOf(events, 2)
      assert.strictEqual(fieldOf(events[0], "logentry")["message"], name)
      assert.lengthOf(crumbsIn(events[1] as Json), 9)
    })
  )
})

describe("the program's own loggers", () => {
  const said: Array<string> = []
  const mine = Logger.make(({ message }) => void said.push(String(message)))

  const with_ = (loggers: Layer.Layer<never>, effect: Effect.Effect<unknown> = Effect.logInfo("line")) =>
    Effect.gen(function* () {
      const output = yield* muted
      said.length = 0
      const crumbs = yield* crumbsOf(effect, {}, {}, loggers)
      return { crumbs: messages(crumbs), said: [...said], output }
    }).pipe(Effect.scoped)

  it.scopedLive("keep working, added, replaced, removed, in whichever order", () =>
    Effect.gen(function* () {
      const added = yield* with_(Logger.add(mine))
      assert.deepStrictEqual([added.crumbs, added.said, added.output.length], [["line"], ["line"], 1])
      const replaced = yield* with_(Logger.replace(Logger.defaultLogger, mine))
      assert.deepStrictEqual(replaced, { crumbs: ["line"], said: ["line"], output: [] })
      const json = yield* with_(Logger.json)
      assert.deepStrictEqual(json.crumbs, ["line"])
      assert.strictEqual((JSON.parse(String(json.output[0]?.[0])) as Json)["message"], "line")
      for (const layer of [Logger.pretty, Logger.logFmt, Logger.structured]) {
        const other = yield* with_(layer)
        assert.deepStrictEqual(other.crumbs, ["line"])
        assert.isNotEmpty(other.output)
      }
      const removed = yield* with_(Logger.remove(Logger.defaultLogger))
      assert.deepStrictEqual(removed, { crumbs: ["line"], said: [], output: [] })
      const merged = yield* with_(Layer.mergeAll(Logger.add(mine), Logger.remove(Logger.defaultLogger)))
      assert.deepStrictEqual(merged, { crumbs: ["line"], said: ["line"], output: [] })
    })
  )

  it.scopedLive("may be none at all", () =>
    Effect.gen(function* () {
      const none = yield* with_(
        Layer.empty,
        Effect.locally(Effect.logInfo("line"), FiberRef.currentLoggers, HashSet.empty())
      )
      assert.deepStrictEqual(none, { crumbs: ["line"], said: [], output: [] })
    })
  )

  it.scopedLive("may be batched, or write to a file", () =>
    Effect.gen(function* () {
      const batches: Array<ReadonlyArray<string>> = []
      const batched = yield* with_(
        Logger.replaceScoped(
          Logger.defaultLogger,
          Logger.batched(Logger.stringLogger, "1 hour", (batch) => Effect.sync(() => void batches.push(batch)))
        )
      )
      assert.deepStrictEqual(batched.crumbs, ["line"])
      assert.match(String(batches.flat()), /message=line/)

      const folder = mkdtempSync(join(tmpdir(), "faultline-"))
      const file = join(folder, "log.txt")
      const toFile = Logger.replaceScoped(Logger.defaultLogger, PlatformLogger.toFile(Logger.stringLogger, file))
      const filed = yield* with_(Layer.orDie(Layer.provide(toFile, NodeFileSystem.layer)))
      assert.deepStrictEqual(filed.crumbs, ["line"])
      assert.match(readFileSync(file, "utf8"), /message=line/)
      rmSync(folder, { recursive: true })
    })
  )

  it.scopedLive("may throw: the program sees it as it would without us, and the line is recorded", () =>
    Effect.gen(function* () {
      const broken = Logger.make(() => {
        throw new Error("a broken logger")
      })
      const line = Effect.exit(Effect.logInfo("line"))
      const loggers = Layer.mergeAll(quiet, Logger.add(broken))
      const without = yield* Effect.provide(line, loggers)
      let exit: Exit.Exit<void> | undefined
      const { crumbs } = yield* with_(
        loggers,
        Effect.map(line, (ended) => (exit = ended))
      )
      assert.deepStrictEqual(crumbs, ["line"])
      assert.deepStrictEqual(exit, without)
      assert.isTrue(Exit.isFailure(without))
    })
  )

  it.scopedLive("are those of before, once the hub is closed", () =>
    Effect.gen(function* () {
      const before = yield* FiberRef.get(FiberRef.currentLoggers)
      yield* ingestOf(Effect.logInfo("line"), {}, {}, Layer.empty).pipe(Effect.provide(quiet))
      assert.strictEqual(yield* FiberRef.get(FiberRef.currentLoggers), before)
    })
  )
})

describe("a line from inside a callback", () => {
  const log = (text: string) => () => {
    Effect.runSync(Effect.logError(text).pipe(Effect.provide(quiet)))
    console.error(text)
  }

  it.scopedLive("ends where it began (debug on, everything an event)", () =>
    Effect.gen(function* () {
      yield* muted
      let calls = 0
      const fromInside = (text: string) => {
        calls++
        log(text)()
      }
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* Effect.logInfo("line")
          yield* Effect.sync(() => console.log("raw"))
          yield* Faultline.captureMessage("after")
        }),
        { level: "All", eventLevel: "All", console: { level: "All", eventLevel: "All" } },
        {
          beforeBreadcrumb: (breadcrumb) => {
            fromInside("beforeBreadcrumb")
            return breadcrumb
          },
          beforeSend: (event) => {
            fromInside("beforeSend")
            return event
          },
          errorSampler: () => {
            fromInside("errorSampler")
            return 1
          }
        }
      )
      assert.strictEqual(calls, 8)
      assert.deepStrictEqual(
        events.map((event) => event["message"] ?? (event["logentry"] as Json)["message"]),
        ["line", "raw", "after"]
      )
      assert.deepStrictEqual(messages(crumbsIn(events[2] as Json)), ["line", "raw"])
    })
  )

  it.scopedLive("of a transport is the transport's own affair", () =>
    Effect.gen(function* () {
      const output = yield* muted
      const sent: Array<string> = []
      const talkative = Faultline.Transport.layer((envelope) =>
        Effect.gen(function* () {
          yield* Effect.logError("sending")
          yield* Faultline.captureMessage("sending")
          yield* Faultline.setTag("sending", 1)
          yield* Effect.sync(() => {
            console.error("sending")
            Facade.logger.error("sending")
          })
          sent.push(Buffer.from(envelope).toString())
          return { status: 200 }
        })
      )
      const hub = Faultline.Hub.layer({ dsn: "http://key@127.0.0.1/1", enableLogs: true })
      yield* Effect.logError("line").pipe(
        Effect.zipRight(flushed),
        Effect.provide(Faultline.Logging.layer({ console: { eventLevel: "All" } }).pipe(Layer.provideMerge(hub))),
        Effect.provide(talkative)
      )
      assert.lengthOf(sent, 2, "the event and the log of the line")
      assert.notInclude(sent.join(""), "sending")
      assert.include(output.flat(), "sending")
    })
  )

  it.scopedLive("that hears of log lines is not heard", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const heard: Array<unknown> = []
      const chatty = Faultline.Integration.make("chatty", () =>
        Effect.succeed({
          onLog: ({ message }, fiber) => {
            heard.push(message)
            Effect.runSync(
              Effect.inheritFiberRefs(fiber.getFiberRefs()).pipe(Effect.zipRight(Effect.logInfo("chatter")))
            )
          }
        })
      )
      yield* Effect.logInfo("line").pipe(
        Effect.provide(quiet),
        Effect.provide(chatty.pipe(Layer.provideMerge(hubAt(ingest))))
      )
      assert.deepStrictEqual(heard, [["line"]])
    })
  )
})

describe("the console", () => {
  const write = (name: "debug" | "log" | "info" | "warn" | "error" | "trace", ...args: Array<unknown>) =>
    Effect.sync(() => console[name](...args))

  it.scopedLive("a line is a breadcrumb, at the level of its method, and no event", () =>
    Effect.gen(function* () {
      const output = yield* muted
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* write("debug", "below")
          yield* write("log", "log", 1, { a: 1 })
          yield* write("info", "\u001b[32mgreen\u001b[0m")
          yield* write("warn", "%s is %d%%, %j", "disk", "90", { full: false }, "soon")
          yield* write("error", boom())
          yield* Effect.sync(() => {
            console.assert(true, "holds")
            console.assert(false, "is %s", "wrong")
            console.assert(false)
          })
          yield* Faultline.captureMessage("after")
        })
      )
      assert.lengthOf(events, 1)
      assert.deepStrictEqual(crumbsIn(events[0] as Json), [
        written('log 1 {"a":1}'),
        written("green"),
        written('disk is 90%, {"full":false} soon', "warning"),
        written("Error: boom", "error"),
        written("Assertion failed: is wrong", "error"),
        written("Assertion failed", "error")
      ])
      assert.deepStrictEqual(output[1], ["log", 1, { a: 1 }])
    })
  )

  it.scopedLive("has thresholds of its own, and events where they are asked for", () =>
    Effect.gen(function* () {
      yield* muted
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* write("debug", "debug")
          yield* write("warn", "warned %s", "twice")
          yield* write("error", "it failed", boom())
          yield* Faultline.captureMessage("after")
        }),
        { level: null, console: { level: "Debug", eventLevel: "Warning" } }
      )
      const [warned, failed, after] = events as [Json, Json, Json]
      assert.deepStrictEqual(
        warned,
        anEvent(
          {
            level: "warning",
            logger: "console",
            logentry: { message: "warned %s", formatted: "warned twice", params: ["twice"] },
            breadcrumbs: { values: [written("debug", "debug")] }
          },
          ["logging"]
        )
      )
      assert.deepStrictEqual(
        failed,
        boomEvent(
          {
            logger: "console",
            logentry: {
              message: "it failed",
              formatted: "it failed Error: boom",
              params: [{ name: "Error", message: "boom" }]
            },
            exception: { values: [exception("Error", "boom", { type: "logging", handled: true })] },
            breadcrumbs: { values: [written("debug", "debug"), written("warned twice", "warning")] }
          },
          ["logging"]
        )
      )
      assert.deepStrictEqual(messages(crumbsIn(after)), ["debug", "warned twice", "it failed Error: boom"])
    })
  )

  it.scopedLive("an event shows where the line was written, where messages carry a stack", () =>
    Effect.gen(function* () {
      yield* muted
      const [event] = yield* eventsOf(
        write("error", "line"),
        { console: { eventLevel: "Error" } },
        { attachStacktrace: true }
      )
      settleStacks(event as Json, "logging.test.ts")
      assert.deepStrictEqual(event?.["threads"], {
        values: [{ id: 0, crashed: false, current: true, stacktrace: "<stack>" }]
      })
    })
  )

  it.scopedLive("what Effect's loggers write there is not recorded a second time; what its Console writes, once", () =>
    Effect.gen(function* () {
      const output = yield* muted
      const lines = Effect.gen(function* () {
        yield* Effect.logInfo("logged")
        yield* Console.log("Console")
        yield* write("log", "raw")
      })
      const writing = Logger.make(({ message }) => console.log(`mine ${String(message)}`))
      const loggers: Record<string, Layer.Layer<never>> = {
        default: Layer.empty,
        pretty: Logger.pretty,
        json: Logger.json,
        logFmt: Logger.logFmt,
        structured: Logger.structured,
        leveled: Logger.replace(Logger.defaultLogger, Logger.withLeveledConsole(Logger.stringLogger)),
        own: Logger.add(writing)
      }
      for (const [name, layer] of Object.entries(loggers)) {
        output.length = 0
        const crumbs = yield* crumbsOf(lines, {}, {}, layer)
        assert.deepStrictEqual(crumbs, [crumb("logged"), written("Console"), written("raw")], name)
        assert.isAtLeast(output.length, 3)
      }
    })
  )

  it.scopedLive("a method that writes by way of another is recorded once", () =>
    Effect.gen(function* () {
      // Node's own console, with its output turned off.
      const real = console
      const node = (yield* Effect.promise(() => import("node:console"))).default
      const { PassThrough } = yield* Effect.promise(() => import("node:stream"))
      const stream = new PassThrough().resume()
      const own = new node.Console({ stdout: stream, stderr: stream })
      yield* Effect.acquireRelease(
        Effect.sync(() => void (globalThis.console = own)),
        () => Effect.sync(() => void (globalThis.console = real))
      )
      const crumbs = yield* crumbsOf(
        Effect.sync(() => {
          own.trace("trace")
          own.assert(false, "assert")
          own.group("group")
          own.groupEnd()
        }),
        all
      )
      assert.deepStrictEqual(crumbs, [
        written("trace", "debug"),
        written("Assertion failed: assert", "error"),
        written("group")
      ])
    })
  )

  it.scopedLive("lines are on the scope they were written in, also by code that a fiber waits for", () =>
    Effect.gen(function* () {
      yield* muted
      const work = (name: string) =>
        Faultline.withIsolationScope(
          Effect.gen(function* () {
            yield* Effect.promise(async () => {
              await Promise.resolve()
              console.log(`promise of ${name}`)
              await new Promise((resolve) => setImmediate(resolve))
              console.log(`later in ${name}`)
            })
            yield* Faultline.captureMessage(name)
          })
        )
      const events = yield* eventsOf(Effect.all([work("a"), work("b")], { concurrency: "unbounded" }))
      for (const event of events) {
        const name = String(event["message"])
        assert.deepStrictEqual(messages(crumbsIn(event)), [`promise of ${name}`, `later in ${name}`])
      }
      assert.lengthOf(events, 2)
    })
  )

  it.scopedLive("of a program that is not Effect is recorded too", () =>
    Effect.gen(function* () {
      yield* muted
      const ingest = yield* Ingest.start()
      yield* Effect.acquireRelease(
        Effect.sync(() => Facade.init({ dsn: ingest.dsn, serverName: "wire" })),
        () => Effect.promise(() => Facade.close(1000))
      )
      yield* Effect.promise(async () => {
        Facade.withIsolationScope(() => {
          console.log("in a request")
          Effect.runSync(Effect.zipRight(Effect.logInfo("in a fiber of it"), Faultline.captureMessage("fiber")))
          Facade.captureMessage("request")
        })
        console.log("outside")
        Facade.captureMessage("program")
        await Facade.flush(5000)
      })
      const crumbs = ingest.allEvents.map((event) => [event["message"], messages(crumbsIn(event))])
      assert.sameDeepMembers(crumbs, [
        ["fiber", ["in a request", "in a fiber of it"]],
        ["request", ["in a request"]],
        ["program", ["outside"]]
      ])
    })
  )

  it.scopedLive("is left alone with console: false, and given back when the hub closes", () =>
    Effect.gen(function* () {
      yield* muted
      const before = { ...console }
      const fiber = Object.getPrototypeOf(yield* Effect.fork(Effect.void)) as Record<string, unknown>
      const log = fiber["log"]
      const crumbs = yield* crumbsOf(
        Effect.sync(() => {
          assert.deepStrictEqual({ ...console }, before)
          console.log("raw")
        }),
        { console: false }
      )
      assert.deepStrictEqual(crumbs, [])
      yield* ingestOf(Effect.sync(() => assert.notDeepEqual({ ...console }, before)))
      for (const [name, method] of Object.entries(before)) assert.strictEqual(Reflect.get(console, name), method, name)
      assert.strictEqual(fiber["log"], log)
    })
  )

  it.scopedLive("stays with whoever has patched it since, and is passed on to", () =>
    Effect.gen(function* () {
      const output = yield* muted
      const before = console.log
      const seen: Array<unknown> = []
      yield* ingestOf(
        Effect.sync(() => {
          const ours = console.log
          assert.strictEqual(ours.name, before.name)
          console.log = (...args: Array<unknown>) => {
            seen.push(...args)
            ours(...args)
          }
        })
      )
      console.log("afterwards")
      assert.deepStrictEqual(seen, ["afterwards"])
      assert.deepStrictEqual(output, [["afterwards"]])
    })
  )

  it.scopedLive("that is frozen is left as it is, and log lines are heard all the same", () =>
    Effect.gen(function* () {
      const real = console
      yield* Effect.acquireRelease(
        Effect.sync(() => void (globalThis.console = Object.freeze({ ...real, log: () => {} }) as Console)),
        () => Effect.sync(() => void (globalThis.console = real))
      )
      const crumbs = yield* crumbsOf(
        Effect.zipRight(
          Effect.sync(() => console.log("raw")),
          Effect.logInfo("line")
        )
      )
      assert.deepStrictEqual(messages(crumbs), ["line"])
    })
  )
})

type Console = typeof globalThis.console

describe("fibers", () => {
  it.scopedLive("that fail unseen are a line of their own at Debug, where the program lets it through", () =>
    Effect.gen(function* () {
      const crumbs = yield* crumbsOf(
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.fail(boom()))
          yield* Fiber.await(fiber)
        }).pipe(Logger.withMinimumLogLevel(LogLevel.Debug)),
        all
      )
      assert.deepStrictEqual(crumbs, [
        crumb("Fiber terminated with an unhandled error", { level: "debug" }, { cause: "Error: boom" })
      ])
    })
  )
})
