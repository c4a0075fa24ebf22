/**
 * What the report of a crashed fiber says, and when it is made. Which fibers crash: test/unit/crashes.test.ts.
 */
import { createServer } from "node:http"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Faultline from "effect-faultline"
import { type Event, Threading } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"

/** The events of a program by the time that its integrations are closed. */
const eventsOf = (
  program: Effect.Effect<unknown, unknown, Scope.Scope>,
  integrations: Layer.Layer<never, never, Faultline.Hub> = Threading.layer(),
  options: Faultline.Options = {}
): Effect.Effect<ReadonlyArray<Event>> =>
  Effect.zipRight(Effect.exit(Effect.provide(Effect.scoped(program), integrations)), TestHub.events).pipe(
    Effect.provide(Layer.orDie(TestHub.layerWith(options)))
  )

const eventOf = (...args: Parameters<typeof eventsOf>): Effect.Effect<Event> =>
  Effect.map(eventsOf(...args), (events) => {
    assert.lengthOf(events, 1)
    return events[0] as Event
  })

const messagesOf = ({ breadcrumbs }: Event) => breadcrumbs?.values.map(({ message }) => message)

const fail = Effect.fail(new RangeError("no"))
const turn = Effect.sleep(2)

describe("the report of a crash", () => {
  it.live("says which fiber, in which span, and with the scope of that fiber", () =>
    Effect.gen(function* () {
      let fiberId = ""
      let span: { readonly traceId: string; readonly spanId: string } | undefined
      const event = yield* eventOf(
        Effect.gen(function* () {
          yield* Faultline.setTag("program", "yes")
          yield* Faultline.addBreadcrumb({ message: "of the program" })
          yield* Effect.gen(function* () {
            span = yield* Effect.currentSpan
            yield* Faultline.setTag("fiber", "yes")
            yield* Faultline.setUser({ id: "u1" })
            yield* Faultline.addBreadcrumb({ message: "of the fiber" })
            return yield* fail
          }).pipe(
            Effect.withSpan("background"),
            Effect.fork,
            Effect.tap((fiber) => Effect.sync(() => (fiberId = `#${fiber.id().id}`)))
          )
          yield* turn
        })
      )
      assert.deepStrictEqual(event.contexts?.["effect"], { fiber: fiberId })
      assert.deepInclude(event.contexts?.["trace"], { trace_id: span?.traceId, span_id: span?.spanId })
      assert.deepStrictEqual(event.tags, { program: "yes", fiber: "yes" })
      assert.deepStrictEqual(event.user, { id: "u1" })
      assert.deepStrictEqual(messagesOf(event), ["of the program", "of the fiber"])
      assert.strictEqual(event.level, "error")
      assert.deepStrictEqual(event.exception?.values.at(-1)?.mechanism, {
        type: "threading",
        handled: false,
        data: { thread_kind: "fiber", cause: "fail" }
      })
    })
  )

  it.live("says what was so when it crashed, whatever happens until it is made", () =>
    Effect.gen(function* () {
      const before = Date.now()
      let crashed = 0
      const event = yield* eventOf(
        Effect.gen(function* () {
          yield* Faultline.addBreadcrumb({ message: "before" })
          yield* Effect.forkDaemon(fail)
          yield* turn
          crashed = Date.now()
          yield* Faultline.addBreadcrumb({ message: "after" })
          yield* Faultline.setTag("after", "yes")
          yield* Effect.sleep(30)
        })
      )
      assert.deepStrictEqual(messagesOf(event), ["before"])
      assert.isUndefined(event.tags)
      assert.isAtLeast(event.timestamp * 1000, before - 1)
      assert.isAtMost(event.timestamp * 1000, crashed)
    })
  )

  it.live("is made a second after the crash, in a program that goes on", () =>
    Effect.gen(function* () {
      yield* Effect.forkDaemon(fail)
      yield* Effect.sleep(500)
      assert.lengthOf(yield* TestHub.events, 0)
      yield* Effect.sleep(900)
      assert.lengthOf(yield* TestHub.events, 1)
    }).pipe(Effect.provide(Threading.layer().pipe(Layer.provideMerge(TestHub.layer))))
  )

  it.effect("does not wait for a test's clock", () =>
    Effect.gen(function* () {
      const [event] = yield* eventsOf(
        Effect.zipRight(TestClock.setTime(5000), Effect.zipRight(Effect.forkDaemon(fail), Effect.yieldNow()))
      )
      assert.strictEqual(event?.timestamp, 5)
    })
  )

  it.live("is made when the hub is closed by hand", () =>
    Effect.gen(function* () {
      yield* Effect.forkDaemon(fail)
      yield* turn
      yield* Faultline.close()
      assert.lengthOf(yield* TestHub.events, 1)
    }).pipe(Effect.provide(Threading.layer().pipe(Layer.provideMerge(TestHub.layer))))
  )

  it.live("is not made of an error that was reported before, nor twice of one in two fibers", () =>
    Effect.gen(function* () {
      const both = Threading.layer().pipe(Layer.provideMerge(Faultline.Dedupe.layer()))
      const reported = Effect.tapErrorCause(fail, (cause) => Faultline.captureCause(cause))
      const first = yield* eventOf(Effect.zipRight(Effect.fork(reported), turn), both)
      assert.deepStrictEqual(first.exception?.values.at(-1)?.mechanism?.type, "generic")
      const second = yield* eventOf(
        Effect.zipRight(Effect.zipRight(Effect.forkDaemon(fail), Effect.forkDaemon(fail)), turn),
        both
      )
      assert.deepStrictEqual(second.exception?.values.at(-1)?.mechanism?.type, "threading")
    })
  )

  it.live("Effect's own line about it is written as without the SDK", () =>
    Effect.gen(function* () {
      const lines = (integration: Layer.Layer<never, never, Faultline.Hub>) =>
        Effect.gen(function* () {
          const written: Array<string> = []
          const logger = Logger.make(({ cause, logLevel, message }) => {
            written.push(`${logLevel.label} ${String(message)} ${Cause.pretty(cause).split("\n")[0]}`)
          })
          yield* Effect.forkDaemon(fail).pipe(
            Effect.zipRight(turn),
            Effect.provide(integration),
            Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
            Logger.withMinimumLogLevel(LogLevel.Debug),
            Effect.provide(Layer.orDie(TestHub.layerWith({})))
          )
          return written
        })
      const plain = yield* lines(Layer.empty)
      assert.deepStrictEqual(plain, ["DEBUG Fiber terminated with an unhandled error RangeError: no"])
      assert.deepStrictEqual(yield* lines(Threading.layer()), plain)
    })
  )

  const Monitoring = Layer.suspend(() => Threading.layer())
  const Deduping = Layer.suspend(() => Faultline.Dedupe.layer())
  const orders = {
    "Threading, Dedupe": () => Layer.merge(Monitoring, Deduping),
    "Dedupe, Threading": () => Layer.merge(Deduping, Monitoring),
    "Threading on Dedupe": () => Layer.provideMerge(Monitoring, Deduping),
    "Dedupe on Threading": () => Layer.provideMerge(Deduping, Monitoring)
  }
  const ends = {
    "it ends": Effect.void,
    "it fails": Effect.fail("over"),
    "it is interrupted": Effect.interrupt
  }
  for (const [order, layer] of Object.entries(orders)) {
    for (const [how, end] of Object.entries(ends)) {
      it.live(
        `is not made as ${how} of an error that was reported before, however the layers are put together: ${order}`,
        () =>
          Effect.gen(function* () {
            const program = Effect.gen(function* () {
              const error = new RangeError("no")
              yield* Effect.forkDaemon(Effect.fail(error))
              yield* Effect.forkDaemon(Effect.fail(error))
              yield* turn
              yield* Faultline.captureException(error)
              yield* end
            })
            yield* Effect.exit(Effect.provide(program, layer()))
            assert.lengthOf(yield* TestHub.events, 1)
          }).pipe(Effect.provide(TestHub.layer))
      )
    }
  }

  it.live("leaves no trace on what failed", () =>
    Effect.gen(function* () {
      let exit: Exit.Exit<never, unknown> | undefined
      const fields = (): Array<string> => {
        const all = Object.entries(Object.getOwnPropertyDescriptors(exit))
        return all.filter(([, descriptor]) => "get" in descriptor).map(([name]) => name)
      }
      yield* eventOf(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkDaemon(fail)
          yield* turn
          exit = fiber.unsafePoll() ?? undefined
          assert.lengthOf(fields(), 1)
        })
      )
      assert.lengthOf(fields(), 0)
      assert.deepStrictEqual(exit, Exit.fail(new RangeError("no")))
    })
  )

  it.live("is made of each one in a program that fails without end", () =>
    Effect.gen(function* () {
      const crash = Effect.suspend(() => Effect.forkDaemon(Effect.fail(new RangeError("no"))))
      const events = yield* eventsOf(Effect.zipRight(Effect.replicateEffect(crash, 1200), turn), Threading.layer(), {
        maxQueueSize: 5000,
        budget: false
      })
      assert.lengthOf(events, 1200)
    })
  )
})

