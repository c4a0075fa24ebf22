/**
 * How integrations come together: which one of a name is active, in which order they have their say, what remains of them.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import { ALL_INTEGRATIONS, boom, crumbsIn, flushed, hubAt, messagesAt, quiet, stderrLines } from "./kit.js"

type Integrations = Layer.Layer<never, never, Faultline.Hub>

const all = Faultline.DefaultIntegrations
const hello = Faultline.captureMessage("hello")

const run = <A, E>(
  effect: Effect.Effect<A, E, Faultline.Hub>,
  integrations: Integrations = Layer.empty,
  options: Faultline.Options = {}
) =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    const layer = integrations.pipe(Layer.provideMerge(hubAt(ingest, options)), Layer.provideMerge(quiet))
    const exit = yield* Effect.tap(effect, flushed).pipe(Effect.provide(layer), Effect.exit)
    return { ingest, exit }
  })

/** Leaves a mark on every event. */
const marking = (name: string, mark: string, phase?: Faultline.Phase): Integrations =>
  Faultline.Integration.make(name, () =>
    Effect.succeed({
      phase,
      processEvent: (event) => ({ ...event, transaction: `${event.transaction ?? ""}${mark}` })
    })
  )

const marksAt = (ingest: Ingest): unknown => ingest.allEvents[0]?.["transaction"]

const namesOf = Effect.map(Faultline.Hub, (hub) => hub.integrations())

const listening = () =>
  ["exit", "beforeExit", "uncaughtExceptionMonitor", "SIGINT", "SIGTERM"].map((name) => process.listenerCount(name))

describe("of several integrations with one name", () => {
  const mine = marking("argv", "mine")
  const stacked = (upper: Integrations, lower: Integrations) => upper.pipe(Layer.provideMerge(lower))
  const ways: ReadonlyArray<readonly [how: string, integrations: Integrations]> = [
    ["above the defaults", stacked(mine, all)],
    ["below the defaults", stacked(all, mine)],
    ["beside the defaults", Layer.mergeAll(mine, all)],
    ["in their place", Faultline.defaultIntegrations({ argv: mine })],
    ["in their place, with something around it", Faultline.defaultIntegrations({ argv: Layer.suspend(() => mine) })]
  ]
  it.scopedLive.each(ways)("the user's takes the place of the default: %s", ([, integrations]) =>
    Effect.gen(function* () {
      const { exit, ingest } = yield* run(Effect.zipLeft(namesOf, hello), integrations)
      assert.deepStrictEqual(exit, Exit.succeed([...ALL_INTEGRATIONS]))
      assert.strictEqual(marksAt(ingest), "mine")
      assert.notProperty(ingest.allEvents[0], "extra")
    })
  )

  it.scopedLive("the last one counts, and those before it do nothing", () =>
    Effect.gen(function* () {
      const [a, b, c] = ["a", "b", "c"].map((mark) => marking("mine", mark)) as [
        Integrations,
        Integrations,
        Integrations
      ]
      const { exit, ingest } = yield* run(Effect.zipLeft(namesOf, hello), stacked(c, stacked(b, a)))
      assert.deepStrictEqual(exit, Exit.succeed(["mine"]))
      assert.strictEqual(marksAt(ingest), "c")
    })
  )

  it.scopedLive("no option of the default is left in the one that replaces it", () =>
    Effect.gen(function* () {
      const { ingest } = yield* run(
        Effect.zipRight(Effect.logInfo("line"), hello),
        Faultline.defaultIntegrations({ logging: Faultline.Logging.layer({ level: null }) })
      )
      assert.deepStrictEqual(ingest.allEvents[0]?.["breadcrumbs"], { values: [] })
    })
  )

  it.scopedLive("built twice, it is installed once", () =>
    Effect.gen(function* () {
      const before = listening()
      const once = yield* run(Effect.sync(listening), all)
      const layer = Faultline.Excepthook.layer()
      const twice = yield* run(
        Effect.zipLeft(Effect.sync(listening), hello),
        Layer.mergeAll(layer, layer, Faultline.Excepthook.layer(), Faultline.Atexit.layer(), all).pipe(
          Layer.provideMerge(Layer.mergeAll(Layer.fresh(all), Faultline.Atexit.layer(), Faultline.Excepthook.layer()))
        )
      )
      assert.deepStrictEqual(twice.exit, once.exit)
      assert.notDeepEqual(once.exit, Exit.succeed(before))
      assert.deepStrictEqual(messagesAt(twice.ingest), ["hello"])
      assert.deepStrictEqual(listening(), before)
    })
  )

  it.scopedLive("the name says so that cannot be one of the defaults", () =>
    Effect.sync(() => {
      for (const name of ["agrv", "Argv", "__proto__x", "constructor"]) {
        assert.throws(() => Faultline.defaultIntegrations({ [name]: false }), name)
      }
    })
  )
})

