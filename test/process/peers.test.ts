/**
 * What the official SDK for Effect gets wrong for programs as a whole, by the numbers of its defects.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertEvents, comparable, type Receiver, receiver, run, start } from "./support.js"

/** Exactly these events arrive, and the program ends with this code. */
const reports = (fixture: string, args: ReadonlyArray<string>, code: number, labels: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const server = yield* receiver()
    const ended = yield* run(fixture, args, { to: server })
    assert.strictEqual(ended.code, code)
    assertEvents(ended, yield* server.events, labels)
  })

describe("defects of @sentry/effect", () => {
  it.scopedLive("E10: a route that fails or dies is reported, one that does not exist is not", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const [ended, without] = yield* Effect.all([run("http-server.mjs", [], { to: server }), run("http-server.mjs")], {
        concurrency: 2
      })
      assert.deepStrictEqual(comparable(ended), comparable(without))
      const events = yield* server.events
      assertEvents(ended, events, ["OutOfStock", "RangeError"])
      for (const event of events) assert.isFalse(event.exception?.values.at(-1)?.mechanism?.handled)
    })
  )

  it.scopedLive("E11: runMain with a typed failure", () => reports("run-main.mjs", ["failure"], 1, ["OutOfStock"]))

  it.scopedLive("E11: runMain with a defect", () => reports("run-main.mjs", ["defect"], 1, ["RangeError"]))

  it.scopedLive("E12: captured, then failed under runMain", () =>
    reports("run-main.mjs", ["failure", "capture"], 1, ["before", "OutOfStock"])
  )

  it.scopedLive("E13: captured, then SIGTERM under runMain", () =>
    Effect.gen(function* () {
      const terminated = (to?: Receiver) =>
        Effect.gen(function* () {
          const child = yield* start("run-main.mjs", ["waiting", "capture"], { to })
          yield* child.line("ready")
          child.kill("SIGTERM")
          return yield* child.ended
        })
      const server = yield* receiver()
      const [ended, without] = yield* Effect.all([terminated(server), terminated()], { concurrency: 2 })
      assert.deepStrictEqual(comparable(ended), comparable(without))
      assertEvents(ended, yield* server.events, ["before"])
    })
  )

  it.scopedLive("E14: a daemon that dies", () => reports("run-main.mjs", ["daemon that dies"], 0, ["RangeError"]))

  it.scopedLive("E15: a throw in a timer, outside of every fiber", () =>
    reports("run-main.mjs", ["throw in a timer"], 1, ["RangeError"])
  )

  for (const way of ["layers", "facade"]) {
    it.scopedLive(`E28: ${way}: opened and closed three times, nothing is left that reports`, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const [ended, without] = yield* Effect.all(
          [run("disposed.mjs", [way], { to: server }), run("disposed.mjs", [way])],
          { concurrency: 2 }
        )
        const once = way === "layers" ? "enabled false\ncaptured None\ncaptured None\n" : "enabled false\n"
        assert.strictEqual(ended.stdout, once.repeat(3))
        assert.strictEqual(ended.code, 1)
        assert.strictEqual(ended.stderr, without.stderr)
        assert.deepStrictEqual(yield* server.items, [])
      })
    )
  }
})
