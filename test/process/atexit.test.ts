/**
 * What is pending at the end is sent, but not for longer than the limit, whatever the server does (T4).
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  type Answering,
  assertEvents,
  comparable,
  type Ended,
  MARGIN_MILLIS,
  receiver,
  run,
  start,
  waitingLines
} from "./support.js"

const GRACE_MILLIS = 100
const SLOW_MILLIS = 600

const messages = (count: number): Array<string> => Array.from({ length: count }, (_, index) => `event ${index}`)

const ends: ReadonlyArray<readonly [how: string, code: number, reported: ReadonlyArray<string>]> = [
  ["runMain, success", 0, []],
  ["runMain, failure", 1, ["RangeError"]],
  ["natural end", 0, []],
  ["process.exit", 7, []]
]

/** How long the end may take at least and at most, and whether everything arrives, by the server and the limit. */
const bounds = (answering: Answering, limit: number): { least: number; most: number; arrives: boolean } => {
  if (answering === "refused") return { least: 0, most: 0, arrives: false }
  if (limit === 0) return { least: 0, most: 0, arrives: false }
  if (answering === 0) return { least: 0, most: limit, arrives: limit > GRACE_MILLIS }
  if (answering === "never" || limit < answering) return { least: limit, most: limit, arrives: false }
  return { least: answering, most: answering, arrives: true }
}

/** The words are exact after a wait, and there are none after an end that was quick. */
const assertWords = (ended: Ended, pending: number, limit: number, least: number, what: string): void => {
  const quick = ended.millisSince("ending") < Math.min(GRACE_MILLIS, limit)
  if (limit === 0 || (least === 0 && quick)) assert.strictEqual(ended.stderr, "", what)
  else if (least > 0) assert.strictEqual(ended.stderr, waitingLines(pending, limit / 1000), what)
}

describe("the limit", () => {
  for (const [how, code, reported] of ends) {
    for (const limit of [0, 50, 2000]) {
      it.scopedLive(`${how}: ${limit} ms, whatever the server does`, () =>
        Effect.forEach(
          [0, SLOW_MILLIS, "never", "refused"] as const,
          (answering) =>
            Effect.gen(function* () {
              const server = yield* receiver(answering)
              const ended = yield* run("at-exit.mjs", [how, "3"], { to: server, options: { shutdownTimeout: limit } })
              const { arrives, least, most } = bounds(answering, limit)
              const millis = ended.millisSince("ending")
              const what = `with a server that answers ${answering}`
              if (least >= SLOW_MILLIS) assert.isAtLeast(millis, least * 0.9, what)
              assert.isAtMost(millis, most + MARGIN_MILLIS, what)
              const events = yield* server.events
              if (arrives) assertEvents(ended, events, [...messages(3), ...reported])
              assert.strictEqual(ended.code, code, what)
              assert.strictEqual(comparable(ended).stdout, "ending\n", what)
              assertWords(ended, 3 + reported.length, limit, least, what)
            }),
          { concurrency: 2 }
        )
      )
    }
  }

  for (const how of ["runMain, success", "natural end"]) {
    it.scopedLive(`${how}: holds also if the program calls process.exit in the middle of the wait`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const ended = yield* run("at-exit.mjs", [how, "20", "hurry 2900"], {
          to: server,
          options: { shutdownTimeout: 3000 }
        })
        assert.isAtMost(ended.millisSince("ending"), 3000 + MARGIN_MILLIS)
        assert.strictEqual(ended.code, 3)
      })
    )

    it.scopedLive(`${how}: nothing is lost if the program calls process.exit in the middle of the wait`, () =>
      Effect.gen(function* () {
        const server = yield* receiver(400)
        const ended = yield* run("at-exit.mjs", [how, "20", "hurry 200"], {
          to: server,
          options: { shutdownTimeout: 8000 }
        })
        assertEvents(ended, yield* server.events, messages(20))
        assert.strictEqual(ended.code, 3)
      })
    )
  }
})

