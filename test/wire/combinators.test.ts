import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, type Options } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"
import { boom } from "./kit.js"

class Declined extends Data.TaggedError("Declined")<{ readonly amount: number }> {
  override get message(): string {
    return `declined ${this.amount}`
  }
}

/** How the effect ends under a hub, and what was reported. */
const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope | TestHub>, options: Options = {}) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(effect)
    return { exit, events: yield* TestHub.events }
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(DefaultIntegrations.pipe(Layer.provideMerge(TestHub.layerWith(options)))))
  )

const mechanismOf = (event: Faultline.Event | undefined) => {
  const mechanism = event?.exception?.values.at(-1)?.mechanism
  return { type: mechanism?.type, handled: mechanism?.handled }
}

describe("monitor", () => {
  it.effect("reports a failure and lets it go on", () =>
    Effect.gen(function* () {
      const { events, exit } = yield* run(
        new Declined({ amount: 5 }).pipe(Faultline.monitor({ tags: { step: "charge" }, level: "warning" }))
      )
      assert.deepStrictEqual(exit, Exit.fail(new Declined({ amount: 5 })))
      assert.lengthOf(events, 1)
      assert.strictEqual(events[0]?.exception?.values.at(-1)?.type, "Declined")
      assert.deepStrictEqual(events[0]?.tags, { step: "charge" })
      assert.strictEqual(events[0]?.level, "warning")
      assert.deepStrictEqual(mechanismOf(events[0]), { type: "monitor", handled: true })
    })
  )

  it.effect("takes the effect first, too, and needs no options", () =>
    Effect.gen(function* () {
      assert.lengthOf((yield* run(Faultline.monitor(Effect.fail(boom())))).events, 1)
      assert.lengthOf((yield* run(Faultline.monitor(Effect.fail(boom()), { tags: { a: 1 } }))).events, 1)
      assert.lengthOf((yield* run(Effect.fail(boom()).pipe(Faultline.monitor()))).events, 1)
    })
  )

  it.effect("says nothing of success and of interruption", () =>
    Effect.gen(function* () {
      const { events, exit } = yield* run(
        Faultline.monitor(Effect.succeed(1)).pipe(
          Effect.zip(Effect.never.pipe(Faultline.monitor(), Effect.fork, Effect.flatMap(Fiber.interrupt), Effect.exit)),
          Effect.map(([value]) => value)
        )
      )
      assert.deepStrictEqual(exit, Exit.succeed(1))
      assert.lengthOf(events, 0)
    })
  )

  it.effect("reports once what passes several of them", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.fail(boom()).pipe(
          Faultline.monitor({ tags: { where: "inner" } }),
          Effect.withSpan("a"),
          Faultline.monitor({ tags: { where: "outer" } }),
          Effect.fork,
          Effect.flatMap(Fiber.join),
          Faultline.monitor()
        )
      )
      assert.deepStrictEqual(
        events.map(({ tags }) => tags),
        [{ where: "inner" }]
      )
    })
  )

  it.effect("leaves typed failures alone with defectsOnly, but not a defect beside one", () =>
    Effect.gen(function* () {
      const only = Faultline.monitor({ defectsOnly: true })
      assert.lengthOf((yield* run(Effect.fail(boom()).pipe(only))).events, 0)
      assert.lengthOf((yield* run(Effect.die(boom()).pipe(only))).events, 1)
      const both = Effect.fail(new Declined({ amount: 1 })).pipe(Effect.ensuring(Effect.die(new TypeError("bug"))))
      const { events } = yield* run(both.pipe(only))
      assert.deepStrictEqual(
        events.map(({ exception }) => exception?.values.map(({ type }) => type)),
        [["Declined", "TypeError"]]
      )
    })
  )

  it.effect("does nothing where no hub is", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Effect.exit(Effect.fail("x").pipe(Faultline.monitor(), Faultline.ignoreReporting)),
        Exit.fail("x")
      )
    })
  )
})

describe("captureAndFail", () => {
  it.effect("reports the error and fails with it", () =>
    Effect.gen(function* () {
      const error = boom()
      const { events, exit } = yield* run(Faultline.captureAndFail(error, { tags: { a: "b" } }))
      assert.deepStrictEqual(exit, Exit.fail(error))
      assert.deepStrictEqual(
        events.map(({ tags }) => tags),
        [{ a: "b" }]
      )
    })
  )
})

