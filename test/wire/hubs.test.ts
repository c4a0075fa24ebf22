import * as childProcess from "node:child_process"
import * as http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import { boom, crumbsIn, flushed, hubAt, messagesAt, quiet, reportsAt } from "./kit.js"

const everything = (ingest: Ingest) =>
  Faultline.DefaultIntegrations.pipe(Layer.provideMerge(hubAt(ingest)), Layer.provideMerge(quiet))

/** What of the process integrations hook into. */
const hooks = (): ReadonlyArray<unknown> => [
  ...["exit", "beforeExit", "uncaughtExceptionMonitor", "unhandledRejection", "SIGINT", "SIGTERM"].map((name) =>
    process.listenerCount(name)
  ),
  http.request,
  http.get,
  childProcess.spawnSync,
  (childProcess.ChildProcess.prototype as unknown as { spawn: unknown }).spawn
]

/** A request, a subprocess, a log line, and an event that tells of them. */
const busy = (name: string, target: Ingest) =>
  Effect.gen(function* () {
    yield* Faultline.setTag("hub", name)
    yield* Effect.async<void>((resume) => {
      http.request(`${target.origin}/${name}`, (answer) => resume(Effect.sync(() => void answer.resume()))).end()
    })
    yield* Effect.sync(() => childProcess.spawnSync(`no-such-${name}`))
    yield* Effect.logInfo(`log of ${name}`)
    yield* Faultline.captureMessage(name)
  })

const crumbsOf = (name: string): ReadonlyArray<string> => [
  "http",
  `no-such-${name}`,
  `no-such-${name} could not be run: ENOENT`,
  `log of ${name}`
]

const crumbsAt = (ingest: Ingest): ReadonlyArray<ReadonlyArray<unknown>> =>
  ingest.allEvents.map((event) => crumbsIn(event).map(({ category, message }) => message ?? category))

describe("the runs of a ManagedRuntime", () => {
  it.scopedLive("do not see one another, the first one neither", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const runtime = ManagedRuntime.make(everything(ingest))
      const request = (name: string) =>
        Effect.gen(function* () {
          yield* Faultline.setUser({ id: name })
          yield* Faultline.addBreadcrumb({ message: name })
          yield* Faultline.captureMessage(name)
          yield* flushed
        })
      yield* Effect.promise(async () => {
        for (const name of ["a", "b", "c"]) await runtime.runPromise(request(name))
        await runtime.dispose()
      })
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => event["user"]),
        [{ id: "a" }, { id: "b" }, { id: "c" }]
      )
      assert.deepStrictEqual(crumbsAt(ingest), [["a"], ["b"], ["c"]])
    })
  )
})

