import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { Ingest, type Json } from "../support/ingest.js"
import {
  anEvent,
  boom,
  boomEvent,
  discarded,
  eventOf,
  eventsOf,
  exception,
  flushed,
  helloEvent,
  hubAt,
  ingestOf,
  reportsAt,
  settle,
  withStack
} from "./kit.js"

const hello = Faultline.captureMessage("hello")

const cyclic = (): Json => {
  const value: Json = { name: "loop", list: [] }
  value["self"] = value
  ;(value["list"] as Array<unknown>).push(value)
  return value
}
const CYCLIC = { name: "loop", list: ["[Circular ~]"], self: "[Circular ~]" }

const throwing = (): never => {
  throw new Error("no")
}
/** Whatever is done with it, it throws. */
const hostile: any = new Proxy(() => {}, {
  get: throwing,
  set: throwing,
  has: throwing,
  ownKeys: throwing,
  getPrototypeOf: throwing,
  getOwnPropertyDescriptor: throwing,
  apply: throwing,
  construct: throwing
})
const unreadable: any = {
  get message() {
    return throwing()
  },
  get level() {
    return throwing()
  },
  get tags() {
    return throwing()
  },
  toString: throwing,
  toJSON: throwing,
  [Symbol.toPrimitive]: throwing
}

describe("an error that is hard to read is sent all the same", () => {
  class Picky extends Error {
    readonly detail = "kept"
    toJSON(): never {
      throw new Error("no JSON")
    }
  }
  class Closed extends Error {
    override get message(): string {
      throw new Error("no message")
    }
  }

  const cases: ReadonlyArray<readonly [what: string, error: unknown, value: Json, own?: Json]> = [
    ["frozen", Object.freeze(boom()), exception("Error", "boom")],
    [
      "cyclic",
      withStack(Object.assign(new Error("round"), { owner: cyclic() })),
      exception("Error", "round"),
      { contexts: { Error: { owner: CYCLIC } } }
    ],
    [
      "with a toJSON that throws",
      withStack(new Picky("picky")),
      exception("Picky", "picky"),
      { contexts: { Picky: { detail: "kept" } } }
    ],
    [
      "with lines like frames in its message",
      withStack(new Error("first\n    at evil (/etc/hosts:1:1)")),
      exception("Error", "first\n    at evil (/etc/hosts:1:1)")
    ]
  ]
  it.scopedLive.each(cases)("%s", ([, error, value, own]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(error)),
        anEvent({ exception: { values: [value] }, ...own })
      )
    })
  )

  const unknowable: ReadonlyArray<readonly [what: string, error: unknown]> = [
    ["with a message that throws", new Closed()],
    ["a proxy that throws", hostile],
    ["an object that throws", unreadable],
    ["a revoked proxy", revoked()],
    ["an object without a prototype", Object.create(null)],
    ["a function", throwing],
    ["with a stack that is no text", Object.assign(new Error("x"), { stack: 7 })],
    ["with a cause that throws", Object.defineProperty(new Error("x"), "cause", { get: throwing })]
  ]
  it.scopedLive.each(unknowable)("%s", ([, error]) =>
    Effect.gen(function* () {
      const event = yield* eventOf(Faultline.captureException(error))
      const { values } = event["exception"] as { values: Array<Json> }
      assert.lengthOf(values, 1)
      assert.isString(values[0]?.["type"])
      assert.isString(values[0]?.["value"])
    })
  )

  it.scopedLive("of 10 MB, with 10 MB more in every place that there is", () =>
    Effect.gen(function* () {
      const long = "ü".repeat(5 * 1024 * 1024)
      const error = withStack(Object.assign(new Error(long), { field: long }))
      const ingest = yield* ingestOf(
        Faultline.captureException(error, {
          extra: { long },
          contexts: { long: { long } },
          tags: { long },
          user: { id: long },
          fingerprint: [long],
          transactionName: long
        })
      )
      const { framed } = yield* ingest.envelope()
      assert.isAtMost(framed.items[0]?.bytes.byteLength ?? 0, 1024 * 1024)
      const { values } = (yield* ingest.event())["exception"] as { values: [Json] }
      const { value, ...rest } = values[0]
      assert.match(String(value), /^ü{1000,}\.\.\.$/)
      assert.deepStrictEqual({ value: "", ...rest }, exception("Error", ""))
    })
  )

  it.scopedLive("a message of 10 MB: the beginning of it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureMessage("x".repeat(10 * 1024 * 1024))),
        helloEvent({ message: `${"x".repeat(8189)}...` })
      )
    })
  )

  it.scopedLive("with more causes, errors and breadcrumbs than anyone reads", () =>
    Effect.gen(function* () {
      let error = boom("root")
      for (let depth = 0; depth < 1000; depth++) error = withStack(new Error(`level ${depth}`, { cause: error }))
      const group = withStack(
        new AggregateError(
          Array.from({ length: 1000 }, (_, n) => boom(`${n}`)),
          "all"
        )
      )
      const events = yield* eventsOf(
        Effect.zipRight(Faultline.captureException(error), Faultline.captureException(group))
      )
      assert.lengthOf(events, 2)
      for (const event of events) {
        const { values } = event["exception"] as { values: Array<Json> }
        assert.isAtMost(values.length, 50)
        assert.include(["level 999", "all"], values.at(-1)?.["value"])
      }
    })
  )
})

