import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Faultline from "effect-faultline"
import type { Json } from "../support/ingest.js"
import { anEvent, boom, boomEvent, crumbsIn, eventOf, eventsOf, flushed, helloEvent, ingestOf } from "./kit.js"

const hello = Faultline.captureMessage("hello")

describe("the scopes of an event", () => {
  it.scopedLive("are laid over one another: global, isolation, withScope, capture context, event", () =>
    Effect.gen(function* () {
      /** Each layer sets `own` and all keys of the layers below it. */
      const layer = (own: string, ...below: ReadonlyArray<string>) => {
        const all = Object.fromEntries([own, ...below].map((name) => [name, own]))
        return {
          tags: all,
          extra: all,
          contexts: { [own]: { set: own }, shared: { by: own } },
          fingerprint: [own],
          attachments: [{ filename: own, data: own }]
        }
      }
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          yield* Faultline.configureScope({ ...layer("isolation", "block", "capture", "event"), transactionName: "i" })
          yield* Faultline.captureEvent(
            {
              message: "m",
              tags: { event: "event" },
              extra: { event: "event" },
              contexts: { event: { set: "event" } }
            },
            layer("capture", "event")
          ).pipe(Faultline.withScope({ ...layer("block", "capture", "event"), transactionName: "block" }))
        }),
        {
          initialScope: { ...layer("global", "isolation", "block", "capture", "event"), transactionName: "g" }
        }
      )
      const names = ["global", "isolation", "block", "capture", "event"]
      const each = Object.fromEntries(names.map((name) => [name, name]))
      const envelope = yield* ingest.envelope()
      const event = yield* ingest.event()
      assert.deepStrictEqual(event["tags"], each)
      assert.deepStrictEqual(event["extra"], each)
      const { app: _, culture: __, device: ___, os: ____, trace: _____, ...contexts } = event["contexts"] as Json
      assert.deepStrictEqual(contexts, {
        ...Object.fromEntries(names.map((name) => [name, { set: name }])),
        shared: { by: "capture" }
      })
      assert.deepStrictEqual(event["fingerprint"], ["capture"])
      assert.strictEqual(event["transaction"], "block")
      assert.deepStrictEqual(
        envelope.framed.items.slice(1).map(({ bytes, headers }) => [headers["filename"], bytes.toString()]),
        ["global", "isolation", "block", "capture"].map((name) => [name, name])
      )
    })
  )

  it.scopedLive("decide on its level, the innermost first, and over the event's own", () =>
    Effect.gen(function* () {
      const levels = (yield* eventsOf(
        Effect.gen(function* () {
          yield* hello
          yield* Faultline.setLevel("warning")
          yield* hello
          yield* hello.pipe(Faultline.withScope({ level: "debug" }))
          yield* Faultline.captureException(boom())
          yield* Faultline.captureEvent({ message: "m", level: "info" })
        }),
        { initialScope: { level: "error" } }
      )).map((event) => event["level"])
      assert.deepStrictEqual(levels, ["error", "warning", "debug", "warning", "warning"])
    })
  )

  it.scopedLive("give way to a level that was given for this one event (SCP-2)", () =>
    Effect.gen(function* () {
      const levels = (yield* eventsOf(
        Effect.gen(function* () {
          yield* Faultline.setLevel("warning")
          yield* Faultline.captureException(boom(), { level: "fatal" })
          yield* Faultline.captureMessage("m", { level: "fatal" })
          yield* Faultline.captureEvent({ message: "m" }, { level: "fatal" })
        })
      )).map((event) => event["level"])
      assert.deepStrictEqual(levels, ["fatal", "fatal", "fatal"])
    })
  )

  it.scopedLive("name one user: the innermost, whole; null is nobody", () =>
    Effect.gen(function* () {
      const users = (yield* eventsOf(
        Effect.gen(function* () {
          yield* hello
          yield* Faultline.setUser({ id: 2, email: "a@shop.example", ip_address: "10.0.0.1", plan: { name: "pro" } })
          yield* hello
          yield* hello.pipe(Faultline.withScope({ user: { id: "3" } }))
          yield* hello.pipe(Faultline.withScope({ user: null }))
          yield* Faultline.captureMessage("hello", { user: null })
          yield* Faultline.captureEvent({ message: "m", user: { id: "4" } }, { user: null })
          yield* Faultline.setUser(null)
          yield* hello
        }),
        { initialScope: { user: { id: "1" } } }
      )).map((event) => event["user"])
      assert.deepStrictEqual(users, [
        { id: "1" },
        { id: 2, email: "a@shop.example", ip_address: "10.0.0.1", plan: { name: "pro" } },
        { id: "3" },
        undefined,
        undefined,
        { id: "4" },
        undefined
      ])
    })
  )

  it.scopedLive("leave no trace of what was removed", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(
          Effect.gen(function* () {
            yield* Faultline.setTags({ a: undefined, b: null, c: 1 })
            yield* Faultline.setTag("c", undefined)
            yield* Faultline.setContext("d", null)
            yield* Faultline.setContext("e", { kept: true })
            yield* Faultline.setUser(null)
            yield* hello
          }),
          { initialScope: { tags: { a: 1, b: 2 }, contexts: { d: { gone: true } }, user: { id: "1" } } }
        ),
        helloEvent({ contexts: { e: { kept: true } } })
      )
    })
  )

  it.scopedLive("end with their effect; setters outlive the withScope they are in", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* Faultline.setTag("isolation", 1).pipe(
            Effect.zipRight(hello),
            Faultline.withScope({ tags: { block: 1 } })
          )
          yield* hello
          yield* Effect.gen(function* () {
            yield* Faultline.setTag("request", 1)
            yield* Faultline.addBreadcrumb({ message: "in the request" })
            yield* hello
          }).pipe(Faultline.withIsolationScope({ user: { id: "r" } }))
          yield* Effect.fail("no").pipe(Faultline.withScope({ tags: { failed: 1 } }), Effect.ignore)
          yield* Effect.interrupt.pipe(Faultline.withScope({ tags: { interrupted: 1 } }), Effect.exit)
          yield* hello
        })
      )
      assert.deepStrictEqual(events, [
        helloEvent({ tags: { isolation: "1", block: "1" } }),
        helloEvent({ tags: { isolation: "1" } }),
        helloEvent({
          tags: { isolation: "1", request: "1" },
          user: { id: "r" },
          breadcrumbs: { values: [{ timestamp: "<timestamp>", message: "in the request" }] }
        }),
        helloEvent({ tags: { isolation: "1" } })
      ])
    })
  )

  it.scopedLive("of concurrent fibers never mix", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.forEach(
          ["a", "b", "c"],
          (name) =>
            Effect.gen(function* () {
              yield* Faultline.setTag("name", name)
              yield* Faultline.setUser({ id: name })
              yield* Effect.yieldNow()
              yield* Faultline.addBreadcrumb({ message: name })
              yield* Effect.yieldNow()
              yield* Faultline.captureMessage("hello")
            }),
          { concurrency: "unbounded" }
        )
      )
      assert.deepStrictEqual(
        events.toSorted((a, b) => String((a["user"] as Json)["id"]).localeCompare(String((b["user"] as Json)["id"]))),
        ["a", "b", "c"].map((name) =>
          helloEvent({
            tags: { name },
            user: { id: name },
            breadcrumbs: { values: [{ timestamp: "<timestamp>", message: name }] }
          })
        )
      )
    })
  )

  it.scopedLive("can be cleared of all but their processors", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(
          Effect.gen(function* () {
            yield* Faultline.addEventProcessor((event) => ({ ...event, transaction: "kept" }))
            yield* Faultline.configureScope({
              tags: { a: 1 },
              user: { id: "1" },
              contexts: { c: { a: 1 } },
              extra: { e: 1 },
              level: "fatal",
              fingerprint: ["f"],
              transactionName: "t",
              attachments: [{ filename: "f", data: "x" }]
            })
            yield* Faultline.addBreadcrumb({ message: "gone" })
            yield* Faultline.clearScope
            yield* hello
          })
        ),
        helloEvent({ transaction: "kept" })
      )
    })
  )
})