describe("captureAs", () => {
  class InternalError extends Data.TaggedError("InternalError")<{ readonly eventId: string | undefined }> {}
  const opaque = (eventId: Option.Option<string>) => new InternalError({ eventId: Option.getOrUndefined(eventId) })

  it.effect("puts a failure that names the event in the place of whatever went wrong", () =>
    Effect.gen(function* () {
      for (const effect of [Effect.fail(boom()), Effect.die(boom())]) {
        const { events, exit } = yield* run(effect.pipe(Faultline.captureAs(opaque, { tags: { a: 1 } })))
        assert.lengthOf(events, 1)
        assert.deepStrictEqual(events[0]?.tags, { a: "1" })
        assert.deepStrictEqual(exit, Exit.fail(new InternalError({ eventId: events[0]?.event_id })))
      }
    })
  )

  it.effect("counts the new failure as reported", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Faultline.captureAs(Effect.fail(boom()), opaque).pipe(
          Effect.tapError((error) => Effect.logError("failed", error)),
          Faultline.monitor()
        )
      )
      assert.deepStrictEqual(
        events.map(({ exception }) => exception?.values.map(({ type }) => type)),
        [["Error"]]
      )
    })
  )

  it.effect("gives none as the id of what was not sent, and lets interruption be", () =>
    Effect.gen(function* () {
      const dropped = yield* run(Effect.fail(boom()).pipe(Faultline.captureAs(opaque)), { beforeSend: () => null })
      assert.deepStrictEqual(dropped.exit, Exit.fail(new InternalError({ eventId: undefined })))
      const interrupted = yield* run(Effect.interrupt.pipe(Faultline.captureAs(opaque)))
      assert.isTrue(Exit.isFailure(interrupted.exit) && Cause.isInterruptedOnly(interrupted.exit.cause))
      assert.lengthOf(interrupted.events, 0)
    })
  )
})

describe("eventIdOf", () => {
  it.effect("is the id of the event that an error was reported as", () =>
    Effect.gen(function* () {
      const error = boom()
      const { events, exit } = yield* run(
        Effect.gen(function* () {
          const before = yield* Faultline.eventIdOf(error)
          yield* Effect.fail(error).pipe(Effect.withSpan("a"), Faultline.monitor(), Effect.exit)
          return [before, yield* Faultline.eventIdOf(error), yield* Faultline.eventIdOf(boom())]
        })
      )
      assert.deepStrictEqual(
        exit,
        Exit.succeed([Option.none(), Option.fromNullable(events[0]?.event_id), Option.none()])
      )
    })
  )
})

describe("withMonitoredFork", () => {
  it.live("reports the failure of the fiber at once, as nobody's, and once", () =>
    Effect.gen(function* () {
      for (const options of [undefined, { daemon: true }]) {
        const { events } = yield* run(
          Effect.gen(function* () {
            const fiber = yield* Effect.fail(boom()).pipe(Faultline.withMonitoredFork(options))
            yield* Fiber.await(fiber)
          })
        )
        assert.deepStrictEqual(events.map(mechanismOf), [{ type: "threading", handled: false }])
      }
    })
  )

  it.live("is for those who keep fibers in a set, too, and ends with a scope", () =>
    Effect.gen(function* () {
      const { events, exit } = yield* run(
        Effect.gen(function* () {
          const set = yield* FiberSet.make<never>()
          const scope = yield* Effect.scope
          const failing = yield* Effect.fail(boom()).pipe(Faultline.withMonitoredFork({ tags: { set: true } }))
          yield* FiberSet.add(set, failing)
          yield* Fiber.await(failing)
          return yield* Effect.never.pipe(Faultline.withMonitoredFork({ in: scope }))
        })
      )
      assert.deepStrictEqual(
        events.map(({ tags }) => tags),
        [{ set: "true" }]
      )
      assert.isTrue(Exit.isSuccess(exit) && Exit.isInterrupted(yield* Fiber.await(exit.value)))
    })
  )
})

describe("annotate", () => {
  it.effect("tags the events of one effect, and of no other", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.gen(function* () {
          const say = Faultline.captureMessage("hello")
          yield* say.pipe(Faultline.annotate("order", "o-1"), Faultline.annotate({ region: "eu", n: 1 }))
          yield* Faultline.annotate(Effect.flatMap(Effect.fork(say), Fiber.join), "child", true)
          yield* Faultline.annotate(say, { direct: "yes" })
          yield* say
        })
      )
      assert.deepStrictEqual(
        events.map(({ tags }) => tags),
        [{ order: "o-1", region: "eu", n: "1" }, { child: "true" }, { direct: "yes" }, undefined]
      )
    })
  )
})

