/**
 * Structured logs: items of their own, of what the program logs and of the facade's `logger`.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { TestHub } from "effect-faultline/testing"
import { type Answer, type FramedItem, Ingest, type Json } from "../support/ingest.js"
import { boom, crumbsIn, discarded, flushed, hubAt, quiet, reportsAt, SDK } from "./kit.js"

type Log = Record<string, any>

const logsIn = (ingest: Ingest): ReadonlyArray<Log> => batchesIn(ingest).flat()

const batchesIn = (ingest: Ingest): ReadonlyArray<ReadonlyArray<Log>> =>
  ingest.envelopes.flatMap(({ framed }) =>
    framed.items.flatMap(({ headers, json }) => (headers["type"] === "log" ? [json?.["items"] as Array<Log>] : []))
  )

const bodies = (logs: ReadonlyArray<Log>): ReadonlyArray<unknown> => logs.map(({ body }) => body as unknown)

/** The attributes of a log without their types, which are checked elsewhere. */
const plain = ({ attributes }: Log): Json =>
  Object.fromEntries(Object.entries(attributes as Record<string, Json>).map(([key, { value }]) => [key, value]))

/** Runs the effect under a hub that wants logs: what the ingest has, once everything is sent. */
const ingestOf = <A, E>(
  effect: Effect.Effect<A, E, Faultline.Hub | Scope.Scope>,
  options: Faultline.Options = {},
  logging: Faultline.Logging.Options = {},
  ingest: Effect.Effect<Ingest, unknown, Scope.Scope> = Ingest.start()
): Effect.Effect<Ingest, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const receiver = yield* ingest
    const layer = Faultline.Logging.layer(logging).pipe(
      Layer.provideMerge(hubAt(receiver, { enableLogs: true, ...options }))
    )
    yield* effect.pipe(Effect.zipRight(flushed), Effect.provide(quiet), Effect.provide(layer))
    return receiver
  })

const logsOf = (...args: Parameters<typeof ingestOf>): Effect.Effect<ReadonlyArray<Log>, unknown, Scope.Scope> =>
  Effect.map(ingestOf(...args), logsIn)

/** The same for plain code, under the facade. */
const facadeLogsOf = (body: () => unknown, options: Facade.InitOptions = {}) =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    yield* Effect.promise(async () => {
      Facade.init({ dsn: ingest.dsn, serverName: "wire", enableLogs: true, ...options })
      await body()
      await Facade.close(5000)
    })
    return ingest
  })

const string = (value: string) => ({ type: "string", value })
const integer = (value: number) => ({ type: "integer", value })

const DEFAULTS = {
  "sentry.environment": string("production"),
  "sentry.sdk.name": string(SDK.name),
  "sentry.sdk.version": string(SDK.version),
  "server.address": string("wire")
}