const APPLE = { kind: "apple" }

describe("data that is no JSON is made readable", () => {
  const values: ReadonlyArray<readonly [what: string, value: unknown, sent: unknown]> = [
    ["a cycle", cyclic(), CYCLIC],
    ["a BigInt", 12n, "[BigInt: 12]"],
    ["NaN", Number.NaN, "[NaN]"],
    ["a function", throwing, "[Function: throwing]"],
    ["a symbol", Symbol("s"), "[Symbol(s)]"],
    ["a Map", new Map([["a", 1]]), { a: 1 }],
    ["a Set", new Set([1, 2]), [1, 2]],
    ["a date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["a date that is none", new Date(Number.NaN), "[Invalid Date]"],
    ["bytes", new Uint8Array(3), "[Uint8Array: 3 bytes]"],
    ["half of a surrogate pair", "\udc00", "\ufffd"],
    ["a toJSON that throws", { toJSON: throwing }, "[Throws: no]"],
    [
      "a getter that throws",
      Object.defineProperty({}, "a", { enumerable: true, get: throwing }),
      { a: "[Throws: no]" }
    ],
    ["the same object twice, which is no cycle", [APPLE, APPLE], [APPLE, APPLE]]
  ]
  it.scopedLive.each(values)("%s", ([, value, sent]) =>
    Effect.gen(function* () {
      const event = yield* eventOf(
        Effect.gen(function* () {
          yield* Faultline.setExtra("here", value)
          yield* Faultline.setContext("here", { value })
          yield* Faultline.addBreadcrumb({ message: "m", data: { value } })
          yield* hello
        })
      )
      assert.deepStrictEqual(
        event,
        helloEvent({
          extra: { here: sent },
          contexts: { here: { value: sent } },
          breadcrumbs: { values: [{ timestamp: "<timestamp>", message: "m", data: { value: sent } }] }
        })
      )
    })
  )

  /** Puts things into the event that no JSON can hold. */
  const pollute = (event: Faultline.Event): Faultline.Event => {
    event.extra = { ...event.extra, big: 1n, loop: cyclic(), json: { toJSON: throwing } }
    return event
  }
  const polluted = { extra: { big: "[BigInt: 1]", loop: CYCLIC, json: "[Throws: no]" } }

  const ways: ReadonlyArray<
    readonly [
      who: string,
      run: (change: Faultline.EventProcessor, own: Effect.Effect<void>) => ReturnType<typeof eventOf>
    ]
  > = [
    ["an event processor", (change, own) => eventOf(Effect.all([Faultline.addEventProcessor(change), own, hello]))],
    ["beforeSend", (change, own) => eventOf(Effect.zipRight(own, hello), { beforeSend: change })],
    [
      "an integration",
      (change, own) =>
        Effect.gen(function* () {
          const ingest = yield* Ingest.start()
          const layer = Faultline.Integration.make("changing", () => Effect.succeed({ processEvent: change }))
          yield* Effect.all([own, hello, flushed]).pipe(Effect.provide(layer), Effect.provide(hubAt(ingest)))
          return { ...settle(yield* ingest.event()), sdk: anEvent({})["sdk"] }
        })
    ]
  ]
  it.scopedLive.each(ways)("that %s has put into the event", ([, run]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(pollute, Effect.void), helloEvent(polluted))
    })
  )

  it.scopedLive.each(ways)("that %s has put into the event, and what had been readable stays as it was", ([, run]) =>
    Effect.gen(function* () {
      const own = { contexts: { session: { state: "open" } }, tags: { session: "s1" } }
      assert.deepStrictEqual(yield* run(pollute, Faultline.configureScope(own)), helloEvent({ ...polluted, ...own }))
    })
  )

  const texts: ReadonlyArray<readonly [where: string, options: Faultline.Options, effect: Effect.Effect<unknown>]> = [
    ["what an error says", {}, Faultline.captureException(boom("\ud800"))],
    ["a message", {}, Faultline.captureMessage("\ud800")],
    ["a release", { release: "\ud800" }, hello],
    ["a fingerprint", {}, Faultline.captureMessage("m", { fingerprint: ["\ud800"] })],
    ["the name of a transaction", {}, Faultline.captureMessage("m", { transactionName: "\ud800" })],
    ["what a breadcrumb says", {}, Effect.zipRight(Faultline.addBreadcrumb({ message: "\ud800" }), hello)],
    ["the category of a breadcrumb", {}, Effect.zipRight(Faultline.addBreadcrumb({ category: "\ud800" }), hello)],
    ["a user", {}, Faultline.captureMessage("m", { user: { id: "\ud800" } })],
    ["a name", {}, Faultline.captureMessage("m", { extra: { "\ud800": 1 } })],
    ["what beforeSend returns", { beforeSend: (event) => ({ ...event, message: "\ud800" }) }, hello]
  ]
  it.scopedLive.each(texts)("half of a surrogate pair in %s (ENV-14)", ([, options, effect]) =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(effect, options)
      assert.include(JSON.stringify(ingest.allEvents), "\ufffd")
    })
  )
})

