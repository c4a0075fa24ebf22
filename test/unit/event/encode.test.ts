import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { encodeEvent, MAX_EVENT_BYTES, normalizeEvent, reduceEvent } from "../../../src/event/encode.js"
import { setLazyField, stringifyEvent } from "../../../src/event/lazyJson.js"
import type { Event, StackFrame } from "../../../src/protocol/Event.js"
import { eventOf } from "../support/event.js"
import { anyRecipe, build, HIGH, hostileProxy, illFormed, leaves } from "../support/values.js"

const encoded = (event: Event): Event => JSON.parse(encodeEvent(event)) as Event

const framesOf = (length: number): Array<StackFrame> =>
  Array.from({ length }, (_, index) => ({
    filename: "a.ts",
    lineno: index + 1,
    pre_context: Array.from({ length: 5 }, () => "p".repeat(200)),
    context_line: "c".repeat(200),
    post_context: Array.from({ length: 5 }, () => "q".repeat(200))
  }))

const many = (length: number, value: unknown): Record<string, never> =>
  Object.fromEntries(Array.from({ length }, (_, index) => [`key-${index}`, value])) as Record<string, never>

describe("encodeEvent", () => {
  it("is the event's JSON where that is fine", () => {
    const event = eventOf({ message: "m", tags: { a: "b" }, exception: { values: [{ type: "E", value: "v" }] } })
    assert.strictEqual(encodeEvent(event), JSON.stringify(event))
  })

  it("what a callback put there and JSON cannot carry is made readable; all the rest is kept", () => {
    const cyclic: Record<string, unknown> = { a: 1 }
    cyclic["self"] = cyclic
    for (const value of [cyclic, 5n, hostileProxy(), { toJSON: () => 5n }]) {
      const event = encoded(
        eventOf({
          message: "m",
          extra: { value },
          tags: { a: "b" },
          exception: { values: [{ type: "E", value: "v" }] }
        })
      )
      assert.strictEqual(event.message, "m")
      assert.deepStrictEqual(event.tags, { a: "b" })
      assert.deepStrictEqual(event.exception?.values, [{ type: "E", value: "v" }])
      assert.isTrue(Object.hasOwn(event.extra ?? {}, "value"))
    }
  })

  it.prop(
    "never throws, whatever a callback puts where; what comes out is JSON that servers accept",
    [
      anyRecipe,
      fc.constantFrom(
        "extra",
        "contexts",
        "message",
        "tags",
        "user",
        "request",
        "breadcrumbs",
        "exception",
        "fingerprint",
        "x"
      )
    ],
    ([recipe, key]) => {
      const event = encoded(eventOf({ transaction: "t", [key]: build(recipe) }))
      assert.strictEqual(event.transaction, "t")
      assert.strictEqual(event.event_id, eventOf().event_id)
      assert.deepStrictEqual(illFormed(JSON.stringify(event)), [])
    },
    { fastCheck: { numRuns: 500 } }
  )

  for (const key of [
    "extra",
    "contexts",
    "message",
    "tags",
    "user",
    "request",
    "breadcrumbs",
    "exception",
    "modules",
    "sdk"
  ]) {
    it(`whatever a callback puts into ${key}`, () => {
      for (const [name, make] of Object.entries(leaves)) {
        let event: Event | undefined
        assert.doesNotThrow(
          () => (event = encoded(eventOf({ transaction: "t", [key]: make() }))),
          undefined,
          undefined,
          name
        )
        assert.strictEqual(event?.transaction, "t")
      }
    })
  }

  it("half a surrogate pair never leaves, wherever it stands", () => {
    const half = `a${HIGH}b`
    const events: ReadonlyArray<Partial<Event>> = [
      { message: half },
      { tags: { [half]: half } },
      { extra: { [half]: [half] } },
      { transaction: half },
      { exception: { values: [{ type: half, value: half }] } },
      { breadcrumbs: { values: [{ message: half }] } },
      { user: { id: half } },
      { extra: { a: 1n }, message: half, user: { id: half }, breadcrumbs: { values: [{ message: half }] } }
    ]
    for (const event of events) {
      const json = encodeEvent(eventOf(event))
      assert.deepStrictEqual(illFormed(json), [], json)
      assert.include(json, "\ufffd")
    }
  })

  it("a text that only looks like half a pair is left alone", () => {
    const message = "\\ud83d \\\\ud83d"
    assert.strictEqual(encoded(eventOf({ message })).message, message)
  })

  describe("what is too large", () => {
    const large: ReadonlyArray<readonly [what: string, fields: Partial<Event>]> = [
      ["one long text", { message: "x".repeat(3_000_000) }],
      ["one long text of many bytes", { message: "\u{1f600}".repeat(400_000) }],
      [
        "breadcrumbs",
        { breadcrumbs: { values: Array.from({ length: 100 }, () => ({ message: "x".repeat(20_000) })) } }
      ],
      [
        "many breadcrumbs",
        { breadcrumbs: { values: Array.from({ length: 10_000 }, () => ({ message: "x".repeat(200) })) } }
      ],
      ["extra", { extra: many(100, "x".repeat(20_000)) }],
      ["many extras", { extra: many(12_000, "x".repeat(100)) }],
      ["contexts", { contexts: { a: many(12_000, "x".repeat(100)) } }],
      ["modules", { modules: many(60_000, "1.2.3") }],
      ["tags", { tags: many(12_000, "x".repeat(100)) }],
      ["user", { user: many(12_000, "x".repeat(100)) }],
      [
        "frames",
        {
          exception: {
            values: Array.from({ length: 10 }, () => ({ type: "E", stacktrace: { frames: framesOf(100) } }))
          }
        }
      ],
      [
        "exceptions",
        {
          exception: {
            values: Array.from({ length: 32 }, () => ({
              type: "E",
              value: "x".repeat(8192),
              stacktrace: { frames: framesOf(200) }
            }))
          }
        }
      ],
      ["threads", { threads: { values: [{ id: 0, stacktrace: { frames: framesOf(1000) } }] } }],
      ["a tag with a long name", { tags: { ["k".repeat(2_000_000)]: "v" } }],
      ["what nobody knows", { nonsense: many(12_000, "x".repeat(100)) } as Partial<Event>]
    ]
    for (const [what, fields] of large) {
      it(`${what}: cut to what servers take, and still the same event`, () => {
        const exception = fields.exception ?? { values: [{ type: "Root", value: "why" }] }
        const json = encodeEvent(eventOf({ level: "fatal", release: "r", environment: "e", ...fields, exception }))
        assert.isAtMost(Buffer.byteLength(json), MAX_EVENT_BYTES)
        const event = JSON.parse(json) as Event
        assert.strictEqual(event.event_id, eventOf().event_id)
        assert.strictEqual(event.level, "fatal")
        assert.strictEqual(event.release, "r")
        assert.strictEqual(event.exception?.values.at(-1)?.type, exception.values.at(-1)?.type)
      })
    }

    it("and broken by a callback besides", () => {
      const broken: ReadonlyArray<unknown> = [
        {},
        { values: [null, "x", { type: "E" }] },
        { values: [{ stacktrace: {} }] },
        "x",
        null
      ]
      for (const exception of broken) {
        const json = encodeEvent(
          eventOf({
            level: "fatal",
            user: many(12_000, "x".repeat(100)),
            exception: exception as NonNullable<Event["exception"]>
          })
        )
        assert.isAtMost(Buffer.byteLength(json), MAX_EVENT_BYTES)
        assert.strictEqual((JSON.parse(json) as Event).level, "fatal")
      }
    })

    it("no more is cut than must be", () => {
      const event = encoded(
        eventOf({
          message: "x".repeat(2_000_000),
          extra: { a: "kept" },
          breadcrumbs: { values: [{ message: "kept" }] }
        })
      )
      assert.strictEqual(event.message?.length, 8192)
      assert.isTrue(event.message?.endsWith("..."))
      assert.deepStrictEqual(event.extra, { a: "kept" })
      assert.deepStrictEqual(event.breadcrumbs?.values, [{ message: "kept" }])
    })

    it("exactly as much as is allowed is not cut", () => {
      const room = MAX_EVENT_BYTES - encodeEvent(eventOf({ message: "" })).length
      assert.strictEqual(encoded(eventOf({ message: "x".repeat(room) })).message?.length, room)
      assert.strictEqual(encoded(eventOf({ message: "x".repeat(room + 1) })).message?.length, 8192)
    })
  })
})

