/**
 * What waits for somebody to deal with it does not wait longer than the program lasts.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { receiver, run } from "./support.js"

describe("an event that waits until it is known whether anybody deals with its error", () => {
  const endings: ReadonlyArray<readonly [ending: string, others?: ReadonlyArray<string>]> = [
    ["natural end"],
    ["exit"],
    ["uncaught", ["TypeError"]],
    ["rejection", ["TypeError"]],
    ["SIGTERM"],
    ["close"]
  ]
  it.scopedLive.each(endings)("arrives, as unhandled: %s", ([ending, others = []]) =>
    Effect.gen(function* () {
      const server = yield* receiver()
      yield* run("undecided.mjs", [ending], { to: server })
      const seen = (yield* server.events).map(({ exception }) => {
        const { mechanism, type } = exception?.values.at(-1) ?? {}
        return [type, mechanism?.handled]
      })
      assert.sameDeepMembers(seen, [["RangeError", false], ...others.map((type) => [type, false])])
    })
  )
})
