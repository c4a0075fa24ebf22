/**
 * A hub with a spool, against a server that comes and goes.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it, vi } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest } from "../support/ingest.js"
import { boom, hubAt, stderrLines } from "./kit.js"

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "faultline-spool-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** Without a network. */
const offline: Faultline.Options = {
  transport: {
    open: () => ({
      send(_envelope, done) {
        done({ _tag: "Failed", reason: "no network" })
        return { handedOver: false, abort: () => {} }
      },
      close: () => {}
    })
  }
}

const hub = (
  ingest: Ingest,
  directory: string,
  options: Faultline.Options = {},
  spool: Partial<Faultline.SpoolOptions> = {}
) => hubAt(ingest, options).pipe(Layer.provide(Faultline.Spool.layer({ directory, durability: "sync", ...spool })))

const say = (...messages: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.forEach(messages, (message) =>
    Effect.map(Faultline.captureMessage(message), (id) => (id as { value: string }).value)
  )

/** The folders of those that have left something. */
const runsIn = (directory: string): Array<string> =>
  readdirSync(directory).flatMap((owner) =>
    readdirSync(join(directory, owner)).map((run) => join(directory, owner, run))
  )

const messagesOf = (ingest: Ingest): Array<unknown> => ingest.allEvents.map(({ message }) => message)

describe("a hub with a spool", () => {
  it.scoped("what could not be sent is sent by the next one, in order, under the same ids", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      const ids = yield* say("one", "two", "three").pipe(Effect.provide(hub(ingest, directory, offline)))
      assert.lengthOf(ingest.envelopes, 0)
      yield* say("four").pipe(
        Effect.zipRight(Faultline.flush("10 seconds")),
        Effect.provide(hub(ingest, directory)),
        Effect.tap((drained) => Effect.sync(() => assert.isTrue(drained)))
      )
      assert.deepStrictEqual(messagesOf(ingest), ["one", "two", "three", "four"])
      assert.deepStrictEqual(
        ingest.envelopes.slice(0, 3).map(({ framed }) => framed.headers["event_id"]),
        [...ids]
      )
      assert.deepStrictEqual(readdirSync(directory), [])
    })
  )

  it.scopedLive("also holds what waits until it is known whether anybody deals with it, and that once", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      const spooled = Effect.flatMap(Faultline.Hub, ({ stats }) => Effect.map(stats, ({ spooled }) => spooled))
      yield* Effect.gen(function* () {
        yield* Effect.forkDaemon(Faultline.monitor(Effect.fail(boom())))
        yield* Effect.sleep(50)
        // Whoever kills the program now does not get at it.
        assert.deepStrictEqual([yield* spooled, ingest.allEvents.length], [1, 0])
        yield* Faultline.flush("10 seconds")
        assert.strictEqual(yield* spooled, 0)
      }).pipe(Effect.provide(Faultline.DefaultIntegrations.pipe(Layer.provideMerge(hub(ingest, directory)))))
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => (event as unknown as Faultline.Event).exception?.values[0]?.mechanism?.handled),
        [false]
      )
    })
  )

  it.scoped("a flush does not wait for a network that is down, and says that not everything is sent", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* say("one", "two")
        const [took, drained] = yield* Effect.timed(Faultline.flush("30 seconds"))
        assert.isFalse(drained)
        assert.isBelow(Duration.toMillis(took), 10_000)
        const { stats } = yield* Faultline.Hub
        assert.strictEqual((yield* stats).spooled, 2)
        assert.deepStrictEqual((yield* stats).discarded, [])
      }).pipe(Effect.provide(hub(ingest, directory, offline)))
    })
  )

  it.scoped("a server that comes back gets everything, without a new capture", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      ingest.answer("reset", "hangUp")
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.useRealTimers()))
      yield* Effect.gen(function* () {
        const { client } = yield* Faultline.Hub
        const tried = (count: number) =>
          ingest.receive(count).pipe(
            Effect.zipRight(
              Effect.promise(() =>
                vi.waitFor(
                  () => {
                    assert.strictEqual(client.stats.inFlight, 0)
                    assert.isAbove(vi.getTimerCount(), 0)
                  },
                  { timeout: 5000 }
                )
              )
            )
          )
        yield* say("one", "two")
        yield* tried(1)
        vi.advanceTimersByTime(1000)
        yield* tried(2)
        vi.advanceTimersByTime(1000)
        assert.lengthOf(ingest.envelopes, 2)
        vi.advanceTimersByTime(1000)
        yield* ingest.receive(4)
        assert.deepStrictEqual(messagesOf(ingest), ["one", "one", "one", "two"])
      }).pipe(Effect.provide(hub(ingest, directory)))
    })
  )

  it.scoped("what the server refuses is counted, not kept", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      ingest.answer({ status: 500 })
      yield* Effect.gen(function* () {
        yield* say("one", "two")
        yield* Faultline.flush("10 seconds")
        const { stats } = yield* Faultline.Hub
        assert.deepStrictEqual((yield* stats).discarded, [{ reason: "send_error", category: "error", quantity: 1 }])
        assert.strictEqual((yield* stats).spooled, 0)
      }).pipe(Effect.provide(hub(ingest, directory)))
      assert.deepStrictEqual(messagesOf(ingest), ["one", "two"])
      // What was lost is all that is left to tell.
      const [left = ""] = runsIn(directory)
      assert.deepStrictEqual(readdirSync(left), ["discarded.json"])
    })
  )

  it.scoped("the counts of what was lost are told by the next one, too", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      yield* say("dropped").pipe(
        Effect.ignore,
        Effect.provide(hub(ingest, directory, { ...offline, beforeSend: () => null }))
      )
      yield* Faultline.flush("10 seconds").pipe(Effect.provide(hub(ingest, directory)))
      const [report] = ingest.envelopes.flatMap(({ framed }) => framed.items)
      assert.deepStrictEqual(report?.json?.["discarded_events"], [
        { reason: "before_send", category: "error", quantity: 1 }
      ])
    })
  )

  it.scoped("attachments come along", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      const data = Uint8Array.from([0, 10, 13, 255, 10])
      yield* Faultline.addAttachment({ filename: "bytes", data }).pipe(
        Effect.zipRight(say("one")),
        Effect.provide(hub(ingest, directory, offline))
      )
      yield* Faultline.flush("10 seconds").pipe(Effect.provide(hub(ingest, directory)))
      const [envelope] = ingest.envelopes
      assert.deepStrictEqual(
        envelope?.framed.items.map(({ headers }) => headers["type"]),
        ["event", "attachment"]
      )
      assert.deepStrictEqual([...(envelope?.framed.items[1]?.bytes ?? [])], [...data])
    })
  )

  it.scoped("a torn file is left out, what is beside it is sent, and the program goes on", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      yield* say("whole").pipe(Effect.provide(hub(ingest, directory, offline)))
      const [left = ""] = runsIn(directory)
      const name = `${String(Date.now()).padStart(15, "0")}-9999999999-20.envelope`
      writeFileSync(join(left, name), '{"event_id":"00000')
      const written = yield* stderrLines
      yield* Effect.gen(function* () {
        yield* Faultline.flush("10 seconds")
        yield* say("after")
        yield* Faultline.flush("10 seconds")
        const { stats } = yield* Faultline.Hub
        assert.deepStrictEqual((yield* stats).discarded, [
          { reason: "internal_sdk_error", category: "error", quantity: 1 }
        ])
      }).pipe(Effect.provide(hub(ingest, directory)))
      assert.deepStrictEqual(messagesOf(ingest), ["whole", "after"])
      assert.match(written.join(), /^\[faultline\] the spool: \S+ is torn: it is left out$/)
    })
  )

  it.scoped("what does not fit into memory waits on disk, and is all sent", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      const messages = Array.from({ length: 50 }, (_, index) => `message ${index}`)
      yield* Effect.gen(function* () {
        yield* say(...messages)
        const { stats } = yield* Faultline.Hub
        const { queued, queuedBytes, spooled } = yield* stats
        assert.deepStrictEqual([queued, spooled], [50, 50])
        assert.isAtMost(queuedBytes, 4096)
        assert.isTrue(yield* Faultline.flush("10 seconds"))
      }).pipe(Effect.provide(hub(ingest, directory, { maxQueueBytes: 4096 })))
      assert.deepStrictEqual(messagesOf(ingest), messages)
    })
  )

  it.scoped("a full spool is as none: what fits into memory is sent, the rest is counted", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* Effect.forEach([1, 2, 3], (index) => Faultline.captureMessage(`message ${index}`))
        yield* Faultline.flush("10 seconds")
        const { stats } = yield* Faultline.Hub
        assert.deepStrictEqual((yield* stats).discarded, [{ reason: "queue_overflow", category: "error", quantity: 1 }])
      }).pipe(Effect.provide(hub(ingest, directory, { maxQueueSize: 2 }, { maxCount: 1 })))
      assert.deepStrictEqual(messagesOf(ingest).map(String).toSorted(), ["message 1", "message 2"])
    })
  )

  it.scoped("a folder that cannot be written to costs nothing but the spool", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      writeFileSync(join(directory, "file"), "")
      const written = yield* stderrLines
      yield* say("one").pipe(
        Effect.zipRight(Faultline.flush("10 seconds")),
        Effect.provide(hub(ingest, join(directory, "file")))
      )
      assert.lengthOf(written, 1)
      assert.match(written[0] ?? "", /^\[faultline\] the spool: \S+\/file\/to-[0-9a-f]{16} cannot be opened: ENOTDIR$/)
      assert.deepStrictEqual(messagesOf(ingest), ["one"])
    })
  )

  it.scoped("what is too old is counted as what it is, and not sent", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      yield* Faultline.addAttachment({ filename: "bytes", data: "12345" }).pipe(
        Effect.zipRight(say("old")),
        Effect.provide(hub(ingest, directory, offline))
      )
      yield* Effect.gen(function* () {
        yield* Faultline.flush("10 seconds")
        const { stats } = yield* Faultline.Hub
        assert.sameDeepMembers(
          [...(yield* stats).discarded],
          [
            { reason: "cache_overflow", category: "error", quantity: 1 },
            { reason: "cache_overflow", category: "attachment", quantity: 5 }
          ]
        )
      }).pipe(Effect.provide(hub(ingest, directory, {}, { maxAge: 0 })))
      assert.deepStrictEqual(messagesOf(ingest), [])
    })
  )

  it.scoped("what was kept for one DSN is sent to no other", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* Ingest.start(), yield* Ingest.start()]
      const directory = yield* folder
      yield* say("for the first").pipe(Effect.provide(hub(first, directory, offline)))
      yield* Faultline.flush("10 seconds").pipe(Effect.provide(hub(second, directory)))
      yield* Faultline.flush("10 seconds").pipe(
        Effect.provide(hub(first, directory, { dsn: first.dsnWith("other", "/42") }))
      )
      assert.lengthOf([...first.envelopes, ...second.envelopes], 0)
      yield* Faultline.flush("10 seconds").pipe(Effect.provide(hub(first, directory)))
      assert.deepStrictEqual(messagesOf(first), ["for the first"])
    })
  )

  it.scoped("in the background, what the disk does not take is counted as lost, not as kept", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      writeFileSync(join(directory, "file"), "")
      yield* stderrLines
      yield* Effect.gen(function* () {
        const { client, stats } = yield* Faultline.Hub
        const wait = Effect.promise(() =>
          vi.waitFor(() => assert.strictEqual(client.stats.spooled, 0), { timeout: 5000 })
        )
        yield* say("one")
        yield* wait
        yield* Faultline.flush("10 seconds")
        yield* Faultline.flush("10 seconds")
        const lost = (yield* stats).discarded.filter(({ category }) => category === "error")
        assert.deepStrictEqual(lost, [{ reason: "network_error", category: "error", quantity: 1 }])
      }).pipe(Effect.provide(hub(ingest, join(directory, "file"), offline, { durability: "async" })))
    })
  )

  it.scoped("the option takes the place of the service", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const directory = yield* folder
      const spool = Faultline.Spool.make({ directory, durability: "sync" })
      yield* say("one").pipe(Effect.provide(hubAt(ingest, { ...offline, spool })))
      assert.lengthOf(readdirSync(directory), 1)
      yield* Faultline.flush("10 seconds").pipe(Effect.provide(hubAt(ingest, { spool })))
      assert.deepStrictEqual(messagesOf(ingest), ["one"])
    })
  )
})