describe("tags", () => {
  it.scopedLive("are sent as servers take them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* eventOf(
          Effect.gen(function* () {
            yield* Faultline.setTags({
              number: 1.5,
              flag: false,
              big: 12n,
              empty: "",
              blank: "  ",
              "two words/é": "a",
              lines: "a\r\nb",
              long: "x".repeat(201),
              ["k".repeat(201)]: "long key",
              half: "a\ud800b",
              session: "not a secret",
              object: { a: 1 } as unknown as string,
              symbol: Symbol("s") as unknown as string
            })
            yield* hello
          })
        ),
        helloEvent({
          tags: {
            number: "1.5",
            flag: "false",
            big: "12",
            "two-words-": "a",
            lines: "a b",
            long: "x".repeat(200),
            ["k".repeat(200)]: "long key",
            half: "a\ufffdb",
            session: "not a secret",
            object: '{"a":1}',
            symbol: "Symbol(s)"
          }
        })
      )
    })
  )
})

describe("what is set on purpose", () => {
  it.scopedLive("is sent as it is, however its names look (USR-2, PII-7)", () =>
    Effect.gen(function* () {
      const user = { id: "u1", session: "s-9", identity: { key: "k" } }
      const contexts = { session: { state: "open" }, order: { key: "A-7", token_count: 3 } }
      assert.deepStrictEqual(
        yield* eventOf(
          Effect.gen(function* () {
            yield* Faultline.setUser(user)
            for (const [name, context] of Object.entries(contexts)) yield* Faultline.setContext(name, context)
            yield* hello
          })
        ),
        helloEvent({ user, contexts })
      )
    })
  )

  it.scopedLive("is what it was then, whatever becomes of it", () =>
    Effect.gen(function* () {
      const user = { id: "u1", roles: ["a"] }
      const context = { list: [1] }
      const data = { list: [1] }
      const tags: Record<string, string> = { a: "1" }
      assert.deepStrictEqual(
        yield* eventOf(
          Effect.gen(function* () {
            yield* Faultline.setUser(user)
            yield* Faultline.setContext("c", context)
            yield* Faultline.setExtra("e", data)
            yield* Faultline.setTags(tags)
            yield* Faultline.addBreadcrumb({ message: "m", data })
            user.id = "u2"
            user.roles.push("b")
            context.list.push(2)
            data.list.push(2)
            tags["a"] = "2"
            yield* hello
          })
        ),
        helloEvent({
          user: { id: "u1", roles: ["a"] },
          contexts: { c: { list: [1] } },
          extra: { e: { list: [1] } },
          tags: { a: "1" },
          breadcrumbs: { values: [{ timestamp: "<timestamp>", message: "m", data: { list: [1] } }] }
        })
      )
    })
  )
})

