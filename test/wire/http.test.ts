import * as http from "node:http"
import * as https from "node:https"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import * as undici from "undici"
import { Ingest, type Json, selfSigned } from "../support/ingest.js"
import { byPath, type Client, clients, crumb, dsc, getters, members, status, talking, viaNode } from "./httpKit.js"
import { boom, crumbsIn, flushed, hubAt, messagesAt, SDK, withEnvironment, withoutWarnings } from "./kit.js"

describe.each([...clients, ...getters])("a request of %s", (_, client) => {
  it.scopedLive("is one breadcrumb, with its query apart and without secrets", () =>
    Effect.gen(function* () {
      const { crumbs, server } = yield* talking((target) => client(`${target.origin}/a/b?page=2&token=s3cret`))
      assert.deepStrictEqual(crumbs, [
        crumb(`${server.origin}/a/b`, status(200), { "http.query": "page=2&token=[Filtered]" })
      ])
      assert.deepStrictEqual(
        server.others.map(({ path }) => path),
        ["/a/b?page=2&token=s3cret"]
      )
    })
  )

  it.scopedLive("has the level of its answer, or says what went wrong", () =>
    Effect.gen(function* () {
      const gone = yield* Ingest.start()
      yield* gone.stop
      const { crumbs, server } = yield* talking((target) =>
        Effect.forEach([`${target.origin}/404`, `${target.origin}/503`, `${gone.origin}/x`], (url) =>
          Effect.ignore(client(url))
        )
      )
      assert.deepStrictEqual(crumbs, [
        crumb(`${server.origin}/404`, status(404), {}, "warning"),
        crumb(`${server.origin}/503`, status(503), {}, "error"),
        crumb(`${gone.origin}/x`, { error: "ECONNREFUSED" }, {}, "error")
      ])
    })
  )

  it.scopedLive("carries the trace on", () =>
    Effect.gen(function* () {
      const { server, trace } = yield* talking((target) => client(`${target.origin}/a`))
      const [request] = server.others
      assert.match(String(request?.headers["sentry-trace"]), new RegExp(`^${String(trace["trace_id"])}-[0-9a-f]{16}$`))
      assert.deepStrictEqual(members(request?.headers["baggage"]), dsc(trace))
    })
  )

  it.scopedLive("keeps the baggage of others", () =>
    Effect.gen(function* () {
      const { server, trace } = yield* talking((target) =>
        client(`${target.origin}/a`, { baggage: "vendor=a%20b;p=1" })
      )
      assert.deepStrictEqual(members(server.others[0]?.headers["baggage"]), dsc(trace, "vendor=a%20b;p=1"))
    })
  )

  it.scopedLive("takes the place of what an older trace has left in the baggage", () =>
    Effect.gen(function* () {
      const { server, trace } = yield* talking((target) =>
        client(`${target.origin}/a`, { baggage: `vendor=1,sentry-trace_id=${"0".repeat(32)},sentry-release=old` })
      )
      assert.deepStrictEqual(members(server.others[0]?.headers["baggage"]), dsc(trace, "vendor=1"))
    })
  )

  it.scopedLive("is one breadcrumb also if its answer breaks off", () =>
    Effect.gen(function* () {
      const { crumbs, server } = yield* talking((target) => Effect.ignore(client(`${target.origin}/cutOff`)))
      assert.deepStrictEqual(crumbs, [crumb(`${server.origin}/cutOff`, status(200))])
    })
  )

  it.scopedLive("keeps a trace that it has been given", () =>
    Effect.gen(function* () {
      const theirs = {
        "sentry-trace": "771a43a4192642f0b136d5159a501700-7c51afd529da4a2a-1",
        baggage: "sentry-release=x"
      }
      const { server } = yield* talking((target) => client(`${target.origin}/a`, theirs))
      const { "sentry-trace": trace, baggage } = server.others[0]?.headers ?? {}
      assert.deepStrictEqual({ "sentry-trace": trace, baggage }, theirs)
    })
  )

  const targets: ReadonlyArray<readonly [targets: Faultline.Options["tracePropagationTargets"], carried: boolean]> = [
    [[], false],
    [["elsewhere.example"], false],
    [["127.0.0.1"], true],
    [[/\/API$/gi], true],
    [[/^https:/], false]
  ]
  it.scopedLive.each(targets)("carries it to %o only: %s", ([tracePropagationTargets, carried]) =>
    Effect.gen(function* () {
      const twice = (target: Ingest) => Effect.all([client(`${target.origin}/api`), client(`${target.origin}/api`)])
      const { crumbs, server } = yield* talking(twice, { tracePropagationTargets })
      for (const { headers } of server.others) {
        assert.strictEqual(headers["sentry-trace"] !== undefined, carried)
        assert.strictEqual(headers["baggage"] !== undefined, carried)
      }
      assert.lengthOf(server.others, 2)
      assert.lengthOf(crumbs, 2)
    })
  )

  it.scopedLive("belongs to the fiber that made it", () =>
    Effect.gen(function* () {
      const target = yield* Ingest.start({ others: byPath })
      const ingest = yield* Ingest.start()
      yield* Effect.forEach(
        Array.from({ length: 6 }, (_, n) => `${n}`),
        (n) =>
          Effect.gen(function* () {
            yield* client(`${target.origin}/x/${n}`)
            yield* client(`${target.origin}/y/${n}`)
            yield* Faultline.captureMessage(n)
          }).pipe(Faultline.withIsolationScope()),
        { concurrency: 3 }
      ).pipe(Effect.zipRight(flushed), Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest)))))
      for (const event of ingest.allEvents) {
        assert.deepStrictEqual(
          crumbsIn(event).map(({ data }) => (data as Json)["url"]),
          [`${target.origin}/x/${String(event["message"])}`, `${target.origin}/y/${String(event["message"])}`]
        )
      }
      assert.lengthOf(ingest.allEvents, 6)
    })
  )

  it.scopedLive("leaves alone what the program gets", () =>
    Effect.gen(function* () {
      const target = yield* Ingest.start({ others: byPath })
      const results = Effect.map(
        Effect.all([client(`${target.origin}/a`), Effect.exit(client(`${target.origin}/reset`))]),
        // The tracing headers of the platform's own client are new each time.
        (both) => JSON.stringify(both).replace(/"headers":\{[^}]*\}|"stack":"[^"]*"/g, "")
      )
      const bare = yield* results
      let watched = ""
      yield* talking(() => Effect.map(results, (result) => (watched = result)))
      assert.strictEqual(watched, bare)
    })
  )
})