describe("propagateScope", () => {
  const inScope = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.zipRight(
      Effect.zipRight(Faultline.setUser({ id: "u1" }), Faultline.addBreadcrumb({ message: "before" })),
      effect
    )

  const seen = ({ breadcrumbs, tags, user }: Event) => ({
    tags,
    user,
    breadcrumbs: breadcrumbs?.values.map(({ message }) => message)
  })

  const roots: Readonly<Record<string, Effect.Effect<unknown, never, Scope.Scope>>> = {
    "Runtime.runFork": Effect.map(Effect.runtime(), (runtime) => Runtime.runFork(runtime)(fail)),
    "FiberSet.runtime": Effect.map(FiberSet.makeRuntime(), (run) => run(fail)),
    "Runtime.runPromise": Effect.flatMap(Effect.runtime(), (runtime) =>
      Effect.promise(() => Runtime.runPromise(runtime)(Effect.zipRight(Effect.forkDaemon(fail), turn)))
    )
  }

  const children: Readonly<Record<string, Effect.Effect<unknown, never, Scope.Scope>>> = {
    fork: Effect.fork(fail),
    forkDaemon: Effect.forkDaemon(fail),
    "all, concurrent": Effect.all([Effect.forkDaemon(fail), Effect.void], { concurrency: 2 }),
    timeout: Effect.timeout(Effect.forkDaemon(fail), "1 second").pipe(Effect.orDie),
    race: Effect.race(Effect.forkDaemon(fail), Effect.never),
    Stream: Stream.runDrain(
      Stream.mapEffect(Stream.make(1, 2), (n) => (n === 1 ? Effect.forkDaemon(fail) : Effect.void), { concurrency: 2 })
    )
  }

  const options = { initialScope: { tags: { global: "yes" } } }

  for (const [name, start] of Object.entries(roots)) {
    it.live(`true (the default): ${name} begins with the scope it comes from`, () =>
      Effect.gen(function* () {
        const event = yield* eventOf(inScope(Effect.zipRight(start, turn)), Threading.layer(), options)
        assert.deepStrictEqual(seen(event), { tags: { global: "yes" }, user: { id: "u1" }, breadcrumbs: ["before"] })
      })
    )

    it.live(`false: ${name} begins with nothing but the global scope`, () =>
      Effect.gen(function* () {
        const layer = Threading.layer({ propagateScope: false })
        const event = yield* eventOf(inScope(Effect.zipRight(start, turn)), layer, options)
        assert.deepStrictEqual(seen(event), { tags: { global: "yes" }, user: undefined, breadcrumbs: [] })
      })
    )
  }

  for (const [name, start] of Object.entries(children)) {
    it.live(`false: ${name} has the scope of its parent all the same`, () =>
      Effect.gen(function* () {
        const layer = Threading.layer({ propagateScope: false })
        const event = yield* eventOf(inScope(Effect.zipRight(start, turn)), layer, options)
        assert.deepStrictEqual(seen(event), { tags: { global: "yes" }, user: { id: "u1" }, breadcrumbs: ["before"] })
      })
    )
  }

  it.live("false: tasks that are run one after the other leave nothing behind for the next", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          const run = yield* FiberSet.makeRuntimePromise()
          for (const task of ["one", "two"]) {
            yield* Effect.promise(() => run(Effect.zipRight(Faultline.captureMessage(task), Faultline.setTag(task, 1))))
          }
        }),
        Threading.layer({ propagateScope: false })
      )
      assert.deepStrictEqual(
        events.map(({ message, tags }) => ({ message, tags })),
        [
          { message: "one", tags: undefined },
          { message: "two", tags: undefined }
        ]
      )
    })
  )

  it.live(
    "what a root fiber sets is seen neither by the one that started it nor by others, and the other way round",
    () =>
      Effect.gen(function* () {
        const events = yield* eventsOf(
          Effect.gen(function* () {
            const runtime = yield* Effect.runtime()
            yield* Faultline.setTag("parent", "before")
            const child = Runtime.runPromise(runtime)(
              Effect.zipRight(Faultline.setTag("child", "yes"), turn).pipe(
                Effect.zipRight(Faultline.captureMessage("child"))
              )
            )
            yield* Faultline.setTag("parent", "after")
            yield* Effect.promise(() => child)
            yield* Faultline.captureMessage("parent")
          })
        )
        const tagsOf = (wanted: string) => events.find(({ message }) => message === wanted)?.tags
        assert.deepStrictEqual(tagsOf("parent"), { parent: "after" })
        // The runtime was taken before anything was set: that is what a root fiber begins with.
        assert.deepStrictEqual(tagsOf("child"), { child: "yes" })
      })
  )

  it("takes no other values", () => {
    for (const propagateScope of [1, "true", null]) {
      assert.throws(() => Threading.layer({ propagateScope: propagateScope as never }), /propagateScope/)
    }
  })
})

