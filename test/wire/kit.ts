/**
 * What the wire tests share: hubs that report to an ingest, and events with everything that differs from run to run checked and
 * then replaced, so that the rest can be compared whole.
 */
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as os from "node:os"
import { join } from "node:path"
import { assert, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"

export const SDK = { name: "faultline.javascript.effect", version: "0.1.0" }

export const ALL_INTEGRATIONS = [
  "argv",
  "atexit",
  "dedupe",
  "excepthook",
  "logging",
  "modules",
  "stdlib",
  "threading"
] as const

/** A hub that reports to this ingest. */
export const hubAt = (
  ingest: Ingest,
  options: Faultline.Options = {}
): Layer.Layer<Faultline.Hub, Faultline.DsnError | Faultline.OptionsError> =>
  Faultline.Hub.layer({ dsn: ingest.dsn, serverName: "wire", ...options })

/** What the program logs nobody has to see. */
export const quiet: Layer.Layer<never> = Logger.remove(Logger.defaultLogger)

/** Everything that was captured so far was answered, or given up. */
export const flushed: Effect.Effect<void> = Effect.map(Faultline.flush("10 seconds"), (drained) =>
  assert.isTrue(drained, "flush came to no end")
)

/** The effect with a hub of its own and an ingest of its own, flushed: what the ingest then has. */
export const ingestOf = <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope | Faultline.Hub>,
  options: Faultline.Options = {}
): Effect.Effect<Ingest, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    yield* effect.pipe(Effect.zipRight(flushed), Effect.provide(hubAt(ingest, options)))
    return ingest
  })

/** The events that the effect leads to, settled. */
export const eventsOf = <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope | Faultline.Hub>,
  options: Faultline.Options = {}
): Effect.Effect<ReadonlyArray<Json>, unknown, Scope.Scope> =>
  Effect.map(ingestOf(effect, options), (ingest) => ingest.allEvents.map(settle))

/** The one event that the effect leads to, settled. */
export const eventOf = <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope | Faultline.Hub>,
  options: Faultline.Options = {}
): Effect.Effect<Json, unknown, Scope.Scope> =>
  Effect.map(eventsOf(effect, options), (events) => {
    assert.lengthOf(events, 1)
    return events[0] as Json
  })

/** The client reports that an ingest has received, as they were written but for their time. */
export const reportsAt = (ingest: Ingest): Array<ReadonlyArray<Discarded>> =>
  ingest.envelopes.flatMap(({ framed }) =>
    framed.items.flatMap(({ headers, json }) => {
      if (headers["type"] !== "client_report" || json === undefined) return []
      assert.deepStrictEqual(Object.keys(json).toSorted(), ["discarded_events", "timestamp"])
      checkTime(json["timestamp"])
      return [json["discarded_events"] as ReadonlyArray<Discarded>]
    })
  )

export interface Discarded {
  readonly reason: string
  readonly category: string
  readonly quantity: number
}

/** One thing that was not sent. */
export const discarded = (reason: string, quantity = 1, category = "error"): Discarded => ({
  reason,
  category,
  quantity
})

/** Where there is nothing. */
export const APP = join(process.cwd(), "nowhere")

/** The same error, with a stack that is the same everywhere. */
export const withStack = <E extends Error>(error: E): E => {
  Object.defineProperty(error, "stack", {
    configurable: true,
    enumerable: false,
    writable: true,
    value: [
      `${error.name}: ${error.message}`,
      `    at inner (${APP}/inner.ts:3:7)`,
      `    at async Outer.run (file://${APP}/outer.ts:12:5)`,
      "    at node:internal/main:1:2"
    ].join("\n")
  })
  return error
}

export const boom = (message = "boom"): Error => withStack(new Error(message))

/** What `withStack` gives an error, oldest call first. */
export const FRAMES = [
  {
    function: "?",
    lineno: 1,
    colno: 2,
    abs_path: "node:internal/main",
    filename: "node:internal/main",
    module: "node:internal/main",
    in_app: false
  },
  {
    function: "Outer.run",
    lineno: 12,
    colno: 5,
    abs_path: `${APP}/outer.ts`,
    filename: "nowhere/outer.ts",
    module: "nowhere/outer",
    in_app: true
  },
  {
    function: "inner",
    lineno: 3,
    colno: 7,
    abs_path: `${APP}/inner.ts`,
    filename: "nowhere/inner.ts",
    module: "nowhere/inner",
    in_app: true
  }
]

