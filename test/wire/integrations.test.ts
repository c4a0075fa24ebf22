import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import {
  ALL_INTEGRATIONS,
  boom,
  boomEvent,
  discarded,
  eventsOf,
  exception,
  flushed,
  hubAt,
  quiet,
  reportsAt,
  settle
} from "./kit.js"

/** Runs the effect under a hub with these integrations: what the ingest has once that hub is closed. */
const run = <A, E, E2>(
  effect: Effect.Effect<A, E, Scope.Scope>,
  integrations: Layer.Layer<never, E2, Faultline.Hub> = Faultline.DefaultIntegrations,
  options: Faultline.Options = {}
): Effect.Effect<{ readonly ingest: Ingest; readonly exit: Exit.Exit<A, unknown> }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    const layer = integrations.pipe(Layer.provideMerge(hubAt(ingest, options)), Layer.provideMerge(quiet))
    const exit = yield* effect.pipe(Effect.scoped, Effect.provide(layer), Effect.exit)
    return { ingest, exit }
  })

const all = Faultline.DefaultIntegrations
const without = (name: Faultline.DefaultIntegrationName): Layer.Layer<never, never, Faultline.Hub> =>
  Faultline.defaultIntegrations({ [name]: false })

const ARGV = ["/srv/app/main.js", "--token", "s3cret", "--password=hunter2", "-v", "plain"]

const withArgv = Effect.acquireRelease(
  Effect.sync(() => {
    const before = process.argv
    process.argv = ["/usr/bin/node", ...ARGV]
    return before
  }),
  (before) => Effect.sync(() => void (process.argv = before))
)

/** What the default integrations add to every event. */
const added: Partial<Record<Faultline.DefaultIntegrationName, Json>> = {
  argv: {
    extra: { "sys.argv": ["/srv/app/main.js", "--token", "[Filtered]", "--password=[Filtered]", "-v", "plain"] }
  },
  modules: { modules: "<modules>" },
  stdlib: { contexts: { runtime: "<runtime>" } }
}

/** An event with what these integrations add to it. */
const eventWith = (names: ReadonlyArray<Faultline.DefaultIntegrationName>, own: Json = {}): Json =>
  boomEvent({ ...Object.assign({}, ...names.map((name) => added[name])), ...own }, names)