describe("a log line, where logs are wanted", () => {
  it.scopedLive("is a log with trace, user and everything else it says, in an item by the letter of the protocol", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Faultline.setUser({ id: 7, email: "a@b.example", username: "ann" })
          yield* Faultline.setTag("tag", "is none of it")
          yield* Effect.logWarning("charged %s", { cents: 5 }, "now").pipe(
            Effect.annotateLogs({
              logger: "shop",
              order: 7,
              ratio: 0.5,
              paid: true,
              list: [1, 2],
              password: "hunter2"
            }),
            Effect.withLogSpan("import"),
            Effect.withSpan("charge")
          )
        }),
        { release: "shop@1", environment: "test" }
      )
      const envelope = yield* ingest.envelope()
      assert.deepStrictEqual(Object.keys(envelope.framed.headers).toSorted(), ["dsn", "sdk", "sent_at"])
      const { length, ...headers } = (envelope.framed.items[0] as FramedItem).headers
      assert.isNumber(length)
      assert.deepStrictEqual(headers, {
        type: "log",
        item_count: 1,
        content_type: "application/vnd.sentry.items.log+json"
      })
      const [log] = logsIn(ingest) as [Log]
      assert.match(String(log["trace_id"]), /^[0-9a-f]{32}$/)
      assert.match(String(log["span_id"]), /^[0-9a-f]{16}$/)
      assert.closeTo(log["timestamp"] as number, Date.now() / 1000, 60)
      const { "logSpan.import": span, fiberId, ...attributes } = log["attributes"] as Record<string, Json>
      assert.deepInclude(span, { type: "integer" })
      assert.match(String(fiberId?.["value"]), /^#\d+$/)
      assert.deepStrictEqual(
        { ...log, trace_id: 0, span_id: 0, timestamp: 0, attributes },
        {
          timestamp: 0,
          trace_id: 0,
          span_id: 0,
          level: "warn",
          severity_number: 13,
          body: 'charged %s {"cents":5} now',
          attributes: {
            ...DEFAULTS,
            "sentry.environment": string("test"),
            "sentry.release": string("shop@1"),
            "user.id": string("7"),
            "user.name": string("ann"),
            "user.email": string("a@b.example"),
            "sentry.timestamp.sequence": integer(0),
            "sentry.origin": string("auto.log.effect"),
            "sentry.message.template": string("charged %s"),
            "sentry.message.parameter.0": string('{"cents":5}'),
            "sentry.message.parameter.1": string("now"),
            "logger.name": string("shop"),
            order: integer(7),
            ratio: { type: "double", value: 0.5 },
            paid: { type: "boolean", value: true },
            list: { type: "array", value: [1, 2] },
            password: string("[Filtered]")
          }
        }
      )
    })
  )

  it.scopedLive("without parameters, span, user and release has nothing of them", () =>
    Effect.gen(function* () {
      const [log] = (yield* logsOf(Effect.logInfo("line"))) as [Log]
      assert.isFalse(Object.hasOwn(log, "span_id"))
      const { fiberId: _, ...attributes } = log["attributes"] as Json
      assert.deepStrictEqual(attributes, {
        ...DEFAULTS,
        "sentry.timestamp.sequence": integer(0),
        "sentry.origin": string("auto.log.effect"),
        "logger.name": string("effect")
      })
    })
  )

  it.scopedLive("has its level and the number of it", () =>
    Effect.gen(function* () {
      const levels = [LogLevel.Trace, LogLevel.Debug, LogLevel.Info, LogLevel.Warning, LogLevel.Error, LogLevel.Fatal]
      const logs = yield* logsOf(
        Logger.withMinimumLogLevel(
          Effect.forEach([...levels, LogLevel.None, LogLevel.All], (level) => Effect.logWithLevel(level, "line")),
          LogLevel.All
        ),
        {},
        { logsLevel: "All", eventLevel: null }
      )
      assert.deepStrictEqual(
        logs.map(({ level, severity_number }) => [level, severity_number] as unknown),
        [
          ["trace", 1],
          ["debug", 5],
          ["info", 9],
          ["warn", 13],
          ["error", 17],
          ["fatal", 21]
        ]
      )
    })
  )

  it.scopedLive("says what failed in it, also where there is nothing else", () =>
    Effect.gen(function* () {
      const logs = yield* logsOf(
        Effect.gen(function* () {
          yield* Effect.logWarning("it failed", boom())
          yield* Effect.logWarning(Cause.die(new TypeError("password=hunter2")))
        })
      )
      assert.deepStrictEqual(bodies(logs), ["it failed Error: boom", "TypeError: password=[Filtered]"])
      assert.deepInclude(plain(logs[0] as Log), { "exception.type": "Error", "exception.message": "boom" })
      assert.deepInclude(plain(logs[1] as Log), { "exception.message": "password=[Filtered]" })
    })
  )

  it.scopedLive("is a log from logsLevel on, whatever the other thresholds; null turns logs off", () =>
    Effect.gen(function* () {
      const lines = Effect.gen(function* () {
        yield* Effect.logInfo("info")
        yield* Effect.logWarning("warning")
        yield* Effect.logError("error")
      })
      const seen = (logging: Faultline.Logging.Options) =>
        Effect.map(ingestOf(lines, {}, logging), (ingest) => [bodies(logsIn(ingest)), ingest.allEvents.length])
      assert.deepStrictEqual(yield* seen({}), [["info", "warning", "error"], 1])
      assert.deepStrictEqual(yield* seen({ level: null, eventLevel: null, logsLevel: "Warning" }), [
        ["warning", "error"],
        0
      ])
      assert.deepStrictEqual(yield* seen({ logsLevel: null }), [[], 1])
      assert.throws(() => Faultline.Logging.layer({ logsLevel: "x" as never }), Faultline.OptionsError, "logsLevel")
    })
  )

  it.scopedLive("is none where logs are not wanted", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logsOf(Effect.logInfo("line"), { enableLogs: false }), [])
      const ingest = yield* facadeLogsOf(() => Facade.logger.info("line"), { enableLogs: false })
      assert.lengthOf(ingest.envelopes, 0)
    })
  )

  it.scopedLive("may be left out by its logger, independently of events and breadcrumbs", () =>
    Effect.gen(function* () {
      const lines = Effect.forEach(["a.b", "c.d"], (logger) =>
        Effect.logError(logger).pipe(Effect.annotateLogs({ logger }))
      )
      const ingest = yield* ingestOf(lines, {}, { ignoreLoggers: ["a.*"], ignoreLoggersInLogs: ["c.*"] })
      assert.deepStrictEqual(bodies(logsIn(ingest)), ["a.b"])
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => event["logger"]),
        ["c.d"]
      )
    })
  )

  it.scopedLive("on the console is one only where that is asked for", () =>
    Effect.gen(function* () {
      const write = vi.spyOn(console, "warn").mockReturnValue()
      const line = Effect.sync(() => console.warn("%s left", 3))
      assert.deepStrictEqual(yield* logsOf(line), [])
      const [log] = (yield* logsOf(line, {}, { console: { logsLevel: "Info" } })) as [Log]
      assert.strictEqual(log["body"], "3 left")
      assert.deepInclude(plain(log), {
        "sentry.origin": "auto.log.console",
        "logger.name": "console",
        "sentry.message.template": "%s left",
        "sentry.message.parameter.0": 3
      })
      write.mockRestore()
    })
  )

  it.scopedLive("of a hostile value is sent all the same, as text", () =>
    Effect.gen(function* () {
      const cyclic: Record<string, unknown> = {}
      cyclic["self"] = cyclic
      const values = {
        cyclic,
        big: 2n ** 70n,
        nan: Number.NaN,
        symbol: Symbol("s"),
        nothing: null,
        nowhere: undefined,
        mixed: [1, "a"],
        texts: ["a", "token=hunter2-hunter2"],
        empty: [],
        long: "x".repeat(20_000),
        half: "\ud800",
        date: new Date(0),
        throwing: {
          get no(): never {
            throw new Error("no")
          }
        }
      }
      const [log] = (yield* logsOf(Effect.logInfo("line", values).pipe(Effect.annotateLogs(values)))) as [Log]
      const { attributes } = log as { attributes: Record<string, Json> }
      const { long, ...own } = Object.fromEntries(
        Object.keys(values).flatMap((key) => (attributes[key] === undefined ? [] : [[key, attributes[key]]]))
      )
      assert.lengthOf(long?.["value"] as string, 8192)
      assert.deepStrictEqual(own, {
        cyclic: string('{"self":"[Circular ~]"}'),
        big: string(String(2n ** 70n)),
        nan: string("NaN"),
        symbol: string("[Symbol(s)]"),
        mixed: string('[1,"a"]'),
        texts: { type: "array", value: ["a", "token=[Filtered]"] },
        empty: string("[]"),
        half: string("\ufffd"),
        date: string("1970-01-01T00:00:00.000Z"),
        throwing: string('{"no":"[Throws: no]"}')
      })
    })
  )
})

