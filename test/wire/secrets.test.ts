/**
 * What must not get out, and what must not get in.
 */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import { Ingest } from "../support/ingest.js"
import { boom, discarded, flushed, hubAt, quiet, reportsAt, stderrLines } from "./kit.js"

const KEY = "c0ffee11c0ffee11c0ffee11c0ffee11"
const SECRET = "feedface22feedface22feedface2222"
const PASSWORD = "hunter2hunter2"

const assertHidden = (text: string, where: string): void => {
  for (const hidden of [KEY, SECRET, PASSWORD]) assert.notInclude(text, hidden, where)
}

/** Everything that can be seen of a value, also what is not meant to be. */
const shown = (value: unknown): string =>
  inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true, maxArrayLength: null })

describe("keys and passwords", () => {
  it.scopedLive("are in nothing that shows a hub, nor in what it says", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const lines = yield* stderrLines
      ingest.answerAll({ status: 500 })
      const dsn = ingest.dsnWith(`${KEY}:${SECRET}`, "/42")
      yield* Effect.gen(function* () {
        const hub = yield* Faultline.Hub
        yield* Faultline.captureException(boom())
        assertHidden(shown(hub), "the hub, with something in its queue")
        yield* ingest.receive(1)
        assertHidden(shown(hub), "the hub, with something on its way")
        yield* flushed
        assertHidden(shown(hub), "the hub")
        assertHidden(JSON.stringify(hub.options), "its options, as JSON")
        assertHidden(String(hub.options), "its options, as text")
      }).pipe(
        Effect.provide(
          Faultline.DefaultIntegrations.pipe(
            Layer.provideMerge(hubAt(ingest, { dsn: Redacted.make(dsn), debug: true, caCerts: [] }))
          )
        ),
        Effect.provide(quiet)
      )
      assert.isAbove(lines.length, 3)
      assertHidden(lines.join("\n"), "what it says")
    })
  )

  it.scopedLive("of a proxy are not either", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const lines = yield* stderrLines
      yield* Effect.gen(function* () {
        const hub = yield* Faultline.Hub
        yield* Faultline.captureException(boom())
        yield* flushed
        assertHidden(shown(hub), "the hub")
        assertHidden(JSON.stringify(hub.options), "its options")
      }).pipe(Effect.provide(hubAt(ingest, { proxy: `http://user:${PASSWORD}@127.0.0.1:1`, debug: true })))
      assertHidden(lines.join("\n"), "what it says")
    })
  )

  it.scopedLive("are not in what a transport sees of its target, but in the headers it sends", () =>
    Effect.gen(function* () {
      const targets: Array<Faultline.Target> = []
      const transport = Faultline.Transport.layer((_, target) =>
        Effect.sync(() => {
          targets.push(target)
          return { status: 200 }
        })
      )
      yield* Effect.zipRight(Faultline.captureException(boom()), flushed).pipe(
        Effect.provide(
          Faultline.Hub.layer({ dsn: `https://${KEY}:${SECRET}@host.invalid/1`, proxy: `http://u:${PASSWORD}@p` }).pipe(
            Layer.provide(transport)
          )
        )
      )
      const [target] = targets
      assertHidden(inspect(target, { depth: 9 }), "the target")
      assertHidden(JSON.stringify(target), "the target, as JSON")
      assert.include({ ...target?.headers }["x-sentry-auth"], KEY)
    })
  )

  it.scopedLive("are in no event, also where the program names them", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const dsn = ingest.dsnWith(`${KEY}:${SECRET}`, "/42")
      yield* Effect.gen(function* () {
        yield* Faultline.addBreadcrumb({ message: `connecting to ${dsn}`, data: { url: dsn } })
        yield* Faultline.captureException(new Error(`cannot connect to ${dsn}`), {
          extra: { dsn, target: { url: dsn } }
        })
        yield* Faultline.captureMessage(`it is ${dsn}`)
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest, { dsn })))
      assert.lengthOf(ingest.allEvents, 2)
      for (const event of ingest.allEvents) {
        // The public key is what the envelope itself names the project by.
        assert.notInclude(JSON.stringify(event), SECRET)
        assert.notInclude(JSON.stringify(event), KEY)
      }
    })
  )

  const pairs = [
    ["long", `${KEY}:${SECRET}`],
    ["short", "pubkey1:secret9"],
    ["short, without a secret", "pubkey1"],
    ["of one letter", "a:b"]
  ] as const
  it.scopedLive.each(pairs)("are in no part of an event, and in no line (%s)", ([, keys]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const lines = yield* stderrLines
      const dsn = ingest.dsnWith(keys, "/42")
      const host = new URL(dsn).host
      const nested = `see https://a.example/?next=${encodeURIComponent(dsn)} and ${keys}@${host}/42, ${JSON.stringify({ dsn })}`
      yield* Effect.gen(function* () {
        yield* Faultline.setTag("dsn", dsn)
        yield* Faultline.setTag("nested", nested)
        yield* Faultline.setExtra("e", { SENTRY_DSN: dsn, nested })
        yield* Faultline.setContext("c", { a: dsn, nested, [dsn]: "as a name" })
        yield* Faultline.setUser({ id: dsn })
        yield* Faultline.setTransactionName(dsn)
        yield* Faultline.addBreadcrumb({ message: nested, category: dsn })
        yield* Faultline.captureException(new Error(nested, { cause: dsn }), { fingerprint: [dsn, nested] })
        Facade.logger.info(`log ${nested}`, { dsn, nested })
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest, { dsn, debug: true, enableLogs: true, release: dsn })))
      const items = ingest.envelopes.flatMap(({ framed }) => framed.items.map(({ bytes }) => bytes.toString()))
      assert.lengthOf(items, 2)
      assert.isTrue(lines.some((line) => line.includes("log info: log see ")))
      const [key = "", secret = key] = keys.split(":")
      for (const text of [...items, ...lines]) {
        for (const at of ["@", "%40"]) {
          for (const before of [`//${key}`, `%2F${key}`, `//${keys}`, `:${secret}`, `%3A${secret}`, keys])
            assert.notInclude(text, `${before}${at}`)
        }
        if (key.length >= 16) assertHidden(text, "what leaves")
      }
      assert.deepInclude(ingest.allEvents[0], { platform: "node", level: "error" })
    })
  )

  it.scopedLive("are not in a hub as JSON, which can be written whatever is in it", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const circular: Record<string, unknown> = { count: 1n }
      circular["self"] = circular
      const options: Faultline.Options = {
        dsn: ingest.dsnWith(`${KEY}:${SECRET}`, "/42"),
        proxy: `http://user:${PASSWORD}@127.0.0.1:1`,
        initialScope: { extra: circular },
        release: "r"
      }
      const hub = yield* Effect.provide(Faultline.Hub, hubAt(ingest, options))
      const json = JSON.stringify({ hub })
      assertHidden(json, "the hub")
      const shownAs = (JSON.parse(json) as { hub: { options: { release: string } } }).hub
      assert.deepStrictEqual(Object.keys(shownAs).toSorted(), ["integrations", "isEnabled", "options"])
      assert.strictEqual(shownAs.options.release, "r")
    })
  )

  it("are in no error that says what is wrong with them", () => {
    for (const options of [
      { dsn: `https://${KEY}:${SECRET}@host/not-a-number` },
      { dsn: `ftp://${KEY}:${SECRET}@host/1` },
      { proxy: `socks5://user:${PASSWORD}@host` },
      { tunnel: `https://user:${PASSWORD}@host/` },
      { spotlight: `http://user:${PASSWORD}@host/` }
    ]) {
      const exit = Effect.runSyncExit(Effect.scoped(Layer.build(Faultline.Hub.layer(options))))
      assert.strictEqual(exit._tag, "Failure")
      assertHidden(`${String(exit)} ${shown(exit)} ${JSON.stringify(exit)}`, JSON.stringify(Object.keys(options)))
    }
  })
})