describe("ignoreReporting", () => {
  it.live("reports nothing of what happens in the effect", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.gen(function* () {
          yield* Effect.gen(function* () {
            yield* Faultline.captureMessage("ignored")
            yield* Effect.logError("ignored", boom())
            yield* Faultline.addBreadcrumb({ message: "kept" })
            yield* Effect.exit(Effect.fail(boom()).pipe(Faultline.monitor()))
            yield* Effect.flatMap(Effect.fork(Faultline.captureException(boom())), Fiber.join)
          }).pipe(Faultline.ignoreReporting)
          yield* Faultline.captureMessage("not ignored")
        })
      )
      assert.deepStrictEqual(
        events.map(({ message, breadcrumbs }) => [message, breadcrumbs?.values.map((crumb) => crumb.message)]),
        [["not ignored", ["ignored Error: boom", "kept"]]]
      )
    })
  )

  it.effect("nor the errors that leave it", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.fail(boom()).pipe(Faultline.ignoreReporting, Faultline.monitor(), Effect.exit)
      )
      assert.lengthOf(events, 0)
    })
  )
})

describe("retry", () => {
  it.effect("reports what it gives up with, and the attempts before", () =>
    Effect.gen(function* () {
      let attempts = 0
      const call = Effect.suspend(() => new Declined({ amount: ++attempts }))
      const { events, exit } = yield* run(
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(
            call.pipe(Faultline.retry(Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(2))))
          )
          yield* TestClock.adjust("1 minute")
          return yield* Fiber.join(fiber)
        })
      )
      assert.deepStrictEqual(exit, Exit.fail(new Declined({ amount: 3 })))
      assert.lengthOf(events, 1)
      const [event] = events
      assert.strictEqual(event?.exception?.values.at(-1)?.value, "declined 3")
      assert.deepStrictEqual(event?.contexts?.["retry"], { attempts: 3 })
      assert.deepStrictEqual(mechanismOf(event), { type: "retry", handled: true })
      assert.deepStrictEqual(
        event?.breadcrumbs?.values.map(({ category, data, level, message, timestamp }) => ({
          category,
          data,
          level,
          message,
          timestamp
        })),
        [1, 2, 3].map((attempt) => ({
          category: "retry",
          data: { attempt },
          level: "warning" as const,
          message: `Declined: declined ${attempt}`,
          timestamp: attempt - 1
        }))
      )
    })
  )

  it.effect("reports nothing where an attempt succeeds, and starts again each time it is run", () =>
    Effect.gen(function* () {
      let attempts = 0
      const call = Effect.suspend(() => (++attempts % 3 === 0 ? Effect.succeed(attempts) : Effect.fail(boom())))
      const retried = Faultline.retry(call, { times: 5 })
      const { events, exit } = yield* run(Effect.all([retried, retried]))
      assert.deepStrictEqual(exit, Exit.succeed([3, 6]))
      assert.lengthOf(events, 0)
    })
  )

  it.effect("stops where `while` says so", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Faultline.retry(Effect.fail(new Declined({ amount: 1 })), { while: ({ amount }) => amount > 1 })
      )
      assert.deepStrictEqual(events[0]?.contexts?.["retry"], { attempts: 1 })
    })
  )
})

describe("the option spanTags", () => {
  const failing = Effect.fail(boom()).pipe(
    Effect.withSpan("inner", { attributes: { "order.id": 7, token: "s3cret", extra: { a: 1 }, where: "inner" } }),
    Effect.annotateSpans({ tenant: "acme", where: "outer" }),
    Effect.withSpan("outer", { attributes: { "order.total": 12.5, "http.method": "GET" } }),
    Faultline.monitor()
  )

  it.effect("makes tags of attributes of the spans around an error", () =>
    Effect.gen(function* () {
      const { events } = yield* run(failing, { spanTags: ["order.*", "tenant", "where", "token", "extra"] })
      assert.deepStrictEqual(events[0]?.tags, {
        "order.id": "7",
        "order.total": "12.5",
        tenant: "acme",
        where: "inner",
        token: "[Filtered]"
      })
    })
  )

  it.effect("does so of none by default, and of no more than thirty", () =>
    Effect.gen(function* () {
      assert.isUndefined((yield* run(failing)).events[0]?.tags)
      const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`a${n}`, n]))
      const { events } = yield* run(
        Effect.fail(boom()).pipe(Effect.withSpan("many", { attributes: many }), Faultline.monitor()),
        { spanTags: ["*"] }
      )
      assert.lengthOf(Object.keys(events[0]?.tags ?? {}), 30)
    })
  )

  it.effect("gives way to the tags of the scope", () =>
    Effect.gen(function* () {
      const { events } = yield* run(Faultline.annotate(failing, "tenant", "scope"), { spanTags: ["tenant"] })
      assert.deepStrictEqual(events[0]?.tags, { tenant: "scope" })
    })
  )
})
