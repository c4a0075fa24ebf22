/**
 * Which failed fibers are crashes: a table of everything that Effect does with fibers, and what `Threading` makes of it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberId from "effect/FiberId"
import * as FiberMap from "effect/FiberMap"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Threading } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"

type Case = readonly [name: string, program: Effect.Effect<unknown, unknown, Scope.Scope>]

const fail = Effect.fail(new RangeError("no"))
const failSoon = Effect.zipRight(Effect.sleep(1), fail)
const failLater = Effect.zipRight(Effect.sleep(20), fail)
const slow = Effect.sleep(5000)

/** Until everything that was started has run: nothing here takes longer than failLater. */
const settled = Effect.sleep(40)

/** Runs until it is interrupted, and then dies. */
const diesInterrupted = Effect.forkDaemon(
  Effect.onInterrupt(Effect.never, () => Effect.zipRight(Effect.sleep(1), Effect.dieMessage("no")))
).pipe(Effect.tap(() => Effect.sleep(1)))

const CRASHES: ReadonlyArray<Case> = [
  ["fork", Effect.fork(failSoon)],
  ["fork, and it dies", Effect.fork(Effect.zipRight(Effect.sleep(1), Effect.dieMessage("no")))],
  [
    "fork, and it throws",
    Effect.fork(
      Effect.sync(() => {
        throw new RangeError("no")
      })
    )
  ],
  ["fork, at once", Effect.fork(fail)],
  ["forkDaemon", Effect.forkDaemon(failSoon)],
  ["forkScoped", Effect.forkScoped(failSoon)],
  ["forkIn", Effect.flatMap(Effect.scope, (scope) => Effect.forkIn(failSoon, scope))],
  ["forkAll, one of two", Effect.forkAll([Effect.void, failSoon])],
  ["fork in a fork", Effect.fork(Effect.zipRight(Effect.forkDaemon(failSoon), Effect.sleep(5)))],
  ["runFork", Effect.map(Effect.runtime(), (runtime) => Runtime.runFork(runtime)(failSoon))],
  ["FiberSet.run", Effect.flatMap(FiberSet.make(), (set) => FiberSet.run(set, failSoon))],
  ["FiberSet.runtime, at once", Effect.flatMap(FiberSet.makeRuntime(), (run) => Effect.sync(() => run(fail)))],
  ["FiberMap.runtime, at once", Effect.flatMap(FiberMap.makeRuntime(), (run) => Effect.sync(() => run("key", fail)))],
  ["runFork, at once", Effect.map(Effect.runtime(), (runtime) => Runtime.runFork(runtime)(fail))],
  ["FiberSet.runtime", Effect.flatMap(FiberSet.makeRuntime(), (run) => Effect.sync(() => run(failSoon)))],
  [
    "FiberSet.join, of two that fail the one it does not tell of",
    FiberSet.make<void, RangeError>().pipe(
      Effect.tap((set) => FiberSet.run(set, fail)),
      Effect.tap((set) => FiberSet.run(set, fail)),
      Effect.flatMap((set) => Effect.ignore(FiberSet.join(set)))
    )
  ],
  ["FiberHandle.run", Effect.flatMap(FiberHandle.make(), (handle) => FiberHandle.run(handle, failSoon))],
  ["FiberMap.run", Effect.flatMap(FiberMap.make<string>(), (map) => FiberMap.run(map, "key", failSoon))],
  [
    "a finalizer that dies after an interruption",
    Effect.fork(Effect.onInterrupt(Effect.never, () => Effect.dieMessage("no"))).pipe(
      Effect.tap(() => Effect.sleep(1)),
      Effect.flatMap((fiber) => Effect.sync(() => fiber.unsafeInterruptAsFork(fiber.id())))
    )
  ],
  ["a finalizer that dies after Fiber.interruptFork", Effect.flatMap(diesInterrupted, Fiber.interruptFork)],
  [
    "a finalizer that dies after an interruption in a fiber that nobody looks at",
    Effect.flatMap(diesInterrupted, (fiber) => Effect.forkDaemon(Fiber.interrupt(fiber)))
  ],
  [
    "a finalizer that dies after Fiber.interruptFork, twice",
    Effect.flatMap(diesInterrupted, (fiber) =>
      Effect.zipRight(Fiber.interruptFork(fiber), Effect.zipRight(Fiber.interruptFork(fiber), Effect.sleep(5)))
    )
  ],
  [
    "Fiber.interruptFork once it has failed",
    Effect.flatMap(Effect.tap(Effect.fork(fail), Effect.sleep(5)), Fiber.interruptFork)
  ],
  ["polled before it has failed", Effect.flatMap(Effect.forkDaemon(failLater), Fiber.poll)],
  [
    "runFork with a signal",
    Effect.map(Effect.runtime(), (runtime) => Runtime.runFork(runtime)(failSoon, { immediate: false }))
  ],
  [
    "runFork in a scope",
    Effect.map(Effect.all([Effect.runtime(), Effect.scope]), ([runtime, scope]) =>
      Runtime.runFork(runtime)(failSoon, { scope })
    )
  ],
  [
    "forkWithErrorHandler of what dies",
    Effect.forkWithErrorHandler(Effect.zipRight(Effect.sleep(1), Effect.die("no")), () => Effect.void)
  ]
]