describe("the facade's logger", () => {
  it.scopedLive("writes logs of six levels, with attributes, and neither breadcrumbs nor events", () =>
    Effect.gen(function* () {
      const { logger } = Facade
      const ingest = yield* facadeLogsOf(() => {
        Facade.setUser({ id: "u1" })
        for (const level of ["trace", "debug", "info", "warn", "error", "fatal"] as const)
          logger[level](level, { level })
        logger.info("plain")
        logger.info(7 as never, null as never)
        Facade.captureMessage("after")
      })
      const logs = logsIn(ingest)
      assert.deepStrictEqual(bodies(logs), ["trace", "debug", "info", "warn", "error", "fatal", "plain", "7"])
      assert.deepStrictEqual(
        logs.map(({ level }) => level as unknown),
        ["trace", "debug", "info", "warn", "error", "fatal", "info", "info"]
      )
      const { "sentry.timestamp.sequence": _, ...attributes } = (logs[0] as Log)["attributes"] as Json
      assert.deepStrictEqual(attributes, { ...DEFAULTS, "user.id": string("u1"), level: string("trace") })
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(crumbsIn(ingest.allEvents[0] as Json), [])
    })
  )

  it.scopedLive("keeps the template of a formatted message, and its values as parameters", () =>
    Effect.gen(function* () {
      const { logger } = Facade
      const ingest = yield* facadeLogsOf(() => {
        logger.warn(logger.fmt`order ${7} is ${{ late: true }}, 100% sure`)
        logger.warn(logger.fmt`nothing in it`)
      })
      const [formatted, bare] = logsIn(ingest) as [Log, Log]
      assert.strictEqual(formatted["body"], 'order 7 is {"late":true}, 100% sure')
      assert.deepInclude(plain(formatted), {
        "sentry.message.template": "order %s is %s, 100%% sure",
        "sentry.message.parameter.0": 7,
        "sentry.message.parameter.1": '{"late":true}'
      })
      assert.isFalse(Object.hasOwn(plain(bare), "sentry.message.template"))
      assert.strictEqual(String(logger.fmt`a ${1}`), "a 1")
    })
  )

  it.scopedLive("writes in the scope of the code that calls it", () =>
    Effect.gen(function* () {
      const ingest = yield* facadeLogsOf(async () => {
        await Promise.all(
          ["a", "b"].map((id) =>
            Facade.withIsolationScope(async () => {
              Facade.setUser({ id })
              await Promise.resolve()
              Facade.logger.info(id)
            })
          )
        )
        Effect.runSync(
          Effect.zipRight(
            Faultline.setUser({ id: "fiber" }),
            Effect.sync(() => Facade.logger.info("fiber"))
          )
        )
        Facade.setUser(null)
        Facade.logger.info("nobody")
      })
      assert.deepStrictEqual(
        logsIn(ingest).map((log) => plain(log)["user.id"]),
        ["a", "b", "fiber", undefined]
      )
    })
  )

  it("without a hub does nothing", () => Facade.logger.info("nobody hears it"))
})