describe("the order", () => {
  const marks: ReadonlyArray<readonly [name: string, mark: string, phase?: Faultline.Phase]> = [
    ["a", "5", "last"],
    ["z", "2"],
    ["y", "1", "enrich"],
    ["c", "4", "filter"],
    ["b", "3", "filter"]
  ]
  for (const [how, order] of [
    ["as they come", marks],
    ["the other way round", marks.toReversed()]
  ] as const) {
    it.scopedLive(`is that of the phases, then of the names, and not that of registration: ${how}`, () =>
      Effect.gen(function* () {
        const integrations = order
          .map((mark) => marking(...mark))
          .reduce((below, above) => above.pipe(Layer.provideMerge(below)))
        const { ingest } = yield* run(hello, integrations)
        assert.strictEqual(marksAt(ingest), "12345")
      })
    )
  }

  it.scopedLive("integrations come before the processors of the scope, these before beforeSend", () =>
    Effect.gen(function* () {
      const mark = (event: Faultline.Event, mark: string) => ({
        ...event,
        transaction: `${event.transaction ?? ""}${mark}`
      })
      const { ingest } = yield* run(
        Effect.zipRight(
          Faultline.addEventProcessor((event) => mark(event, "2")),
          hello
        ),
        marking("mine", "1", "last"),
        { beforeSend: (event) => mark(event, "3") }
      )
      assert.strictEqual(marksAt(ingest), "123")
    })
  )
})

describe("an integration that cannot be set up", () => {
  const broken = (): never => {
    throw new Error("no")
  }

  it.scopedLive("is left out and says so, and a default leaves the rest working", () =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const on = process.on.bind(process)
      const spy = vi.spyOn(process, "on").mockImplementation((name, listener) => {
        if (name === "uncaughtExceptionMonitor") broken()
        return on(name as "exit", listener as () => void)
      })
      const { exit, ingest } = yield* Effect.ensuring(
        run(Effect.zipLeft(namesOf, Faultline.captureException(boom())), all),
        Effect.sync(() => spy.mockRestore())
      )
      assert.deepStrictEqual(exit, Exit.succeed(ALL_INTEGRATIONS.filter((name) => name !== "excepthook")))
      assert.deepStrictEqual(lines, [
        '[faultline] the integration "excepthook" could not be set up and is left out: Error: no'
      ])
      assert.property(ingest.allEvents[0], "modules")
      assert.deepStrictEqual(
        (ingest.allEvents.map((event) => event["sdk"]) as Array<Json>)[0]?.["integrations"],
        ALL_INTEGRATIONS.filter((name) => name !== "excepthook")
      )
    })
  )

  const setups: ReadonlyArray<readonly [how: string, setup: () => Effect.Effect<Faultline.Hooks, string>]> = [
    ["by failing", () => Effect.fail("no")],
    ["by dying", () => Effect.die("no")],
    ["by throwing", broken]
  ]
  it.scopedLive.each(setups)("fails its layer where the user has chosen it: %s", ([, setup]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const integration = Faultline.Integration.make("argv", setup)
      const overriding = Faultline.defaultIntegrations({ argv: integration })
      for (const integrations of [integration, overriding]) {
        const exit = yield* Effect.exit(Effect.provide(hello, Layer.provide(integrations, hubAt(ingest))))
        assert.isTrue(Exit.isFailure(exit))
      }
      assert.lengthOf(ingest.allEvents, 0)
    })
  )

  it.scopedLive("has what it had acquired released", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const integration = Faultline.Integration.make("mine", () =>
        Effect.acquireRelease(
          Effect.sync(() => said.push("acquired")),
          () => Effect.sync(() => said.push("released"))
        ).pipe(Effect.zipRight(Effect.fail("no")))
      )
      yield* Effect.exit(Effect.provide(Effect.void, Layer.provide(integration, Faultline.Hub.layer())))
      assert.deepStrictEqual(said, ["acquired", "released"])
    })
  )
})