describe("with the default integrations", () => {
  it.scopedLive("an event is exactly what the hub makes of it and what each of them adds", () =>
    Effect.gen(function* () {
      yield* withArgv
      const { ingest } = yield* run(Faultline.captureException(boom()))
      assert.deepStrictEqual(ingest.allEvents.map(settle), [eventWith(ALL_INTEGRATIONS)])
      assert.lengthOf(ingest.envelopes, 1)
    })
  )

  it.scopedLive.each(ALL_INTEGRATIONS)("but %s, what that one adds is absent, and nothing else", (name) =>
    Effect.gen(function* () {
      yield* withArgv
      // Without atexit nobody waits at the end.
      const { ingest } = yield* run(Effect.zipRight(Faultline.captureException(boom()), flushed), without(name))
      assert.deepStrictEqual(ingest.allEvents.map(settle), [
        eventWith(ALL_INTEGRATIONS.filter((other) => other !== name))
      ])
    })
  )

  it.scopedLive("switched off all together, nothing of theirs is there", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(
        Effect.gen(function* () {
          const error = boom()
          yield* Effect.logInfo("no breadcrumb")
          yield* Effect.logError("no event")
          yield* Faultline.captureException(error)
          yield* flushed
          yield* Faultline.captureException(error)
          yield* flushed
          return yield* Effect.fail("no event")
        }),
        all,
        { defaultIntegrations: false }
      )
      assert.deepStrictEqual(ingest.allEvents.map(settle), [boomEvent(), boomEvent()])
      assert.deepStrictEqual(reportsAt(ingest), [])
    })
  )

  it.scopedLive("the user's own of the same name take their place, and others come beside them", () =>
    Effect.gen(function* () {
      const mine = Faultline.Integration.make("argv", () =>
        Effect.succeed({ processEvent: (event) => ({ ...event, extra: { mine: true } }) })
      )
      const region = Faultline.Integration.make("region", () =>
        Effect.succeed({ processEvent: (event) => ({ ...event, tags: { region: "eu-1" } }) })
      )
      const integrations = Layer.mergeAll(mine, region).pipe(Layer.provideMerge(all))
      const { ingest } = yield* run(Faultline.captureException(boom()), integrations)
      const names = [...ALL_INTEGRATIONS, "region"].toSorted((a, b) => a.localeCompare(b))
      assert.deepStrictEqual(ingest.allEvents.map(settle), [
        boomEvent(
          { extra: { mine: true }, tags: { region: "eu-1" }, modules: "<modules>", contexts: { runtime: "<runtime>" } },
          names
        )
      ])
    })
  )

  it.scopedLive("an event keeps its modules and its contexts whatever a processor of the scope does", () =>
    Effect.gen(function* () {
      const capture = Effect.gen(function* () {
        yield* Faultline.setContext("session", { state: "open" })
        yield* Faultline.captureException(boom())
      })
      const plain = yield* run(capture)
      const processed = yield* run(
        Effect.zipRight(
          Faultline.addEventProcessor((event) => event),
          capture
        )
      )
      const [expected] = plain.ingest.allEvents
      const [event] = processed.ingest.allEvents
      assert.deepStrictEqual(event?.["modules"], expected?.["modules"])
      assert.deepStrictEqual(settle(event as Json), settle(expected as Json))
    })
  )

  it.scopedLive("other items than events have no modules: sessions, logs, client reports", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const program = Effect.gen(function* () {
        yield* Effect.logError("a line")
        const error = boom()
        yield* Faultline.captureException(error)
        yield* Faultline.captureException(error)
        yield* Faultline.flush("10 seconds")
      })
      const integrations = Layer.mergeAll(Faultline.DefaultIntegrations, Faultline.Sessions.layer())
      yield* program.pipe(
        Effect.provide(integrations.pipe(Layer.provideMerge(hubAt(ingest, { enableLogs: true, release: "shop@1" })))),
        Effect.provide(quiet)
      )
      const items = ingest.envelopes.flatMap(({ framed }) => framed.items)
      const types = new Set(items.map(({ headers }) => headers["type"]))
      for (const type of ["event", "session", "log", "client_report"]) assert.include([...types], type)
      for (const { headers, json } of items) {
        const text = JSON.stringify(json)
        assert.strictEqual(text.includes('"modules"'), headers["type"] === "event", text)
      }
    })
  )

  it.scopedLive("what a processor does to a breadcrumb of an event does not show on the next one", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        yield* Faultline.addBreadcrumb({ message: "one", data: { list: [{ a: 1 }] } })
        yield* Faultline.captureException(boom("1"))
        yield* Faultline.captureException(boom("2"))
      })
      const spoil = (event: Faultline.Event): Faultline.Event => {
        const breadcrumb = event.breadcrumbs?.values[0] ?? assert.fail("no breadcrumb")
        assert.deepStrictEqual(breadcrumb.data, { list: [{ a: 1 }] })
        const [first] = (breadcrumb.data as { list: Array<{ a: number }> }).list
        Object.assign(first as object, { a: 2 })
        breadcrumb.message = "spoilt"
        return event
      }
      const own = Faultline.Integration.make("spoils", () => Effect.succeed({ processEvent: spoil }))
      for (const events of [
        yield* eventsOf(program, { beforeSend: spoil }),
        yield* eventsOf(Effect.zipRight(Faultline.addEventProcessor(spoil), program)),
        yield* eventsOf(Effect.provide(program, own))
      ]) {
        assert.deepStrictEqual(
          events.map(({ breadcrumbs }) =>
            (breadcrumbs as { values: Array<Json> }).values.map(({ data, message }) => ({ data, message }))
          ),
          [1, 2].map(() => [{ data: { list: [{ a: 2 }] }, message: "spoilt" }])
        )
      }
    })
  )

  it.scopedLive("what a processor does to an event's copy of them stays there", () =>
    Effect.gen(function* () {
      yield* withArgv
      const { ingest } = yield* run(
        Effect.gen(function* () {
          yield* Faultline.addEventProcessor((event) => {
            event.modules = Object.assign(event.modules ?? {}, { poison: "1" })
            Object.assign(event.extra?.["sys.argv"] ?? [], { 0: "poison" })
            Object.assign(event.contexts?.["os"] ?? {}, { poison: true })
            return event
          }).pipe(Effect.zipRight(Faultline.captureException(boom())), Faultline.withIsolationScope())
          yield* flushed
          yield* Faultline.captureException(boom())
        })
      )
      const [poisoned, clean] = ingest.allEvents as [Json, Json]
      assert.deepInclude(poisoned["modules"], { poison: "1" })
      assert.notDeepInclude(clean["modules"], { poison: "1" })
      assert.deepStrictEqual(settle(clean), eventWith(ALL_INTEGRATIONS))
      assert.deepStrictEqual(process.argv.slice(1), ARGV)
    })
  )

  it.scopedLive("a runtime that the user has set is kept", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(
        Effect.zipRight(Faultline.setContext("runtime", { name: "mine" }), Faultline.captureException(boom()))
      )
      const contexts = (yield* ingest.event())["contexts"] as Json
      assert.deepStrictEqual(contexts["runtime"], { name: "mine" })
    })
  )
})