describe("normalizeEvent", () => {
  it("masks what looks like a secret in extra, breadcrumbs and request, and nothing that was set on purpose or only looks like one", () => {
    const event = normalizeEvent(
      eventOf({
        extra: { password: "x", a: 1 },
        contexts: { state: { token: "x" } },
        breadcrumbs: { values: [{ message: "m", data: { token: "x" } }] },
        request: { headers: { authorization: "x", accept: "y" }, data: { a: { b: { c: { d: { secret: "x" } } } } } },
        tags: { "auth.method": "saml" },
        modules: { cookie: "0.6.0", jsonwebtoken: "9.0.0", "express-session": "1.0.0" },
        user: { id: 1, session: "s" }
      })
    )
    assert.deepStrictEqual(event.extra, { password: "[Filtered]", a: 1 })
    assert.deepStrictEqual(event.contexts, { state: { token: "x" } })
    assert.deepStrictEqual(event.breadcrumbs?.values, [{ message: "m", data: { token: "[Filtered]" } }])
    assert.deepStrictEqual(event.request, {
      headers: { authorization: "[Filtered]", accept: "y" },
      data: { a: { b: { c: { d: { secret: "[Filtered]" } } } } }
    })
    assert.deepStrictEqual(event.tags, { "auth.method": "saml" })
    assert.deepStrictEqual(event.user, { id: 1, session: "s" })
    assert.deepStrictEqual(event.modules, { cookie: "0.6.0", jsonwebtoken: "9.0.0", "express-session": "1.0.0" })
  })

  it("keeps every module, frame and breadcrumb", () => {
    const event = normalizeEvent(
      eventOf({
        modules: many(3000, "1.0.0"),
        exception: { values: [{ type: "E", stacktrace: { frames: framesOf(200) } }] },
        breadcrumbs: {
          values: Array.from({ length: 2000 }, () => ({ message: "m", data: { a: { b: { c: { d: 1 } } } } }))
        }
      })
    )
    assert.strictEqual(Object.keys(event.modules ?? {}).length, 3000)
    assert.deepStrictEqual(event.exception?.values[0]?.stacktrace?.frames, framesOf(200))
    assert.strictEqual(event.breadcrumbs?.values.length, 2000)
    assert.deepStrictEqual(event.breadcrumbs?.values[0]?.data, { a: { b: { c: { d: 1 } } } })
  })

  it("is a copy", () => {
    const event = eventOf({
      extra: { a: [1] },
      tags: { a: "b" },
      user: { id: 1 },
      breadcrumbs: { values: [{ message: "m" }] }
    })
    const copy = normalizeEvent(event)
    assert.deepStrictEqual(copy, event)
    for (const key of ["extra", "tags", "user", "breadcrumbs"] as const) assert.notStrictEqual(copy[key], event[key])
  })
})