describe.each(clients)("a request of %s", (_, client) => {
  it.scopedLive("says how it was made", () =>
    Effect.gen(function* () {
      const { crumbs, server } = yield* talking((target) => client(`${target.origin}/a`, {}, "POST"))
      assert.deepStrictEqual(crumbs, [crumb(`${server.origin}/a`, status(200), { "http.method": "POST" })])
      assert.deepStrictEqual(
        server.others.map(({ body }) => body.toString()),
        ["body"]
      )
    })
  )
})

const redirect = undici.interceptors.redirect({ maxRedirections: 3 })

const following: ReadonlyArray<readonly [name: string, get: (url: string) => Promise<unknown>]> = [
  ["fetch", async (url) => (await fetch(url)).text()],
  ["undici.fetch", async (url) => (await undici.fetch(url)).text()],
  [
    "undici.request that follows redirects",
    async (url) => {
      const dispatcher = new undici.Agent().compose(redirect)
      const text = await (await undici.request(url, { dispatcher })).body.text()
      await dispatcher.close()
      return text
    }
  ]
]

describe.each(following)("a request of %s", (_, get) => {
  it.scopedLive("is one breadcrumb for each hop of it", () =>
    Effect.gen(function* () {
      const { crumbs, server } = yield* talking((target) => Effect.promise(() => get(`${target.origin}/to/404`)))
      assert.deepStrictEqual(crumbs, [
        crumb(`${server.origin}/to/404`, status(302)),
        crumb(`${server.origin}/404`, status(404), {}, "warning")
      ])
      assert.lengthOf(server.others, 2)
      for (const { headers } of server.others)
        assert.match(headers["sentry-trace"] ?? "none", /^[0-9a-f]{32}-[0-9a-f]{16}$/)
    })
  )
})