describe("the limit, at its extremes", () => {
  for (const [how, code, reported] of ends) {
    it.scopedLive(`${how}: weeks are no time at all`, () =>
      Effect.gen(function* () {
        const server = yield* receiver(SLOW_MILLIS)
        const weeks = 24 * 24 * 3600
        const ended = yield* run("at-exit.mjs", [how, "1"], { to: server, options: { shutdownTimeout: weeks * 1000 } })
        assertEvents(ended, yield* server.events, ["event 0", ...reported])
        assert.strictEqual(ended.code, code)
        assert.strictEqual(ended.stderr, waitingLines(1 + reported.length, weeks))
      })
    )

    it.scopedLive(`${how}: without atexit nothing waits`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const ended = yield* run("at-exit.mjs", [how, "3", "without"], {
          to: server,
          options: { shutdownTimeout: 8000 }
        })
        assert.isAtMost(ended.millisSince("ending"), MARGIN_MILLIS)
        assert.strictEqual(ended.code, code)
        assert.strictEqual(ended.stderr, "")
      })
    )
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`runMain: ${signal} is held up no longer than the limit`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const child = yield* start("at-exit.mjs", ["runMain, waiting", "2"], {
          to: server,
          options: { shutdownTimeout: 700 }
        })
        yield* server.received(2)
        child.kill(signal)
        const ended = yield* child.ended
        assert.isAtMost(ended.millisSince("Press Ctrl-C to quit"), 600 + MARGIN_MILLIS)
        assert.strictEqual(ended.code, 0)
        assert.strictEqual(ended.stderr, waitingLines(2, 0.7))
      })
    )
  }
})

describe("the limit, with a transport of the user's own", () => {
  for (const transport of ["never", "uninterruptible", "dies", "throws"]) {
    it.scopedLive(`runMain: one that is "${transport}"`, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const ended = yield* run("at-exit.mjs", ["runMain, failure", "3", `transport ${transport}`], {
          to: server,
          options: { shutdownTimeout: 500 }
        })
        assert.isAtMost(ended.millisSince("ending"), 500 + MARGIN_MILLIS)
        assert.strictEqual(ended.code, 1)
      })
    )
  }
})

describe("the words", () => {
  for (const [how, , reported] of ends) {
    it.scopedLive(`${how}: nothing pending, nothing said`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const ended = yield* run("at-exit.mjs", [how, "0"], { to: server, options: { shutdownTimeout: 300 } })
        assert.strictEqual(ended.stderr, reported.length === 0 ? "" : waitingLines(1, 0.3))
      })
    )

    it.scopedLive(`${how}: a callback takes their place, and is called once`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const ended = yield* run("at-exit.mjs", [how, "5", "callback"], {
          to: server,
          options: { shutdownTimeout: 300 }
        })
        assert.strictEqual(comparable(ended).stdout, `ending\ncallback ${5 + reported.length} 0.3\n`)
        assert.strictEqual(ended.stderr, "")
      })
    )

    it.scopedLive(
      `${how}: every pending event counts, also those that wait for a connection, and no log or report does`,
      () =>
        Effect.gen(function* () {
          const server = yield* receiver("never")
          const ended = yield* run("at-exit.mjs", [how, "20", "drop", "logs"], {
            to: server,
            options: { shutdownTimeout: 300, enableLogs: true }
          })
          assert.strictEqual(ended.stderr, waitingLines(20 + reported.length, 0.3))
        })
    )

    for (const count of ["1", "0"]) {
      it.scopedLive(`${how}: what was lost is told to the server, with ${count} more to send`, () =>
        Effect.gen(function* () {
          const server = yield* receiver()
          yield* run("at-exit.mjs", [how, count, "drop"], { to: server })
          const items = yield* server.items
          const reports = items.filter(({ headers }) => headers["type"] === "client_report")
          assert.deepStrictEqual(
            reports.map(({ json }) => json?.["discarded_events"]),
            [[{ reason: "before_send", category: "error", quantity: 2 }]]
          )
        })
      )
    }
  }
})

describe("Ctrl-C during the wait", () => {
  const lastWord = "Press Ctrl-C to quit"
  const cases: ReadonlyArray<readonly [how: string, flags: ReadonlyArray<string>]> = [
    ["runMain, success", []],
    ["runMain, failure", []],
    ["natural end", []],
    ["process.exit", []],
    ["process.exit", ["listen"]]
  ]
  for (const [how, flags] of cases) {
    it.scopedLive(`${[how, ...flags].join(", ")}: leaves at once`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const child = yield* start("at-exit.mjs", [how, "1", ...flags], {
          to: server,
          options: { shutdownTimeout: 8000 }
        })
        yield* child.line(lastWord)
        child.kill("SIGINT")
        const ended = yield* child.ended
        assert.isBelow(ended.millisSince(lastWord), MARGIN_MILLIS)
      })
    )
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`runMain, ended by ${signal}: a second one leaves at once, as it does without the SDK`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const child = yield* start("at-exit.mjs", ["runMain, waiting", "1"], {
          to: server,
          options: { shutdownTimeout: 8000 }
        })
        yield* server.received(1)
        child.kill(signal)
        yield* child.line(lastWord)
        child.kill(signal)
        const ended = yield* child.ended
        assert.isBelow(ended.millisSince(lastWord), MARGIN_MILLIS)
        assert.deepStrictEqual({ code: ended.code, signal: ended.signal }, { code: null, signal })
      })
    )
  }
})
