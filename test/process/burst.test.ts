/**
 * Ten thousand distinct errors in one tick, to a healthy server: nearly all arrive, in little memory, and the program has its turn.
 */
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { run } from "./support.js"

/** A healthy server: one that has nothing to do but to count. */
const counter = Effect.acquireRelease(
  Effect.async<{ readonly dsn: string; readonly ids: Set<string>; readonly server: http.Server }>((resume) => {
    const ids = new Set<string>()
    const server = http.createServer((request, response) => {
      let head = ""
      request.on("data", (chunk: Buffer) => (head ||= chunk.toString("latin1", 0, 100)))
      request.on("end", () => {
        const id = /"event_id":"([0-9a-f]{32})"/.exec(head)?.[1]
        if (id !== undefined) ids.add(id)
        response.end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ dsn: `http://public@127.0.0.1:${port}/42`, ids, server }))
    })
  }),
  ({ server }) =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
)

describe("a burst", () => {
  it.scopedLive(
    "of 10,000 errors in one tick arrives, in 64 MiB, with no standstill",
    () =>
      Effect.gen(function* () {
        const { dsn, ids } = yield* counter
        const once = Effect.gen(function* () {
          ids.clear()
          const ended = yield* run("burst.mjs", [], { env: { SENTRY_DSN: dsn }, bound: 110_000 })
          assert.strictEqual(ended.code, 0)
          assert.isAtLeast(ids.size, 9_900)
          return JSON.parse(ended.stdout) as Record<string, number | boolean>
        })
        const isModest = ({ grownMebibytes, longestMillis }: Record<string, number | boolean>): boolean =>
          Number(grownMebibytes) <= 64 && Number(longestMillis) <= 50
        // When V8 collects depends on when it finds the time: once in a while, on a busy machine, it is late.
        const first = yield* once
        const result = isModest(first) ? first : yield* once
        assert.isTrue(result["drained"])
        assert.isTrue(isModest(result), JSON.stringify([first, result]))
      }),
    240_000
  )
})
