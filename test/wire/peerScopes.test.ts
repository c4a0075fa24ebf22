/**
 * What `@sentry/effect` gets wrong about scopes today, by the numbers of its defects (E1 to E9, E16, E17), as it must be here.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Faultline from "effect-faultline"
import { type Event, Threading } from "effect-faultline"
import * as Http from "effect-faultline/http"
import { TestHub } from "effect-faultline/testing"

const Monitored = Threading.layer().pipe(Layer.provideMerge(TestHub.layer))

/** Says who it is in every way a scope knows, waits, and captures. */
const unit = (name: string, wait: Effect.Effect<void>) =>
  Effect.gen(function* () {
    yield* Faultline.setTag("unit", name)
    yield* Faultline.setUser({ id: name })
    yield* Faultline.addBreadcrumb({ message: name })
    yield* wait
    yield* Faultline.captureMessage(name)
  })

const told = (event: Event) => ({
  tag: event.tags?.["unit"],
  user: event.user?.id,
  breadcrumbs: event.breadcrumbs?.values.map(({ message }) => message)
})

const itself = (name: string) => ({ tag: name, user: name, breadcrumbs: [name] })

const eventOf = (name: string) => Effect.map(TestHub.expectEvent(name), told)

describe("scopes that the peer mixes up", () => {
  it.live("E1: two concurrent fibers that set, sleep and capture keep apart", () =>
    Effect.gen(function* () {
      yield* Effect.all([unit("a", Effect.sleep("5 millis")), unit("b", Effect.sleep("5 millis"))], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(yield* eventOf("a"), itself("a"))
      assert.deepStrictEqual(yield* eventOf("b"), itself("b"))
    }).pipe(Effect.provide(Monitored))
  )

  it.effect("E2: a fiber woken by another one's Deferred reports as itself", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const sleeper = yield* Effect.fork(unit("sleeper", Deferred.await(gate)))
      yield* Effect.yieldNow()
      yield* unit("waker", Effect.asVoid(Deferred.succeed(gate, undefined))).pipe(
        Effect.fork,
        Effect.flatMap(Fiber.join)
      )
      yield* Fiber.join(sleeper)
      assert.deepStrictEqual(yield* eventOf("sleeper"), itself("sleeper"))
      assert.deepStrictEqual(yield* eventOf("waker"), itself("waker"))
    }).pipe(Effect.provide(Monitored))
  )

  it.live("E3: the second to enter a Semaphore does not report as the first", () =>
    Effect.gen(function* () {
      const semaphore = yield* Effect.makeSemaphore(1)
      yield* Effect.forEach(["a", "b", "c"], (name) => unit(name, semaphore.withPermits(1)(Effect.sleep("2 millis"))), {
        concurrency: "unbounded"
      })
      for (const name of ["a", "b", "c"]) assert.deepStrictEqual(yield* eventOf(name), itself(name))
    }).pipe(Effect.provide(Monitored))
  )

  it.live("E4: who shares an Effect.cached reports as itself", () =>
    Effect.gen(function* () {
      const cached = yield* Effect.cached(Effect.sleep("5 millis"))
      yield* Effect.all([unit("first", cached), unit("second", cached)], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* eventOf("first"), itself("first"))
      assert.deepStrictEqual(yield* eventOf("second"), itself("second"))
    }).pipe(Effect.provide(Monitored))
  )

  it.live("E5: a queue worker reports its own scope, however busy it was when the job was offered", () =>
    Effect.gen(function* () {
      const queue = yield* Queue.unbounded<readonly [job: string, done: Deferred.Deferred<void>]>()
      yield* Faultline.setTag("unit", "worker")
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.flatMap(Queue.take(queue), ([job, done]) =>
            Effect.sleep("2 millis").pipe(
              Effect.zipRight(Faultline.captureMessage(job)),
              Effect.zipRight(Deferred.succeed(done, undefined))
            )
          )
        )
      )
      const request = (name: string) =>
        Effect.gen(function* () {
          yield* Faultline.setTag("unit", name)
          yield* Faultline.addBreadcrumb({ message: name })
          const done = yield* Deferred.make<void>()
          yield* Queue.offer(queue, [`job of ${name}`, done])
          yield* Deferred.await(done)
        }).pipe(Faultline.withIsolationScope())
      yield* Effect.all([request("req-1"), request("req-2")], { concurrency: "unbounded" })
      for (const name of ["req-1", "req-2"]) {
        assert.deepStrictEqual(yield* eventOf(`job of ${name}`), { tag: "worker", user: undefined, breadcrumbs: [] })
      }
    }).pipe(Effect.scoped, Effect.provide(Monitored))
  )

  it.effect("E6: fibers that yield, or run long, resume as themselves", () =>
    Effect.gen(function* () {
      const long = Effect.forEach(Array.from({ length: 5000 }), () => Effect.void, { discard: true })
      yield* Effect.forEach(["a", "b", "c"], (name) => unit(name, Effect.zipRight(Effect.yieldNow(), long)), {
        concurrency: "unbounded"
      })
      for (const name of ["a", "b", "c"]) assert.deepStrictEqual(yield* eventOf(name), itself(name))
    }).pipe(Effect.provide(Monitored))
  )

  it.live("E7: a route that reads its body still knows what was set before", () =>
    Effect.gen(function* () {
      const { post } = yield* served(
        HttpRouter.empty.pipe(
          HttpRouter.post(
            "/orders",
            Effect.gen(function* () {
              yield* Faultline.setTag("unit", "orders")
              yield* Faultline.addBreadcrumb({ message: "before" })
              const body = yield* Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) => text)
              yield* Faultline.captureMessage(`read ${body.length}`)
              return HttpServerResponse.empty()
            })
          )
        )
      )
      yield* post("/orders", "x".repeat(100_000))
      assert.deepStrictEqual(yield* eventOf("read 100000"), { tag: "orders", user: undefined, breadcrumbs: ["before"] })
    }).pipe(Effect.scoped, Effect.provide(Monitored))
  )

  it.live("E8: a user set after reading the body is nobody else's", () =>
    Effect.gen(function* () {
      const { post } = yield* served(
        HttpRouter.empty.pipe(
          HttpRouter.post(
            "/login",
            Effect.gen(function* () {
              yield* Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) => text)
              yield* Faultline.setUser({ id: "alice", email: "alice@example.org" })
              yield* Faultline.captureMessage("login")
              return HttpServerResponse.empty()
            })
          ),
          HttpRouter.post("/other", Effect.as(Faultline.captureMessage("other"), HttpServerResponse.empty()))
        )
      )
      yield* post("/login", "name=alice")
      yield* post("/other", "x")
      yield* Faultline.captureMessage("background")
      assert.strictEqual((yield* eventOf("login")).user, "alice")
      assert.strictEqual((yield* eventOf("other")).user, undefined)
      assert.strictEqual((yield* eventOf("background")).user, undefined)
    }).pipe(Effect.scoped, Effect.provide(Monitored))
  )

  it.live("E9: requests parked on a Deferred do not report as the one that releases them", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const arrived = yield* Queue.unbounded<void>()
      const { post } = yield* served(
        HttpRouter.empty.pipe(
          HttpRouter.post(
            "/park/:name",
            Effect.gen(function* () {
              const { name = "" } = yield* HttpRouter.params
              yield* unit(name, Effect.zipRight(Queue.offer(arrived, undefined), Deferred.await(gate)))
              return HttpServerResponse.empty()
            })
          ),
          HttpRouter.post(
            "/release",
            Effect.as(unit("release", Effect.asVoid(Deferred.succeed(gate, undefined))), HttpServerResponse.empty())
          )
        )
      )
      const parked = yield* Effect.forEach(["a", "b"], (name) => Effect.fork(post(`/park/${name}`, "x")))
      yield* Queue.takeN(arrived, 2)
      yield* post("/release", "x")
      yield* Effect.forEach(parked, Fiber.join)
      for (const name of ["a", "b", "release"]) assert.deepStrictEqual(yield* eventOf(name), itself(name))
    }).pipe(Effect.scoped, Effect.provide(Monitored))
  )

  it.live("E10: a route that dies is reported, also where a middleware has hidden it", () =>
    Effect.gen(function* () {
      const { post } = yield* served(
        HttpRouter.empty.pipe(
          HttpRouter.post("/die", Effect.die(new RangeError("the route"))),
          HttpRouter.use(Http.middleware()),
          HttpRouter.use((app) => Effect.catchAllCause(app, () => HttpServerResponse.empty({ status: 500 })))
        )
      )
      yield* post("/die", "x")
      const event = yield* TestHub.expectEvent("RangeError")
      assert.isFalse(event.exception?.values.at(-1)?.mechanism?.handled)
      assert.lengthOf(yield* TestHub.events, 1)
    }).pipe(Effect.scoped, Effect.provide(Monitored))
  )

  it.live("E16: withScope around an effect holds while the effect runs", () =>
    Effect.gen(function* () {
      yield* Effect.sleep("1 millis").pipe(
        Effect.zipRight(Faultline.captureMessage("inside")),
        Faultline.withScope({ tags: { unit: "block" } })
      )
      assert.strictEqual((yield* eventOf("inside")).tag, "block")
    }).pipe(Effect.provide(Monitored))
  )

  it.effect("E17: a tag set in one step is there in the next, also inside a span", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        yield* Faultline.setTag("unit", "step")
        yield* Effect.yieldNow()
        yield* Faultline.captureMessage("next step")
      }).pipe(Effect.withSpan("span"))
      assert.strictEqual((yield* eventOf("next step")).tag, "step")
    }).pipe(Effect.provide(Monitored))
  )
})

/** A real server on a free port, and a client that keeps its connections. */
const served = <E>(router: HttpRouter.HttpRouter<E>) =>
  Effect.gen(function* () {
    const server = createServer()
    yield* Layer.build(
      HttpServer.serve(router).pipe(Layer.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })))
    )
    const { port } = server.address() as AddressInfo
    return {
      post: (path: string, body: string) =>
        Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body }).then((response) => response.arrayBuffer())
        )
    }
  })