export const GENERIC = { type: "generic", handled: true }

/** The exception that an error made by `withStack` becomes. */
export const exception = (type: string, value: string, mechanism: Json = GENERIC): Json => ({
  type,
  value,
  mechanism,
  stacktrace: { frames: FRAMES }
})

export const MACHINE = { os: "<os>", device: "<device>", app: "<app>", culture: "<culture>" }
export const TRACE = { trace: { trace_id: "<trace_id>", span_id: "<span_id>" } }

/** A whole event, settled, of a hub without integrations: what every event has, and `own`. */
export const anEvent = (own: Json, integrations: ReadonlyArray<string> = []): Json => {
  const { contexts, ...rest } = own
  return {
    event_id: "<event_id>",
    timestamp: "<timestamp>",
    platform: "node",
    level: "error",
    environment: "production",
    server_name: "wire",
    contexts: { ...MACHINE, ...TRACE, ...(contexts as Json | undefined) },
    breadcrumbs: { values: [] },
    sdk: {
      ...SDK,
      integrations,
      packages: [{ name: "npm:effect-faultline", version: SDK.version }],
      settings: { infer_ip: "never" }
    },
    ...rest
  }
}

/** The event of `boom()`. */
export const boomEvent = (own: Json = {}, integrations: ReadonlyArray<string> = []): Json =>
  anEvent({ exception: { values: [exception("Error", "boom")] }, ...own }, integrations)

/** The event of `captureMessage("hello")`. */
export const helloEvent = (own: Json = {}): Json => anEvent({ level: "info", message: "hello", ...own })

/**
 * The event with everything that differs from run to run or from machine to machine checked, and replaced by its name in angle
 * brackets: ids, times, and the contexts of the machine.
 */
export const settle = (event: Json): Json => {
  const result = structuredClone(event)
  replace(result, "event_id", /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
  checkTime(result["timestamp"])
  result["timestamp"] = "<timestamp>"
  const contexts = result["contexts"] as Record<string, Json> | undefined
  for (const [name, check] of Object.entries(machineChecks)) {
    if (contexts?.[name] === undefined) continue
    check(contexts[name])
    Object.assign(contexts, { [name]: `<${name}>` })
  }
  if (contexts?.["trace"] !== undefined) {
    replace(contexts["trace"], "trace_id", /^[0-9a-f]{32}$/)
    replace(contexts["trace"], "span_id", /^[0-9a-f]{16}$/)
  }
  for (const crumb of crumbsIn(result)) {
    checkTime(crumb["timestamp"])
    crumb["timestamp"] = "<timestamp>"
  }
  if (result["modules"] !== undefined) {
    checkModules(result["modules"] as Json)
    result["modules"] = "<modules>"
  }
  return result
}

/** The messages of all events that an ingest has received, sorted: several connections keep no order. */
export const messagesAt = (ingest: Ingest): ReadonlyArray<string> =>
  ingest.allEvents
    .map((event) => String(event["message"]))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))

/** The breadcrumbs of an event. */
export const crumbsIn = (event: Json): Array<Json> =>
  (event["breadcrumbs"] as { values: Array<Json> } | undefined)?.values ?? []

/**
 * The event with its stacks replaced by `<stack>`, where each of them is one that was made in `file`: for errors whose stack is
 * V8's own.
 */
export const settleStacks = (event: Json, file: string): Json => {
  const { exception, threads } = event as Record<string, { values: Array<Json> } | undefined>
  for (const value of [...(exception?.values ?? []), ...(threads?.values ?? [])]) {
    if (value["stacktrace"] === undefined) continue
    const { frames } = value["stacktrace"] as { frames: Array<Json> }
    for (const frame of frames) {
      assert.isString(frame["function"])
      assert.isBoolean(frame["in_app"])
    }
    assert.match(String(frames.at(-1)?.["abs_path"]), new RegExp(`${file}$`))
    value["stacktrace"] = "<stack>"
  }
  return event
}

const replace = (record: Json, key: string, pattern: RegExp): void => {
  assert.match(String(record[key]), pattern)
  record[key] = `<${key}>`
}