describe("what remains in the fiber", () => {
  /** What the SDK changes of the fiber that builds it. */
  const refs = Effect.all({
    loggers: FiberRef.get(FiberRef.currentLoggers),
    supervisor: FiberRef.get(FiberRef.currentSupervisor)
  })

  type Refs = Effect.Effect.Success<typeof refs>

  const assertSame = (after: Refs, before: Refs): void => {
    assert.deepStrictEqual([...after.loggers], [...before.loggers])
    assert.deepStrictEqual(supervisorsIn(after.supervisor).length, supervisorsIn(before.supervisor).length)
  }

  /** Effect keeps several as pairs, in which `none` may remain. */
  const supervisorsIn = (supervisor: object): ReadonlyArray<object> => {
    if ("left" in supervisor && "right" in supervisor)
      return [supervisor.left, supervisor.right].flatMap((part) => supervisorsIn(part as object))
    return supervisor === Supervisor.none ? [] : [supervisor]
  }

  const open = (layer: Layer.Layer<never, unknown>) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(layer, scope)
      return (exit: Exit.Exit<unknown, unknown> = Exit.void) => Scope.close(scope, exit)
    })

  const everything = (overrides: Faultline.Overrides = {}, options: Faultline.Options = {}) =>
    Effect.map(Ingest.start(), (ingest) =>
      Faultline.defaultIntegrations(overrides).pipe(Layer.provide(hubAt(ingest, options)))
    )

  const settings: ReadonlyArray<readonly [what: string, overrides: Faultline.Overrides, options: Faultline.Options]> = [
    ["all on", {}, {}],
    ...ALL_INTEGRATIONS.map((name) => [`all but ${name}`, { [name]: false }, {}] as const),
    ["all off", {}, { defaultIntegrations: false }],
    [
      "all off, in both ways",
      Object.fromEntries(ALL_INTEGRATIONS.map((name) => [name, false])),
      { defaultIntegrations: false }
    ]
  ]
  it.scopedLive.each(settings)("after the layer was closed is nothing: %s", ([, overrides, options]) =>
    Effect.gen(function* () {
      const layer = yield* everything(overrides, options)
      const before = yield* refs
      const close = yield* open(layer)
      yield* close()
      assertSame(yield* refs, before)
    })
  )

  it.scopedLive("all off leaves loggers and process alone also while the hub is open", () =>
    Effect.gen(function* () {
      const off = yield* everything({}, { defaultIntegrations: false })
      const loggers = yield* FiberRef.get(FiberRef.currentLoggers)
      const before = [...listening(), Logger.tracerLogger["log"]]
      const close = yield* open(off)
      assert.strictEqual(yield* FiberRef.get(FiberRef.currentLoggers), loggers)
      assert.deepStrictEqual([...listening(), Logger.tracerLogger["log"]], before)
      yield* close()
    })
  )

  for (const order of [
    [0, 1],
    [1, 0]
  ] as const) {
    it.scopedLive(`of two hubs, closed in the order ${order.join(", ")}, is nothing`, () =>
      Effect.gen(function* () {
        const layers = [yield* everything(), yield* everything()] as const
        const before = yield* refs
        const closing = [yield* open(layers[0]), yield* open(layers[1])] as const
        for (const index of order) yield* closing[index]()
        assertSame(yield* refs, before)
      })
    )
  }

  it.scopedLive("of a layer that was merged with others is nothing", () =>
    Effect.gen(function* () {
      const layer = yield* everything()
      const merged = Layer.mergeAll(Layer.effectDiscard(Effect.yieldNow()), Layer.fresh(layer), Layer.fresh(layer))
      const before = yield* refs
      for (let round = 0; round < 3; round++) {
        const close = yield* open(merged)
        yield* close()
        assertSame(yield* refs, before)
        yield* Effect.provide(Effect.void, merged)
        assertSame(yield* refs, before)
      }
    })
  )

  it.scopedLive("of a program that has removed Effect's own loggers is nothing, and its lines were heard", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        const before = yield* refs
        const close = yield* open(all.pipe(Layer.provide(hubAt(ingest))))
        yield* Effect.logInfo("heard")
        yield* hello
        yield* flushed
        yield* close()
        assertSame(yield* refs, before)
      }).pipe(Effect.provide(Logger.remove(Logger.tracerLogger)), Effect.provide(quiet))
      const [crumb] = crumbsIn(yield* ingest.event())
      assert.strictEqual(crumb?.["message"], "heard")
    })
  )

  it.scopedLive("also where the program failed, or the layer was never finished", () =>
    Effect.gen(function* () {
      const layer = yield* everything()
      const before = yield* refs
      const listeners = listening()
      yield* Effect.flatMap(open(layer), (close) => close(Exit.failCause(Cause.die("no"))))
      yield* Effect.exit(Effect.provide(Effect.void, Layer.provideMerge(Layer.fail("no"), layer)))
      assertSame(yield* refs, before)
      assert.deepStrictEqual(listening(), listeners)
    })
  )
})

