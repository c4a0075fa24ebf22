/**
 * One failure, one event, whichever ways it is reported (C5).
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest } from "../support/ingest.js"
import { boom, discarded, flushed, hubAt, quiet, reportsAt, stderrLines } from "./kit.js"

type Ids = ReadonlyArray<Option.Option<Faultline.EventId>>

const dedupe = Faultline.Dedupe.layer()
const off = Faultline.defaultIntegrations({ dedupe: false })

/** What the ingest has of an effect under a hub with these integrations, by default dedupe alone. */
const run = <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope>,
  integrations: Layer.Layer<never, never, Faultline.Hub> = dedupe,
  options: Faultline.Options = {}
) =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    const layer = integrations.pipe(Layer.provideMerge(hubAt(ingest, options)), Layer.provideMerge(quiet))
    const exit = yield* effect.pipe(
      Effect.tap(() => flushed),
      Effect.scoped,
      Effect.provide(layer),
      Effect.exit
    )
    return { ingest, exit, values: valuesAt(ingest) }
  })

/** The last error of each event. */
const valuesAt = (ingest: Ingest): ReadonlyArray<unknown> =>
  ingest.allEvents.map((event) => {
    const { values } = (event["exception"] ?? { values: [] }) as { values: ReadonlyArray<{ value: unknown }> }
    return values.at(-1)?.value ?? event["message"]
  })

const capture = Faultline.captureException

/** The ids of several captures; the same one twice is one event. */
const distinct = (ids: Ids): number => new Set(ids.map(Option.getOrThrow)).size

const idsOf = (exit: Exit.Exit<Ids, unknown>): Ids => Exit.getOrElse(exit, () => [])

const rejecting = (error: unknown): never => {
  throw error
}

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {}