describe("reduceEvent", () => {
  const full = eventOf({
    level: "fatal",
    release: "r",
    environment: "e",
    dist: "d",
    sdk: { name: "s", version: "1" },
    message: "SECRET",
    logentry: { message: "SECRET", params: ["SECRET"], formatted: "SECRET" },
    transaction: "SECRET",
    server_name: "SECRET",
    logger: "SECRET",
    fingerprint: ["SECRET"],
    tags: { a: "SECRET" },
    extra: { a: "SECRET" },
    user: { id: "SECRET" },
    contexts: { a: { b: "SECRET" }, trace: { data: "SECRET" } },
    request: { url: "SECRET" },
    breadcrumbs: { values: [{ message: "SECRET" }] },
    modules: { SECRET: "1" },
    threads: { values: [{ name: "SECRET" }] },
    exception: {
      values: [
        {
          type: "NotFound",
          value: "SECRET",
          module: "SECRET",
          mechanism: { type: "generic", handled: false, exception_id: 0, data: { a: "SECRET" } },
          stacktrace: {
            frames: [{ function: "f", filename: "a.ts", lineno: 1, raw_function: "f SECRET", vars: { a: "SECRET" } }]
          }
        }
      ]
    }
  })

  it("holds nothing that can hold user data, and says so", () => {
    const reduced = reduceEvent(full, "beforeSend", "threw TypeError")
    assert.notInclude(JSON.stringify(reduced), "SECRET")
    assert.deepStrictEqual(reduced, {
      event_id: full.event_id,
      timestamp: 1,
      platform: "node",
      level: "fatal",
      release: "r",
      environment: "e",
      dist: "d",
      sdk: { name: "s", version: "1" },
      exception: {
        values: [
          {
            type: "NotFound",
            mechanism: { type: "generic", handled: false, exception_id: 0 },
            stacktrace: { frames: [{ function: "f", filename: "a.ts", lineno: 1 }] }
          }
        ]
      },
      contexts: { faultline: { reduced: "beforeSend threw TypeError" } }
    })
    assert.strictEqual(full.exception?.values[0]?.value, "SECRET", "the event itself is not changed")
  })

  it("without an exception there is a message of ours", () => {
    const reduced = reduceEvent(eventOf({ message: "SECRET" }), "beforeSend", "threw Error")
    assert.strictEqual(reduced.message, "An event was reduced because beforeSend failed")
  })

  it("whatever the callback had done to the event before it threw", () => {
    const broken: ReadonlyArray<unknown> = [
      {},
      { values: undefined },
      { values: null },
      { values: "x" },
      { values: [null, undefined, "x", 5] },
      { values: [{ type: "E", stacktrace: {} }] },
      { values: [{ type: "E", stacktrace: { frames: [null] } }] },
      { values: [{ type: "E", stacktrace: { frames: "x" }, mechanism: "x" }] },
      "x",
      null,
      5
    ]
    for (const exception of broken) {
      const event = eventOf({ release: "r", exception: exception as NonNullable<Event["exception"]> })
      let reduced: Event | undefined
      assert.doesNotThrow(
        () => (reduced = reduceEvent(event, "beforeSend", "threw Error")),
        undefined,
        undefined,
        JSON.stringify(exception)
      )
      assert.strictEqual(reduced?.release, "r")
    }
  })
})

