/**
 * Structured logs that are still held back when the program ends leave as well, and do not hold it up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { comparable, receiver, run } from "./support.js"

const WAYS: ReadonlyArray<readonly [way: string, code: number]> = [
  ["natural end", 0],
  ["exit", 7],
  ["throw", 1]
]

describe("logs at the end of a program", () => {
  it.scopedLive.each([...WAYS])("%s", ([way, code]) =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const plain = yield* run("logs.mjs", [way])
      const ended = yield* run("logs.mjs", [way], { to: server, options: { enableLogs: true } })
      assert.strictEqual(ended.code, code)
      assert.deepStrictEqual(comparable(ended), comparable(plain))
      // The batch's own five seconds are nothing it waits for.
      assert.isBelow(ended.millis, plain.millis + 4000)
      const logs = (yield* server.items).flatMap(({ headers, json }) =>
        headers["type"] === "log" ? (json?.["items"] as Array<{ readonly body: string }>) : []
      )
      assert.deepStrictEqual(
        logs.map(({ body }) => body),
        ["first", "from an exit listener registered afterwards"]
      )
    })
  )
})

describe("logs that nobody answers, at the end of a program", () => {
  for (const [way, code] of [
    ["natural end", 0],
    ["process.exit", 7]
  ] as const) {
    it.scopedLive(`${way}: they are waited for, but only events are counted as pending`, () =>
      Effect.gen(function* () {
        const server = yield* receiver("never")
        const more = { to: server, options: { enableLogs: true, shutdownTimeout: 400 } }
        const [events, alone] = yield* Effect.all(
          [run("at-exit.mjs", [way, "2", "callback", "logs"], more), run("at-exit.mjs", [way, "0", "logs"], more)],
          { concurrency: 2 }
        )
        assert.include(events.stdout, "callback 2 0.4\n")
        assert.notInclude(alone.stderr, "pending")
        for (const ended of [events, alone]) {
          assert.isAtLeast(ended.millisSince("ending"), 350)
          assert.strictEqual(ended.code, code)
        }
      })
    )
  }
})