describe("closing", () => {
  it.scopedLive("twice, in whichever ways, does nothing the second time, and nothing is sent afterwards", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(all.pipe(Layer.provideMerge(hubAt(ingest))), scope)
      const within = Effect.provide(context)
      const hub = yield* within(Faultline.Hub)
      yield* hello
      assert.isTrue(yield* hub.close())
      assert.isTrue(yield* hub.close())
      assert.isTrue(yield* hub.flush("1 second"))
      yield* Scope.close(scope, Exit.void)
      yield* Scope.close(scope, Exit.fail(boom("after")))
      assert.isTrue(yield* hub.close())
      assert.isFalse(hub.isEnabled())
      assert.deepStrictEqual(hub.integrations(), [])
      assert.deepStrictEqual(yield* within(hello), Option.none())
      assert.deepStrictEqual(hub.unsafeCapture(boom("after")), Option.none())
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.deepStrictEqual(messagesAt(ingest), ["hello"])
      assert.lengthOf(ingest.envelopes, 1)
    })
  )
})

describe("options of the integrations", () => {
  type Factory = (options?: never) => unknown
  const factories: ReadonlyArray<
    readonly [
      name: string,
      make: Factory,
      slip: readonly [given: string, meant: string] | undefined,
      wrong: ReadonlyArray<object>
    ]
  > = [
    [
      "Argv",
      Faultline.Argv.layer,
      ["maxArgument", "maxArguments"],
      [{ maxArguments: -1 }, { maxArguments: null }, { maxArguments: "3" }]
    ],
    [
      "Atexit",
      Faultline.Atexit.layer,
      ["callbck", "callback"],
      [
        { callback: "print" },
        { callback: null },
        { signals: ["SIGKILL"] },
        { signals: "SIGINT" },
        { signals: [7] },
        { signals: null }
      ]
    ],
    ["Dedupe", Faultline.Dedupe.layer, undefined, []],
    [
      "Excepthook",
      Faultline.Excepthook.layer,
      ["always_run", "alwaysRun"],
      [{ alwaysRun: 1 }, { alwaysRun: 0 }, { alwaysRun: null }, { alwaysRun: "true" }, { alwaysRun: {} }]
    ],
    [
      "LocalVariables",
      Faultline.LocalVariables.layer,
      ["maxFrame", "maxFrames"],
      [{ maxFrames: 0 }, { maxPerSecond: "5" }, { maxPerSecond: null }]
    ],
    [
      "Logging",
      Faultline.Logging.layer,
      ["event_level", "eventLevel"],
      [
        { level: "Loud" },
        { eventLevel: 3 },
        { logsLevel: true },
        { ignoreLoggers: [1] },
        { ignoreLoggers: null },
        { ignoreLoggersInLogs: "a" },
        { console: null }
      ]
    ],
    ["Modules", Faultline.Modules.layer, undefined, []],
    ["Sessions", Faultline.Sessions.layer, ["mod", "mode"], [{ mode: "requests" }, { mode: null }]],
    [
      "Spool",
      (options) => Faultline.Spool.layer(options as never),
      ["maxByte", "maxBytes"],
      [
        { directory: "" },
        { directory: 3 },
        { durability: "never" },
        { maxBytes: -1 },
        { maxCount: "10" },
        { maxAge: "a week" },
        { maxAge: null }
      ]
    ],
    [
      "Stdlib",
      Faultline.Stdlib.layer,
      ["includeArgs", "includeArguments"],
      [{ includeArguments: "yes" }, { includeArguments: null }]
    ],
    [
      "Threading",
      Faultline.Threading.layer,
      ["propagate_scope", "propagateScope"],
      [{ propagateScope: 0 }, { propagateScope: null }, { propagateScope: "no" }]
    ]
  ]

  const refusal = (make: () => unknown): Faultline.OptionsError => {
    try {
      make()
    } catch (error) {
      assert.instanceOf(error, Faultline.OptionsError)
      return error
    }
    return assert.fail("it was accepted")
  }

  for (const [name, make, slip, wrong] of factories) {
    it(`${name}: what does not exist is refused by name, with the nearest that does`, () => {
      for (const given of [slip?.[0] ?? "max", "constructor", "zzzzzzzzzz"]) {
        const error = refusal(() => make({ [given]: true } as never))
        assert.strictEqual(error.option, given)
        assert.include(error.message, `"${given}" does not exist`)
        assert.strictEqual(error.nearest, given === slip?.[0] ? slip?.[1] : undefined)
      }
    })

    it(`${name}: what is of the wrong type is refused by name, and undefined is nothing`, () => {
      for (const given of wrong) {
        const [option] = Object.keys(given)
        const error = refusal(() => make(given as never))
        assert.strictEqual(error.option, option)
        assert.match(error.reason, /^must be /)
        if (name !== "Spool") assert.doesNotThrow(() => make({ [String(option)]: undefined } as never))
      }
      for (const given of [null, [], "text", 1])
        assert.strictEqual(refusal(() => make(given as never)).option, "options")
    })
  }

  it("the spool: without a folder it says so, by layer and by make", () => {
    for (const make of [() => Faultline.Spool.layer({} as never), () => Faultline.Spool.make({} as never)])
      assert.strictEqual(refusal(make).message, 'The option "directory" is missing.')
  })

  it("the console of Logging: what does not exist is named with where it is", () => {
    const error = refusal(() => Faultline.Logging.layer({ console: { eventLevl: null } } as never))
    assert.deepStrictEqual([error.option, error.nearest], ["console.eventLevl", "console.eventLevel"])
  })
})

