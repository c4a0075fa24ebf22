/**
 * Release health: what the server is told of how runs and requests ended.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { stateOfFiber } from "../../src/scope/carrier.js"
import { Ingest, type Json } from "../support/ingest.js"
import { hubAt } from "./kit.js"

const release = "shop@1.4.2"

/** Everything a program has, and sessions. */
const monitored = (
  ingest: Ingest,
  sessions: Faultline.Sessions.Options = {},
  options: Faultline.Options = {}
): Layer.Layer<Faultline.Hub, Faultline.DsnError | Faultline.OptionsError> =>
  Layer.mergeAll(
    Faultline.defaultIntegrations({ logging: false, modules: false, stdlib: false, argv: false }),
    Faultline.Sessions.layer(sessions)
  ).pipe(Layer.provideMerge(hubAt(ingest, { release, environment: "test", ...options })))

/** What the server is told while the effect runs and as its hub closes. */
const toldOf = <A, E>(
  effect: Effect.Effect<A, E, Faultline.Hub>,
  sessions: Faultline.Sessions.Options = {},
  options: Faultline.Options = {}
): Effect.Effect<ReadonlyArray<Json>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    yield* Effect.exit(Effect.provide(effect, monitored(ingest, sessions, options)))
    return sessionsAt(ingest)
  })

const sessionsAt = (ingest: Ingest): ReadonlyArray<Json> =>
  ingest.envelopes.flatMap(({ framed }) =>
    framed.items
      .filter(({ headers }) => headers["type"] === "session" || headers["type"] === "sessions")
      .map(({ json }) => json as Json)
  )

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Checks what differs from run to run and leaves it out. */
const settled = (sessions: ReadonlyArray<Json>): Array<unknown> => {
  const ids = new Set(sessions.map(({ sid }) => sid))
  assert.strictEqual(ids.size, 1)
  return sessions.map(({ duration, sid, started, timestamp, ...rest }) => {
    assert.match(String(sid), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.match(String(started), TIME)
    assert.match(String(timestamp), TIME)
    assert.strictEqual(typeof duration, rest["status"] === "ok" ? "undefined" : "number")
    return rest
  })
}

const attrs = { release, environment: "test" }

describe("the session of an application", () => {
  it.scopedLive("that ends well is told of once, at its end", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(Faultline.captureMessage("no error", "error"))
      assert.deepStrictEqual(settled(told), [{ init: true, status: "exited", errors: 0, attrs }])
    })
  )

  it.scopedLive("with errors is told of at the first and at its end", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(
        Effect.forEach([1, 2, 3], (index) => Faultline.captureException(new Error(`error ${index}`)))
      )
      assert.deepStrictEqual(settled(told), [
        { init: true, status: "ok", errors: 1, attrs },
        { init: false, status: "exited", errors: 3, attrs }
      ])
    })
  )

  it.scopedLive("that fails has crashed, and nothing follows", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(Effect.fail(new TypeError("escaped")))
      assert.deepStrictEqual(settled(told), [{ init: true, status: "crashed", errors: 1, attrs }])
    })
  )

  it.scopedLive("that fails with an error it has reported before has crashed all the same", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(
        Effect.fail(new TypeError("escaped")).pipe(Effect.tapError(Faultline.captureException))
      )
      assert.deepStrictEqual(settled(told), [
        { init: true, status: "ok", errors: 1, attrs },
        { init: false, status: "crashed", errors: 2, attrs }
      ])
    })
  )

  it.scopedLive("that is closed before anybody could ask for a fiber that has failed has crashed", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(
        Effect.forkDaemon(Effect.fail(new TypeError("nobody looks"))).pipe(
          Effect.zipRight(Effect.yieldNow()),
          Effect.zipRight(Effect.flatMap(Faultline.Hub, (hub) => hub.close("5 seconds")))
        )
      )
      assert.deepStrictEqual(settled(told), [{ init: true, status: "crashed", errors: 1, attrs }])
    })
  )

  it.scopedLive("that is interrupted has ended well", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(Effect.interrupt)
      assert.deepStrictEqual(settled(told), [{ init: true, status: "exited", errors: 0, attrs }])
    })
  )

  it.scopedLive("does not count what beforeSend drops, but what is not sampled", () =>
    Effect.gen(function* () {
      const dropped = yield* toldOf(Faultline.captureException(new Error("no")), {}, { beforeSend: () => null })
      assert.deepStrictEqual(settled(dropped), [{ init: true, status: "exited", errors: 0, attrs }])
      const unsampled = yield* toldOf(Faultline.captureException(new Error("no")), {}, { sampleRate: 0 })
      assert.deepStrictEqual(settled(unsampled).at(-1), { init: false, status: "exited", errors: 1, attrs })
    })
  )

  it.scopedLive("is told of by a program that uses the facade", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      Facade.init({
        dsn: ingest.dsn,
        release,
        environment: "test",
        additionalIntegrations: [Faultline.Sessions.layer()]
      })
      Facade.captureException(new Error("handled"))
      yield* Effect.promise(() => Facade.close(5000))
      assert.deepStrictEqual(settled(sessionsAt(ingest)), [
        { init: true, status: "ok", errors: 1, attrs },
        { init: false, status: "exited", errors: 1, attrs }
      ])
    })
  )

  it.scopedLive("is none without a release, and where the server knows no sessions", () =>
    Effect.gen(function* () {
      const program = Faultline.captureException(new Error("handled"))
      assert.deepStrictEqual(yield* toldOf(program, {}, { release: undefined }), [])
      for (const profile of ["glitchtip", "bugsink", "telebugs", "minimal"] as const)
        assert.deepStrictEqual(yield* toldOf(program, {}, { profile }), [])
    })
  )

  it("a mode that does not exist is an error that says so", () => {
    // @ts-expect-error -- no mode
    assert.throws(() => Faultline.Sessions.layer({ mode: "server" }), /"mode" must be "application" or "request"/)
  })
})