describe("a request that is given up", () => {
  /** Makes a request, and returns what rejects once `signal` is given. */
  const ways: ReadonlyArray<
    readonly [what: string, error: string, request: (url: string, signal: AbortSignal) => Promise<unknown>]
  > = [
    ["fetch", "AbortError", (url, signal) => fetch(url, { signal })],
    [
      "http.get",
      "ABORT_ERR",
      (url, signal) => new Promise((_, reject) => http.get(url, { signal }).on("error", reject))
    ],
    ["undici.request", "AbortError", (url, signal) => undici.request(url, { signal })],
    ["undici.request", "UND_ERR_HEADERS_TIMEOUT", (url) => undici.request(url, { headersTimeout: 1 })],
    ["fetch", "TimeoutError", (url) => fetch(url, { signal: AbortSignal.timeout(100) })],
    [
      "http.get with a timeout",
      "ECONNRESET",
      (url) =>
        new Promise((_, reject) => {
          const request = http.get(url, { timeout: 100 }).on("error", reject)
          request.on("timeout", () => request.destroy())
        })
    ],
    [
      "request.destroy",
      "ECONNRESET",
      (url, signal) =>
        new Promise((_, reject) => {
          const request = http.get(url).on("error", reject)
          signal.addEventListener("abort", () => request.destroy())
        })
    ]
  ]
  it.scopedLive.each(ways)("(%s) is a breadcrumb that says %s", ([, error, request]) =>
    Effect.gen(function* () {
      const silent = Ingest.start({ others: () => "never" })
      const { crumbs, server } = yield* talking(
        (target) =>
          Effect.gen(function* () {
            const controller = new AbortController()
            const made = Effect.tryPromise(() => request(`${target.origin}/a`, controller.signal))
            const given = Effect.map(target.receiveOthers(1), () => controller.abort())
            yield* Effect.all([Effect.ignore(made), given], { concurrency: 2 })
          }),
        {},
        silent
      )
      assert.deepStrictEqual(crumbs, [crumb(`${server.origin}/a`, { error }, {}, "error")])
    })
  )
})

describe("a request in a trace that began elsewhere", () => {
  const traceId = "771a43a4192642f0b136d5159a501700"
  const request = <A>(wrap: (effect: Effect.Effect<unknown, unknown>) => Effect.Effect<A, unknown>) =>
    Effect.gen(function* () {
      yield* withEnvironment({
        SENTRY_TRACE: `${traceId}-7c51afd529da4a2a-1`,
        SENTRY_BAGGAGE: `other=1,sentry-trace_id=${traceId},sentry-release=their%20app`
      })
      const [target, ingest] = yield* Effect.all([Ingest.start(), Ingest.start()])
      const [, client] = clients[0] as (typeof clients)[number]
      yield* wrap(client(`${target.origin}/a`)).pipe(
        Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest))))
      )
      const { "sentry-trace": trace = "", baggage = "" } = target.others[0]?.headers ?? {}
      return { trace, baggage }
    })

  it.scopedLive("carries it on as it came", () =>
    Effect.gen(function* () {
      const { baggage, trace } = yield* request((effect) => effect)
      assert.match(trace, new RegExp(`^${traceId}-[0-9a-f]{16}-1$`))
      assert.notInclude(trace, "7c51afd529da4a2a")
      assert.strictEqual(baggage, `sentry-trace_id=${traceId},sentry-release=their%20app`)
    })
  )

  it.scopedLive("but is made in a span of another one says nothing of the first", () =>
    Effect.gen(function* () {
      const { baggage, trace } = yield* request(Effect.withSpan("job", { root: true }))
      assert.match(trace, /^[0-9a-f]{32}-[0-9a-f]{16}$/)
      assert.notInclude(trace, traceId)
      assert.notInclude(baggage, traceId)
    })
  )
})

describe("a request that is made by what is no Effect", () => {
  const makers: ReadonlyArray<readonly [name: string, make: (url: string) => Promise<unknown>]> = [
    ["fetch", async (url) => (await fetch(url)).text()],
    ["http.request", (url) => new Promise((resolve) => http.request(url, (answer) => resolve(answer.resume())).end())]
  ]
  it.scopedLive.each(makers)(
    "(%s) after it has waited for something, is one of the fiber that waits for it",
    ([, make]) =>
      Effect.gen(function* () {
        const { crumbs, server } = yield* talking((target) =>
          Effect.promise(async () => {
            await new Promise((resolve) => setImmediate(resolve))
            await make(`${target.origin}/a`)
          })
        )
        assert.deepStrictEqual(crumbs, [crumb(`${server.origin}/a`, status(200))])
      })
  )
})

describe("over https", () => {
  const certificate = selfSigned()
  const secure: ReadonlyArray<readonly [name: string, client: Client]> = [
    ["https.request", viaNode((url, options) => https.request(url, options))],
    ["https.get", viaNode((url, options) => https.get(url, options))],
    ...clients.slice(1)
  ]
  describe.skipIf(certificate === undefined).each(secure)("a request of %s", (_, client) => {
    it.scopedLive("is one breadcrumb and carries the trace on", () =>
      Effect.gen(function* () {
        yield* withoutWarnings
        yield* withEnvironment({ NODE_TLS_REJECT_UNAUTHORIZED: "0" })
        const target = Ingest.start({ others: byPath, tls: certificate })
        const { crumbs, server, trace } = yield* talking((target) => client(`${target.origin}/a?b=1`), {}, target)
        assert.match(server.origin, /^https:/)
        assert.deepStrictEqual(crumbs, [crumb(`${server.origin}/a`, status(200), { "http.query": "b=1" })])
        const [request] = server.others
        assert.match(
          String(request?.headers["sentry-trace"]),
          new RegExp(`^${String(trace["trace_id"])}-[0-9a-f]{16}$`)
        )
      })
    )

    it.scopedLive("is one breadcrumb also where nobody trusts the certificate", () =>
      Effect.gen(function* () {
        const target = Ingest.start({ others: byPath, tls: certificate })
        const { crumbs, server } = yield* talking((target) => Effect.ignore(client(`${target.origin}/a`)), {}, target)
        const error = "DEPTH_ZERO_SELF_SIGNED_CERT"
        assert.deepStrictEqual(crumbs, [crumb(`${server.origin}/a`, { error }, {}, "error")])
        assert.lengthOf(server.others, 0)
      })
    )
  })
})