describe("what takes the place of a default", () => {
  const refusal = (overrides: unknown): Faultline.OptionsError => {
    try {
      Faultline.defaultIntegrations(overrides as object)
    } catch (error) {
      assert.instanceOf(error, Faultline.OptionsError)
      return error
    }
    return assert.fail("it was accepted")
  }

  it("what is neither false nor a layer is refused under the name it was given for", () => {
    for (const given of [null, 0, true, "", {}, { propagateScope: false }, [], () => Faultline.Argv.layer()]) {
      const error = refusal({ argv: given })
      assert.deepStrictEqual([error.option, error.reason.startsWith("must be false or a layer")], ["argv", true])
    }
  })

  it("another default is refused: it would be there twice, and this one not at all", () => {
    assert.strictEqual(
      refusal({ argv: Faultline.Threading.layer() }).message,
      'The option "argv" is given the integration "threading".'
    )
  })

  it("a name that is slightly wrong names the one that was meant; what are no names is refused", () => {
    assert.deepStrictEqual(
      [refusal({ thread: false }), refusal({ at_exit: false }), refusal({ zzzzzzzz: false })].map(
        ({ option, nearest }) => [option, nearest]
      ),
      [
        ["thread", undefined],
        ["at_exit", "atexit"],
        ["zzzzzzzz", undefined]
      ]
    )
    for (const given of [null, "argv", [], 3]) assert.strictEqual(refusal(given).option, "integrations")
  })

  it.scopedLive("an integration of another name, a layer around one, or an empty one may", () =>
    Effect.gen(function* () {
      const own = Faultline.Integration.make("own argv", () => Effect.succeed({}))
      const names = (overrides: { readonly argv?: Layer.Layer<never, never, Faultline.Hub> }) =>
        Effect.map(Faultline.Hub, (hub) => hub.integrations()).pipe(
          Effect.provide(
            Layer.provideMerge(
              Faultline.defaultIntegrations(overrides),
              Faultline.Hub.layer({ dsn: "http://a@127.0.0.1:1/1" })
            )
          )
        )
      const all = yield* names({})
      assert.include(all, "argv")
      const others = all.filter((name) => name !== "argv")
      assert.sameMembers([...(yield* names({ argv: own }))], [...others, "own argv"])
      assert.sameMembers([...(yield* names({ argv: Layer.empty }))], others)
      assert.sameMembers([...(yield* names({ argv: Layer.merge(Faultline.Argv.layer(), Layer.empty) }))], [...all])
    })
  )
})