describe("breadcrumbs", () => {
  it.scopedLive("are sent whole, in the order they were recorded", () =>
    Effect.gen(function* () {
      const now = Date.now() / 1000
      const event = yield* eventOf(
        Effect.gen(function* () {
          yield* Faultline.addBreadcrumb({
            timestamp: now + 5,
            type: "query",
            category: "db",
            message: "select 1",
            level: "debug",
            data: { rows: 1, empty: undefined, secret: "hush", at: new Date(0) }
          })
          yield* Faultline.addBreadcrumb({ timestamp: now - 5, category: "older" })
          yield* Faultline.addBreadcrumb({ message: "now", data: {} })
          yield* Faultline.captureException(boom())
        })
      )
      assert.deepStrictEqual(
        event,
        boomEvent({
          breadcrumbs: {
            values: [
              {
                timestamp: "<timestamp>",
                type: "query",
                category: "db",
                message: "select 1",
                level: "debug",
                data: { rows: 1, secret: "[Filtered]", at: "1970-01-01T00:00:00.000Z" }
              },
              { timestamp: "<timestamp>", category: "older" },
              { timestamp: "<timestamp>", message: "now" }
            ]
          }
        })
      )
    })
  )

  it.scopedLive("of an event of one's own come before those of the scope, within the limit of both together", () =>
    Effect.gen(function* () {
      const event = yield* eventOf(
        Effect.gen(function* () {
          for (const message of ["c", "d"]) yield* Faultline.addBreadcrumb({ message })
          yield* Faultline.captureEvent({ message: "m", breadcrumbs: { values: crumbs("a", "b") } })
        }),
        { maxBreadcrumbs: 3 }
      )
      assert.deepStrictEqual(
        crumbsIn(event).map(({ message }) => message),
        ["b", "c", "d"]
      )
    })
  )

  it.scopedLive("of an event of one's own may be a bare list, as @sentry/node has them", () =>
    Effect.gen(function* () {
      const breadcrumbs = crumbs("a") as unknown as NonNullable<Faultline.Event["breadcrumbs"]>
      const event = yield* eventOf(Faultline.captureEvent({ message: "m", breadcrumbs }))
      assert.deepStrictEqual(
        event,
        anEvent({ level: "info", message: "m", breadcrumbs: { values: [{ timestamp: "<timestamp>", message: "a" }] } })
      )
    })
  )

  it.scopedLive("recorded after an event are on the next one only", () =>
    Effect.gen(function* () {
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* hello
          yield* Faultline.addBreadcrumb({ message: "later" })
          yield* flushed
          yield* hello
        })
      )
      assert.deepStrictEqual(
        events.map((event) => crumbsIn(event).map(({ message }) => message)),
        [[], ["later"]]
      )
    })
  )
})

const crumbs = (...messages: ReadonlyArray<string>): Array<Faultline.Breadcrumb> =>
  messages.map((message) => ({ timestamp: Date.now() / 1000, message }))