describe("a hub that is known by the Context alone", () => {
  /** The hub's services as a value, to be provided to fibers that have nothing else of the hub. */
  const contextOf = (ingest: Ingest) => Layer.build(everything(ingest))

  const tagsAt = (ingest: Ingest) => new Map(ingest.allEvents.map((event) => [event["message"], event["tags"]]))

  it.scopedLive("is reported to, with a scope that is each run's own", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const context = yield* contextOf(ingest)
      yield* Faultline.setTag("program", "yes")
      const run = (name: string) =>
        Effect.gen(function* () {
          yield* Faultline.setTag("run", name)
          yield* Effect.logInfo(`log of ${name}`)
          yield* Effect.sleep(1)
          const id = yield* Faultline.withScope(Faultline.captureMessage(name), { tags: { block: name } })
          assert.isTrue(Option.isSome(id))
          assert.deepStrictEqual(yield* Faultline.lastEventId, id)
          assert.isTrue(yield* Faultline.flush("10 seconds"))
        })
      yield* Effect.promise(() =>
        Promise.all(
          ["a", "b"].map((name) => run(name).pipe(Effect.provide(quiet), Effect.provide(context), Effect.runPromise))
        )
      )
      yield* Faultline.captureMessage("program")
      yield* flushed
      assert.deepStrictEqual(
        tagsAt(ingest),
        new Map<unknown, unknown>([
          ["a", { run: "a", block: "a" }],
          ["b", { run: "b", block: "b" }],
          ["program", { program: "yes" }]
        ])
      )
      const crumbs = new Map(ingest.allEvents.map((event) => [event["message"], crumbsIn(event)]))
      assert.deepStrictEqual(
        crumbs.get("a")?.map(({ message }) => message),
        ["log of a"]
      )
    })
  )

  it.scopedLive(
    "is reported to where that Context is provided and nowhere else; children have what it knew, nobody else",
    () =>
      Effect.gen(function* () {
        const ingest = yield* Ingest.start()
        const context = yield* contextOf(ingest)
        const inside = (name: string) =>
          Effect.zipRight(Faultline.setUser({ id: name }), Faultline.captureMessage(name)).pipe(Effect.provide(context))
        const program = Effect.gen(function* () {
          // Fibers that are joined leave nothing of the hub behind.
          yield* Effect.forEach(["a", "b"], inside, { concurrency: 2 })
          yield* Faultline.captureMessage("between")
          yield* Effect.gen(function* () {
            yield* Faultline.setTag("parent", "yes")
            const child = (name: string) =>
              Effect.zipRight(Faultline.setTag("child", name), Faultline.captureMessage(name))
            yield* Effect.forEach(["c", "d"], child, { concurrency: 2 })
            yield* Faultline.captureMessage("parent")
          }).pipe(Effect.provide(context))
          yield* Faultline.setTag("outside", "yes")
          assert.isTrue(Option.isNone(yield* Faultline.captureMessage("outside")))
          yield* Effect.fork(Faultline.captureMessage("forked outside"))
          yield* Effect.sleep(5)
        })
        yield* Effect.promise(() => Effect.runPromise(program))
        yield* flushed
        assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "c", "d", "parent"])
        const tags = tagsAt(ingest)
        assert.isUndefined(tags.get("a"))
        assert.deepStrictEqual(tags.get("c"), { parent: "yes", child: "c" })
        assert.deepStrictEqual(tags.get("d"), { parent: "yes", child: "d" })
        assert.deepStrictEqual(tags.get("parent"), { parent: "yes" })
        const users = new Map(ingest.allEvents.map((event) => [event["message"], event["user"]]))
        assert.deepStrictEqual(
          [users.get("a"), users.get("b"), users.get("parent")],
          [{ id: "a" }, { id: "b" }, undefined]
        )
      })
  )

  it.scopedLive("gives way to one that a layer has opened, and is none once it is closed", () =>
    Effect.gen(function* () {
      const [ingest, other] = [yield* Ingest.start(), yield* Ingest.start()]
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(everything(ingest), scope)
      yield* Effect.promise(() =>
        Effect.zipRight(
          Faultline.captureMessage("first"),
          Effect.provide(Effect.zipRight(Faultline.captureMessage("other"), flushed), hubAt(other))
        ).pipe(Effect.zipRight(Faultline.captureMessage("last")), Effect.provide(context), Effect.runPromise)
      )
      const after = Effect.gen(function* () {
        yield* Faultline.captureMessage("before it is closed")
        yield* flushed
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Option.isNone(yield* Faultline.captureMessage("closed")))
        // The Context may well know nothing of a hub that a layer opens.
        const Inner = Layer.provide(Faultline.Dedupe.layer(), hubAt(other))
        yield* Effect.provide(Effect.zipRight(Faultline.captureMessage("inner"), flushed), Inner)
      })
      yield* Effect.promise(() => Effect.runPromise(Effect.provide(after, context)))
      assert.deepStrictEqual(
        [messagesAt(ingest), messagesAt(other)],
        [
          ["before it is closed", "first", "last"],
          ["inner", "other"]
        ]
      )
    })
  )
})