describe("the sessions of requests", () => {
  /** As a middleware would do it. */
  const request = (at: string, effect: Effect.Effect<unknown, unknown>): Effect.Effect<void, never, Faultline.Hub> =>
    Effect.gen(function* () {
      const { client } = yield* Faultline.Hub
      yield* Effect.withFiberRuntime<void>((fiber) =>
        Effect.zipRight(
          Effect.exit(effect),
          Effect.sync(() => client.requestEnded(stateOfFiber(fiber), Date.parse(at)))
        )
      ).pipe(Faultline.withIsolationScope())
    })

  const handled = Faultline.captureException(new Error("handled"))
  const escaped = Effect.suspend(() =>
    Faultline.captureException(new Error("escaped"), { mechanism: { handled: false } })
  )

  it.scopedLive("are counted once each, by the worst that happened, by the minute they began in", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(
        Effect.gen(function* () {
          yield* request("2026-01-01T10:00:59.999Z", Effect.void)
          yield* request("2026-01-01T10:00:00.000Z", Effect.void)
          yield* request("2026-01-01T10:01:00.000Z", Effect.zipRight(handled, handled))
          yield* request("2026-01-01T10:01:30.000Z", Effect.zipRight(escaped, handled))
          yield* request("2026-01-01T10:01:31.000Z", Effect.zipRight(handled, escaped))
          yield* request("2026-01-01T10:01:31.000Z", Faultline.withIsolationScope(handled))
        }),
        { mode: "request" }
      )
      assert.deepStrictEqual<unknown>(told, [
        {
          aggregates: [
            { started: "2026-01-01T10:00:00.000Z", exited: 2 },
            { started: "2026-01-01T10:01:00.000Z", errored: 2, crashed: 2 }
          ],
          attrs
        }
      ])
    })
  )

  it.scopedLive("an error in one request is none of another's", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(
        Effect.all([request("2026-01-01T10:00:00Z", handled), request("2026-01-01T10:00:00Z", Effect.void)], {
          concurrency: "unbounded"
        }),
        { mode: "request" }
      )
      assert.deepStrictEqual<unknown>(told, [
        { aggregates: [{ started: "2026-01-01T10:00:00.000Z", errored: 1, exited: 1 }], attrs }
      ])
    })
  )

  it.scopedLive("are told every minute, and on a flush, each once", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.useRealTimers()))
      yield* Effect.gen(function* () {
        yield* request("2026-01-01T10:00:00Z", Effect.void)
        vi.advanceTimersByTime(59_999)
        assert.lengthOf(ingest.envelopes, 0)
        vi.advanceTimersByTime(1)
        yield* ingest.receive(1)
        yield* request("2026-01-01T10:01:00Z", Effect.void)
        yield* Faultline.flush("5 seconds")
        yield* Faultline.flush("5 seconds")
      }).pipe(Effect.provide(monitored(ingest, { mode: "request" })))
      assert.deepStrictEqual(
        sessionsAt(ingest).map(({ aggregates }) => aggregates),
        [[{ started: "2026-01-01T10:00:00.000Z", exited: 1 }], [{ started: "2026-01-01T10:01:00.000Z", exited: 1 }]]
      )
    })
  )

  it.scopedLive("a server that refuses them is not asked again, and gets its events", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answer({ status: 400 })
      yield* Effect.gen(function* () {
        yield* request("2026-01-01T10:00:00Z", Effect.void)
        yield* Faultline.flush("5 seconds")
        yield* request("2026-01-01T10:01:00Z", handled)
        yield* Faultline.flush("5 seconds")
      }).pipe(Effect.provide(monitored(ingest, { mode: "request" }, { sendClientReports: false })))
      assert.lengthOf(sessionsAt(ingest), 1)
      assert.lengthOf(ingest.allEvents, 1)
      assert.lengthOf(ingest.envelopes, 2)
    })
  )

  it.scopedLive("of a server that crashes there is no session of the application beside them", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const exit = yield* Effect.exit(
        Effect.provide(Effect.die(new Error("the server")), monitored(ingest, { mode: "request" }))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(sessionsAt(ingest), [])
    })
  )

  it.scopedLive("more minutes than fit into an item are told in several", () =>
    Effect.gen(function* () {
      const told = yield* toldOf(
        Effect.forEach(
          Array.from({ length: 120 }, (_, minute) => minute),
          (minute) => request(new Date(Date.UTC(2026, 0, 1, 10, minute)).toISOString(), Effect.void)
        ),
        { mode: "request" }
      )
      assert.deepStrictEqual(
        told.map(({ aggregates }) => (aggregates as Array<unknown>).length),
        [100, 20]
      )
    })
  )
})