describe("an event processor", () => {
  const failures: ReadonlyArray<readonly [what: string, processor: () => unknown]> = [
    ["throws", throwing],
    ["returns nothing", () => undefined],
    ["returns a text", () => "event"],
    ["returns a list", () => []],
    ["returns a number", () => 0],
    ["returns a promise", () => Promise.resolve(null)],
    ["returns an object that is no event", () => ({})],
    ["is no function", "processor" as never]
  ]
  it.scopedLive.each(failures)("that %s is skipped", ([, processor]) =>
    Effect.gen(function* () {
      const event = yield* eventOf(
        Effect.gen(function* () {
          yield* Faultline.addEventProcessor((event) => ({ ...event, transaction: "before" }))
          yield* Faultline.addEventProcessor(processor as Faultline.EventProcessor)
          yield* Faultline.addEventProcessor((event) => ({ ...event, tags: { ...event.tags, after: "1" } }))
          yield* Faultline.captureException(boom())
        })
      )
      assert.deepStrictEqual(event, boomEvent({ transaction: "before", tags: { after: "1" } }))
    })
  )

  it.scopedLive("that returns null drops the event, and the others do not see it", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Faultline.addEventProcessor(() => null)
          yield* Faultline.addEventProcessor((event) => {
            seen.push(event)
            return event
          })
          yield* hello
        }),
        {
          beforeSend(event) {
            seen.push(event)
            return event
          }
        }
      )
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor")]])
      assert.lengthOf(ingest.allEvents, 0)
      assert.lengthOf(seen, 0)
    })
  )

  it.scopedLive("sees what the event was made of, and has the attachments in hand", () =>
    Effect.gen(function* () {
      const error = boom()
      const ingest = yield* ingestOf(
        Effect.zipRight(
          Faultline.addEventProcessor((event, hint) => {
            assert.strictEqual(hint.originalException, error)
            hint.attachments = [...hint.attachments, { filename: "added", data: "+" }]
            return event
          }),
          Faultline.captureException(error, { attachments: [{ filename: "given", data: "-" }] })
        )
      )
      const { framed } = yield* ingest.envelope()
      assert.deepStrictEqual(
        framed.items.map(({ headers }) => headers["filename"]),
        [undefined, "given", "added"]
      )
    })
  )

  it.scopedLive.each([[undefined], [null], ["attachments"], [7]])(
    "that leaves %j of the attachments costs no event",
    ([left]) =>
      Effect.gen(function* () {
        const event = yield* eventOf(
          Effect.zipRight(
            Faultline.addEventProcessor((event, hint) => {
              hint.attachments = left as never
              return event
            }),
            hello
          )
        )
        assert.deepStrictEqual(event, helloEvent())
      })
  )

  const breakages: ReadonlyArray<readonly [what: string, broken: unknown]> = [
    ["exception", null],
    ["exception", {}],
    ["exception", { values: null }],
    ["exception", { values: [null] }],
    ["breadcrumbs", null],
    ["contexts", null],
    ["contexts", { trace: null }],
    ["tags", "tags"]
  ]
  it.scopedLive.each(breakages)(
    "that breaks %s (%j) costs no event, also where beforeSend then throws",
    ([field, broken]) =>
      Effect.gen(function* () {
        const program = Effect.zipRight(
          Faultline.addEventProcessor((event) => ({ ...event, [field]: broken })),
          Faultline.captureException(boom())
        )
        assert.lengthOf((yield* ingestOf(program)).allEvents, 1)
        assert.lengthOf((yield* ingestOf(program, { beforeSend: throwing })).allEvents, 1)
      })
  )
})

