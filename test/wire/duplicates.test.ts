/**
 * One failure, one event, which says whether anything in the program dealt with it: in whatever order those who see it report it.
 */
import type { EventEmitter } from "node:events"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, defaultIntegrations, type Hub } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"
import { boom } from "./kit.js"

type Reporter = "user" | "logger" | "monitor" | "middleware" | "excepthook"

/** Everyone who may see an error, on its way out. All of them let it pass. */
const reporters: Record<Reporter, (error: unknown) => Effect.Effect<unknown, never, Hub>> = {
  user: (error) => Faultline.captureException(error),
  logger: (error) => Effect.logError("failed", error),
  monitor: (error) => Effect.exit(Faultline.monitor(Effect.fail(error))),
  middleware: (error) =>
    Faultline.captureException(error, { mechanism: { type: "effect.http", handled: false } }).pipe(
      Effect.withSpan("request")
    ),
  excepthook: (error) =>
    Effect.sync(() => {
      ;(process as EventEmitter).emit("uncaughtExceptionMonitor", error, "uncaughtException")
    })
}

const names = Object.keys(reporters) as Array<Reporter>

const unhandled: ReadonlyArray<Reporter> = ["middleware", "excepthook"]

/** All orders of all of them. */
const orders = (left: ReadonlyArray<Reporter>): Array<Array<Reporter>> =>
  left.length === 0
    ? [[]]
    : left.flatMap((first) => orders(left.filter((name) => name !== first)).map((rest) => [first, ...rest]))

const handledIn = (events: ReadonlyArray<Faultline.Event>): ReadonlyArray<unknown> =>
  events.map(({ exception }) => exception?.values.map(({ mechanism }) => mechanism?.handled))

const run = <A, E>(
  effect: Effect.Effect<A, E, Hub | TestHub>,
  integrations: Layer.Layer<never, never, Hub> = DefaultIntegrations
) =>
  Effect.zipRight(effect, TestHub.events).pipe(
    Effect.provide(Layer.fresh(integrations.pipe(Layer.provideMerge(TestHub.layer))))
  )