const NONE: ReadonlyArray<Case> = [
  ["success", Effect.fork(Effect.void)],
  ["fork and join, caught", Effect.flatMap(Effect.fork(failSoon), (fiber) => Effect.ignore(Fiber.join(fiber)))],
  ["fork and await", Effect.flatMap(Effect.fork(failSoon), Fiber.await)],
  [
    "joined after it has failed",
    Effect.fork(fail).pipe(
      Effect.tap(Effect.sleep(20)),
      Effect.flatMap((fiber) => Effect.ignore(Fiber.join(fiber)))
    )
  ],
  [
    "joined twice",
    Effect.flatMap(Effect.fork(failSoon), (fiber) =>
      Effect.all([Effect.ignore(Fiber.join(fiber)), Effect.ignore(Fiber.join(fiber))], { concurrency: 2 })
    )
  ],
  [
    "joined by two, one of whom gave up",
    Effect.flatMap(Effect.forkDaemon(failLater), (fiber) =>
      Effect.all([Effect.timeoutOption(Effect.exit(Fiber.join(fiber)), 5), Effect.exit(Fiber.join(fiber))], {
        concurrency: 2
      })
    )
  ],
  [
    "Fiber.joinAll",
    Effect.flatMap(
      Effect.forEach([1, 2], () => Effect.fork(failSoon)),
      (fibers) => Effect.ignore(Fiber.joinAll(fibers))
    )
  ],
  [
    "Fiber.all",
    Effect.flatMap(
      Effect.forEach([1, 2], () => Effect.fork(failSoon)),
      (fibers) => Effect.ignore(Fiber.join(Fiber.all(fibers)))
    )
  ],
  [
    "joins that were made before and run one after the other",
    Effect.flatMap(
      Effect.forEach([Effect.sleep(25), failSoon], (effect) => Effect.fork(effect)),
      (fibers) => Effect.ignore(Effect.all(fibers.map(Fiber.join)))
    )
  ],
  [
    "joined by somebody who gives up before it fails",
    Effect.flatMap(Effect.forkDaemon(failLater), (fiber) => Effect.timeoutOption(Fiber.join(fiber), 5))
  ],
  [
    "polled, and what was found is run",
    Effect.fork(fail).pipe(
      Effect.tap(Effect.sleep(5)),
      Effect.flatMap(Fiber.poll),
      Effect.flatMap((polled) => Effect.ignore(Option.getOrElse(polled, () => Effect.void)))
    )
  ],
  ["interrupted", Effect.flatMap(Effect.fork(Effect.never), Fiber.interrupt)],
  [
    "interrupted after it has failed",
    Effect.fork(fail).pipe(Effect.tap(Effect.sleep(5)), Effect.flatMap(Fiber.interrupt))
  ],
  ["interrupted with its parent", Effect.fork(Effect.fork(Effect.never))],
  ["timeout", Effect.timeoutOption(slow, 1)],
  ["timeout of what fails", Effect.ignore(Effect.timeout(failSoon, 500))],
  [
    "timeout of what dies while it is interrupted",
    Effect.exit(
      Effect.timeout(
        Effect.onInterrupt(Effect.never, () => Effect.dieMessage("no")),
        1
      )
    )
  ],
  ["disconnect", Effect.ignore(Effect.disconnect(failSoon))],
  ["race, the loser fails first", Effect.race(failSoon, Effect.sleep(10))],
  ["race, both fail", Effect.ignore(Effect.race(failSoon, failSoon))],
  ["raceFirst", Effect.ignore(Effect.raceFirst(failSoon, slow))],
  ["raceAll", Effect.ignore(Effect.raceAll([failSoon, failSoon, Effect.sleep(10)]))],
  [
    "raceWith",
    Effect.raceWith(failSoon, Effect.sleep(10), {
      onSelfDone: (_, other) => Effect.ignore(Fiber.join(other)),
      onOtherDone: (_, other) => Effect.ignore(Fiber.join(other))
    })
  ],
  ["all, concurrent", Effect.ignore(Effect.all([failSoon, slow], { concurrency: "unbounded" }))],
  ["all, mode either", Effect.all([failSoon, Effect.void], { concurrency: 2, mode: "either" })],
  ["forEach, concurrent", Effect.ignore(Effect.forEach([1, 2, 3], () => failSoon, { concurrency: 2 }))],
  ["zip, concurrent", Effect.ignore(Effect.zip(failSoon, failSoon, { concurrent: true }))],
  ["partition, concurrent", Effect.partition([1, 2], () => failSoon, { concurrency: 2 })],
  ["validateAll, concurrent", Effect.ignore(Effect.validateAll([1, 2], () => failSoon, { concurrency: 2 }))],
  ["firstSuccessOf", Effect.firstSuccessOf([failSoon, Effect.void])],
  [
    "cached",
    Effect.flatMap(Effect.cached(failSoon), (cached) =>
      Effect.all([Effect.ignore(cached), Effect.ignore(cached)], { concurrency: 2 })
    )
  ],
  ["memoize and once", Effect.flatMap(Effect.once(failSoon), (once) => Effect.ignore(once))],
  ["retried", Effect.ignore(Effect.retry(failSoon, Schedule.recurs(2)))],
  [
    "runPromise, the promise is caught",
    Effect.flatMap(Effect.runtime(), (runtime) =>
      Effect.promise(() => Runtime.runPromise(runtime)(failSoon).catch(() => {}))
    )
  ],
  [
    "runPromiseExit",
    Effect.flatMap(Effect.runtime(), (runtime) => Effect.promise(() => Runtime.runPromiseExit(runtime)(failSoon)))
  ],
  [
    "runCallback",
    Effect.flatMap(Effect.runtime(), (runtime) =>
      Effect.async<void>((resume) => void Runtime.runCallback(runtime)(failSoon, { onExit: () => resume(Effect.void) }))
    )
  ],
  [
    "an observer of one's own",
    Effect.flatMap(Effect.fork(failSoon), (fiber) =>
      Effect.async<void>((resume) => fiber.addObserver((_exit) => resume(Effect.void)))
    )
  ],
  [
    "an observer of one's own that does not take the exit",
    Effect.flatMap(Effect.fork(failSoon), (fiber) =>
      Effect.async<void>((resume) => fiber.addObserver(() => resume(Effect.void)))
    )
  ],
  [
    "an observer of one's own that does not take the exit, of a daemon in a scope",
    Effect.flatMap(Effect.forkScoped(failSoon), (fiber) =>
      Effect.async<void>((resume) => fiber.addObserver(() => resume(Effect.void)))
    )
  ],
  [
    "an observer of one's own that does not take the exit, once it has failed",
    Effect.flatMap(Effect.runtime(), (runtime) =>
      Effect.sync(() => Runtime.runFork(runtime)(fail).addObserver(() => {}))
    )
  ],
  [
    "polled, and seen to have failed",
    Effect.fork(fail).pipe(Effect.tap(Effect.sleep(5)), Effect.flatMap(Fiber.poll), Effect.map(Option.isSome))
  ],
  ["a finalizer that dies after Fiber.interrupt", Effect.flatMap(diesInterrupted, Fiber.interrupt)],
  [
    "a finalizer that dies after an interruption that is joined",
    Effect.flatMap(diesInterrupted, (fiber) => Effect.flatMap(Effect.forkDaemon(Fiber.interrupt(fiber)), Fiber.join))
  ],
  [
    "a finalizer that dies after an interruption that is joined later",
    Effect.flatMap(diesInterrupted, (fiber) =>
      Effect.fork(Fiber.interrupt(fiber)).pipe(Effect.tap(Effect.sleep(10)), Effect.flatMap(Fiber.join))
    )
  ],
  [
    "a finalizer that dies after an interruption that a promise tells of",
    Effect.flatMap(diesInterrupted, (fiber) => Effect.promise(() => Effect.runPromise(Fiber.interrupt(fiber))))
  ],
  [
    "a finalizer that dies after Fiber.interruptFork, joined",
    Effect.flatMap(diesInterrupted, (fiber) =>
      Effect.zipRight(Fiber.interruptFork(fiber), Effect.exit(Fiber.join(fiber)))
    )
  ],
  [
    "forkDaemon into a Deferred",
    Effect.flatMap(Deferred.make<void, RangeError>(), (deferred) =>
      Effect.zipRight(
        Effect.forkDaemon(Effect.intoDeferred(failSoon, deferred)),
        Effect.ignore(Deferred.await(deferred))
      )
    )
  ],
  [
    "FiberSet.join",
    FiberSet.make<void, RangeError>().pipe(
      Effect.tap((set) => FiberSet.run(set, failSoon)),
      Effect.flatMap((set) => Effect.ignore(FiberSet.join(set)))
    )
  ],
  [
    "FiberSet.join, later",
    FiberSet.make<void, RangeError>().pipe(
      Effect.tap((set) => FiberSet.run(set, fail)),
      Effect.tap(Effect.sleep(5)),
      Effect.flatMap((set) => Effect.exit(FiberSet.join(set)))
    )
  ],
  [
    "FiberSet.run, joined itself",
    FiberSet.make().pipe(
      Effect.flatMap((set) => FiberSet.run(set, failSoon)),
      Effect.flatMap((fiber) => Effect.ignore(Fiber.join(fiber)))
    )
  ],
  [
    "FiberSet.runtimePromise",
    Effect.flatMap(FiberSet.makeRuntimePromise(), (run) => Effect.promise(() => run(failSoon).catch(() => {})))
  ],
  [
    "FiberSet.runtimePromise, at once",
    Effect.flatMap(FiberSet.makeRuntimePromise(), (run) => Effect.promise(() => run(fail).catch(() => {})))
  ],
  [
    "runPromise, at once",
    Effect.flatMap(Effect.runtime(), (runtime) =>
      Effect.promise(() => Runtime.runPromise(runtime)(fail).catch(() => {}))
    )
  ],
  [
    "an observer of one's own, once it has failed",
    Effect.flatMap(Effect.runtime(), (runtime) =>
      Effect.sync(() => Runtime.runFork(runtime)(fail).addObserver((_exit) => {}))
    )
  ],
  [
    "FiberSet.join, of what has failed at once",
    FiberSet.make<void, RangeError>().pipe(
      Effect.tap((set) => Effect.map(FiberSet.runtime(set)(), (run) => run(fail))),
      Effect.flatMap((set) => Effect.ignore(FiberSet.join(set)))
    )
  ],
  [
    "FiberSet.awaitEmpty",
    FiberSet.make().pipe(
      Effect.tap((set) => FiberSet.run(set, failSoon)),
      Effect.flatMap(FiberSet.awaitEmpty)
    )
  ],
  [
    "FiberHandle.join",
    FiberHandle.make<void, RangeError>().pipe(
      Effect.tap((handle) => FiberHandle.run(handle, failSoon)),
      Effect.flatMap((handle) => Effect.ignore(FiberHandle.join(handle)))
    )
  ],
  [
    "FiberHandle.run, replaced",
    Effect.flatMap(FiberHandle.make(), (handle) =>
      Effect.zipRight(FiberHandle.run(handle, Effect.never), FiberHandle.run(handle, Effect.void))
    )
  ],
  [
    "FiberMap.join",
    FiberMap.make<string, void, RangeError>().pipe(
      Effect.tap((map) => FiberMap.run(map, "key", failSoon)),
      Effect.flatMap((map) => Effect.ignore(FiberMap.join(map)))
    )
  ],
  [
    "Stream.mapEffect, concurrent",
    Stream.range(1, 3).pipe(
      Stream.mapEffect(() => failSoon, { concurrency: 3 }),
      Stream.runDrain,
      Effect.ignore
    )
  ],
  [
    "Stream.flatMap, concurrent",
    Stream.range(1, 3).pipe(
      Stream.flatMap(() => Stream.fromEffect(failSoon), { concurrency: 3 }),
      Stream.runDrain,
      Effect.ignore
    )
  ],
  ["Stream.merge", Stream.merge(Stream.fromEffect(failSoon), Stream.never).pipe(Stream.runDrain, Effect.ignore)],
  ["Stream.buffer", Stream.fromEffect(failSoon).pipe(Stream.buffer({ capacity: 4 }), Stream.runDrain, Effect.ignore)],
  [
    "Stream.broadcast",
    Stream.fromEffect(failSoon).pipe(
      Stream.broadcast(2, 4),
      Effect.flatMap(([one, two]) =>
        Effect.all([Effect.ignore(Stream.runDrain(one)), Effect.ignore(Stream.runDrain(two))], { concurrency: 2 })
      )
    )
  ],
  [
    "Stream.groupByKey",
    Stream.fromEffect(failSoon).pipe(
      Stream.groupByKey(() => 1),
      (grouped) => Stream.runDrain(grouped.grouped),
      Effect.ignore
    )
  ],
  ["Stream.interruptWhen", Stream.never.pipe(Stream.interruptWhen(failSoon), Stream.runDrain, Effect.ignore)],
  [
    "Stream.debounce",
    Stream.concat(Stream.make(1), Stream.fromEffect(failSoon)).pipe(Stream.debounce(5), Stream.runDrain, Effect.ignore)
  ],
  [
    "Stream.zipLatest",
    Stream.zipLatest(Stream.fromEffect(failSoon), Stream.never).pipe(Stream.runDrain, Effect.ignore)
  ],
  [
    "Stream.toReadableStream",
    Effect.promise(() => new Response(Stream.toReadableStream(Stream.fromEffect(failSoon))).text().catch(() => {}))
  ],
  [
    "Stream.aggregateWithin",
    Stream.fromEffect(failSoon).pipe(Stream.groupedWithin(2, 5), Stream.runDrain, Effect.ignore)
  ],
  [
    "a layer that cannot be built",
    Effect.ignore(Layer.build(Layer.mergeAll(Layer.effectDiscard(failSoon), Layer.effectDiscard(slow))))
  ],
  [
    "forked with Effect's word that the failure is expected",
    Effect.withUnhandledErrorLogLevel(Effect.fork(failSoon), Option.none())
  ],
  ["a Cause of interruption alone", Effect.fork(Effect.failCause(Cause.interrupt(FiberId.none)))]
]

