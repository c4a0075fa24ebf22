/**
 * A signal ends a program as it does without the SDK; what was pending arrives (T4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertEvents, comparable, MARGIN_MILLIS, type RunOptions, receiver, start, waitingLines } from "./support.js"

const COUNT = 20
const SLOW_MILLIS = 250
const SIGNALS = ["SIGINT", "SIGTERM"] as const
const lastWord = "Press Ctrl-C to quit"

const messages = (count: number): Array<string> => Array.from({ length: count }, (_, index) => `event ${index}`)

/** The program, ended by this signal when it is ready. */
const signalled = (signal: NodeJS.Signals, args: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.gen(function* () {
    const child = yield* start("signals.mjs", args, options)
    yield* child.line("ready")
    child.kill(signal)
    return yield* child.ended
  })

describe("a signal", () => {
  for (const way of ["runPromise", "ManagedRuntime", "facade", "runMain", "launch"]) {
    it.scopedLive(`${way}: what is pending arrives, once, and the program ends as it does without the SDK`, () =>
      Effect.forEach(
        SIGNALS,
        (signal) =>
          Effect.gen(function* () {
            const server = yield* receiver(SLOW_MILLIS)
            const [ended, without] = yield* Effect.all(
              [
                signalled(signal, [way, String(COUNT)], { to: server, options: { shutdownTimeout: 8000 } }),
                signalled(signal, [way, String(COUNT)])
              ],
              { concurrency: 2 }
            )
            assertEvents(ended, yield* server.events, messages(COUNT))
            assert.deepStrictEqual(comparable(ended), comparable(without), signal)
            assert.include(ended.stderr, "Waiting up to 8 seconds\n")
          }),
        { concurrency: 2 }
      )
    )
  }

  for (const way of ["runPromise", "ManagedRuntime", "facade"]) {
    it.scopedLive(`${way}: is held up no longer than the limit`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const ended = yield* signalled("SIGTERM", [way, String(COUNT)], {
          to: server,
          options: { shutdownTimeout: 700 }
        })
        assert.isBelow(ended.millisSince("ready"), 700 + MARGIN_MILLIS)
        assert.deepStrictEqual([ended.code, ended.signal], [null, "SIGTERM"])
      })
    )

    it.scopedLive(`${way}: another one ends it at once`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const child = yield* start("signals.mjs", [way, String(COUNT)], {
          to: server,
          options: { shutdownTimeout: 8000 }
        })
        yield* child.line("ready")
        child.kill("SIGTERM")
        yield* child.line(lastWord)
        child.kill("SIGINT")
        const ended = yield* child.ended
        assert.isBelow(ended.millisSince(lastWord), MARGIN_MILLIS)
        assert.deepStrictEqual([ended.code, ended.signal], [null, "SIGINT"])
        assert.match(ended.stderr, /^Sentry is attempting to send \d+ pending events\n/)
      })
    )
  }

  it.scopedLive("with nothing pending ends the program at once, and Ctrl-C is not even listened to", () =>
    Effect.gen(function* () {
      for (const signal of SIGNALS) {
        const server = yield* receiver()
        const ended = yield* signalled(signal, ["runPromise", "3", "drained"], { to: server })
        assertEvents(ended, yield* server.events, messages(3))
        assert.include(ended.stdout, "listeners 0 1\n")
        assert.deepStrictEqual([ended.code, ended.signal, ended.stderr], [null, signal, ""])
      }
    })
  )

  it.scopedLive("is not listened to before there is anything to send", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const ended = yield* signalled("SIGTERM", ["runPromise", "0", "drained"], { to: server })
      assert.include(ended.stdout, "listeners 0 0\n")
    })
  )

  it.scopedLive("without time for it, or with the signals switched off, ends the program at once", () =>
    Effect.gen(function* () {
      const silent = yield* receiver("never")
      const [hurried, off] = yield* Effect.all(
        [
          signalled("SIGTERM", ["runPromise", "3"], { to: silent, options: { shutdownTimeout: 0 } }),
          signalled("SIGTERM", ["runPromise", "3", "none"], { to: silent, options: { shutdownTimeout: 8000 } })
        ],
        { concurrency: 2 }
      )
      for (const ended of [hurried, off]) {
        assert.deepStrictEqual([ended.code, ended.signal, ended.stderr], [null, "SIGTERM", ""])
        assert.isBelow(ended.millisSince("ready"), MARGIN_MILLIS)
      }
    })
  )
})

describe("a signal that the program listens to", () => {
  it.scopedLive("is its own business: it disposes of its runtime, which sends what is pending", () =>
    Effect.gen(function* () {
      const server = yield* receiver(SLOW_MILLIS)
      const ended = yield* signalled("SIGTERM", ["ManagedRuntime", "20", "own"], {
        to: server,
        options: { shutdownTimeout: 8000 }
      })
      assertEvents(ended, yield* server.events, messages(20))
      assert.deepStrictEqual([ended.code, ended.signal], [0, null])
      assert.strictEqual(comparable(ended).stdout, "ready\ndisposing\n")
      assert.strictEqual(ended.stderr, waitingLines(20, 8))
    })
  )

  it.scopedLive("does not end it, not the first and not the second time", () =>
    Effect.gen(function* () {
      const server = yield* receiver("never")
      const child = yield* start("signals.mjs", ["ManagedRuntime", "3", "heard"], { to: server })
      yield* child.line("ready")
      child.kill("SIGTERM")
      yield* child.line("heard 1")
      child.kill("SIGTERM")
      yield* child.line("heard 2")
      child.kill("SIGKILL")
      const ended = yield* child.ended
      assert.strictEqual(ended.signal, "SIGKILL")
      assert.strictEqual(comparable(ended).stdout, "ready\nheard 1\nheard 2\n")
      assert.strictEqual(ended.stderr, "")
    })
  )

  it.scopedLive("is left to a library that ends the process where nobody else listens", () =>
    Effect.gen(function* () {
      const server = yield* receiver("never")
      const [ended, without] = yield* Effect.all(
        [
          signalled("SIGTERM", ["runPromise", "3", "counting"], { to: server }),
          signalled("SIGTERM", ["runPromise", "3", "counting"])
        ],
        { concurrency: 2 }
      )
      assert.deepStrictEqual(comparable(ended), comparable(without))
      assert.deepStrictEqual([ended.code, ended.signal], [null, "SIGTERM"])
    })
  )
})

describe("a signal, with two hubs in the process", () => {
  it.scopedLive("each of them sends what it has", () =>
    Effect.gen(function* () {
      const server = yield* receiver(SLOW_MILLIS)
      const ended = yield* signalled("SIGTERM", ["two hubs", "10"], { to: server, options: { shutdownTimeout: 8000 } })
      assertEvents(ended, yield* server.events, [...messages(10), ...messages(10)])
      assert.deepStrictEqual([ended.code, ended.signal], [null, "SIGTERM"])
    })
  )
})
