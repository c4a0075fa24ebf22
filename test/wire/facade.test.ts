import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { Ingest, type Json } from "../support/ingest.js"
import {
  ALL_INTEGRATIONS,
  anEvent,
  boom,
  boomEvent,
  crumbsIn,
  exception,
  flushed,
  GENERIC,
  helloEvent,
  hubAt,
  messagesAt,
  settle,
  settleStacks,
  withEnvironment
} from "./kit.js"

const FILE = "/test/wire/facade.test.ts"

/** Whether the events are those of a hub without integrations. */
const bare: Facade.InitOptions = { serverName: "wire", defaultIntegrations: false }

/** The facade, closed when the scope closes if it is still open. */
const withFacade = (options: Facade.InitOptions): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Facade.init(options)),
    () => Effect.promise(() => Facade.close(5000))
  )

/** The events of a program that is no Effect. */
const eventsOf = (
  program: (ingest: Ingest) => unknown,
  options: Facade.InitOptions = bare
): Effect.Effect<ReadonlyArray<Json>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    yield* withFacade({ dsn: ingest.dsn, ...options })
    yield* Effect.promise(async () => program(ingest))
    assert.isTrue(yield* Effect.promise(() => Facade.close(5000)))
    return ingest.allEvents.map(settle)
  })