describe("the same error", () => {
  it.scopedLive("with another one in between is two events, not three as in Python", () =>
    Effect.gen(function* () {
      const [a, b] = [boom("a"), boom("b")]
      const { exit, ingest, values } = yield* run(Effect.all([capture(a), capture(b), capture(a)]))
      assert.deepStrictEqual(values, ["a", "b"])
      const ids = idsOf(exit)
      assert.deepStrictEqual(ids[2], ids[0])
      assert.strictEqual(distinct(ids), 2)
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor")]])
    })
  )

  const ways: ReadonlyArray<
    readonly [how: string, error: () => object, again: (error: object) => Effect.Effect<unknown, unknown>]
  > = [
    ["frozen", () => Object.freeze(boom()), (error) => capture(error)],
    ["sealed and without a stack", () => Object.seal(Object.assign(boom(), { stack: undefined })), capture],
    [
      "proxied by a span",
      boom,
      (error) => Effect.fail(error).pipe(Effect.withSpan("work"), Effect.catchAllCause(Faultline.captureCause))
    ],
    [
      "proxied by two spans, frozen",
      () => Object.freeze(new OutOfStock({ item: "pen" })),
      (error) =>
        Effect.fail(error).pipe(
          Effect.withSpan("inner"),
          Effect.withSpan("outer"),
          Effect.catchAll((failure) => capture(failure))
        )
    ],
    [
      "rethrown by a promise",
      boom,
      (error) =>
        Effect.tryPromise({ try: async () => rejecting(error), catch: (e) => e }).pipe(Effect.catchAll(capture))
    ],
    ["turned into a defect", boom, (error) => Effect.fail(error).pipe(Effect.orDie, Effect.catchAllDefect(capture))],
    [
      "in a FiberFailure that was thrown",
      boom,
      (error) => {
        const failure = Runtime.makeFiberFailure(Cause.fail(error))
        return capture(failure)
      }
    ],
    [
      "out of another runtime",
      boom,
      (error) =>
        Effect.tryPromise({ try: () => Effect.runPromise(Effect.fail(error)), catch: (e) => e }).pipe(
          Effect.catchAll(capture)
        )
    ],
    [
      "in a Cause beside an interruption",
      boom,
      (error) => Faultline.captureCause(Cause.parallel(Cause.fail(error), Cause.interrupt(FiberId.none)))
    ],
    [
      "joined from a fiber",
      boom,
      (error) => Effect.fork(Effect.fail(error)).pipe(Effect.flatMap(Fiber.join), Effect.catchAll(capture))
    ],
    ["logged with its Cause", boom, (error) => Effect.logError("it failed", Cause.die(error))]
  ]
  it.scopedLive.each(ways)("%s, is sent once", ([, make, again]) =>
    Effect.gen(function* () {
      const error = make()
      const integrations = Layer.mergeAll(dedupe, Faultline.Logging.layer())
      const { ingest } = yield* run(Effect.zip(capture(error), again(error)), integrations)
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor")]])
    })
  )

  it.scopedLive("on every way there is, is one event, and without dedupe one for each way", () =>
    Effect.gen(function* () {
      const everyWay = Effect.fail(boom()).pipe(
        Effect.withSpan("work"),
        Effect.tapErrorCause((cause) => Effect.logError("no luck", cause)),
        Effect.tapError(capture),
        Effect.tapErrorCause(Faultline.captureCause)
      )
      const once = yield* run(everyWay, Faultline.DefaultIntegrations)
      assert.lengthOf(once.ingest.allEvents, 1)
      const each = yield* run(everyWay, off)
      assert.lengthOf(each.ingest.allEvents, 4)
    })
  )

  it.scopedLive("from concurrent fibers of one scope is sent once", () =>
    Effect.gen(function* () {
      const error = boom()
      const { exit, values } = yield* run(
        Effect.gen(function* () {
          const start = yield* Deferred.make<void>()
          const waiting = Effect.zipRight(Deferred.await(start), capture(error))
          const fiber = yield* Effect.fork(
            Effect.all(Array(5).fill(waiting) as Array<typeof waiting>, { concurrency: 5 })
          )
          yield* Effect.yieldNow()
          yield* Deferred.succeed(start, undefined)
          return yield* Fiber.join(fiber)
        })
      )
      assert.deepStrictEqual(values, ["boom"])
      assert.strictEqual(distinct(idsOf(exit)), 1)
    })
  )

  it.scopedLive("that was sent by a request, is not sent by what started the request", () =>
    Effect.gen(function* () {
      const error = boom()
      const request = Effect.zipRight(capture(error), Effect.fail(error)).pipe(Faultline.withIsolationScope())
      const { values } = yield* run(Effect.catchAll(request, capture))
      assert.deepStrictEqual(values, ["boom"])
    })
  )

  it.scopedLive("is remembered by each hub for itself", () =>
    Effect.gen(function* () {
      const error = boom()
      const first = yield* run(capture(error))
      const second = yield* run(capture(error))
      assert.deepStrictEqual([first.values, second.values], [["boom"], ["boom"]])
    })
  )

  it.scopedLive("is remembered weakly", () =>
    Effect.gen(function* () {
      setFlagsFromString("--expose-gc")
      const collect = runInNewContext("gc") as () => void
      let alive: WeakRef<object> | undefined
      yield* run(
        Effect.gen(function* () {
          yield* Effect.suspend(() => {
            const error = boom()
            alive = new WeakRef(error)
            return capture(error)
          })
          yield* flushed
          for (let turn = 0; turn < 50 && alive?.deref() !== undefined; turn++) {
            yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
            collect()
          }
        })
      )
      assert.isUndefined(alive?.deref())
    })
  )

  it.scopedLive("dropped as a duplicate says so in debug", () =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const error = boom()
      const { exit } = yield* run(Effect.all([capture(error), capture(error)]), dedupe, { debug: true })
      const [id] = idsOf(exit)
      assert.include(lines, `[faultline] dropped: a duplicate of ${Option.getOrThrow(id as Option.Option<string>)}`)
    })
  )
})

describe("another error", () => {
  const pairs: ReadonlyArray<readonly [what: string, make: () => readonly [unknown, unknown]]> = [
    ["that is equal", () => [new OutOfStock({ item: "pen" }), new OutOfStock({ item: "pen" })]],
    [
      "that wraps the first",
      () => {
        const first = boom()
        return [first, new Error("wrapper", { cause: first })]
      }
    ],
    ["that is a text", () => ["no luck", "no luck"]],
    ["that is a number", () => [7, 7]]
  ]
  it.scopedLive.each(pairs)("%s, is an event of its own", ([, make]) =>
    Effect.gen(function* () {
      const [first, second] = make()
      const { exit, ingest } = yield* run(Effect.all([capture(first), capture(second)]))
      assert.lengthOf(ingest.allEvents, 2)
      assert.strictEqual(distinct(idsOf(exit)), 2)
    })
  )

  it.scopedLive("beside one that was sent makes an event of both", () =>
    Effect.gen(function* () {
      const [a, b] = [boom("a"), boom("b")]
      const both = Faultline.captureCause(Cause.parallel(Cause.fail(a), Cause.fail(b)))
      const { ingest } = yield* run(Effect.all([capture(a), both, both, capture(b)]))
      assert.lengthOf(ingest.allEvents, 2)
    })
  )

  it.scopedLive("messages are none, however often they are the same", () =>
    Effect.gen(function* () {
      const { values } = yield* run(Effect.all([Faultline.captureMessage("m"), Faultline.captureMessage("m")]))
      assert.deepStrictEqual(values, ["m", "m"])
    })
  )
})

