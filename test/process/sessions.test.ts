/**
 * The session of a program, however it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { receiver, run } from "./support.js"

describe("the session of a program", () => {
  for (const [ending, code, expected] of [
    ["naturally", 0, ["exited 0"]],
    ["exit", 3, ["exited 0"]],
    ["throw", 1, ["crashed 1"]],
    ["reported", 1, ["ok 1", "crashed 2"]]
  ] as const) {
    it.scopedLive(`that ends with ${ending} is told of, and the exit code is its own`, () =>
      Effect.gen(function* () {
        const to = yield* receiver()
        const ended = yield* run("session.mjs", [ending], { to })
        assert.strictEqual(ended.code, code)
        const items = yield* to.items
        const sessions = items.filter(({ headers }) => headers["type"] === "session")
        assert.sameMembers(
          sessions.map(({ json }) => `${String(json?.["status"])} ${String(json?.["errors"])}`),
          [...expected]
        )
        assert.deepStrictEqual(
          sessions.map(({ json }) => json?.["init"]).filter((init) => init === true),
          [true]
        )
      })
    )
  }
})
