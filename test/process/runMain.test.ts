/**
 * Effect programs as real processes: whatever ends them, what was captured arrives, what escaped is reported once, and exit
 * code and output are those of the same program without the SDK.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Event } from "effect-faultline"
import { assertEvents, comparable, type Receiver, receiver, run, start, waitingLines } from "./support.js"

/** A program with the SDK, and what arrived of it. */
const monitored = (fixture: string, args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const server = yield* receiver()
    const ended = yield* run(fixture, args, { to: server })
    return { ended, events: yield* server.events }
  })

const unhandledOf = (events: ReadonlyArray<Event>) =>
  events.flatMap(({ exception }) => {
    const mechanism = exception?.values.at(-1)?.mechanism
    return mechanism === undefined || mechanism.handled === true ? [] : [mechanism.type]
  })

describe("runMain", () => {
  const cases: ReadonlyArray<
    readonly [ending: string, code: number, reported?: string, by?: "excepthook" | "threading" | "generic"]
  > = [
    ["success", 0],
    ["failure", 1, "OutOfStock", "excepthook"],
    // Reported by the program, and nothing dealt with it all the same.
    ["captured failure", 1, "OutOfStock", "generic"],
    ["defect", 1, "RangeError", "excepthook"],
    ["failing finalizer", 1, "TypeError", "excepthook"],
    ["failure and failing finalizer", 1, "TypeError", "excepthook"],
    ["failing layer", 1, "OutOfStock", "excepthook"],
    ["failing layer beside", 1, "OutOfStock", "excepthook"],
    ["launch: failing layer", 1, "OutOfStock", "excepthook"],
    ["launch: failing layer, two layers", 1, "OutOfStock", "excepthook"],
    ["interruption", 0],
    ["exit", 3],
    ["exit in a timer", 3],
    ["throw in a timer", 1, "RangeError", "excepthook"],
    ["rejection", 1, "RangeError", "excepthook"],
    ["daemon that dies", 0, "RangeError", "threading"],
    ["child that fails, joined", 1, "OutOfStock", "excepthook"]
  ]
  for (const [ending, code, reported, by] of cases) {
    it.scopedLive(ending, () =>
      Effect.gen(function* () {
        const [plain, capturing, without] = yield* Effect.all(
          [
            monitored("run-main.mjs", [ending]),
            monitored("run-main.mjs", [ending, "capture"]),
            run("run-main.mjs", [ending])
          ],
          { concurrency: 3 }
        )
        const expected = reported === undefined ? [] : [reported]
        assertEvents(plain.ended, plain.events, expected)
        assertEvents(capturing.ended, capturing.events, ["before", ...expected])
        assert.deepStrictEqual(unhandledOf(plain.events), by === undefined ? [] : [by])
        assert.strictEqual(without.code, code)
        assert.deepStrictEqual(comparable(plain.ended), comparable(without))
        assert.deepStrictEqual(comparable(capturing.ended), comparable(without))
      })
    )
  }

  it.scopedLive("one event shows the failure and that of the finalizer", () =>
    Effect.gen(function* () {
      const { events } = yield* monitored("run-main.mjs", ["failure and failing finalizer"])
      assert.deepStrictEqual(
        events.map((event) => event.exception?.values.map(({ type }) => type)),
        [["OutOfStock", "TypeError"]]
      )
    })
  )

  it.scopedLive("launch: a fiber of a layer that fails later, and nothing else ends", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const child = yield* start("run-main.mjs", ["launch: failing later"], { to: server })
      yield* server.received(1)
      child.kill("SIGTERM")
      const ended = yield* child.ended
      const events = yield* server.events
      assertEvents(ended, events, ["OutOfStock"])
      assert.deepStrictEqual(unhandledOf(events), ["threading"])
      assert.strictEqual(ended.stderr, "")
    })
  )

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    for (const ending of ["waiting", "launch: waiting", "waiting, with a failing finalizer"]) {
      it.scopedLive(`${signal}: ${ending}`, () =>
        Effect.gen(function* () {
          const reported = ending.includes("failing") ? ["TypeError"] : []
          const signalled = (server?: Receiver) =>
            Effect.gen(function* () {
              const child = yield* start("run-main.mjs", [ending, "capture"], { to: server })
              yield* child.line("ready")
              child.kill(signal)
              return yield* child.ended
            })
          const server = yield* receiver()
          const slow = yield* receiver(600)
          const [ended, drained, without] = yield* Effect.all([signalled(server), signalled(slow), signalled()], {
            concurrency: 3
          })
          assertEvents(ended, yield* server.events, ["before", ...reported])
          assertEvents(drained, yield* slow.events, ["before", ...reported])
          assert.deepStrictEqual(comparable(ended), comparable(without))
          assert.strictEqual(drained.code, without.code)
          assert.strictEqual(drained.signal, without.signal)
          assert.isTrue(drained.stderr.startsWith(waitingLines(1 + reported.length, 2)), drained.stderr)
        })
      )
    }
  }
})

describe("other ways to run an effect", () => {
  const cases: ReadonlyArray<readonly [way: string, code: number, labels: ReadonlyArray<string>]> = [
    ["runPromise that fails", 1, ["OutOfStock"]],
    ["runPromise that dies", 1, ["RangeError"]],
    ["runPromise that is caught", 0, ["before"]],
    ["runPromise of a facade's process", 1, ["OutOfStock"]],
    ["runFork that fails", 0, ["OutOfStock"]],
    ["daemon that dies", 0, ["RangeError"]],
    ["managed: disposed", 0, ["before"]],
    ["managed: left open", 0, ["before"]],
    ["managed: rejection", 1, ["before", "OutOfStock"]],
    ["managed: exit", 4, ["before"]],
    ["managed: daemon that dies", 0, ["RangeError"]]
  ]
  for (const [way, code, labels] of cases) {
    it.scopedLive(way, () =>
      Effect.gen(function* () {
        const [{ ended, events }, without] = yield* Effect.all(
          [monitored("plain.mjs", [way]), run("plain.mjs", [way])],
          { concurrency: 2 }
        )
        assertEvents(ended, events, labels)
        assert.strictEqual(without.code, code)
        assert.deepStrictEqual(comparable(ended), comparable(without))
      })
    )
  }
})
