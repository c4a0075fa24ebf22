/**
 * Through a proxy: plain requests are passed on by it, secure ones go through a connection it makes and see nothing of it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Faultline from "effect-faultline"
import { Ingest, selfSigned } from "../support/ingest.js"
import { Proxy } from "../support/proxy.js"
import { boom, crumbsIn, discarded, flushed, hubAt, messagesAt, quiet, stderrLines, withEnvironment } from "./kit.js"

const NONE = Object.fromEntries(
  ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => [
    [name, undefined],
    [name.toUpperCase(), undefined]
  ])
)

const send = (ingest: Ingest, options: Faultline.Options = {}, messages: ReadonlyArray<string> = ["a", "b"]) =>
  Effect.gen(function* () {
    for (const message of messages) yield* Effect.zipRight(Faultline.captureMessage(message), flushed)
    const { stats } = yield* Faultline.Hub
    return yield* stats
  }).pipe(Effect.provide(hubAt(ingest, options)))

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`

describe("an http DSN", () => {
  it.scopedLive("goes through the proxy that the environment names, with its password and nothing lost", () =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start(), yield* Proxy.start()]
      yield* withEnvironment({ ...NONE, HTTP_PROXY: proxy.urlWith("user:pass%20word@") })
      yield* send(ingest)
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b"])
      assert.lengthOf(proxy.seen, 2)
      for (const { headers, method, target } of proxy.seen) {
        assert.strictEqual(method, "POST")
        assert.strictEqual(target, `${ingest.origin}/api/42/envelope/`)
        assert.strictEqual(headers["proxy-authorization"], basic("user:pass word"))
        assert.strictEqual(headers.host, ingest.host)
      }
    })
  )

  it.scopedLive("goes straight where no_proxy says so, and where the option says none", () =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start(), yield* Proxy.start()]
      yield* withEnvironment({ ...NONE, http_proxy: proxy.url, NO_PROXY: "example.com, 127.0.0.1" })
      yield* send(ingest, {}, ["a"])
      yield* withEnvironment({ ...NONE, http_proxy: proxy.url })
      yield* send(ingest, { proxy: "" }, ["b"])
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b"])
      assert.lengthOf(proxy.seen, 0)
    })
  )

  it.scopedLive("goes straight where the environment names what is no proxy, and says so", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const lines = yield* stderrLines
      yield* withEnvironment({ ...NONE, http_proxy: "socks5://user:hidden@127.0.0.1:1" })
      yield* send(ingest, { debug: true })
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b"])
      assert.match(lines.join("\n"), /proxy that is no http or https URL/)
      assert.notInclude(lines.join("\n"), "hidden")
    })
  )

  const refusals: ReadonlyArray<readonly [status: number, reason: string]> = [
    [407, "send_error"],
    [502, "send_error"]
  ]
  it.scopedLive.each(refusals)("and a proxy that answers %d: counted, and told to nobody", ([refuses, reason]) =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start(), yield* Proxy.start({ refuses })]
      const stats = yield* send(ingest, { proxy: proxy.url }, ["a"])
      assert.deepStrictEqual<unknown>(stats.discarded, [discarded(reason)])
      assert.lengthOf(ingest.envelopes, 0)
    })
  )
})

const certificate = selfSigned()

describe.skipIf(certificate === undefined)("an https DSN", () => {
  const secure = { caCerts: certificate?.cert }

  it.scopedLive("goes through a connection that the proxy makes, which sees neither key nor event", () =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start({ tls: certificate }), yield* Proxy.start()]
      yield* withEnvironment({ ...NONE, https_proxy: proxy.urlWith("user:password@") })
      yield* send(ingest, secure, ["a", "b", "c"])
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "c"])
      assert.deepStrictEqual(
        proxy.seen.map(({ method, target }) => [method, target]),
        [["CONNECT", ingest.host]]
      )
      const { connection: _, ...headers } = proxy.seen[0]?.headers ?? {}
      assert.deepStrictEqual(headers, { host: ingest.host, "proxy-authorization": basic("user:password") })
      for (const request of ingest.envelopes) assert.notProperty(request.headers, "proxy-authorization")
    })
  )

  it.scopedLive("goes through a proxy that is itself reached by https", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start({ tls: certificate })
      const proxy = yield* Proxy.start({ tls: certificate })
      yield* send(ingest, { ...secure, proxy: proxy.url })
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b"])
      assert.lengthOf(proxy.seen, 1)
    })
  )

  it.scopedLive("takes any 2xx of a proxy for a yes", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start({ tls: certificate })
      const proxy = yield* Proxy.start({ agrees: 202 })
      yield* send(ingest, { ...secure, proxy: proxy.url })
      assert.deepStrictEqual(messagesAt(ingest), ["a", "b"])
    })
  )

  it.scopedLive("finds an IPv6 address through it", ({ skip }) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start({ host: "::1", tls: certificate }).pipe(Effect.timeoutOption("1 second"))
      if (ingest._tag === "None") return skip()
      const proxy = yield* Proxy.start()
      yield* send(ingest.value, { ...secure, proxy: proxy.url }, ["a"])
      // The certificate is none for this address: the connection was made, and then refused.
      assert.deepStrictEqual(
        proxy.seen.map(({ target }) => target),
        [ingest.value.host]
      )
    })
  )

  it.scopedLive("and a proxy that refuses: nothing is sent to it, and it is a network error", () =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start({ tls: certificate }), yield* Proxy.start({ refuses: 407 })]
      const stats = yield* send(ingest, { ...secure, proxy: proxy.url }, ["a"])
      assert.deepStrictEqual<unknown>(stats.discarded, [discarded("network_error")])
      assert.deepStrictEqual(
        proxy.seen.map(({ method }) => method),
        ["CONNECT"]
      )
      assert.lengthOf(ingest.envelopes, 0)
    })
  )

  it.scopedLive("and a proxy that is silent: nobody waits longer than they want to", () =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start({ tls: certificate }), yield* Proxy.start({ refuses: "silently" })]
      const begun = Date.now()
      yield* Effect.gen(function* () {
        yield* Faultline.captureMessage("a")
        assert.isFalse(yield* Faultline.flush("50 millis"))
      }).pipe(Effect.provide(hubAt(ingest, { ...secure, proxy: proxy.url, shutdownTimeout: "50 millis" })))
      assert.isBelow(Date.now() - begun, 5000)
    })
  )
})

describe.skipIf(certificate === undefined)("what is asked of a proxy", () => {
  it.scopedLive("is no breadcrumb of the program's", () =>
    Effect.gen(function* () {
      const [ingest, proxy] = [yield* Ingest.start({ tls: certificate }), yield* Proxy.start()]
      yield* Effect.gen(function* () {
        for (let n = 0; n < 3; n++) yield* Effect.zipRight(Faultline.captureException(boom(`${n}`)), flushed)
      }).pipe(
        Effect.provide(
          Faultline.DefaultIntegrations.pipe(
            Layer.provideMerge(hubAt(ingest, { caCerts: certificate?.cert, proxy: proxy.url }))
          )
        ),
        Effect.provide(quiet)
      )
      assert.lengthOf(ingest.allEvents, 3)
      for (const event of ingest.allEvents) assert.lengthOf(crumbsIn(event), 0)
    })
  )
})
