/**
 * The SDK never keeps a process alive, and leaves nothing behind in it (T7).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertEvents, comparable, MARGIN_MILLIS, receiver, run, start } from "./support.js"

describe("a program with nothing more to do", () => {
  const cases: ReadonlyArray<readonly [way: string, labels: ReadonlyArray<string>, pending: boolean]> = [
    ["facade", [], false],
    ["facade, twice", [], false],
    ["facade, captured", ["event 0"], true],
    ["facade, flushed", ["event 0"], true],
    ["facade, dropped", [], true],
    ["facade, dropped and flushed", [], true],
    ["facade, captured when the loop has run dry", ["event 0"], true],
    ["layers", [], false],
    ["layers, captured", ["event 0"], true],
    ["layers, a fiber that has crashed", ["RangeError"], true],
    ["both", ["event 0", "event 1"], true]
  ]
  for (const [way, labels, pending] of cases) {
    it.scopedLive(`${way}: ends by itself`, () =>
      Effect.forEach(
        [0, "never", "refused"] as const,
        (answering) =>
          Effect.gen(function* () {
            const server = yield* receiver(answering)
            const waits = pending && answering === "never"
            const limit = waits ? 400 : 8000
            const ended = yield* run("idle.mjs", [way], { to: server, options: { shutdownTimeout: limit } })
            const what = `with a server that answers ${answering}`
            assert.strictEqual(ended.code, 0, what)
            assert.isAtMost(ended.millisSince("ending"), MARGIN_MILLIS + (waits ? limit : 0), what)
            const dry = /^dry (\d+)$/m.exec(ended.stdout)?.[1]
            assert.isAtMost(Number(dry), 4, `${what}: the loop ran dry more than a few times`)
            if (answering === 0) assertEvents(ended, yield* server.events, labels)
          }),
        { concurrency: 3 }
      )
    )
  }

  it.scopedLive("one that waits for ever sends at once what it captures", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const child = yield* start("idle.mjs", ["waiting for ever"], { to: server })
      yield* server.received(1)
      child.kill("SIGTERM")
      const ended = yield* child.ended
      assertEvents(ended, yield* server.events, ["event 0"])
    })
  )
})

/** Node's modules are seen both as objects and by what is imported from them. */
const andImport = (name: string): Array<string> => [name, `import ${name}`]

interface Line {
  readonly name: string
  readonly during: ReadonlyArray<string>
  readonly after: ReadonlyArray<string>
}

describe("what is installed in the process", () => {
  const HTTP = [
    "channel http.client.request.error",
    "channel http.client.request.start",
    "channel http.client.response.finish",
    "channel undici:request:create",
    "channel undici:request:error",
    "channel undici:request:headers"
  ]
  /** What a hub needs for itself. */
  const HUB = {
    facade: ["Error.stackTraceLimit", "Fiber.Commit", "supervisor"],
    layers: ["Error.stackTraceLimit", "Fiber.Commit"]
  }

  const expected: Readonly<Record<string, ReadonlyArray<string>>> = {
    argv: [],
    atexit: ["on beforeExit", "on exit"],
    dedupe: [],
    excepthook: ["on uncaughtExceptionMonitor"],
    logging: [
      "Fiber.log",
      ...["assert", "debug", "error", "info", "log", "trace", "warn"].map((name) => `console.${name}`)
    ],
    modules: [],
    stdlib: [
      "ChildProcess.spawn",
      ...HTTP,
      ...["child_process.execFileSync", "child_process.execSync", "child_process.spawnSync"].flatMap(andImport),
      "Agent.addRequest",
      "ClientRequest._storeHeader",
      "fetch"
    ],
    threading: [
      "Fiber.await",
      "Fiber.interruptAsFork",
      "Fiber.poll",
      "channel worker_threads",
      "on beforeExit",
      "on exit",
      ...andImport("worker_threads.Worker")
    ]
  }

  it.scopedLive("is taken back when the hub closes, in whichever order and however often", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const ended = yield* run("housekeeping.mjs", [], { to: server, bound: 18_000 })
      assert.strictEqual(ended.code, 0)
      // Above all no warning about too many listeners.
      assert.strictEqual(comparable(ended).stderr, "")
      const lines = comparable(ended)
        .stdout.split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as Line)
      assert.deepStrictEqual(
        lines.filter(({ after }) => after.length > 0).map(({ after, name }) => ({ name, after })),
        []
      )
      assert.strictEqual(lines.length, 50)
      const during = new Map(lines.map((line) => [line.name, line.during]))
      for (const [way, hub] of Object.entries(HUB)) {
        for (const [name, installed] of Object.entries(expected)) {
          assert.deepStrictEqual(
            during.get(`${way}: only ${name}`),
            [...hub, ...installed].toSorted(),
            `${way}: ${name}`
          )
        }
        const all = [...new Set([...hub, ...Object.values(expected).flat()])].toSorted()
        assert.deepStrictEqual(during.get(`${way}: all`), all)
        assert.deepStrictEqual(during.get(`${way}: none`), hub)
      }
    })
  )
})