describe("two hubs in one process", () => {
  it.scopedLive.each([
    ["the first", [0, 1]],
    ["the second", [1, 0]]
  ] as const)("get what is theirs, and nothing else, also after %s is closed", ([, order]) =>
    Effect.gen(function* () {
      const before = hooks()
      const target = yield* Ingest.start()
      const ingests = yield* Effect.all([Ingest.start(), Ingest.start()])
      const runtimes = ingests.map((ingest) => ManagedRuntime.make(everything(ingest)))
      for (const runtime of runtimes) yield* runtime.runtimeEffect
      const name = (index: number): string => `h${index}`
      const run = (index: number) => Effect.promise(async () => runtimes[index]?.runPromise(busy(name(index), target)))
      const dispose = (index: number) => Effect.promise(async () => runtimes[index]?.dispose())

      const [first, second] = order
      yield* Effect.all([run(0), run(1)], { concurrency: 2 })
      yield* dispose(first)
      yield* run(second)
      yield* dispose(second)

      assert.deepStrictEqual(ingests.map(messagesAt), first === 0 ? [["h0"], ["h1", "h1"]] : [["h0", "h0"], ["h1"]])
      for (const [index, ingest] of ingests.entries()) {
        for (const event of ingest.allEvents) assert.deepStrictEqual(event["tags"], { hub: name(index) })
        for (const crumbs of crumbsAt(ingest)) assert.deepStrictEqual(crumbs, crumbsOf(name(index)))
        assert.deepStrictEqual(reportsAt(ingest), [])
      }
      assert.lengthOf(
        target.others.filter(({ headers }) => headers["sentry-trace"] === undefined),
        0
      )
      assert.deepStrictEqual(hooks(), before)
    })
  )

  it.scopedLive("one inside of the other: the inner one has what is inside of it", () =>
    Effect.gen(function* () {
      const before = hooks()
      const target = yield* Ingest.start()
      const [outer, inner] = yield* Effect.all([Ingest.start(), Ingest.start()])
      yield* Effect.gen(function* () {
        yield* busy("before", target)
        yield* busy("inside", target).pipe(Effect.provide(everything(inner)))
        yield* Faultline.withIsolationScope(Faultline.captureMessage("after"))
      }).pipe(Effect.provide(everything(outer)))
      assert.deepStrictEqual(messagesAt(outer), ["after", "before"])
      assert.deepStrictEqual(messagesAt(inner), ["inside"])
      assert.deepStrictEqual(crumbsAt(inner), [crumbsOf("inside")])
      assert.deepStrictEqual(inner.allEvents[0]?.["tags"], { hub: "inside" })
      assert.deepStrictEqual(hooks(), before)
    })
  )

  it.scopedLive("one inside of the other: once the inner one is gone, the scope is that of the outer one again", () =>
    Effect.gen(function* () {
      const [outer, inner] = yield* Effect.all([Ingest.start(), Ingest.start()])
      yield* Effect.gen(function* () {
        yield* Faultline.setTag("outer", 1)
        yield* Faultline.addBreadcrumb({ message: "outer" })
        yield* Effect.zipRight(Faultline.setTag("inner", 1), Faultline.addBreadcrumb({ message: "inner" })).pipe(
          Effect.provide(hubAt(inner))
        )
        yield* Faultline.captureMessage("after")
        yield* flushed
      }).pipe(Effect.provide(hubAt(outer)))
      assert.deepStrictEqual(outer.allEvents[0]?.["tags"], { outer: "1" })
      assert.deepStrictEqual(crumbsAt(outer), [["outer"]])
    })
  )

  it.scopedLive("one inside of the other: the outer one is asked once the inner one is closed", () =>
    Effect.gen(function* () {
      const [outer, inner] = yield* Effect.all([Ingest.start(), Ingest.start()])
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("to the inner one")
        yield* Faultline.close()
        assert.isTrue(Option.isSome(yield* Faultline.captureMessage("to the outer one")))
        yield* flushed
        yield* Faultline.close()
        assert.deepStrictEqual(yield* Faultline.captureMessage("to nobody"), Option.none())
      }).pipe(Effect.provide(hubAt(inner)), Effect.provide(hubAt(outer)))
      assert.deepStrictEqual([messagesAt(outer), messagesAt(inner)], [["to the outer one"], ["to the inner one"]])
    })
  )

  it.scopedLive("one after the other: the second begins with nothing of the first", () =>
    Effect.gen(function* () {
      const ingests = yield* Effect.all([Ingest.start(), Ingest.start()])
      for (const [index, ingest] of ingests.entries()) {
        yield* Effect.gen(function* () {
          if (index === 0) {
            yield* Faultline.configureScope({ tags: { a: 1 }, user: { id: "u" } })
            yield* Faultline.addBreadcrumb({ message: "m" })
          }
          yield* Faultline.captureException(boom())
        }).pipe(Effect.provide(everything(ingest)))
      }
      const [first, second] = ingests.map((ingest) => ingest.allEvents[0]) as [Json, Json]
      assert.deepStrictEqual(first["tags"], { a: "1" })
      assert.notProperty(second, "tags")
      assert.notProperty(second, "user")
      assert.deepStrictEqual(crumbsIn(second), [])
      const traceOf = (event: Json) => ((event["contexts"] as Json)["trace"] as Json)["trace_id"]
      assert.notStrictEqual(traceOf(first), traceOf(second))
    })
  )

  it.scopedLive("both report the error they both were told of", () =>
    Effect.gen(function* () {
      const error = boom()
      const [outer, inner] = yield* Effect.all([Ingest.start(), Ingest.start()])
      const twice = Effect.zipRight(Faultline.captureException(error), Faultline.captureException(error))
      yield* Effect.zipRight(twice.pipe(Effect.provide(everything(inner))), twice).pipe(
        Effect.provide(everything(outer))
      )
      assert.deepStrictEqual([outer.allEvents.length, inner.allEvents.length], [1, 1])
    })
  )
})