describe("dedupe", () => {
  const twice = Effect.suspend(() => {
    const error = Object.freeze(boom())
    return Effect.fail(error).pipe(
      Effect.withSpan("work"),
      Effect.tapErrorCause(Faultline.captureCause),
      Effect.catchAll(Faultline.captureException),
      Effect.zip(Faultline.captureException(error))
    )
  })

  it.scopedLive("sends one error once, and counts the others", () =>
    Effect.gen(function* () {
      const { exit, ingest } = yield* run(twice)
      const ids = Exit.getOrElse(exit, () => []).map((id) => Option.getOrThrow(id))
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(ids, [ingest.allEvents[0]?.["event_id"], ingest.allEvents[0]?.["event_id"]])
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor", 2)]])
    })
  )

  it.scopedLive("left out, sends it as often as it is reported", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(twice, without("dedupe"))
      assert.lengthOf(ingest.allEvents, 3)
      assert.deepStrictEqual(reportsAt(ingest), [])
    })
  )

  it.scopedLive("sends what is equal but not the same, and the same in another request", () =>
    Effect.gen(function* () {
      const shared = boom("shared")
      const { ingest } = yield* run(
        Effect.gen(function* () {
          yield* Faultline.captureException(boom())
          yield* Faultline.captureException(boom())
          const request = Effect.zipRight(Faultline.captureException(shared), Faultline.captureException(shared))
          yield* Faultline.withIsolationScope(request)
          yield* Faultline.withIsolationScope(request)
        })
      )
      assert.lengthOf(ingest.allEvents, 4)
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor", 2)]])
    })
  )
})

describe("atexit", () => {
  const three = Effect.forEach([1, 2, 3], (n) => Faultline.captureMessage(`m${n}`))

  it.scopedLive("sends what is pending before the hub closes", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(three, Faultline.Atexit.layer())
      assert.lengthOf(ingest.allEvents, 3)
    })
  )

  it.scopedLive("left out, or without time, it does not", () =>
    Effect.gen(function* () {
      const left = yield* run(three, without("atexit"))
      const hurried = yield* run(three, Faultline.Atexit.layer(), { shutdownTimeout: 0 })
      assert.deepStrictEqual([left.ingest.allEvents.length, hurried.ingest.allEvents.length], [0, 0])
    })
  )

  it.scopedLive("tells the server also what was lost during its own wait (T3)", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answer({ status: 500 })
      yield* Faultline.captureException(boom()).pipe(
        Effect.provide(Faultline.Atexit.layer().pipe(Layer.provideMerge(hubAt(ingest))))
      )
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("send_error")]])
    })
  )

  it.scopedLive("says how much it waits for, once that takes longer than a moment", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answerAll("never")
      const said: Array<readonly [number, number]> = []
      yield* three.pipe(
        Effect.provide(
          Faultline.Atexit.layer({ callback: (...words) => void said.push(words) }).pipe(
            Layer.provideMerge(hubAt(ingest, { shutdownTimeout: "200 millis" }))
          )
        )
      )
      assert.deepStrictEqual(said, [[3, 0.2]])
    })
  )
})