describe("a server of @effect/platform without any middleware", () => {
  it.live("is reported where a request ends in a 500, and nowhere else", () =>
    Effect.gen(function* () {
      const router = HttpRouter.empty.pipe(
        HttpRouter.get("/fails", fail),
        HttpRouter.get("/dies", Effect.die(new TypeError("no"))),
        HttpRouter.get("/refuses", Effect.fail(HttpServerResponse.empty({ status: 400 }))),
        HttpRouter.get("/takes-long", Effect.as(Effect.sleep(100), HttpServerResponse.empty()))
      )
      const statuses: Array<number> = []
      const events = yield* eventsOf(
        Effect.gen(function* () {
          const context = yield* Layer.build(
            Layer.provideMerge(HttpServer.serve(router), NodeHttpServer.layer(createServer, { port: 0 }))
          )
          const { address } = Context.get(context, HttpServer.HttpServer)
          const port = address._tag === "TcpAddress" ? address.port : 0
          for (const path of ["fails", "dies", "refuses", "nowhere"]) {
            const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/${path}`))
            statuses.push(response.status)
          }
          const signal = AbortSignal.timeout(20)
          yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/takes-long`, { signal }).catch(() => {}))
          yield* Effect.sleep(150)
        })
      )
      assert.deepStrictEqual(statuses, [500, 500, 400, 404])
      assert.sameMembers(
        events.map(({ exception }) => exception?.values.at(-1)?.type),
        ["RangeError", "TypeError"]
      )
    })
  )
})