describe("captureEvent of what is hardly an event sends something", () => {
  const events: ReadonlyArray<readonly [event: unknown]> = [
    [{}],
    [{ message: 7 }],
    [{ exception: {} }],
    [{ exception: null }],
    [{ exception: { values: [null] } }],
    [{ breadcrumbs: null }],
    [{ breadcrumbs: { values: null } }],
    [{ breadcrumbs: { values: {} } }],
    [{ contexts: null, tags: null, extra: null, user: null }],
    [{ contexts: { trace: null } }],
    [{ contexts: "contexts" }],
    [{ timestamp: null }],
    [{ event_id: 7 }],
    [{ fingerprint: "f" }],
    [{ exception: { values: 7 } }],
    [{ logentry: null }],
    [{ logentry: { message: 7 } }]
  ]
  it.scopedLive.each(events)("%j", ([event]) =>
    Effect.gen(function* () {
      for (const options of [{}, { maxValueLength: 100 }]) {
        const ingest = yield* ingestOf(Faultline.captureEvent(event as Faultline.Event), options)
        assert.lengthOf(ingest.allEvents, 1)
        assert.deepStrictEqual(reportsAt(ingest), [])
      }
    })
  )
})

describe("an error that escapes after it was reported as handled", () => {
  const broken: ReadonlyArray<readonly [exception: unknown]> = [
    [{}],
    [null],
    [7],
    [{ values: null }],
    [{ values: {} }],
    [{ values: [null, 7, {}, { mechanism: null }, { mechanism: 7 }] }]
  ]
  it.scopedLive.each(broken)("is one event, though beforeSend has left %j of it", ([exception]) =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          const error = boom()
          const id = yield* Faultline.captureException(error)
          const again = yield* Faultline.captureException(error, { mechanism: { type: "effect.http", handled: false } })
          assert.deepStrictEqual(again, id)
        }).pipe(Effect.provide(Faultline.Dedupe.layer())),
        { beforeSend: (event) => ({ ...event, exception: exception as never }) }
      )
      assert.lengthOf(ingest.allEvents, 1)
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("event_processor")]])
    })
  )
})

