/**
 * Programs with a spool that are killed, or end hard, while the network comes and goes.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { flapping } from "../support/flapping.js"
import { Ingest } from "../support/ingest.js"
import { idsIn, run, start } from "./support.js"

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "faultline-spool-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** How many programs are killed; `npm run chaos` kills more. */
const KILLS = Number(process.env["FAULTLINE_KILLS"] ?? 12)

/** Sends what is left in the folder, over a network that is up. */
const drain = (dsn: string, directory: string) =>
  Faultline.flush("30 seconds").pipe(
    Effect.tap((drained) => Effect.sync(() => assert.isTrue(drained))),
    Effect.provide(Faultline.Hub.layer({ dsn, spool: Faultline.Spool.make({ directory, durability: "sync" }) }))
  )

const eventIdsOf = (ingest: Ingest): Array<string> => ingest.allEvents.map((event) => String(event["event_id"]))

/** Each program's events came in the order in which they were captured. */
const assertInOrder = (ingest: Ingest): void => {
  const last = new Map<string, number>()
  const seen = new Set<unknown>()
  for (const { event_id: id, message } of ingest.allEvents) {
    if (seen.has(id)) continue
    seen.add(id)
    const [name = "", count] = String(message).split(" ")
    assert.isAbove(Number(count), last.get(name) ?? -1, `${String(message)} came after a later one`)
    last.set(name, Number(count))
  }
}

describe("a spool that is written to at once", () => {
  it.scopedLive(
    `${KILLS} programs share it and are killed at random, over a network that comes and goes: every event arrives, in order`,
    () =>
      Effect.gen(function* () {
        const ingest = yield* Ingest.start()
        const network = yield* flapping(Number(new URL(ingest.origin).port))
        const directory = yield* folder
        const dsn = `http://public@127.0.0.1:${network.port}/42`
        const kill = (index: number) =>
          Effect.gen(function* () {
            const child = yield* start("spooled.mjs", [`program${index}`], {
              env: {
                SENTRY_DSN: dsn,
                SPOOL_DIRECTORY: directory,
                SPOOL_DURABILITY: "sync"
              },
              bound: 60_000
            })
            yield* child.line("ready")
            yield* Effect.sleep(Math.random() * 400)
            child.kill("SIGKILL")
            const ended = yield* child.ended
            assert.strictEqual(ended.signal, "SIGKILL")
            assert.strictEqual(ended.stderr, "")
            return idsIn(ended)
          }).pipe(Effect.scoped)
        const ids = yield* Effect.forEach(
          Array.from({ length: KILLS }, (_, index) => index),
          kill,
          { concurrency: 4 }
        )
        network.calm()
        yield* drain(dsn, directory)
        const arrived = eventIdsOf(ingest)
        const captured = ids.flat()
        assert.isAbove(captured.length, 0)
        assert.deepStrictEqual(
          captured.filter((id) => !arrived.includes(id)),
          [],
          "a captured event did not arrive"
        )
        assertInOrder(ingest)
        assert.deepStrictEqual(readdirSync(directory), [])
      }),
    600_000
  )
})

describe("a spool that is written to in the background", () => {
  for (const ending of ["exit", "throw"]) {
    it.scopedLive(`loses nothing to a program that ends by ${ending}, with a server that breaks off`, () =>
      Effect.gen(function* () {
        const ingest = yield* Ingest.start()
        const directory = yield* folder
        ingest.answerAll("reset")
        const ended = yield* run("spooled.mjs", ["program", ending], {
          env: { SENTRY_DSN: ingest.dsn, SPOOL_DIRECTORY: directory, SPOOL_DURABILITY: "async" }
        })
        assert.strictEqual(ended.code, ending === "exit" ? 3 : 1)
        ingest.answerAll({})
        const before = ingest.allEvents.length
        yield* drain(ingest.dsn, directory)
        const ids = idsIn(ended)
        assert.lengthOf(ids, 20)
        // Among them, last, the error it has ended with.
        assert.deepStrictEqual(eventIdsOf(ingest).slice(before, before + 20), ids)
        assert.lengthOf(ingest.allEvents.slice(before), ending === "exit" ? 20 : 21)
      })
    )
  }
})