describe("node:http", () => {
  it.scopedLive("is as it was before, once nobody watches any more", () =>
    Effect.gen(function* () {
      const functions = () =>
        [http.Agent, https.Agent].map(
          ({ prototype }) => (prototype as unknown as Record<string, unknown>)["addRequest"]
        )
      const before = functions()
      yield* talking(() =>
        Effect.sync(() => {
          for (const [index, watched] of functions().entries()) assert.notStrictEqual(watched, before[index])
          assert.throws(() => http.request("nowhere"), /Invalid URL/)
        })
      )
      assert.deepStrictEqual(functions(), before)
    })
  )

  it.scopedLive("takes all the arguments that it takes", () =>
    Effect.gen(function* () {
      const ends = (make: (done: (response: http.IncomingMessage) => void) => http.ClientRequest) =>
        Effect.async<void>((resume) => {
          make((response) => void response.resume().on("end", () => resume(Effect.void))).end()
        })
      const { crumbs, server } = yield* talking((target) => {
        const [hostname, port] = target.host.split(":")
        return Effect.all([
          ends((done) => http.request(`${target.origin}/p1`, done)),
          ends((done) => http.request(new URL(`${target.origin}/p2`), done)),
          ends((done) => http.request(`${target.origin}/p3`, { headers: { a: "b" } }, done)),
          ends((done) => http.request({ hostname, port, path: "/p4", auth: "user:hunter2" }, done)),
          ends((done) => http.request({ host: hostname, port: Number(port), path: "/p5", agent: false }, done))
        ])
      })
      assert.deepStrictEqual(
        crumbs.map(({ data }) => (data as Json)["url"]),
        [1, 2, 3, 4, 5].map((n) => `${server.origin}/p${n}`)
      )
      assert.lengthOf(
        server.others.filter(({ headers }) => headers["sentry-trace"] === undefined),
        0
      )
    })
  )
})

