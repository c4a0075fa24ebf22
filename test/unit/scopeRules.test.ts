/**
 * Rules S1 to S5 and S7 of the scope, against a plain model of them: random trees of fibers that set tags, record breadcrumbs
 * and capture, woken by each other in random ways. The interpreter runs a program and keeps the model's books alongside.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Faultline from "effect-faultline"
import { Threading } from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { TestHub } from "effect-faultline/testing"

// --- programs ---------------------------------------------------------------------------------------------------------

type Pause = "none" | "yield" | "sleep" | "deferred" | "semaphore" | "queue" | "cached"

type Step =
  | { readonly op: "tag"; readonly pause: Pause }
  | { readonly op: "crumb"; readonly pause: Pause }
  | { readonly op: "capture"; readonly pause: Pause }
  | { readonly op: Nesting; readonly pause: Pause; readonly body: Program }
  | { readonly op: Concurrent; readonly pause: Pause; readonly bodies: ReadonlyArray<Program> }

type Nesting =
  | "withScope"
  | "withIsolationScope"
  | "forkJoin"
  | "forkAwait"
  | "daemon"
  | "timeout"
  | "timeoutExpired"
  | "raceWinner"
  | "raceLoser"
  | "failCaught"
  | "interrupted"
  | "streamSequential"
  | "fiberSetRun"
  | "runFork"
  | "fiberSetRuntime"

type Concurrent = "all" | "allOneFails" | "streamConcurrent"

type Program = ReadonlyArray<Step>

const pause = FastCheck.constantFrom<Pause>(
  "none",
  "none",
  "yield",
  "sleep",
  "deferred",
  "semaphore",
  "queue",
  "cached"
)

const nesting = FastCheck.constantFrom<Nesting>(
  "withScope",
  "withIsolationScope",
  "forkJoin",
  "forkAwait",
  "daemon",
  "timeout",
  "timeoutExpired",
  "raceWinner",
  "raceLoser",
  "failCaught",
  "interrupted",
  "streamSequential",
  "fiberSetRun",
  "runFork",
  "fiberSetRuntime"
)

const concurrent = FastCheck.constantFrom<Concurrent>("all", "allOneFails", "streamConcurrent")

const { program } = FastCheck.letrec<{ program: Program; step: Step }>((tie) => ({
  step: FastCheck.oneof(
    { depthSize: "small", withCrossShrink: true },
    FastCheck.record({ op: FastCheck.constantFrom("tag" as const, "crumb" as const, "capture" as const), pause }),
    FastCheck.record({ op: FastCheck.constantFrom("tag" as const, "crumb" as const, "capture" as const), pause }),
    FastCheck.record({ op: nesting, pause, body: tie("program") }),
    FastCheck.record({ op: concurrent, pause, bodies: FastCheck.array(tie("program"), { minLength: 2, maxLength: 3 }) })
  ),
  program: FastCheck.array(tie("step"), { maxLength: 5 })
}))

// --- the model --------------------------------------------------------------------------------------------------------

/** An isolation scope: what it began with, and who has written what in it since, in order. */
interface Isolation {
  readonly inherited: ReadonlyArray<string>
  readonly entries: Array<{ readonly by: Node; readonly crumb: string }>
}

/** A fiber, in one isolation scope. */
interface Node {
  readonly parent: Node | undefined
  readonly isolation: Isolation
}

/** What one fiber knows: tags by value, so that nothing it does is seen elsewhere unless it is handed over. */
interface Book {
  readonly node: Node
  readonly current: Readonly<Record<string, string>>
  tags: Readonly<Record<string, string>>
}

interface Expected {
  readonly tags: Readonly<Record<string, string>>
  readonly crumbs: ReadonlyArray<string>
}

const isBelow = (node: Node | undefined, other: Node): boolean =>
  node !== undefined && (node === other || isBelow(node.parent, other))

const visible = (self: Node): ReadonlyArray<string> => {
  const { entries, inherited } = self.isolation
  const seen = entries.filter(({ by }) => isBelow(by, self) || isBelow(self, by)).map(({ crumb }) => crumb)
  return [...inherited, ...seen].slice(-100)
}

const newIsolation = (inherited: ReadonlyArray<string>): Node => ({
  parent: undefined,
  isolation: { inherited, entries: [] }
})

const childOf = (book: Book): Book => ({
  node: { parent: book.node, isolation: book.node.isolation },
  current: book.current,
  tags: book.tags
})

const isolated = (book: Book): Book => ({ ...book, node: newIsolation(visible(book.node)) })

