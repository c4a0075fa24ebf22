import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"
import { boom, withStack } from "./kit.js"

const Monitored = Layer.fresh(DefaultIntegrations.pipe(Layer.provideMerge(TestHub.layer)))

const crumb = (message: string): Effect.Effect<void> => Faultline.addBreadcrumb({ message })

/** Fails in a scope of its own, after something has happened there. */
const failing = (error: unknown = boom()): Effect.Effect<never, unknown> =>
  crumb("inside").pipe(
    Effect.zipRight(Effect.fail(error)),
    Faultline.withScope({ tags: { where: "inside", step: "inner" }, user: { id: "u1" } })
  )

const wrapped = (effect: Effect.Effect<never, unknown>): Effect.Effect<never, Error> =>
  Effect.mapError(effect, (cause) => withStack(new Error("outer", { cause })))

const report = Effect.tapErrorCause((cause: Cause.Cause<unknown>) => Faultline.captureCause(cause))

/** What the events show: of each its tags, its user and the messages of its breadcrumbs. */
const shown = Effect.map(TestHub.events, (events) =>
  events.map(({ breadcrumbs, tags, user }) => ({
    tags,
    user,
    crumbs: breadcrumbs?.values.map(({ message }) => message)
  }))
)

/** Runs it under a hub, with an outer scope, and ignores how it ends: what the events show. */
const seen = (effect: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.gen(function* () {
    yield* Faultline.setTag("step", "outer")
    yield* crumb("before")
    yield* Effect.exit(effect)
    return yield* shown
  }).pipe(Effect.scoped, Effect.provide(Monitored))

const INSIDE = { tags: { where: "inside", step: "inner" }, user: { id: "u1" }, crumbs: ["before", "inside"] }

describe("an event that is captured further out shows where its error was raised", () => {
  const ways: ReadonlyArray<
    readonly [what: string, effect: () => Effect.Effect<unknown, unknown, Scope.Scope>, crumbs?: ReadonlyArray<string>]
  > = [
    ["an outer effect", () => report(failing())],
    ["Effect.all that validates", () => report(Effect.all([Effect.void, failing()], { mode: "validate" }))],
    ["Effect.validateAll", () => report(Effect.validateAll([boom()], failing))],
    ["a defect", () => report(Effect.orDie(failing()))],
    ["captureException", () => Effect.catchAll(failing(), (error) => Faultline.captureException(error))],
    ["a span", () => report(failing().pipe(Effect.withSpan("a"), Effect.withSpan("b")))],
    ["Effect.all", () => report(Effect.all([failing(), Effect.never]))],
    ["Effect.all, concurrent", () => report(Effect.all([failing(), Effect.never], { concurrency: "unbounded" }))],
    ["Effect.forEach, bounded", () => report(Effect.forEach([1], () => failing(), { concurrency: 2 }))],
    ["Effect.validate", () => report(Effect.validate(failing(), Effect.void, { concurrent: true }))],
    ["Effect.timeout", () => report(Effect.timeout(failing(), "1 minute"))],
    ["Effect.retry", () => report(Effect.retry(failing(), Schedule.recurs(1))), ["before", "inside", "inside"]],
    ["Effect.race", () => report(Effect.race(failing(), Effect.sleep(5).pipe(Effect.zipRight(Effect.fail("later")))))],
    ["Fiber.join", () => report(Effect.flatMap(Effect.fork(failing()), Fiber.join))],
    [
      "Fiber.await",
      () => report(Effect.flatMap(Effect.fork(failing()), (fiber) => Effect.flatten(Fiber.await(fiber))))
    ],
    ["Stream.runDrain", () => report(Stream.runDrain(Stream.fromEffect(failing())))],
    [
      "Stream.mapEffect",
      () => report(Stream.runDrain(Stream.mapEffect(Stream.make(1), () => failing(), { concurrency: 3 })))
    ],
    ["Effect.uninterruptible", () => report(Effect.uninterruptible(failing()))],
    ["Effect.scoped", () => report(Effect.scoped(Effect.acquireRelease(failing(), () => Effect.void)))],
    [
      "Deferred.fail",
      () =>
        Effect.gen(function* () {
          const deferred = yield* Deferred.make<never, unknown>()
          yield* Effect.fork(Effect.catchAll(failing(), (error) => Deferred.fail(deferred, error)))
          yield* report(Deferred.await(deferred))
        })
    ],
    [
      "Effect.intoDeferred",
      () =>
        Effect.gen(function* () {
          const deferred = yield* Deferred.make<never, unknown>()
          yield* Effect.fork(Effect.intoDeferred(failing(), deferred))
          yield* report(Deferred.await(deferred))
        })
    ],
    [
      "a Queue of errors",
      () =>
        Effect.gen(function* () {
          const queue = yield* Queue.unbounded<unknown>()
          yield* Effect.fork(Effect.catchAll(failing(), (error) => Queue.offer(queue, error)))
          yield* Effect.flatMap(Queue.take(queue), (error) => Faultline.captureException(error))
        })
    ],
    [
      "Effect.cached, to each of those who ask",
      () =>
        Effect.gen(function* () {
          const cached = yield* Effect.cached(failing())
          yield* Effect.exit(cached)
          yield* report(cached)
        })
    ],
    ["Effect.cachedWithTTL", () => Effect.flatMap(Effect.cachedWithTTL(failing(), "1 hour"), report)],
    ["an isolation scope", () => report(failing().pipe(Faultline.withIsolationScope()))],
    [
      "isolation scopes within each other",
      () =>
        report(
          failing().pipe(
            Faultline.withIsolationScope(),
            Faultline.withIsolationScope(),
            Effect.fork,
            Effect.flatMap(Fiber.join),
            Faultline.withIsolationScope()
          )
        )
    ],
    ["an error that wraps it", () => report(wrapped(failing()))],
    ["an error that wraps it, in a span", () => report(wrapped(failing()).pipe(Effect.withSpan("x")))],
    ["an error that wraps it outside of its span", () => report(wrapped(failing().pipe(Effect.withSpan("x"))))],
    ["an error that wraps it in an Effect.fn", () => report(Effect.fn("f")(() => wrapped(failing()))())],
    [
      "errors that wrap it, in spans within each other",
      () => report(wrapped(wrapped(failing()).pipe(Effect.withSpan("a"))).pipe(Effect.withSpan("b")))
    ],
    [
      "another runtime that was taken outside of the span",
      () =>
        Effect.flatMap(Effect.runtime(), (runtime) =>
          wrapped(
            Effect.tryPromise({ try: () => Runtime.runPromise(runtime)(failing()), catch: (error) => error })
          ).pipe(Effect.withSpan("x"), report)
        )
    ],
    [
      "an error that wraps it later on, in another span",
      () =>
        report(
          Effect.flatMap(Effect.flip(failing()), (cause) =>
            Effect.withSpan(Effect.fail(withStack(new Error("outer", { cause }))), "z")
          )
        )
    ],
    [
      "a Deferred, and an error that wraps what comes out of it, in a span",
      () =>
        Effect.gen(function* () {
          const deferred = yield* Deferred.make<never, unknown>()
          yield* Effect.fork(Effect.intoDeferred(failing(), deferred))
          yield* report(Effect.withSpan(wrapped(Deferred.await(deferred)), "x"))
        })
    ],
    [
      "another runtime that runs it",
      () =>
        Effect.flatMap(Effect.runtime(), (runtime) =>
          report(Effect.tryPromise(() => Runtime.runPromise(runtime)(failing())))
        )
    ],
    [
      "another runtime, and an error that wraps what comes out of it",
      () =>
        Effect.flatMap(Effect.runtime(), (runtime) =>
          wrapped(Effect.tryPromise({ try: () => Runtime.runPromise(runtime)(failing()), catch: (error) => error }))
        ).pipe(Effect.withSpan("x"), report)
    ],
    ["a log line", () => Effect.tapErrorCause(failing(), (cause) => Effect.logError("failed", cause))]
  ]
  it.scopedLive.each(ways)("through %s", ([, effect, crumbs = INSIDE.crumbs]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* seen(effect()), [{ ...INSIDE, crumbs: [...crumbs] }])
    })
  )

  it.scopedLive("also where it is an isolation scope of its own that knows it", () =>
    Effect.gen(function* () {
      const job = Effect.gen(function* () {
        yield* Faultline.setUser({ id: "u2" })
        yield* Faultline.setTag("job", 7)
        yield* crumb("working")
        return yield* Effect.fail(boom())
      }).pipe(Faultline.withIsolationScope())
      assert.deepStrictEqual(yield* seen(report(job)), [
        { tags: { step: "outer", job: "7" }, user: { id: "u2" }, crumbs: ["before", "working"] }
      ])
    })
  )

  it.scopedLive("with what a child fiber has set, which its parent does not know", () =>
    Effect.gen(function* () {
      const child = Faultline.setTag("child", 1).pipe(
        Effect.zipRight(crumb("in the child")),
        Effect.zipRight(Effect.fail(boom()))
      )
      const expected = [{ tags: { step: "outer", child: "1" }, user: undefined, crumbs: ["before", "in the child"] }]
      assert.deepStrictEqual(yield* seen(report(Effect.flatMap(Effect.fork(child), Fiber.join))), expected)
      assert.deepStrictEqual(
        yield* seen(report(Effect.all([child, Effect.void], { concurrency: "unbounded" }))),
        expected
      )
      assert.deepStrictEqual(yield* seen(report(Effect.timeout(child, "1 minute"))), expected)
    })
  )

  it.scopedLive("as it was when the error left a span, whatever was set afterwards", () =>
    Effect.gen(function* () {
      const step = (n: number) =>
        Faultline.setTag("item", n).pipe(Effect.zipRight(Effect.fail(boom(`${n}`))), Effect.withSpan("step"))
      const steps = Effect.gen(function* () {
        const exits = yield* Effect.forEach([1, 2, 3], (n) => Effect.exit(step(n)))
        yield* Effect.forEach(exits, (exit) => Faultline.captureCause(Option.getOrThrow(Exit.causeOption(exit))))
      })
      const events = yield* seen(steps)
      assert.deepStrictEqual(
        events.map(({ tags }) => tags?.["item"]),
        ["1", "2", "3"]
      )
    })
  )

  it.scopedLive("with the span it was raised in", () =>
    Effect.gen(function* () {
      let spanId = ""
      const inner = Effect.currentSpan.pipe(
        Effect.tap((span) => Effect.sync(() => (spanId = span.spanId))),
        Effect.zipRight(Effect.fail(boom())),
        Effect.withSpan("inner")
      )
      const events = yield* Effect.exit(report(inner).pipe(Effect.withSpan("outer"))).pipe(
        Effect.zipRight(TestHub.events),
        Effect.provide(Monitored)
      )
      assert.strictEqual(events[0]?.contexts?.["trace"]?.["span_id"], spanId)
    })
  )

  it.scopedLive("also with spans of another tracer", () =>
    Effect.gen(function* () {
      class OtherSpan {
        readonly _tag = "Span"
        readonly spanId = "00000000000000aa"
        readonly traceId = "000000000000000000000000000000aa"
        readonly sampled = true
        readonly attributes = new Map()
        readonly links = []
        readonly kind = "internal"
        status: Tracer.SpanStatus = { _tag: "Started", startTime: 0n }
        constructor(
          readonly name: string,
          readonly parent: Option.Option<Tracer.AnySpan>,
          readonly context: Context.Context<never>
        ) {}
        end(): void {}
        attribute(): void {}
        event(): void {}
        addLinks(): void {}
      }
      const tracer = Tracer.make({
        span: (name, parent, context) => new OtherSpan(name, parent, context),
        context: (f) => f()
      })
      const item = (n: number) =>
        Faultline.setTag("item", n).pipe(Effect.zipRight(Effect.fail(boom(`${n}`))), Effect.withSpan("step"))
      const items = Effect.gen(function* () {
        // A fiber within a span: that is where they are met.
        yield* Effect.flatMap(Effect.fork(Effect.void), Fiber.join).pipe(Effect.withSpan("first"))
        const exit = yield* Effect.exit(item(1))
        yield* Effect.exit(item(2))
        yield* Faultline.captureCause(Option.getOrThrow(Exit.causeOption(exit)))
      }).pipe(Effect.withTracer(tracer))
      const [event] = yield* seen(items)
      assert.deepStrictEqual(event?.tags?.["item"], "1")
    })
  )
})