/** Effect itself cannot tell these from the others. */
const WRONG: ReadonlyArray<Case> = [
  // The handler ran, but the fiber still fails, and nothing on it says that there was one.
  ["forkWithErrorHandler", Effect.forkWithErrorHandler(failSoon, () => Effect.void)],
  // Nobody can wait for ever for somebody to come and ask.
  [
    "joined after more than the grace",
    Effect.fork(fail).pipe(
      Effect.tap(Effect.sleep(1200)),
      Effect.flatMap((fiber) => Effect.ignore(Fiber.join(fiber)))
    )
  ]
]

/** The types of what `Threading` has reported by the time that it is closed. */
const reportsOf = (program: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.gen(function* () {
    yield* Effect.exit(program).pipe(Effect.zipRight(settled), Effect.scoped, Effect.provide(Threading.layer()))
    const events = yield* TestHub.events
    return events.map(({ exception }) => {
      const { data, handled, type } = exception?.values.at(-1)?.mechanism ?? {}
      return { type, handled, kind: data?.["thread_kind"] }
    })
  }).pipe(Effect.provide(TestHub.layer))

const CRASH = { type: "threading", handled: false, kind: "fiber" }

describe("crashes", () => {
  for (const [name, program] of CRASHES) {
    it.live(name, () => Effect.map(reportsOf(program), (reports) => assert.deepStrictEqual(reports, [CRASH])))
  }
})

describe("no crashes", () => {
  for (const [name, program] of NONE) {
    it.live(name, () => Effect.map(reportsOf(program), (reports) => assert.deepStrictEqual(reports, [])))
  }
})

describe("no crashes, but taken for such", () => {
  for (const [name, program] of WRONG) {
    it.live(name, () => Effect.map(reportsOf(program), (reports) => assert.deepStrictEqual(reports, [CRASH])))
  }
})