describe("beforeSendLog", () => {
  it.scopedLive("sees the values as they were given, changes them, and drops logs, which are counted", () =>
    Effect.gen(function* () {
      const seen: Array<Faultline.Log> = []
      const value = { a: 1 }
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Effect.logInfo("kept").pipe(Effect.annotateLogs({ value, email: "a@b.example" }))
          yield* Effect.logInfo("dropped")
        }),
        {
          beforeSendLog: (log) => {
            seen.push({ ...log, attributes: { ...log.attributes } })
            log.attributes["email"] = "masked"
            delete log.attributes["value"]
            log.message = log.message.toUpperCase()
            return log.message === "DROPPED" ? null : log
          }
        }
      )
      assert.strictEqual(seen[0]?.attributes["value"], value)
      assert.strictEqual(seen[0]?.level, "info")
      const [log, ...others] = logsIn(ingest) as [Log]
      assert.deepStrictEqual(others, [])
      assert.strictEqual(log["body"], "KEPT")
      assert.deepInclude(plain(log), { email: "masked" })
      assert.isFalse(Object.hasOwn(plain(log), "value"))
      const [item, bytes, ...more] = reportsAt(ingest).flat()
      assert.deepStrictEqual([item, more], [discarded("before_send", 1, "log_item"), []])
      assert.deepInclude(bytes, { reason: "before_send", category: "log_byte" })
      assert.isAbove(bytes?.quantity ?? 0, 100)
    })
  )

  const failing: ReadonlyArray<readonly [how: string, beforeSendLog: unknown]> = [
    [
      "throws",
      () => {
        throw new Error("no")
      }
    ],
    ["returns nothing", () => undefined],
    ["returns a promise", async (log: unknown) => log]
  ]
  it.scopedLive.each([...failing])(
    "that %s neither loses the log nor lets anything of it through",
    ([, beforeSendLog]) =>
      Effect.gen(function* () {
        const [log] = (yield* logsOf(Effect.logInfo("hunter2").pipe(Effect.annotateLogs({ a: "hunter2" })), {
          beforeSendLog: beforeSendLog as never
        })) as [Log]
        assert.notInclude(JSON.stringify(log), "hunter2")
        assert.strictEqual(log["body"], "A log was reduced because beforeSendLog failed")
        assert.deepStrictEqual(log["attributes"], DEFAULTS)
        assert.strictEqual(log["level"], "info")
      })
  )

  it.scopedLive("that returns what is no log has it dropped", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(Effect.logInfo("line"), { beforeSendLog: () => ({ level: "loud" }) as never })
      assert.deepStrictEqual(logsIn(ingest), [])
      assert.deepInclude(reportsAt(ingest).flat(), discarded("before_send", 1, "log_item"))
    })
  )

  it.scopedLive("that logs does not call itself", () =>
    Effect.gen(function* () {
      let calls = 0
      const ingest = yield* facadeLogsOf(() => Facade.logger.info("line"), {
        beforeSendLog: (log) => {
          calls++
          Facade.logger.info("inside")
          Effect.runSync(Effect.logInfo("inside").pipe(Effect.provide(quiet)))
          return log
        }
      })
      assert.deepStrictEqual([calls, bodies(logsIn(ingest))], [1, ["line"]])
    })
  )
})