const blank = (): Book => ({ node: newIsolation([]), current: {}, tags: {} })

/** The keys that the child changed, one by one. */
const handOver = (parent: Book, child: Book, base: Book["tags"]): void => {
  const changed = Object.entries(child.tags).filter(([key, value]) => base[key] !== value)
  parent.tags = { ...parent.tags, ...Object.fromEntries(changed) }
}

// --- the interpreter --------------------------------------------------------------------------------------------------

interface World {
  readonly propagate: boolean
  readonly expected: Map<string, Expected>
  readonly semaphore: Effect.Semaphore
  readonly echo: Queue.Queue<Deferred.Deferred<void>>
  readonly cached: Effect.Effect<void>
  readonly started: Array<Fiber.Fiber<unknown, unknown>>
  readonly set: FiberSet.FiberSet
  readonly next: () => number
}

class Failed {
  readonly _tag = "Failed"
}

const run = (world: World, steps: Program, book: Book): Effect.Effect<void> =>
  Effect.forEach(steps, (step) => Effect.zipRight(wake(world, step.pause), perform(world, step, book)), {
    discard: true
  })

/** However a fiber is woken, and by whom, must not matter. */
const wake = (world: World, kind: Pause): Effect.Effect<void> => {
  switch (kind) {
    case "none":
      return Effect.void
    case "yield":
      return Effect.yieldNow()
    case "sleep":
      return Effect.sleep(Duration.millis(1))
    case "semaphore":
      return world.semaphore.withPermits(1)(Effect.yieldNow())
    case "queue":
      return Effect.flatMap(Deferred.make<void>(), (reply) =>
        Effect.zipRight(Queue.offer(world.echo, reply), Deferred.await(reply))
      )
    case "deferred":
      return Effect.flatMap(Deferred.make<void>(), (gate) =>
        Effect.zipRight(Effect.forkDaemon(Deferred.succeed(gate, undefined)), Deferred.await(gate))
      )
    case "cached":
      // In a fiber of its own: interrupted with whoever comes first, it would have cached the interruption.
      return Effect.asVoid(Effect.flatMap(Effect.forkDaemon(world.cached), Fiber.await))
  }
}

const perform = (world: World, step: Step, book: Book): Effect.Effect<void> => {
  switch (step.op) {
    case "tag":
      return Effect.suspend(() => {
        const key = `t${world.next()}`
        book.tags = { ...book.tags, [key]: key }
        return Faultline.setTag(key, key)
      })
    case "crumb":
      // The facade inside a fiber: nothing can come between the model's books and what they are about.
      return Effect.sync(() => {
        const crumb = `c${world.next()}`
        book.node.isolation.entries.push({ by: book.node, crumb })
        Facade.addBreadcrumb({ message: crumb })
      })
    case "capture":
      return Effect.sync(() => {
        const message = `e${world.next()}`
        world.expected.set(message, {
          tags: { ...book.tags, ...book.current },
          crumbs: visible(book.node)
        })
        assert.isDefined(Facade.captureMessage(message))
      })
    case "all":
      return Effect.suspend(() => {
        const base = book.tags
        const children = step.bodies.map(() => childOf(book))
        return Effect.all(
          step.bodies.map((body, index) => run(world, body, children[index] as Book)),
          { concurrency: "unbounded", discard: true }
        ).pipe(Effect.tap(() => Effect.sync(() => children.forEach((child) => handOver(book, child, base)))))
      })
    case "allOneFails":
      return Effect.suspend(() =>
        Effect.all(
          step.bodies.map((body, index) =>
            Effect.zipRight(run(world, body, childOf(book)), index === 0 ? Effect.fail(new Failed()) : Effect.void)
          ),
          { concurrency: "unbounded", discard: true }
        ).pipe(Effect.ignore)
      )
    case "streamConcurrent":
      return Effect.suspend(() =>
        Stream.fromIterable(step.bodies).pipe(
          Stream.mapEffect((body) => Effect.suspend(() => run(world, body, childOf(childOf(book)))), {
            concurrency: "unbounded"
          }),
          Stream.runDrain
        )
      )
    default:
      return nested(world, step.op, step.body, book)
  }
}