describe("no function fails or throws, whatever it is given", () => {
  const bad: ReadonlyArray<unknown> = [undefined, null, 7, "text", Symbol("s"), [], hostile, unreadable, cyclic()]

  /** Each with one argument of this kind in every place that is the user's. */
  const calls = (api: typeof Faultline | typeof Facade, value: any): Record<string, () => unknown> => ({
    captureException: () => api.captureException(value, value),
    captureExceptionContext: () => api.captureException(boom(), value),
    captureExceptionMechanism: () => api.captureException(boom(), { mechanism: value }),
    captureMessage: () => api.captureMessage(value, value),
    captureEvent: () => api.captureEvent(value, value),
    addBreadcrumb: () => api.addBreadcrumb(value, value),
    addBreadcrumbFields: () => api.addBreadcrumb({ message: value, data: value, timestamp: value, level: value }),
    setTag: () => api.setTag(value, value),
    setTags: () => api.setTags(value),
    setUser: () => api.setUser(value),
    setContext: () => api.setContext(value, value),
    setExtra: () => api.setExtra(value, value),
    setExtras: () => api.setExtras(value),
    setLevel: () => api.setLevel(value),
    setFingerprint: () => api.setFingerprint(value),
    setTransactionName: () => api.setTransactionName(value),
    addAttachment: () => api.addAttachment(value),
    addEventProcessor: () => api.addEventProcessor(value),
    configureScope: () => api.configureScope(value),
    configureScopeFields: () =>
      api.configureScope({
        tags: value,
        user: value,
        contexts: value,
        extra: value,
        fingerprint: value,
        attachments: value
      })
  })
  const names = Object.keys(calls(Faultline, undefined))

  /** The names of the values that the function could not take. */
  const failing = (fails: (value: unknown) => boolean): ReadonlyArray<string> =>
    bad.flatMap((value, index) => (fails(value) ? [NAMES[index] as string] : []))
  const NAMES = ["undefined", "null", "number", "text", "symbol", "list", "hostile proxy", "unreadable", "cyclic"]

  it.scopedLive.each(names)("%s", (name) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const failed: Array<string> = []
      yield* Effect.gen(function* () {
        for (const [index, value] of bad.entries()) {
          const effect = Effect.suspend(() => calls(Faultline, value)[name]?.() as Effect.Effect<unknown>)
          const exit = yield* Effect.exit(Faultline.withIsolationScope(Effect.zipRight(effect, hello)))
          if (exit._tag === "Failure") failed.push(NAMES[index] as string)
        }
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.deepStrictEqual(failed, [])
      assert.isAtLeast(ingest.allEvents.filter((event) => event["message"] === "hello").length, bad.length)
    })
  )

  it.live.each(names)("%s of the facade", (name) =>
    Effect.gen(function* () {
      Facade.init({ dsn: "http://public@127.0.0.1:9/42", defaultIntegrations: false })
      const failed = failing((value) => {
        try {
          Facade.withIsolationScope(() => calls(Facade, value)[name]?.())
          return false
        } catch {
          return true
        }
      })
      yield* Effect.promise(() => Facade.close(0))
      assert.deepStrictEqual(failed, [])
    })
  )
})

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable(new Error("gone"), {})
  revoke()
  return proxy
}