describe("the facade", () => {
  it.scopedLive("sends what the effects of the same names send", () =>
    Effect.gen(function* () {
      const cause = Cause.die(boom())
      const events = yield* eventsOf(async () => {
        for (const capture of [
          () => Facade.captureException(boom()),
          () => Facade.captureException(boom(), { level: "fatal", tags: { a: 1 } }),
          () => Facade.captureException(Runtime.makeFiberFailure(cause)),
          () => Facade.captureException("text"),
          () => Facade.captureMessage("hello"),
          () => Facade.captureMessage("hello", "warning"),
          () => Facade.captureEvent({ message: "m", transaction: "t" })
        ]) {
          assert.match(String(capture()), /^[0-9a-f]{32}$/)
          await Facade.flush()
        }
      })
      const stackless = events.map((event) =>
        (event["exception"] as { values: [Json] } | undefined)?.values[0]["value"] === "text"
          ? settleStacks(event, FILE)
          : event
      )
      assert.deepStrictEqual(stackless, [
        boomEvent(),
        boomEvent({ level: "fatal", tags: { a: "1" } }),
        anEvent({ exception: { values: [exception("Error", "boom", { ...GENERIC, data: { cause: "die" } })] } }),
        anEvent({
          exception: {
            values: [
              { type: "Error", value: "text", mechanism: { ...GENERIC, synthetic: true }, stacktrace: "<stack>" }
            ]
          },
          fingerprint: ["{{ default }}", "Error", "text"]
        }),
        helloEvent(),
        helloEvent({ level: "warning" }),
        anEvent({ level: "info", message: "m", transaction: "t" })
      ])
    })
  )

  it.scopedLive("hands a scope over to code that would not have it", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(() => {
        const scope = Facade.withIsolationScope(() => {
          Facade.setTag("request", "yes")
          Facade.addBreadcrumb({ message: "before" })
          return Facade.forkScope()
        })
        for (const message of ["one", "two"]) {
          Facade.withForkedScope(scope, () => {
            Facade.setTag(message, "yes")
            Facade.captureMessage(message)
          })
        }
        Facade.captureMessage("outside")
      })
      const told = events.map((event) => ({
        message: event["message"],
        tags: event["tags"],
        breadcrumbs: crumbsIn(event).map(({ message }) => message)
      }))
      assert.sameDeepMembers(told, [
        { message: "one", tags: { request: "yes", one: "yes" }, breadcrumbs: ["before"] },
        { message: "two", tags: { request: "yes", two: "yes" }, breadcrumbs: ["before"] },
        { message: "outside", tags: undefined, breadcrumbs: [] }
      ])
    })
  )

  it.scopedLive("has all default integrations on", () =>
    Effect.gen(function* () {
      const [event] = yield* eventsOf(() => Facade.captureException(boom()), { serverName: "wire" })
      assert.deepStrictEqual(
        event,
        boomEvent(
          {
            extra: { "sys.argv": process.argv.slice(1) },
            modules: "<modules>",
            contexts: { runtime: "<runtime>" }
          },
          ALL_INTEGRATIONS
        )
      )
    })
  )

  it.scopedLive("has the integrations that it is told to have", () =>
    Effect.gen(function* () {
      const integrations = { argv: false, modules: false, stdlib: false } as const
      const [event] = yield* eventsOf(() => Facade.captureException(boom()), { serverName: "wire", integrations })
      assert.deepStrictEqual(
        event,
        boomEvent(
          {},
          ALL_INTEGRATIONS.filter((name) => !Object.hasOwn(integrations, name))
        )
      )
    })
  )

  it.scopedLive("keeps the scopes of concurrent work apart, across awaits", () =>
    Effect.gen(function* () {
      const turn = () => new Promise((resolve) => setImmediate(resolve))
      const events = yield* eventsOf(async () => {
        Facade.setTag("process", 1)
        Facade.addBreadcrumb({ message: "process" })
        await Promise.all(
          ["a", "b", "c"].map((name) =>
            Facade.withIsolationScope(async () => {
              Facade.setUser({ id: name })
              await turn()
              Facade.addBreadcrumb({ message: name })
              await Facade.withScope({ tags: { step: name } }, async (scope) => {
                await turn()
                scope.setExtra("n", name)
                Facade.setTag("isolation", name)
                Facade.captureMessage("inside")
              })
              Facade.captureMessage("after")
            })
          )
        )
        Facade.captureMessage("outside")
      })
      const timestamp = "<timestamp>"
      const expected = ["a", "b", "c"].flatMap((name) => {
        const own = {
          user: { id: name },
          breadcrumbs: {
            values: [
              { timestamp, message: "process" },
              { timestamp, message: name }
            ]
          }
        }
        return [
          helloEvent({
            ...own,
            message: "inside",
            tags: { process: "1", isolation: name, step: name },
            extra: { n: name }
          }),
          helloEvent({ ...own, message: "after", tags: { process: "1", isolation: name } })
        ]
      })
      assert.sameDeepMembers(
        [...events],
        [
          ...expected,
          helloEvent({
            message: "outside",
            tags: { process: "1" },
            breadcrumbs: { values: [{ timestamp, message: "process" }] }
          })
        ]
      )
    })
  )

  it.scopedLive("wraps functions: what they throw is reported and goes on its way", () =>
    Effect.gen(function* () {
      const error = boom()
      const events = yield* eventsOf(async () => {
        const sync = Facade.wrap(
          (n: number): number => {
            if (n > 0) throw error
            return n
          },
          { tags: { wrapped: "sync" } }
        )
        assert.strictEqual(sync(0), 0)
        assert.throws(() => sync(1), error)
        const asynchronous = Facade.wrap(async () => Promise.reject(error))
        assert.strictEqual(await asynchronous().catch((caught: unknown) => caught), error)
      })
      assert.sameDeepMembers([...events], [boomEvent({ tags: { wrapped: "sync" } }), boomEvent()])
    })
  )

  it.scopedLive("remembers the last id, and tells the trace it is in", () =>
    Effect.gen(function* () {
      let last: string | undefined
      let data: ReturnType<typeof Facade.getTraceData> = {}
      const ingest = yield* Ingest.start()
      yield* withFacade({ dsn: ingest.dsn, ...bare })
      assert.isUndefined(Facade.lastEventId())
      Facade.captureMessage("hello")
      last = Facade.lastEventId()
      data = Facade.getTraceData()
      yield* Effect.promise(() => Facade.close())
      const event = yield* ingest.event()
      const { span_id, trace_id } = (event["contexts"] as Record<string, Json>)["trace"] as Record<string, string>
      assert.strictEqual(last, event["event_id"])
      assert.deepStrictEqual(data, {
        "sentry-trace": `${trace_id}-${span_id}`,
        baggage: `sentry-trace_id=${trace_id},sentry-public_key=public,sentry-environment=production`
      })
    })
  )

  it.scopedLive("is the hub of whatever fiber has none of its own, and uses the scope of one that has", () =>
    Effect.gen(function* () {
      const [own, process] = yield* Effect.all([Ingest.start(), Ingest.start()])
      yield* withFacade({ dsn: process.dsn, ...bare })
      yield* Effect.gen(function* () {
        yield* Faultline.setTag("fiber", 1)
        Facade.setTag("facade", 1)
        Facade.addBreadcrumb({ message: "crumb" })
        Facade.withScope((scope) => {
          scope.setTag("block", 1)
          Facade.captureMessage("in a block of the fiber")
        })
        yield* Faultline.captureMessage("in the fiber")
        yield* flushed
      }).pipe(Effect.provide(hubAt(own)))
      Facade.captureMessage("outside")
      yield* Effect.promise(() => Facade.flush())
      const breadcrumbs = { values: [{ timestamp: "<timestamp>", message: "crumb" }] }
      assert.sameDeepMembers(own.allEvents.map(settle), [
        helloEvent({
          message: "in a block of the fiber",
          tags: { fiber: "1", facade: "1", block: "1" },
          breadcrumbs
        }),
        helloEvent({ message: "in the fiber", tags: { fiber: "1", facade: "1" }, breadcrumbs })
      ])
      assert.deepStrictEqual(process.allEvents.map(settle), [helloEvent({ message: "outside" })])
    })
  )
})

