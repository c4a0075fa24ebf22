/**
 * What is on its way when the process ends: the server has all of it, but has not answered. Many servers drop a request whose client is
 * gone by then, so that it is waited for, and is not sent a second time to those that do not.
 */
import * as http from "node:http"
import * as https from "node:https"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { parseEnvelope } from "../../src/protocol/Envelope.js"
import { type Certificate, selfSigned } from "../support/ingest.js"
import { Proxy } from "../support/proxy.js"
import { type Ended, MARGIN_MILLIS, type Receiver, receiver, run, start, waitingLines } from "./support.js"

const ANSWER_MILLIS = 700
const COUNT = 3

interface Picky {
  readonly to: Receiver
  /** The events that were answered to a client that was still there. */
  readonly accepted: Array<string>
  readonly received: Array<string>
  aborted: number
}

/** Answers (or hangs up: always, or on connections that are used again) after `millis`, and accepts only what has somebody waiting for the answer. */
const picky = (
  millis: number,
  options: { readonly tls?: Certificate | undefined; readonly hangsUp?: boolean | "reused" } = {}
): Effect.Effect<Picky, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly state: Picky; readonly server: http.Server }>((resume) => {
      const look = new Set<() => void>()
      const used = new WeakSet<object>()
      const handle: http.RequestListener = (request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const { headers, items } = parseEnvelope(Buffer.concat(chunks))
          if (items.some((item) => item.headers.type === "event")) state.received.push(String(headers.event_id))
          for (const waiting of look) waiting()
          setTimeout(() => {
            const isReused = used.has(request.socket)
            used.add(request.socket)
            if (options.hangsUp === true || (options.hangsUp === "reused" && isReused))
              return void request.socket.destroy()
            if (response.destroyed || request.socket.destroyed) return void state.aborted++
            if (items.some((item) => item.headers.type === "event")) state.accepted.push(String(headers.event_id))
            response.end("{}")
          }, millis)
        })
      }
      const server = options.tls === undefined ? http.createServer(handle) : https.createServer(options.tls, handle)
      const state: Picky = {
        accepted: [],
        received: [],
        aborted: 0,
        to: {
          get dsn() {
            return `http${options.tls === undefined ? "" : "s"}://public@127.0.0.1:${(server.address() as AddressInfo).port}/42`
          },
          items: Effect.succeed([]),
          events: Effect.succeed([]),
          received: (count) =>
            Effect.async<void>((resumeReceived) => {
              const waiting = (): void => {
                if (state.received.length < count) return
                look.delete(waiting)
                resumeReceived(Effect.void)
              }
              look.add(waiting)
              waiting()
            })
        }
      }
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ state, server })))
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ).pipe(Effect.map(({ state }) => state))

const idsIn = ({ stdout }: Ended): Array<string> =>
  [...stdout.matchAll(/^id ([0-9a-f]{32})$/gm)].map(([, id]) => String(id)).toSorted()

/** Everything the program has captured was accepted, once, and nothing was cut off. */
const assertAccepted = (ended: Ended, server: Picky): void => {
  const ids = idsIn(ended)
  assert.isAtLeast(ids.length, 1)
  assert.includeMembers(server.accepted, ids)
  assert.deepStrictEqual(server.received.toSorted(), server.accepted.toSorted())
  assert.strictEqual(new Set(server.received).size, server.received.length)
  assert.strictEqual(server.aborted, 0)
}

const told = (fixture: string, way: string, to: Receiver, tls: boolean, more: object = {}) =>
  Effect.gen(function* () {
    const child = yield* start(fixture, [way, fixture === "hard-exit.mjs" ? String(COUNT) : "capture"], {
      to,
      ...(tls ? { env: { NODE_TLS_REJECT_UNAUTHORIZED: "0" } } : {}),
      ...more
    })
    yield* to.received(fixture === "hard-exit.mjs" ? COUNT : 1)
    child.tell("now")
    return yield* child.ended
  })

const patient = { options: { shutdownTimeout: 8000 } }

