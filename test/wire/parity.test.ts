/**
 * Details of Sentry's Python SDK, as they are here (docs/integrations.md).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { Ingest, type Json } from "../support/ingest.js"
import { boom, flushed, hubAt, ingestOf, messagesAt, stderrLines, withEnvironment } from "./kit.js"

const silent = Effect.tap(Ingest.start(), (ingest) => Effect.sync(() => ingest.answerAll("never")))

describe("an integration's setup", () => {
  it.scopedLive("is given the hub, with its options, each time it is built", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const asking = Faultline.Integration.make("asking", ({ isEnabled, options }) =>
        Effect.sync(() => {
          seen.push([options.environment, options.shutdownTimeoutMillis, isEnabled()])
          return {}
        })
      )
      for (const environment of ["one", "two"]) {
        const hub = Faultline.Hub.layer({ environment, shutdownTimeout: "5 seconds" })
        yield* Effect.provide(Effect.void, Layer.provide(asking, hub))
      }
      assert.deepStrictEqual(seen, [
        ["one", 5000, false],
        ["two", 5000, false]
      ])
    })
  )
})

describe("init again", () => {
  const extraAt = (ingest: Ingest): unknown => (ingest.allEvents.at(-1)?.["extra"] as Json | undefined)?.["sys.argv"]

  const reported = (integrations: Facade.InitOptions["integrations"]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      Facade.init({ dsn: ingest.dsn, ...(integrations === undefined ? undefined : { integrations }) })
      Facade.captureException(boom())
      yield* Effect.promise(() => Facade.flush(10_000))
      return extraAt(ingest)
    })

  it.scopedLive("switches an integration off that was on, and on that was off", () =>
    Effect.gen(function* () {
      yield* Effect.addFinalizer(() => Effect.promise(() => Facade.close()))
      assert.isArray(yield* reported({}))
      assert.isUndefined(yield* reported({ argv: false }))
      assert.isArray(yield* reported({}))
    })
  )
})

describe("atexit", () => {
  const pending = (options: Faultline.Options, callback?: (pending: number, timeout: number) => void) =>
    Effect.gen(function* () {
      const ingest = yield* silent
      const started = performance.now()
      yield* Faultline.captureException(boom()).pipe(
        Effect.provide(Faultline.Atexit.layer({ callback }).pipe(Layer.provideMerge(hubAt(ingest, options))))
      )
      return performance.now() - started
    })

  it.scopedLive("a negative limit is none", () =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      yield* pending({ shutdownTimeout: -5000 })
      assert.deepStrictEqual(lines, [])
    })
  )

  it.scopedLive("a callback that throws or rejects harms nobody, and debug says so", () =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const rejecting = async (): Promise<void> => {
        await Promise.resolve()
        throw new Error("later")
      }
      const throwing = (): never => {
        throw new Error("at once")
      }
      for (const callback of [rejecting, throwing]) {
        yield* pending({ shutdownTimeout: 300, debug: true }, callback)
      }
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.include(lines, "[faultline] the callback of atexit failed: Error: later")
      assert.include(lines, "[faultline] the callback of atexit threw Error: at once")
    })
  )

  const platforms: ReadonlyArray<readonly [platform: NodeJS.Platform, key: string]> = [
    ["win32", "Ctrl-Break"],
    ["linux", "Ctrl-C"],
    ["darwin", "Ctrl-C"]
  ]
  it.scopedLive.each(platforms)("on %s says to press %s", ([platform, key]) =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const original = Object.getOwnPropertyDescriptor(process, "platform") as PropertyDescriptor
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.defineProperty(process, "platform", original)))
      Object.defineProperty(process, "platform", { ...original, value: platform })
      yield* pending({ shutdownTimeout: 300 })
      assert.deepStrictEqual(lines, [
        "Sentry is attempting to send 1 pending events",
        "Waiting up to 0.3 seconds",
        `Press ${key} to quit`
      ])
    })
  )
})

describe("the trace of a program", () => {
  it.scopedLive("is one from the first event on, also in what it starts", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const capture = Effect.suspend(() => Faultline.captureException(boom()))
      yield* Effect.gen(function* () {
        yield* capture
        yield* Faultline.setTag("a", 1)
        yield* capture
        yield* Effect.fork(capture).pipe(Effect.flatMap((fiber) => fiber))
        const runtime = yield* Effect.runtime()
        yield* Effect.promise(() => Runtime.runPromise(runtime)(capture))
        yield* flushed
      }).pipe(Effect.provide(Faultline.DefaultIntegrations.pipe(Layer.provideMerge(hubAt(ingest)))))
      const traces = ingest.allEvents.map((event) => ((event["contexts"] as Json)["trace"] as Json)["trace_id"])
      assert.lengthOf(traces, 4)
      assert.strictEqual(new Set(traces).size, 1)
    })
  )

  it.scopedLive("is that of the environment, unless that is not to be used", () =>
    Effect.gen(function* () {
      const TRACE = "5b8efff798038103d269b633813fc60c"
      const traceOf = (variables: Readonly<Record<string, string>>) =>
        Effect.gen(function* () {
          yield* withEnvironment({
            SENTRY_TRACE: undefined,
            SUBPROCESS_SENTRY_TRACE: undefined,
            SENTRY_USE_ENVIRONMENT: undefined,
            ...variables
          })
          const ingest = yield* ingestOf(Faultline.captureMessage("m"))
          return ((ingest.allEvents[0]?.["contexts"] as Record<string, Json> | undefined)?.["trace"] ?? {})["trace_id"]
        }).pipe(Effect.scoped)
      const header = `${TRACE}-eee19b7ec3c1b174-1`
      assert.strictEqual(yield* traceOf({ SENTRY_TRACE: header }), TRACE)
      assert.strictEqual(yield* traceOf({ SUBPROCESS_SENTRY_TRACE: header }), TRACE)
      assert.notStrictEqual(yield* traceOf({ SENTRY_TRACE: header, SENTRY_USE_ENVIRONMENT: "off" }), TRACE)
    })
  )
})

describe("a value that reports as it is read", () => {
  const hostile = (hub: Faultline.Hub.Service) => ({
    get value(): string {
      hub.unsafeCapture(new Error("from within"))
      return "read"
    },
    toJSON(): unknown {
      hub.unsafeCapture(new Error("from within"))
      return { read: true }
    }
  })

  it.scopedLive("does not make the SDK go round in circles", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          const hub = yield* Faultline.Hub
          yield* Faultline.addEventProcessor((event) => ({ ...event, extra: { hostile: hostile(hub) } }))
          yield* Faultline.setExtra("hostile", hostile(hub))
          yield* Faultline.captureMessage("m", { extra: { more: hostile(hub) } })
        }).pipe(Effect.provide(Layer.empty)) as Effect.Effect<void>
      )
      assert.isAtMost(ingest.allEvents.length, 10)
      assert.include(messagesAt(ingest), "m")
    })
  )
})