describe("one error, whoever reports it", () => {
  it.live("is one event in every order, and unhandled once anyone has seen it escape", () =>
    Effect.gen(function* () {
      const events = yield* run(
        Effect.gen(function* () {
          for (const order of orders(names)) {
            const error = boom(order.join(" "))
            yield* Effect.forEach(order, (name) => reporters[name](error)).pipe(Faultline.withIsolationScope())
            // What has left says what was known by then; the next one is for the next turn.
            yield* Faultline.flush("5 seconds")
          }
        })
      )
      assert.lengthOf(events, 120)
      for (const event of events) {
        const [exception] = event.exception?.values ?? []
        assert.deepStrictEqual([exception?.value, exception?.mechanism?.handled], [exception?.value, false])
      }
      assert.lengthOf(new Set(events.map(({ event_id }) => event_id)), 120)
    })
  )

  it.live("is handled where nobody saw it escape", () =>
    Effect.gen(function* () {
      for (const order of orders(names.filter((name) => !unhandled.includes(name)))) {
        const error = boom()
        const events = yield* run(Effect.forEach(order, (name) => reporters[name](error)))
        assert.deepStrictEqual(handledIn(events), [[true]], order.join(" "))
      }
    })
  )

  it.live("keeps the truth for all that is in the event", () =>
    Effect.gen(function* () {
      const error = new Error("outer", { cause: boom("inner") })
      const events = yield* run(Effect.zipRight(reporters.user(error), reporters.excepthook(error)))
      assert.deepStrictEqual(handledIn(events), [[false, false]])
    })
  )

  it.live("keeps its id, its attachments and what beforeSend has made of it", () =>
    Effect.gen(function* () {
      const error = boom()
      const [id, envelopes] = yield* Effect.gen(function* () {
        const id = yield* Faultline.captureException(error, { attachments: [{ filename: "a.txt", data: "abc" }] })
        yield* reporters.excepthook(error)
        yield* Faultline.flush("5 seconds")
        return [id, yield* TestHub.envelopes] as const
      }).pipe(
        Effect.provide(
          Layer.fresh(
            DefaultIntegrations.pipe(
              Layer.provideMerge(TestHub.layerWith({ beforeSend: (event) => ({ ...event, tags: { seen: "yes" } }) }))
            )
          )
        )
      )
      const items = envelopes.flatMap(({ items }) => items)
      const { payload } = items.find(({ headers }) => headers.type === "event") as (typeof items)[number]
      const { event_id, exception, tags } = payload as Faultline.Event
      assert.strictEqual(id._tag === "Some" && id.value, event_id)
      assert.deepStrictEqual([tags?.["seen"], exception?.values[0]?.mechanism?.handled], ["yes", false])
      assert.deepStrictEqual(
        items.filter(({ headers }) => headers.type !== "client_report").map(({ headers }) => headers.type),
        ["event", "attachment"]
      )
    })
  )

  it.live("is told as it was known when the event left, if it escapes only after that", () =>
    Effect.gen(function* () {
      const error = boom()
      const events = yield* run(
        Effect.gen(function* () {
          yield* reporters.user(error)
          yield* Faultline.flush("5 seconds")
          yield* reporters.excepthook(error)
        })
      )
      assert.deepStrictEqual(handledIn(events), [[true]])
    })
  )

  it.live("says so where a program ends with what it has captured or logged itself", () =>
    Effect.gen(function* () {
      const programs = [
        Faultline.monitor(Effect.fail(boom())),
        Effect.tapErrorCause(Effect.fail(boom()), (cause) => Effect.logFatal("the end", cause)),
        Effect.tapError(Effect.die(boom()), () => Effect.void).pipe(
          Effect.tapErrorCause((c) => Faultline.captureCause(c))
        ),
        Faultline.captureAndFail(boom())
      ]
      for (const program of programs) {
        // As `runMain` does: the layers close with the failure of the program.
        const outer = yield* Scope.make()
        const hub = yield* Layer.buildWithScope(TestHub.layer, outer)
        yield* program.pipe(Effect.provide(DefaultIntegrations), Effect.exit, Effect.provide(hub))
        assert.deepStrictEqual(handledIn(yield* Effect.provide(TestHub.events, hub)), [[false]])
        yield* Scope.close(outer, Exit.void)
      }
    })
  )

  it.live("is one event where a fiber crashes with what it has captured, or somebody joins it late", () =>
    Effect.gen(function* () {
      const events = yield* run(
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Faultline.monitor(Effect.fail(boom())))
          yield* Effect.sleep(1200)
          yield* Effect.catchAllCause(Fiber.join(fiber), (cause) => Effect.logError(cause))
        })
      )
      assert.lengthOf(events, 1)
    })
  )

  describe("that a fiber reports and then fails with", () => {
    const ways: ReadonlyArray<readonly [what: string, fail: (error: unknown) => Effect.Effect<never, unknown>]> = [
      ["monitor", (error) => Faultline.monitor(Effect.fail(error))],
      ["the logger", (error) => Effect.tapErrorCause(Effect.fail(error), (cause) => Effect.logError("failed", cause))],
      ["captureException", (error) => Effect.zipRight(Faultline.captureException(error), Effect.fail(error))]
    ]

    it.live.each(ways)("is unhandled where nobody ever asks for it: %s", ([, fail]) =>
      Effect.gen(function* () {
        const events = yield* run(
          Effect.gen(function* () {
            yield* Effect.forkDaemon(fail(boom()))
            yield* Effect.sleep(1300)
          })
        )
        assert.deepStrictEqual(handledIn(events), [[false]])
      })
    )

    it.live.each(ways)("is handled where somebody joins it, at once or within a moment: %s", ([, fail]) =>
      Effect.gen(function* () {
        for (const pause of [undefined, 0, 100]) {
          const events = yield* run(
            Effect.gen(function* () {
              const fiber = yield* Effect.forkDaemon(fail(boom()))
              if (pause !== undefined) yield* Effect.sleep(pause)
              yield* Effect.exit(Fiber.join(fiber))
            })
          )
          assert.deepStrictEqual(handledIn(events), [[true]], String(pause))
        }
      })
    )

    it.live.each(ways)("leaves with the rest, as unhandled, where nobody has asked by then: %s", ([, fail]) =>
      Effect.gen(function* () {
        const events = yield* run(
          Effect.gen(function* () {
            const fiber = yield* Effect.forkDaemon(fail(boom()))
            yield* Effect.sleep(50)
            yield* Faultline.flush("5 seconds")
            yield* Effect.exit(Fiber.join(fiber))
          })
        )
        assert.deepStrictEqual(handledIn(events), [[false]])
      })
    )

    it.live("is lost in no case: many fibers at once, each with several errors", () =>
      Effect.gen(function* () {
        const events = yield* run(
          Effect.gen(function* () {
            for (let n = 0; n < 100; n++) {
              yield* Effect.forkDaemon(
                Effect.all([Effect.fail(boom(`a${n}`)), Effect.fail(boom(`b${n}`))], { concurrency: 2 }).pipe(
                  Effect.tapErrorCause((cause) => Faultline.captureCause(cause))
                )
              )
            }
            yield* Effect.sleep(50)
          })
        )
        assert.lengthOf(events, 100)
        assert.isTrue(handledIn(events).every((handled) => (handled as Array<boolean>).every((each) => !each)))
      })
    )

    it.live("is what the policy says, however it ends", () =>
      Effect.gen(function* () {
        const hub = TestHub.layerWith({ policy: [{ class: Error, handled: true }] })
        const events = yield* Effect.gen(function* () {
          yield* Effect.forkDaemon(Faultline.monitor(Effect.fail(boom())))
          yield* Effect.sleep(50)
          yield* Faultline.flush("5 seconds")
          return yield* TestHub.events
        }).pipe(Effect.provide(Layer.fresh(DefaultIntegrations.pipe(Layer.provideMerge(hub)))))
        assert.deepStrictEqual(handledIn(events), [[true]])
      })
    )
  })

  it.live("is an event for each request that it fails in", () =>
    Effect.gen(function* () {
      const error = Object.freeze(boom())
      const request = Effect.forEach(["user", "middleware", "logger"] as const, (name) => reporters[name](error)).pipe(
        Faultline.withIsolationScope()
      )
      assert.deepStrictEqual(handledIn(yield* run(Effect.all([request, request]))), [[false], [false]])
    })
  )

  it.live("is an event for each of those who report it, without Dedupe", () =>
    Effect.gen(function* () {
      const error = boom()
      const events = yield* run(
        Effect.zipRight(reporters.user(error), reporters.excepthook(error)),
        defaultIntegrations({ dedupe: false })
      )
      assert.deepStrictEqual(handledIn(events), [[false], [true]])
    })
  )
})