describe("excepthook", () => {
  const failing = Effect.zipRight(Faultline.setTag("a", 1), Effect.fail(boom()))

  it.scopedLive("sends what a program ends with", () =>
    Effect.gen(function* () {
      yield* withArgv
      const { exit, ingest } = yield* run(failing)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(ingest.allEvents.map(settle), [
        eventWith(ALL_INTEGRATIONS, {
          tags: { a: "1" },
          exception: {
            values: [
              exception("Error", "boom", {
                type: "excepthook",
                handled: false,
                data: { origin: "exit", cause: "fail" }
              })
            ]
          }
        })
      ])
    })
  )

  it.scopedLive("left out, sends nothing", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(failing, without("excepthook"))
      assert.lengthOf(ingest.envelopes, 0)
    })
  )

  it.scopedLive("sends no interruption, and nothing a second time", () =>
    Effect.gen(function* () {
      const interrupted = yield* run(Effect.failCause(Cause.interrupt(FiberId.none)))
      assert.lengthOf(interrupted.ingest.envelopes, 0)
      const reported = yield* run(Effect.tapErrorCause(failing, Faultline.captureCause))
      assert.lengthOf(reported.ingest.allEvents, 1)
    })
  )
})

describe("threading", () => {
  const crashing = Effect.gen(function* () {
    yield* Effect.fork(Effect.zipRight(Faultline.setTag("child", 1), Effect.fail(boom())))
    yield* Effect.yieldNow()
  }).pipe(Faultline.withScope({ tags: { parent: 1 } }))

  it.scopedLive("sends the failure of a fiber that nobody looks at", () =>
    Effect.gen(function* () {
      yield* withArgv
      const { exit, ingest } = yield* run(crashing)
      assert.deepStrictEqual(exit, Exit.void)
      const [event] = ingest.allEvents.map(settle) as [Json]
      const { effect, ...contexts } = event["contexts"] as Json
      assert.match(String((effect as Json)["fiber"]), /^#\d+$/)
      assert.deepStrictEqual(
        { ...event, contexts },
        eventWith(ALL_INTEGRATIONS, {
          tags: { parent: "1", child: "1" },
          exception: {
            values: [
              exception("Error", "boom", {
                type: "threading",
                handled: false,
                data: { thread_kind: "fiber", cause: "fail" }
              })
            ]
          }
        })
      )
      assert.lengthOf(ingest.allEvents, 1)
    })
  )

  it.scopedLive("left out, sends nothing", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(crashing, without("threading"))
      assert.lengthOf(ingest.envelopes, 0)
    })
  )

  it.scopedLive("sends nothing of a fiber that is joined", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(
        Effect.flatMap(Effect.fork(Effect.fail(boom())), (fiber) => Effect.ignore(Fiber.join(fiber)))
      )
      assert.lengthOf(ingest.envelopes, 0)
    })
  )
})

describe("an integration that fails", () => {
  it.scopedLive("at work is skipped", () =>
    Effect.gen(function* () {
      const broken = Faultline.Integration.make("broken", () =>
        Effect.succeed({
          processEvent: () => {
            throw new Error("no")
          },
          admit: () => {
            throw new Error("no")
          },
          settle: () => {
            throw new Error("no")
          },
          onExit: () => {
            throw new Error("no")
          }
        })
      )
      const { ingest } = yield* run(Effect.zipRight(Faultline.captureException(boom()), flushed), broken)
      assert.deepStrictEqual(ingest.allEvents.map(settle), [boomEvent({}, ["broken"])])
    })
  )

  it.scopedLive("to build fails its layer", () =>
    Effect.gen(function* () {
      const { exit, ingest } = yield* run(
        Faultline.captureException(boom()),
        Faultline.Integration.make("broken", () => Effect.fail("not here" as const))
      )
      assert.deepStrictEqual(exit, Exit.fail("not here"))
      assert.lengthOf(ingest.envelopes, 0)
    })
  )
})