describe("the facade and Effect", () => {
  const users = ["ada", "alan", "barbara", "edsger", "grace"]
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  it.scopedLive("an Effect that other code runs begins with a fork of that code's scope, and keeps to it", () =>
    Effect.gen(function* () {
      const handle = (user: string) =>
        Facade.withIsolationScope(async () => {
          Facade.setUser({ id: user })
          Facade.addBreadcrumb({ message: `${user} arrives` })
          await turn()
          await Effect.runPromise(
            Effect.gen(function* () {
              yield* Effect.yieldNow()
              yield* Faultline.setTag("in", user)
              yield* Effect.sleep(1)
              yield* Effect.sync(() => Facade.addBreadcrumb({ message: `${user} pays` }))
              yield* Effect.promise(turn)
              yield* Effect.flatMap(Effect.fork(Faultline.captureMessage(`a fiber of ${user}`)), Fiber.join)
              yield* Effect.sync(() => Facade.captureMessage(`inside ${user}`))
            })
          )
          Facade.captureMessage(`after ${user}`)
        })
      const events = yield* eventsOf(() => Promise.all(users.map(handle)), { serverName: "wire" })
      for (const user of users) {
        const of = (message: string) => {
          const found = events.filter((event) => event["message"] === message)
          assert.lengthOf(found, 1, message)
          const { breadcrumbs, tags, user: who } = found[0] as Json
          const { values } = (breadcrumbs ?? { values: [] }) as { values: ReadonlyArray<{ message: string }> }
          return { crumbs: values.map((crumb) => crumb.message), tags, who }
        }
        const crumbs = [`${user} arrives`, `${user} pays`]
        assert.deepStrictEqual(of(`inside ${user}`), { crumbs, tags: { in: user }, who: { id: user } })
        assert.deepStrictEqual(of(`a fiber of ${user}`), { crumbs, tags: { in: user }, who: { id: user } })
        // A root fiber's own writes stay with it.
        assert.deepStrictEqual(of(`after ${user}`), { crumbs: crumbs.slice(0, 1), tags: undefined, who: { id: user } })
      }
    })
  )

  it.scopedLive("after an await, what an Effect has handed over to is still in its scope", () =>
    Effect.gen(function* () {
      const handle = (user: string) =>
        Faultline.setUser({ id: user }).pipe(
          Effect.andThen(
            Effect.promise(async () => {
              await turn()
              Facade.addBreadcrumb({ message: `${user} waited` })
              await turn()
              assert.isDefined(Facade.captureMessage(user))
            })
          ),
          Faultline.withIsolationScope()
        )
      const ingest = yield* Ingest.start()
      yield* Effect.forEach(users, handle, { concurrency: "unbounded" }).pipe(
        Effect.zipRight(flushed),
        Effect.provide(hubAt(ingest))
      )
      assert.deepStrictEqual(
        ingest.allEvents
          .map(settle)
          .map(({ breadcrumbs, message, user }) => [
            message,
            user,
            crumbsIn({ breadcrumbs }).map((crumb) => crumb["message"])
          ])
          .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
        users.map((user) => [user, { id: user }, [`${user} waited`]])
      )
    })
  )
})