describe("batches", () => {
  const many = (count: number) =>
    Effect.forEach(
      Array.from({ length: count }, (_, n) => n),
      (n) => Effect.logInfo(`log ${n}`),
      { discard: true }
    )

  it.scopedLive("leave with the hundredth log, without anybody's doing", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        yield* many(250)
        yield* ingest.receive(2)
        assert.deepStrictEqual(
          batchesIn(ingest).map(({ length }) => length),
          [100, 100]
        )
        yield* flushed
      }).pipe(
        Effect.provide(quiet),
        Effect.provide(
          Faultline.Logging.layer({ level: null }).pipe(Layer.provideMerge(hubAt(ingest, { enableLogs: true })))
        )
      )
      const batches = batchesIn(ingest)
      assert.deepStrictEqual(
        batches.map(({ length }) => length),
        [100, 100, 50]
      )
      assert.sameMembers(
        [...bodies(batches.flat())],
        Array.from({ length: 250 }, (_, n) => `log ${n}`)
      )
      const traces = new Set(batches.flat().map((log) => log["trace_id"] as unknown))
      assert.strictEqual(traces.size, 1)
    })
  )

  it.scopedLive("leave early where they are large", () =>
    Effect.gen(function* () {
      const long = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`long${n}`, "x".repeat(8000)]))
      const ingest = yield* ingestOf(many(25).pipe(Effect.annotateLogs(long)), {}, { level: null })
      assert.strictEqual(logsIn(ingest).length, 25)
      assert.isAbove(ingest.envelopes.length, 1)
      for (const { body } of ingest.envelopes) assert.isBelow(body.byteLength, 1024 * 1024)
    })
  )

  it.scopedLive(
    "of more than a thousand that wait: what is beyond is dropped and counted, until there is room again",
    () =>
      Effect.gen(function* () {
        const ingest = yield* ingestOf(
          Effect.gen(function* () {
            yield* many(1100)
            yield* flushed
            yield* Effect.logInfo("afterwards")
          }),
          {},
          { level: null }
        )
        const logs = logsIn(ingest)
        assert.lengthOf(logs, 1001)
        assert.include(bodies(logs), "afterwards")
        const counts = new Map(
          reportsAt(ingest)
            .flat()
            .map(({ category, quantity, reason }) => [`${reason} ${category}`, quantity])
        )
        assert.deepStrictEqual([...counts.keys()].toSorted(), ["buffer_overflow log_byte", "buffer_overflow log_item"])
        assert.strictEqual(counts.get("buffer_overflow log_item"), 100)
        assert.isAbove(counts.get("buffer_overflow log_byte") ?? 0, 100 * 200)
      })
  )

  it.scopedLive("that are refused, or limited by either category, are counted in both, to the byte", () =>
    Effect.gen(function* () {
      const lost = (answer: Answer) =>
        Effect.gen(function* () {
          const ingest = yield* Ingest.start()
          ingest.answer(answer)
          yield* ingestOf(
            Effect.gen(function* () {
              yield* Effect.zipRight(Effect.logInfo("first"), flushed)
              yield* Effect.logInfo("second")
              yield* Effect.logInfo("third")
              yield* Faultline.captureMessage("an event passes")
            }),
            {},
            {},
            Effect.succeed(ingest)
          )
          const logs = logsIn(ingest)
          const bytes = Buffer.byteLength(JSON.stringify(logs[0]))
          return { bodies: bodies(logs), bytes, report: reportsAt(ingest).flat(), events: ingest.allEvents.length }
        })
      const refused = yield* lost({ status: 500 })
      assert.deepStrictEqual(refused.bodies, ["first", "second", "third"])
      assert.deepStrictEqual(refused.report, [
        discarded("send_error", 1, "log_item"),
        discarded("send_error", refused.bytes, "log_byte")
      ])
      for (const category of ["log_item", "log_byte"]) {
        const limited = yield* lost({ headers: { "x-sentry-rate-limits": `60:${category}:organization` } })
        assert.deepStrictEqual(limited.bodies, ["first"])
        assert.strictEqual(limited.events, 1)
        assert.deepInclude(limited.report, discarded("ratelimit_backoff", 2, "log_item"))
        const counted = limited.report.find(({ category }) => category === "log_byte")?.quantity ?? 0
        assert.closeTo(counted, 2 * limited.bytes, 20)
      }
    })
  )

  it.scopedLive("leave after five seconds, counted from the first log", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      // Only the timers of the batch: those of the connection are Node's own.
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.useRealTimers()))
      yield* Effect.gen(function* () {
        yield* Effect.logInfo("first")
        vi.advanceTimersByTime(4000)
        yield* Effect.logInfo("second")
        vi.advanceTimersByTime(999)
        const { stats } = yield* Faultline.Hub
        assert.strictEqual((yield* stats).queued, 0)
        vi.advanceTimersByTime(1)
        assert.strictEqual((yield* stats).queued, 1)
        vi.useRealTimers()
        yield* ingest.receive(1)
      }).pipe(
        Effect.provide(quiet),
        Effect.provide(Faultline.Logging.layer().pipe(Layer.provideMerge(hubAt(ingest, { enableLogs: true }))))
      )
      assert.deepStrictEqual(bodies(logsIn(ingest)), ["first", "second"])
    })
  )

  it.scopedLive("leave with the hub, at its end", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const layer = Faultline.DefaultIntegrations.pipe(Layer.provideMerge(hubAt(ingest, { enableLogs: true })))
      yield* Effect.logInfo("last words").pipe(Effect.provide(quiet), Effect.provide(layer))
      assert.deepStrictEqual(bodies(logsIn(ingest)), ["last words"])
    })
  )

  it.effect("are there for a test at once, with the time of its clock and their place in it", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      yield* many(3)
      yield* TestClock.adjust(1)
      yield* Effect.logInfo("later")
      const logs = yield* TestHub.logs
      assert.deepStrictEqual(
        logs.map(({ attributes, timestamp }) => [timestamp, attributes["sentry.timestamp.sequence"]?.value]),
        [
          [1_700_000_000, 0],
          [1_700_000_000, 1],
          [1_700_000_000, 2],
          [1_700_000_000.001, 0]
        ]
      )
    }).pipe(Effect.provide(Faultline.Logging.layer().pipe(Layer.provideMerge(TestHub.layerWith({ enableLogs: true })))))
  )
})