const nested = (world: World, op: Nesting, body: Program, book: Book): Effect.Effect<void> =>
  Effect.suspend(() => {
    const base = book.tags
    const child = childOf(book)
    const inChild = run(world, body, child)
    const joined = Effect.sync(() => handOver(book, child, base))
    switch (op) {
      case "withScope": {
        const key = `s${world.next()}`
        const inner: Book = { ...book, current: { ...book.current, [key]: key } }
        return run(world, body, inner).pipe(
          Faultline.withScope({ tags: { [key]: key } }),
          // The setters inside write the isolation scope: they outlast the block.
          Effect.ensuring(Effect.sync(() => (book.tags = inner.tags)))
        )
      }
      case "withIsolationScope":
        return run(world, body, isolated(book)).pipe(Faultline.withIsolationScope())
      case "forkJoin":
        return inChild.pipe(Effect.fork, Effect.flatMap(Fiber.join), Effect.zipRight(joined))
      case "forkAwait":
        return inChild.pipe(Effect.fork, Effect.flatMap(Fiber.await), Effect.asVoid)
      case "daemon":
        return Effect.map(Effect.forkDaemon(inChild), (fiber) => void world.started.push(fiber))
      case "timeout":
        return inChild.pipe(Effect.timeout("1 minute"), Effect.ignore, Effect.zipRight(joined))
      case "timeoutExpired":
        return inChild.pipe(Effect.zipRight(Effect.never), Effect.timeout("3 millis"), Effect.ignore)
      case "raceWinner":
        return Effect.zipRight(Effect.race(inChild, Effect.never), joined)
      case "raceLoser":
        return Effect.race(Effect.zipRight(inChild, Effect.never), Effect.sleep("3 millis"))
      case "failCaught":
        return Effect.zipRight(run(world, body, book), Effect.fail(new Failed())).pipe(Effect.ignore)
      case "interrupted":
        return inChild.pipe(Effect.zipRight(Effect.never), Effect.fork, Effect.flatMap(Fiber.interrupt), Effect.asVoid)
      case "streamSequential":
        return Effect.zipRight(Stream.make(body).pipe(Stream.runForEach(() => inChild)), joined)
      case "fiberSetRun":
        return Effect.map(FiberSet.run(world.set, inChild), (fiber) => void world.started.push(fiber))
      case "runFork":
        return Effect.map(Effect.runtime(), (runtime) => {
          world.started.push(Runtime.runFork(runtime)(run(world, body, rootOf(world, book))))
        })
      case "fiberSetRuntime":
        return Effect.map(FiberSet.runtime(world.set)(), (runFork) => {
          world.started.push(runFork(run(world, body, rootOf(world, book))))
        })
    }
  })

const rootOf = (world: World, book: Book): Book => (world.propagate ? isolated(book) : blank())

const makeWorld = (propagate: boolean): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const echo = yield* Queue.unbounded<Deferred.Deferred<void>>()
    yield* Effect.forkScoped(
      Effect.forever(Effect.flatMap(Queue.take(echo), (reply) => Deferred.succeed(reply, undefined)))
    )
    let count = 0
    return {
      propagate,
      expected: new Map(),
      semaphore: yield* Effect.makeSemaphore(1),
      echo,
      cached: yield* Effect.cached(Effect.sleep("1 millis")),
      started: [],
      set: yield* FiberSet.make(),
      next: () => count++
    }
  })

const holds = (steps: Program, propagate: boolean): Promise<void> =>
  Effect.gen(function* () {
    const world = yield* makeWorld(propagate)
    const book = blank()
    yield* run(world, steps, book)
    // Fibers start others while they are awaited.
    for (let index = 0; index < world.started.length; index++) {
      yield* Fiber.await(world.started[index] as Fiber.Fiber<unknown, unknown>)
    }
    yield* perform(world, { op: "capture", pause: "none" }, book)
    const events = yield* TestHub.events
    const actual = new Map(
      events.map((event): [string, Expected] => [
        event.message ?? "",
        { tags: event.tags ?? {}, crumbs: (event.breadcrumbs?.values ?? []).map(({ message }) => message ?? "") }
      ])
    )
    assert.deepStrictEqual(actual, world.expected)
  }).pipe(
    Effect.scoped,
    Effect.provide(Threading.layer({ propagateScope: propagate }).pipe(Layer.provideMerge(TestHub.layer))),
    Effect.runPromise
  )

describe("scope rules, for random trees of fibers", () => {
  for (const propagate of [true, false]) {
    it(
      `S1-S5, S7 with propagateScope: ${propagate}`,
      () =>
        FastCheck.assert(
          FastCheck.asyncProperty(program, (steps) => holds(steps, propagate)),
          { numRuns: 300 }
        ),
      60_000
    )
  }
})