describe("a lazy field", () => {
  const MODULES = { effect: "3.22.4", "a-b": "1" }
  const lazy = (fields: Partial<Event> = {}): Event => {
    const event = eventOf(fields)
    setLazyField(event, "modules", JSON.stringify(MODULES))
    return event
  }

  it("is in the JSON, whether anyone looked at it or not", () => {
    for (const look of [false, true]) {
      const event = lazy({ message: "m" })
      if (look) assert.deepStrictEqual(event.modules, MODULES)
      assert.strictEqual(stringifyEvent(event).split('"modules"').length, 2, "once")
      assert.deepStrictEqual(JSON.parse(stringifyEvent(event)), { ...eventOf({ message: "m" }), modules: MODULES })
      assert.strictEqual(stringifyEvent(event), stringifyEvent(event))
      assert.deepStrictEqual(JSON.parse(JSON.stringify(event)), JSON.parse(stringifyEvent(event)))
    }
  })

  it("is the event's own: it can be changed, replaced and removed", () => {
    const changed = lazy()
    Object.assign(changed.modules as object, { more: "2" })
    assert.deepStrictEqual(encoded(changed).modules, { ...MODULES, more: "2" })
    assert.deepStrictEqual(lazy().modules, MODULES)
    const replaced = lazy()
    replaced.modules = { only: "1" }
    assert.deepStrictEqual(encoded(replaced).modules, { only: "1" })
    const removed = lazy()
    delete removed.modules
    assert.notProperty(encoded(removed), "modules")
    const unset = lazy()
    unset.modules = undefined
    assert.notProperty(encoded(unset), "modules")
  })

  it("is copied with the event", () => {
    for (const copy of [{ ...lazy() }, Object.assign({}, lazy()), structuredClone({ ...lazy() })]) {
      assert.deepStrictEqual(encoded(copy).modules, MODULES)
    }
    assert.include(Object.keys(lazy()), "modules")
  })

  it("twice on one event, and on several", () => {
    const event = lazy()
    setLazyField(event, "extra", '{"a":1}')
    assert.deepStrictEqual(JSON.parse(stringifyEvent(event)), { ...eventOf(), modules: MODULES, extra: { a: 1 } })
    setLazyField(event, "modules", '{"b":"2"}')
    assert.deepStrictEqual(JSON.parse(stringifyEvent(event)), { ...eventOf(), modules: { b: "2" }, extra: { a: 1 } })
  })

  it("is not lost where the event cannot be encoded at once", () => {
    for (const make of [leaves["bigint"], leaves["toJsonThrows"]]) {
      assert.deepStrictEqual(encoded(lazy({ extra: { value: make?.() } })).modules, MODULES)
    }
  })

  it("on an event that a callback has frozen or sealed", () => {
    assert.deepStrictEqual(encoded(Object.freeze(lazy())).modules, MODULES)
    assert.deepStrictEqual(encoded(Object.seal(lazy())).modules, MODULES)
    assert.deepStrictEqual(encoded(Object.preventExtensions(lazy())).modules, MODULES)
  })

  it("counts as the rest does where the event is too large", () => {
    const event = lazy({ message: "x".repeat(2_000_000) })
    assert.deepStrictEqual(encoded(event).modules, MODULES)
  })
})