describe("the SDK's own requests (T8)", () => {
  /** Everything about an upload that would tell if it had been watched. */
  const isUnwatched = (ingest: Ingest): void => {
    for (const { headers } of ingest.envelopes) {
      for (const name of ["sentry-trace", "baggage", "traceparent", "b3"]) assert.isUndefined(headers[name], name)
      assert.strictEqual(headers["user-agent"], `${SDK.name}/${SDK.version}`)
    }
    for (const event of ingest.allEvents) assert.deepStrictEqual(crumbsIn(event), [])
  }
  const stdlib = Faultline.Stdlib.layer()
  const large = { extra: { text: "x".repeat(40_000) } }

  it.scopedLive("are none that it sees, of whatever size, also when they fail and are repeated", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      ingest.answer({}, "reset", {}, { status: 500 }, "hangUp", {})
      yield* Effect.gen(function* () {
        for (let n = 0; n < 8; n++) {
          yield* Faultline.captureException(boom(), n % 2 === 0 ? large : {})
          yield* flushed
        }
      }).pipe(Effect.withSpan("job"), Effect.provide(stdlib.pipe(Layer.provideMerge(hubAt(ingest)))))
      assert.isAtLeast(ingest.allEvents.length, 8)
      isUnwatched(ingest)
    })
  )

  it.scopedLive("are told from the program's by what they are, not by where they go", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* Effect.gen(function* () {
        yield* Faultline.captureException(boom())
        yield* flushed
        for (const [, client] of clients) yield* client(`${ingest.origin}/program`)
        yield* Faultline.captureMessage("after")
        yield* flushed
      }).pipe(Effect.provide(stdlib.pipe(Layer.provideMerge(hubAt(ingest)))))
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => crumbsIn(event).map(({ data }) => (data as Json)["url"])),
        [[], clients.map(() => `${ingest.origin}/program`)]
      )
      assert.lengthOf(
        ingest.others.filter(({ headers }) => headers["sentry-trace"] === undefined),
        0
      )
      for (const { headers } of ingest.envelopes) assert.isUndefined(headers["sentry-trace"])
    })
  )

  const post = async (
    { headers, url }: Faultline.Target,
    envelope: Uint8Array,
    done: (result: Faultline.SendResult) => void
  ): Promise<void> => {
    const { status } = await fetch(url, { method: "POST", headers, body: Buffer.from(envelope) })
    done({ _tag: "Answered", status })
  }
  const viaFetch = {
    open: (target: Faultline.Target): Faultline.Sender => ({
      send(envelope, done) {
        void post(target, envelope, done)
        return { handedOver: false, abort: () => {} }
      },
      close: () => {}
    })
  }
  const viaClient = (layer: Layer.Layer<HttpClient.HttpClient>) =>
    Faultline.Transport.layer((envelope, target) =>
      HttpClient.post(target.url, { headers: target.headers, body: HttpBody.uint8Array(envelope) })
    ).pipe(Layer.provide(layer))

  const twice = Effect.gen(function* () {
    for (let n = 0; n < 3; n++) {
      yield* Faultline.captureException(boom())
      yield* flushed
    }
  })

  const transports: ReadonlyArray<readonly [what: string, transport: Layer.Layer<never> | Layer.Layer<any>]> = [
    ["FetchHttpClient", viaClient(FetchHttpClient.layer)],
    ["NodeHttpClient", viaClient(NodeHttpClient.layer)],
    ["NodeHttpClient over undici", viaClient(NodeHttpClient.layerUndici)]
  ]
  it.scopedLive.each(transports)("are none when they go through a transport of %s", ([, transport]) =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* twice.pipe(
        Effect.withSpan("job"),
        Effect.provide(stdlib.pipe(Layer.provideMerge(hubAt(ingest)), Layer.provide(transport)))
      )
      assert.lengthOf(ingest.allEvents, 3)
      isUnwatched(ingest)
    })
  )

  it.scopedLive.each(transports)(
    "are none, of the facade, inside of a program whose transport is of %s",
    ([, transport]) =>
      Effect.gen(function* () {
        const [inner, outer] = yield* Effect.all([Ingest.start(), Ingest.start()])
        yield* withFacade({ dsn: outer.dsn })
        yield* twice.pipe(Effect.provide(stdlib.pipe(Layer.provideMerge(hubAt(inner)), Layer.provide(transport))))
        Facade.captureMessage("outside")
        yield* Effect.promise(() => Facade.flush())
        assert.lengthOf(inner.allEvents, 3)
        isUnwatched(inner)
        isUnwatched(outer)
        assert.deepStrictEqual(messagesAt(outer), ["outside"])
      })
  )

  it.scopedLive("are none when they go through a transport of fetch", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* twice.pipe(Effect.provide(stdlib.pipe(Layer.provideMerge(hubAt(ingest, { transport: viaFetch })))))
      assert.lengthOf(ingest.allEvents, 3)
      for (const event of ingest.allEvents) assert.deepStrictEqual(crumbsIn(event), [])
      for (const { headers } of ingest.envelopes) assert.isUndefined(headers["sentry-trace"])
    })
  )

  const ofFacade: ReadonlyArray<readonly [what: string, transport: typeof viaFetch | undefined]> = [
    ["the default one", undefined],
    ["one of fetch", viaFetch]
  ]
  it.scopedLive.each(ofFacade)(
    "are none in the facade whose transport is %s, inside of a scope or outside",
    ([, transport]) =>
      Effect.gen(function* () {
        const ingest = yield* Ingest.start()
        yield* withFacade({ dsn: ingest.dsn, transport })
        const capture = async (message: string): Promise<void> => {
          Facade.captureMessage(message)
          assert.isTrue(await Facade.flush(5000))
        }
        yield* Effect.promise(async () => {
          await capture("a")
          await capture("b")
          await Facade.withScope(() => capture("c"))
          await Facade.withIsolationScope(async () => {
            await capture("d")
            await capture("e")
          })
        })
        assert.deepStrictEqual(messagesAt(ingest), ["a", "b", "c", "d", "e"])
        for (const event of ingest.allEvents) assert.deepStrictEqual(crumbsIn(event), [])
        for (const { headers } of ingest.envelopes) assert.isUndefined(headers["sentry-trace"])
      })
  )
})

/** The facade, open until the scope closes. */
const withFacade = (options: Facade.InitOptions): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Facade.init({ serverName: "wire", ...options })),
    () => Effect.promise(() => Facade.close(2000))
  )