/** Seconds since the epoch, within a minute of now. */
const checkTime = (time: unknown): void => {
  assert.isNumber(time)
  assert.closeTo(time as number, Date.now() / 1000, 60)
}

const checkModules = (modules: Json): void => {
  assert.strictEqual(modules["effect-faultline"], SDK.version)
  assert.match(String(modules["effect"]), /^3\.\d+\.\d+$/)
  for (const version of Object.values(modules)) assert.isString(version)
  assert.isAtMost(Object.keys(modules).length, 500)
}

const isIsoTime = (value: unknown): boolean =>
  typeof value === "string" && new Date(value).toISOString() === value && Date.parse(value) <= Date.now()

const machineChecks: Record<string, (context: Json) => void> = {
  os(context) {
    const name = { Darwin: "macOS", Windows_NT: "Windows" }[os.type()] ?? os.type()
    assert.deepStrictEqual(context, { name, version: os.release(), kernel_version: os.release(), build: os.version() })
  },
  device(context) {
    const { boot_time, free_memory, ...fixed } = context
    assert.isTrue(isIsoTime(boot_time))
    assert.isTrue(Number.isInteger(free_memory) && Number(free_memory) > 0)
    const [cpu] = os.cpus()
    assert.deepStrictEqual(fixed, {
      name: os.hostname(),
      arch: os.arch(),
      memory_size: os.totalmem(),
      processor_count: os.cpus().length,
      ...(cpu === undefined ? undefined : { cpu_description: cpu.model })
    })
  },
  app(context) {
    const { app_memory, app_start_time, ...rest } = context
    assert.isTrue(isIsoTime(app_start_time))
    assert.isTrue(Number.isInteger(app_memory) && Number(app_memory) > 0)
    assert.deepStrictEqual(rest, {})
  },
  culture(context) {
    const { locale, timeZone } = Intl.DateTimeFormat().resolvedOptions()
    assert.deepStrictEqual(context, { locale, timezone: timeZone })
  },
  runtime(context) {
    assert.deepStrictEqual(context, { name: "node", version: process.version })
  }
}

/** What is written to standard error from now on, line by line, and kept from being seen. */
export const stderrLines: Effect.Effect<ReadonlyArray<string>, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const original = fs.writeSync
      const lines: Array<string> = []
      const capture = (fd: number, ...rest: Array<unknown>): number => {
        if (fd !== 2) return Reflect.apply(original, fs, [fd, ...rest]) as number
        lines.push(...String(rest[0]).replace(/\n$/, "").split("\n"))
        return String(rest[0]).length
      }
      fs.writeSync = capture
      syncBuiltinESMExports()
      return { lines, original }
    }),
    ({ original }) =>
      Effect.sync(() => {
        fs.writeSync = original
        syncBuiltinESMExports()
      })
  ),
  ({ lines }) => lines
)

/** The monotonic clock, which the test may put forward until the scope closes. */
export const monotonicClock: Effect.Effect<{ readonly forward: (seconds: number) => void }, never, Scope.Scope> =
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const real = performance.now.bind(performance)
        let ahead = 0
        const spy = vi.spyOn(performance, "now").mockImplementation(() => real() + ahead)
        return { forward: (seconds: number) => void (ahead += seconds * 1000), restore: () => spy.mockRestore() }
      }),
      ({ restore }) => Effect.sync(restore)
    ),
    ({ forward }) => ({ forward })
  )

/** `process.env` with these variables (`undefined`: without), until the scope closes. */
export const withEnvironment = (
  variables: Readonly<Record<string, string | undefined>>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]))
        setEnvironment(variables)
        return before
      }),
      (before) => Effect.sync(() => setEnvironment(before))
    )
  )

const setEnvironment = (variables: Readonly<Record<string, string | undefined>>): void => {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

/** A folder that is gone when the scope closes. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(os.tmpdir(), "faultline-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
)

/** Node has something to say about certificates that are not looked at. */
export const withoutWarnings: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
  Effect.acquireRelease(
    Effect.sync(() => {
      const spy = vi.spyOn(process, "emitWarning").mockReturnValue()
      return () => spy.mockRestore()
    }),
    (restore) => Effect.sync(restore)
  )
)