describe("the key", () => {
  const moved = [301, 302, 303, 307, 308]
  it.scopedLive.each(moved)("does not follow a redirect (%d) to another host", (status) =>
    Effect.gen(function* () {
      const [ingest, other] = [yield* Ingest.start(), yield* Ingest.start()]
      ingest.answer({ status, headers: { location: `${other.origin}/api/42/envelope/` } })
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("a")
        yield* flushed
        yield* flushed
      }).pipe(Effect.provide(hubAt(ingest)))
      assert.lengthOf([...other.envelopes, ...other.others], 0)
      assert.deepStrictEqual(reportsAt(ingest), [[discarded("send_error")]])
    })
  )
})

describe("what a program says of itself", () => {
  const hostile = 'x\r\nx-injected: 1\r\n\r\n{"type":"event"}\n{}\n\u0000\u2028'

  it.scopedLive("adds no header and no item, whatever is in it", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        yield* Faultline.setTag(hostile, hostile)
        yield* Faultline.setTransactionName(hostile)
        yield* Faultline.captureMessage(hostile, {
          attachments: [{ filename: hostile, contentType: hostile, data: hostile }]
        })
        yield* flushed
      }).pipe(
        Effect.provide(hubAt(ingest, { release: hostile, environment: hostile, dist: hostile, serverName: hostile }))
      )
      const [request] = ingest.envelopes
      assert.lengthOf(ingest.envelopes, 1)
      assert.deepStrictEqual(
        request?.framed.items.map(({ headers }) => headers["type"]),
        ["event", "attachment"]
      )
      assert.notProperty(request?.headers, "x-injected")
    })
  )

  it.scopedLive("is not taken into a URL by a DSN or a tunnel", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const dsn = ingest.dsnWith("public", "/a\r\nx-injected: 1/42")
      yield* Effect.zipRight(Faultline.captureMessage("a"), flushed).pipe(
        Effect.provide(hubAt(ingest, { dsn })),
        Effect.catchAll(() => Effect.void)
      )
      for (const { headers } of [...ingest.envelopes, ...ingest.others]) assert.notProperty(headers, "x-injected")
    })
  )
})

describe("an answer", () => {
  const tooMuch: ReadonlyArray<readonly [what: string, headers: Readonly<Record<string, string>>]> = [
    ["a header of a megabyte", { "x-sentry-rate-limits": "60:error:key,".repeat(80_000) }],
    ["limits for a thousand kinds that nobody knows", { "x-sentry-rate-limits": unknownLimits() }],
    ["a word of its own that goes on and on", { "x-sentry-error": "no ".repeat(5000) }]
  ]
  it.scopedLive.each(tooMuch)("with %s is read only so far", ([, headers]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const lines = yield* stderrLines
      ingest.answer({ status: 400, headers })
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("a")
        yield* flushed
        const { stats } = yield* Faultline.Hub
        assert.isAtMost((yield* stats).limited.length, 1)
      }).pipe(Effect.provide(hubAt(ingest, { debug: true })))
      for (const line of lines) assert.isBelow(line.length, 1000)
    })
  )
})

function unknownLimits(): string {
  return Array.from({ length: 1000 }, (_, n) => `60:kind${n}:k`).join(",")
}