describe("a scope that is handed over", () => {
  const Monitored = Threading.layer({ propagateScope: false }).pipe(Layer.provideMerge(TestHub.layer))

  it.live("is as it was when it was forked, and nothing that is done in it is seen elsewhere", () =>
    Effect.gen(function* () {
      yield* Faultline.setTag("origin", "before")
      yield* Faultline.addBreadcrumb({ message: "before" })
      const scope = yield* Effect.withSpan(Faultline.withScope(Faultline.forkScope, { tags: { block: "yes" } }), "span")
      yield* Faultline.setTag("origin", "after")
      yield* Faultline.addBreadcrumb({ message: "after" })
      const use = (name: string) =>
        Faultline.setTag("user_of_it", name).pipe(
          Effect.zipRight(Faultline.addBreadcrumb({ message: name })),
          Effect.zipRight(turn),
          Effect.zipRight(Faultline.captureMessage(name)),
          Faultline.withForkedScope(scope)
        )
      yield* Faultline.withIsolationScope(Effect.all([use("a"), use("b")], { concurrency: 2 }))
      yield* Faultline.captureMessage("origin")
      const events = new Map((yield* TestHub.events).map((event) => [event.message, event]))
      for (const name of ["a", "b"]) {
        const event = events.get(name) as Event
        assert.deepStrictEqual(event.tags, { origin: "before", block: "yes", user_of_it: name })
        assert.deepStrictEqual(messagesOf(event), ["before", name])
      }
      const origin = events.get("origin") as Event
      assert.deepStrictEqual(origin.tags, { origin: "after" })
      assert.deepStrictEqual(messagesOf(origin), ["before", "after"])
      assert.strictEqual(events.get("a")?.contexts?.["trace"]?.["trace_id"], origin.contexts?.["trace"]?.["trace_id"])
    }).pipe(Effect.provide(Monitored))
  )

  it.live("of another hub, or of none, is left alone", () =>
    Effect.gen(function* () {
      const foreign = yield* Effect.provide(
        Effect.zipRight(Faultline.setTag("foreign", "yes"), Faultline.forkScope),
        Layer.fresh(TestHub.layer)
      )
      const none = yield* Faultline.forkScope
      assert.strictEqual(yield* Faultline.withForkedScope(Effect.succeed(1), none), 1)
      yield* Effect.gen(function* () {
        yield* Faultline.setTag("own", "yes")
        yield* Faultline.withForkedScope(Faultline.captureMessage("foreign"), foreign)
        yield* Faultline.withForkedScope(Faultline.captureMessage("none"), none)
        for (const event of yield* TestHub.events) assert.deepStrictEqual(event.tags, { own: "yes" })
        assert.lengthOf(yield* TestHub.events, 2)
      }).pipe(Effect.provide(Monitored))
    })
  )
})