describe("a shared error constant", () => {
  const shared = Object.freeze(boom("shared"))

  it.scopedLive("is an event of each request it fails in, once", () =>
    Effect.gen(function* () {
      const request = Effect.zipRight(capture(shared), capture(shared)).pipe(Faultline.withIsolationScope())
      const { values } = yield* run(Effect.all([request, request], { concurrency: 2 }))
      assert.deepStrictEqual(values, ["shared", "shared"])
    })
  )

  it.scopedLive("is an event of each root fiber it fails in, once", () =>
    Effect.gen(function* () {
      const integrations = Layer.mergeAll(dedupe, Faultline.Threading.layer())
      const { values } = yield* run(
        Effect.gen(function* () {
          const runtime = yield* Effect.runtime()
          const request = (): Promise<unknown> =>
            Runtime.runPromise(runtime)(Effect.zipRight(capture(shared), capture(shared)))
          yield* Effect.promise(() => Promise.all([request(), request()]))
        }),
        integrations
      )
      assert.deepStrictEqual(values, ["shared", "shared"])
    })
  )

  it.scopedLive("that was sent from anywhere is not repeated where it escapes", () =>
    Effect.gen(function* () {
      const error = boom()
      const program = Effect.zipRight(capture(error).pipe(Faultline.withIsolationScope()), Effect.fail(error))
      const { exit, values } = yield* run(program, Faultline.DefaultIntegrations)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(values, ["boom"])
      const without = yield* run(program, off)
      assert.deepStrictEqual(without.values, ["boom", "boom"])
    })
  )
})

describe("an error whose event was dropped is forgotten", () => {
  /** Drops the first event it is asked about. */
  const droppingFirst = () => {
    let seen = 0
    return (event: Faultline.Event): Faultline.Event | null => (seen++ === 0 ? null : event)
  }
  const samplingFirst = () => {
    let seen = 0
    return (): number => (seen++ === 0 ? 0 : 1)
  }
  const last = (): Layer.Layer<never, never, Faultline.Hub> =>
    Faultline.Integration.make("zz-after-dedupe", () =>
      Effect.succeed({ phase: "last" as const, processEvent: droppingFirst() })
    )

  const ways: ReadonlyArray<
    readonly [
      by: string,
      reason: string,
      options: () => Faultline.Options,
      more?: (() => Layer.Layer<never, never, Faultline.Hub>) | undefined,
      before?: () => Effect.Effect<void>
    ]
  > = [
    ["beforeSend", "before_send", () => ({ beforeSend: droppingFirst() })],
    ["sampling", "sample_rate", () => ({ errorSampler: samplingFirst() })],
    ["a later integration", "event_processor", () => ({}), last],
    [
      "a processor of the scope",
      "event_processor",
      () => ({}),
      undefined,
      () => Faultline.addEventProcessor(droppingFirst())
    ]
  ]
  it.scopedLive.each(ways)("dropped by %s", ([, reason, options, more, before]) =>
    Effect.gen(function* () {
      const error = boom()
      const { exit, ingest } = yield* run(
        Effect.zipRight(before?.() ?? Effect.void, Effect.all([capture(error), capture(error), capture(error)])),
        Layer.mergeAll(dedupe, more?.() ?? Layer.empty),
        options()
      )
      const ids = idsOf(exit)
      assert.deepStrictEqual(ids[0], Option.none())
      assert.isTrue(ids[1] !== undefined && Option.isSome(ids[1]))
      assert.deepStrictEqual(ids[2], ids[1])
      assert.lengthOf(ingest.allEvents, 1)
      const dropped =
        reason === "event_processor"
          ? [discarded("event_processor", 2)]
          : [discarded(reason), discarded("event_processor")]
      assert.deepStrictEqual(reportsAt(ingest), [dropped])
    })
  )

  it.scopedLive("by ignoreErrors, until it no longer matches", () =>
    Effect.gen(function* () {
      const error = boom("ignored")
      const { ingest, values } = yield* run(
        Effect.gen(function* () {
          yield* capture(error)
          error.message = "seen"
          yield* capture(error)
        }),
        dedupe,
        { ignoreErrors: ["ignored"] }
      )
      assert.deepStrictEqual(values, ["seen"])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor")]])
    })
  )

  it.scopedLive("by a full queue", () =>
    Effect.gen(function* () {
      const error = boom("late")
      const { ingest, values } = yield* run(
        Effect.gen(function* () {
          yield* Effect.all([capture(boom("first")), capture(error)])
          yield* flushed
          yield* capture(error)
        }),
        dedupe,
        { maxQueueSize: 1 }
      )
      assert.deepStrictEqual(values, ["first", "late"])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("queue_overflow")]])
    })
  )
})
