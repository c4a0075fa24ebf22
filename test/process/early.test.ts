/**
 * Functions of Node's modules that the program has taken out of them before the hub was opened.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { receiver, run } from "./support.js"

const ASYNC = ["request", "get", "fetch", "undici.fetch", "undici.request", "spawn", "exec"]
const SYNC = ["spawnSync", "execFileSync", "execSync"]

describe("what a program took from Node's modules", () => {
  const ways: ReadonlyArray<readonly [way: string, seen: ReadonlyArray<string>]> = [
    ["imported", [...ASYNC, ...SYNC]],
    ["imported later", [...ASYNC, ...SYNC]],
    ["required later", [...ASYNC, ...SYNC]],
    // A copy of a function that has nothing behind it to watch.
    ["taken", ASYNC]
  ]

  it.scopedLive("is watched, whenever it was taken; of synchronous subprocesses where it is no copy", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const ended = yield* run("early.mjs", [], { to: server })
      assert.strictEqual(ended.stderr, "")
      assert.strictEqual(ended.code, 0)
      const lines = ended.stdout
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as { way: string; name: string; carried: boolean })
      const events = yield* server.events
      const crumbsOf = (message: string) =>
        events.find((event) => event.message === message)?.breadcrumbs?.values.map(({ type }) => type)
      for (const [way, seen] of ways) {
        const watched = lines.filter((line) => line.way === way && line.carried).map(({ name }) => name)
        assert.deepStrictEqual(watched, seen, way)
        for (const name of [...ASYNC, ...SYNC]) {
          const kind = name in { request: 1, get: 1 } || /fetch|undici/.test(name) ? "http" : "subprocess"
          assert.deepStrictEqual(crumbsOf(`${way} ${name}`), seen.includes(name) ? [kind] : [], `${way} ${name}`)
        }
      }
      assert.lengthOf(lines, 4 * (ASYNC.length + SYNC.length))
    })
  )
})