describe("what an error remembers", () => {
  it.scopedLive("is beside what the errors that come of it remember, and wins over that", () =>
    Effect.gen(function* () {
      const service = Effect.flatMap(Effect.flip(failing()), (cause) =>
        Effect.fail(withStack(new Error("outer", { cause }))).pipe(
          Faultline.withScope({ tags: { step: "service", service: "s1" } })
        )
      )
      assert.deepStrictEqual(
        (yield* seen(report(service))).map(({ tags }) => tags),
        [{ where: "inside", step: "inner", service: "s1" }]
      )
    })
  )

  it.scopedLive("gives way to what the report itself says", () =>
    Effect.gen(function* () {
      const effect = Effect.catchAll(failing(), (error) =>
        Faultline.captureException(error, { tags: { where: "report" }, user: { id: "u9" } })
      )
      assert.deepStrictEqual(yield* seen(effect), [
        { ...INSIDE, tags: { where: "report", step: "inner" }, user: { id: "u9" } }
      ])
    })
  )

  it.scopedLive("is beside what was learnt on the way out", () =>
    Effect.gen(function* () {
      const effect = Effect.catchAllCause(failing(), (cause) =>
        crumb("rescue").pipe(
          Effect.zipRight(Faultline.setTag("rescued", true)),
          Effect.zipRight(Faultline.captureCause(cause))
        )
      )
      assert.deepStrictEqual(yield* seen(effect), [
        { tags: { ...INSIDE.tags, rescued: "true" }, user: { id: "u1" }, crumbs: ["before", "inside", "rescue"] }
      ])
    })
  )

  it.scopedLive("does not show what happened there later on", () =>
    Effect.gen(function* () {
      const effect = Effect.gen(function* () {
        const first = yield* Deferred.make<never, unknown>()
        const second = yield* Deferred.make<void>()
        yield* failing().pipe(
          Effect.catchAll((error) => Deferred.fail(first, error)),
          Effect.zipRight(crumb("the next job")),
          Effect.zipRight(Deferred.succeed(second, undefined)),
          Effect.fork
        )
        yield* Deferred.await(second)
        yield* report(Deferred.await(first))
      })
      // A fiber shows what it has started. From a sibling nothing but the past of the error is seen.
      const sibling = Effect.gen(function* () {
        const handed = yield* Deferred.make<unknown>()
        const done = yield* Deferred.make<void>()
        yield* failing().pipe(
          Effect.catchAll((error) => Deferred.succeed(handed, error)),
          Effect.zipRight(crumb("the next job")),
          Effect.zipRight(Deferred.succeed(done, undefined)),
          Effect.fork
        )
        const reporter = Effect.gen(function* () {
          yield* Deferred.await(done)
          yield* Faultline.captureException(yield* Deferred.await(handed))
        })
        yield* Effect.flatMap(Effect.fork(reporter), Fiber.join)
      })
      assert.deepStrictEqual((yield* seen(effect))[0]?.crumbs, ["before", "inside", "the next job"])
      assert.deepStrictEqual((yield* seen(sibling))[0]?.crumbs, ["before", "inside"])
    })
  )

  it.scopedLive("is nobody else's business: a request that shares a failure of another one keeps to itself", () =>
    Effect.gen(function* () {
      const events = yield* Effect.gen(function* () {
        const cached = yield* Effect.cached(failing())
        yield* Effect.forEach(
          ["a", "b"],
          (name) =>
            Faultline.setTag("request", name).pipe(
              Effect.zipRight(crumb(`request ${name}`)),
              Effect.zipRight(Effect.exit(report(cached))),
              Faultline.withIsolationScope()
            ),
          { concurrency: 1 }
        )
        return yield* shown
      }).pipe(Effect.scoped, Effect.provide(Monitored))
      assert.deepStrictEqual(events, [
        {
          tags: { request: "a", where: "inside", step: "inner" },
          user: { id: "u1" },
          crumbs: ["request a", "inside"]
        },
        { tags: { request: "b" }, user: undefined, crumbs: ["request b"] }
      ])
    })
  )

  it.scopedLive("of a worker that serves many requests, outside of them, is beside what the request knows", () =>
    Effect.gen(function* () {
      const events = yield* Effect.gen(function* () {
        const jobs = yield* Queue.unbounded<Deferred.Deferred<never, unknown>>()
        yield* Queue.take(jobs).pipe(
          Effect.flatMap((job) =>
            crumb("worker").pipe(
              Effect.zipRight(Effect.fail(boom())),
              Faultline.withScope({ tags: { worker: "w1", request: "none" } }),
              Effect.catchAll((error) => Deferred.fail(job, error))
            )
          ),
          Effect.forever,
          Effect.fork
        )
        const request = Effect.gen(function* () {
          yield* Faultline.setUser({ id: "u3" })
          yield* crumb("asking")
          const job = yield* Deferred.make<never, unknown>()
          yield* Queue.offer(jobs, job)
          yield* report(Deferred.await(job))
        })
        yield* Effect.exit(request.pipe(Faultline.withIsolationScope({ tags: { request: "r" } })))
        return yield* shown
      }).pipe(Effect.scoped, Effect.provide(Monitored))
      assert.deepStrictEqual(events, [
        { tags: { worker: "w1", request: "r" }, user: { id: "u3" }, crumbs: ["asking", "worker"] }
      ])
    })
  )

  it.scopedLive("is of each occasion, where one error object fails again and again", () =>
    Effect.gen(function* () {
      const constant = boom("always the same")
      const request = (name: string) =>
        failing(constant).pipe(
          Faultline.withScope({ tags: { request: name } }),
          Faultline.withIsolationScope({ user: { id: name } }),
          report,
          Effect.exit
        )
      const again = (where: string) => Effect.fail(constant).pipe(Faultline.withScope({ tags: { where } }), Effect.exit)
      const twice = Effect.gen(function* () {
        yield* again("first")
        const exit = yield* again("second")
        yield* Faultline.captureCause(Option.getOrThrow(Exit.causeOption(exit)))
      }).pipe(Faultline.withIsolationScope())
      const events = yield* Effect.gen(function* () {
        yield* twice
        yield* TestHub.events
        yield* Effect.forEach(["a", "b"], request, { concurrency: 2 })
        return yield* shown
      }).pipe(Effect.provide(Monitored))
      assert.deepStrictEqual(events[0]?.tags, { where: "second" })
    })
  )

  it.scopedLive("costs an error nothing of its own", () =>
    Effect.gen(function* () {
      const error = Object.freeze(boom())
      assert.deepStrictEqual(yield* seen(report(failing(error))), [INSIDE])
      assert.deepStrictEqual(Object.getOwnPropertySymbols(error), [])
    })
  )

  it("keeps nothing alive", { timeout: 60_000 }, async () => {
    const fixture = fileURLToPath(new URL("../process/fixtures/remember-heap.mjs", import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", fixture])
    assert.deepStrictEqual(JSON.parse(stdout), { scopes: 0, errors: 0 })
  })
})