describe("init", () => {
  it.scopedLive("reads from the environment what it is not told", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* withEnvironment({ SENTRY_DSN: ingest.dsn, SENTRY_RELEASE: "env@1", SENTRY_ENVIRONMENT: "env" })
      yield* withFacade({ ...bare, environment: "code" })
      Facade.captureMessage("hello")
      yield* Effect.promise(() => Facade.close())
      assert.deepStrictEqual(ingest.allEvents.map(settle), [helloEvent({ release: "env@1", environment: "code" })])
    })
  )

  it.scopedLive("again takes the place of the hub before, which sends what it still has", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Effect.all([Ingest.start(), Ingest.start()])
      const listeners = process.listenerCount("exit")
      yield* withFacade({ dsn: first.dsn, serverName: "wire" })
      const installed = process.listenerCount("exit")
      Facade.captureMessage("to the first")
      Facade.setTag("first", 1)
      Facade.init({ dsn: second.dsn, serverName: "wire" })
      Facade.captureMessage("to the second")
      assert.isTrue(yield* Effect.promise(() => Facade.flush()))
      yield* first.receive(1)
      assert.deepStrictEqual([messagesAt(first), messagesAt(second)], [["to the first"], ["to the second"]])
      assert.notProperty(second.allEvents[0], "tags")
      assert.isTrue(yield* Effect.promise(() => Facade.close()))
      assert.isAbove(installed, listeners)
      assert.strictEqual(process.listenerCount("exit"), listeners)
    })
  )

  it.scopedLive("with options that cannot be used throws, and what was open stays so", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* withFacade({ dsn: ingest.dsn, ...bare })
      assert.throws(() => Facade.init({ dsn: "http://nowhere" }), Faultline.DsnError)
      assert.throws(() => Facade.init({ dns: ingest.dsn } as Facade.InitOptions), /Did you mean "dsn"/)
      for (const [given, option] of [
        [{ integrations: { argv: null } }, "argv"],
        [{ integrations: { treading: false } }, "treading"],
        [{ integrations: null }, "integrations"],
        [{ additionalIntegrations: [{}] }, "additionalIntegrations"],
        [{ additionalIntegrations: Faultline.Sessions.layer() }, "additionalIntegrations"]
      ] as const) {
        const init = () => Facade.init({ dsn: ingest.dsn, ...given } as unknown as Facade.InitOptions)
        assert.throws(init, Faultline.OptionsError, `"${option}"`)
      }
      Facade.captureMessage("hello")
      yield* Effect.promise(() => Facade.flush())
      assert.deepStrictEqual(messagesAt(ingest), ["hello"])
    })
  )
})

describe("close", () => {
  it.scopedLive("sends what is pending, and nothing afterwards, however often it is called", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* withFacade({ dsn: ingest.dsn, ...bare })
      assert.isTrue(Facade.isInitialized())
      assert.isTrue(Facade.isEnabled())
      Facade.captureMessage("hello")
      const closed = yield* Effect.promise(() => Promise.all([Facade.close(), Facade.close(), Facade.close(0)]))
      assert.deepStrictEqual(closed, [true, true, true])
      assert.isFalse(Facade.isInitialized())
      assert.isFalse(Facade.isEnabled())
      assert.isUndefined(Facade.captureMessage("closed"))
      Facade.addBreadcrumb({ message: "m" })
      Facade.setTag("a", 1)
      assert.isTrue(yield* Effect.promise(() => Facade.flush()))
      assert.deepStrictEqual(messagesAt(ingest), ["hello"])
      for (const event of ingest.allEvents) assert.deepStrictEqual(crumbsIn(event), [])
    })
  )

  it.scopedLive("gives up on a server that never answers", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll("never")
      yield* withFacade({ dsn: ingest.dsn, ...bare })
      Facade.captureMessage("hello")
      yield* ingest.receive(1)
      assert.isFalse(yield* Effect.promise(() => Facade.flush(30)))
      assert.isFalse(yield* Effect.promise(() => Facade.close(30)))
      assert.isFalse(Facade.isInitialized())
    })
  )
})