describe("what is on its way, and not answered yet, as the process ends", () => {
  const certificate = selfSigned()

  for (const [fixture, way, code] of [
    ["hard-exit.mjs", "exit when told", 7],
    ["hard-exit.mjs", "throw when told", 1],
    ["run-main.mjs", "exit when told", 3]
  ] as const) {
    it.scopedLive(`${fixture}, ${way}: is accepted, once, and the words say so`, () =>
      Effect.gen(function* () {
        const server = yield* picky(ANSWER_MILLIS)
        const ended = yield* told(fixture, way, server.to, false, patient)
        assertAccepted(ended, server)
        assert.strictEqual(ended.code, code)
        const extra = way === "throw when told" ? 1 : 0
        const pending = (fixture === "run-main.mjs" ? 1 : COUNT) + extra
        assert.include(ended.stderr, waitingLines(pending, 8))
        assert.strictEqual(server.accepted.length, pending)
      })
    )
  }

  it.scopedLive.skipIf(certificate === undefined)("exit: also over TLS, whose answers have to be decrypted", () =>
    Effect.gen(function* () {
      const server = yield* picky(ANSWER_MILLIS, { tls: certificate })
      const ended = yield* told("hard-exit.mjs", "exit when told", server.to, true, patient)
      assertAccepted(ended, server)
      assert.strictEqual(server.accepted.length, COUNT)
      // It ends with the answers, and not when the time is up.
      assert.isBelow(ended.millisSince("told"), 8000)
    })
  )

  for (const secure of [false, true])
    it.scopedLive.skipIf(certificate === undefined)(
      `exit: through a proxy that is reached by http${secure ? "s, whose answers are encrypted twice" : ""}`,
      () =>
        Effect.gen(function* () {
          const server = yield* picky(ANSWER_MILLIS, { tls: certificate })
          const proxy = yield* Proxy.start({ tls: secure ? certificate : undefined })
          const ended = yield* told("hard-exit.mjs", "exit when told", server.to, true, {
            options: { shutdownTimeout: 8000, proxy: proxy.url, caCerts: certificate?.cert }
          })
          assertAccepted(ended, server)
          assert.strictEqual(server.accepted.length, COUNT)
        })
    )

  for (const way of ["facade", "runPromise", "ManagedRuntime"])
    it.scopedLive(`${way}: SIGINT and SIGTERM wait for it`, () =>
      Effect.forEach(
        ["SIGINT", "SIGTERM"] as const,
        (signal) =>
          Effect.gen(function* () {
            const server = yield* picky(ANSWER_MILLIS)
            const child = yield* start("signals.mjs", [way, String(COUNT)], { to: server.to, ...patient })
            yield* server.to.received(COUNT)
            child.kill(signal)
            const ended = yield* child.ended
            assertAccepted(ended, server)
            assert.strictEqual(server.accepted.length, COUNT)
            assert.deepStrictEqual([ended.code, ended.signal], [null, signal])
            assert.strictEqual(ended.stderr, waitingLines(COUNT, 8))
          }),
        { concurrency: 2 }
      )
    )

  it.scopedLive("a fast server hears nothing twice, wherever the exit comes in between", () =>
    Effect.gen(function* () {
      const server = yield* picky(0)
      const ends = yield* Effect.forEach(
        Array.from({ length: 6 }),
        () => run("hard-exit.mjs", ["exit after the sending has begun", "8"], { to: server.to }),
        { concurrency: 2 }
      )
      assert.deepStrictEqual(server.accepted.toSorted(), ends.flatMap(idsIn).toSorted())
      assert.deepStrictEqual(server.received.toSorted(), server.accepted.toSorted())
    })
  )

  it.scopedLive("a silent server is waited for within the limit, and no longer", () =>
    Effect.gen(function* () {
      const server = yield* receiver("never")
      const ended = yield* told("hard-exit.mjs", "exit when told", server, false, { options: { shutdownTimeout: 700 } })
      assert.strictEqual(ended.stderr, waitingLines(COUNT, 0.7))
      assert.isAtLeast(ended.millisSince("told"), 600)
      assert.isBelow(ended.millisSince("told"), 700 + MARGIN_MILLIS)
      assert.strictEqual(ended.code, 7)
    })
  )

  it.scopedLive("a server that hangs up without an answer is not waited for", () =>
    Effect.gen(function* () {
      const server = yield* picky(300, { hangsUp: true })
      const ended = yield* told("hard-exit.mjs", "exit when told", server.to, false, patient)
      assert.isBelow(ended.millisSince("told"), 300 + MARGIN_MILLIS)
      assert.strictEqual(server.received.length, COUNT)
      assert.strictEqual(ended.code, 7)
    })
  )

  it.scopedLive("what was on a kept connection that turns out to be closed is sent again", () =>
    Effect.gen(function* () {
      const server = yield* picky(300, { hangsUp: "reused" })
      const child = yield* start("hard-exit.mjs", ["exit when told, after a flush", "1"], { to: server.to, ...patient })
      yield* server.to.received(2)
      child.tell("now")
      const ended = yield* child.ended
      assert.deepStrictEqual(server.accepted.toSorted(), idsIn(ended))
      assert.lengthOf(server.accepted, 2)
      assert.lengthOf(server.received, 3)
      assert.strictEqual(ended.code, 7)
    })
  )

  it.scopedLive("two hubs: one limit for both", () =>
    Effect.gen(function* () {
      const server = yield* receiver("never")
      const child = yield* start("signals.mjs", ["two hubs", "2"], { to: server, options: { shutdownTimeout: 2500 } })
      yield* child.line("ready")
      yield* server.received(4)
      child.kill("SIGTERM")
      const ended = yield* child.ended
      assert.isAtLeast(ended.millisSince("ready"), 2000)
      assert.isBelow(ended.millisSince("ready"), 2500 + MARGIN_MILLIS)
    })
  )
})
