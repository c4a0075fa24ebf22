/**
 * Whose a request is, where connections are shared, and where a request leads to others.
 */
import * as http from "node:http"
import { PassThrough } from "node:stream"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Faultline from "effect-faultline"
import * as Facade from "effect-faultline/facade"
import * as undici from "undici"
import { Ingest, type Json } from "../support/ingest.js"
import { byPath } from "./httpKit.js"
import { crumbsIn, flushed, hubAt } from "./kit.js"

const redirect = undici.interceptors.redirect({ maxRedirections: 3 })

const retry = undici.interceptors.retry({ maxRetries: 1, minTimeout: 1, statusCodes: [503] })

/** One connection, whoever asks. */
const single = Effect.acquireRelease(
  Effect.sync(() => ({
    agent: new http.Agent({ keepAlive: true, maxSockets: 1 }),
    dispatcher: new undici.Agent({ connections: 1, pipelining: 1 })
  })),
  ({ agent, dispatcher }) =>
    Effect.promise(() => {
      agent.destroy()
      return dispatcher.destroy()
    })
)

type Single = Effect.Effect.Success<typeof single>

/** What is asked for in one's own scope; resolves once everything that leads to has been answered. */
type Way = (origin: string, id: string, single: Single) => Effect.Effect<unknown, unknown>

const get = (url: string, options: http.RequestOptions, then: (response: http.IncomingMessage) => void): void =>
  void http.get(url, options, (response) => {
    response.resume()
    then(response)
  })

const text = async (response: Promise<{ readonly text: () => Promise<string> }>): Promise<string> =>
  (await response).text()

const body = async (response: Promise<undici.Dispatcher.ResponseData>): Promise<string> => (await response).body.text()

const platform = (layer: Layer.Layer<HttpClient.HttpClient>, url: string) =>
  HttpClient.get(url).pipe(
    Effect.flatMap(({ text }) => text),
    Effect.provide(layer)
  )

/** Does it in passing: no asynchronous effect of the fiber leads to it. */
const inPassing = (start: (ending: () => void) => void): Effect.Effect<void> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<void>()
    yield* Effect.sync(() => start(() => Deferred.unsafeDone(ended, Exit.void)))
    yield* Deferred.await(ended)
  })

const ways: ReadonlyArray<readonly [what: string, paths: (id: string) => ReadonlyArray<string>, way: Way]> = [
  [
    "http.get",
    (id) => [`/1${id}`, `/2${id}`],
    (origin, id, { agent }) =>
      Effect.async<void>((resume) =>
        get(`${origin}/1${id}`, { agent }, () =>
          get(`${origin}/2${id}`, { agent }, (response) => response.on("end", () => resume(Effect.void)))
        )
      )
  ],
  [
    "http.get in passing",
    (id) => [`/1${id}`, `/2${id}`],
    (origin, id, { agent }) =>
      inPassing((ending) =>
        get(`${origin}/1${id}`, { agent }, () =>
          get(`${origin}/2${id}`, { agent }, (response) => response.on("end", ending))
        )
      )
  ],
  [
    "fetch that is led on",
    (id) => [`/to/${id}`, `/${id}`],
    (origin, id) => Effect.tryPromise(() => text(fetch(`${origin}/to/${id}`)))
  ],
  [
    "fetch that is led on, in passing",
    (id) => [`/to/${id}`, `/${id}`],
    (origin, id) => inPassing((ending) => void text(fetch(`${origin}/to/${id}`)).then(ending))
  ],
  [
    "undici.request that is led on",
    (id) => [`/to/${id}`, `/${id}`],
    (origin, id, { dispatcher }) =>
      Effect.tryPromise(() => body(undici.request(`${origin}/to/${id}`, { dispatcher: dispatcher.compose(redirect) })))
  ],
  [
    "undici.request that is led on, in passing",
    (id) => [`/to/${id}`, `/${id}`],
    (origin, id, { dispatcher }) =>
      inPassing(
        (ending) =>
          void body(undici.request(`${origin}/to/${id}`, { dispatcher: dispatcher.compose(redirect) })).then(ending)
      )
  ],
  [
    "undici.request that is made again",
    (id) => [`/503/${id}`, `/503/${id}`],
    (origin, id, { dispatcher }) =>
      Effect.ignore(
        Effect.tryPromise(() => body(undici.request(`${origin}/503/${id}`, { dispatcher: dispatcher.compose(retry) })))
      )
  ],
  [
    "undici.stream whose factory asks for more",
    (id) => [`/1${id}`, `/2${id}`],
    (origin, id, { dispatcher }) =>
      Effect.tryPromise(async () => {
        let more: Promise<string> = Promise.resolve("")
        await undici.stream(`${origin}/1${id}`, { dispatcher, method: "GET" }, () => {
          more = body(undici.request(`${origin}/2${id}`, { dispatcher }))
          return new PassThrough().resume()
        })
        await more
      })
  ],
  [
    "NodeHttpClient",
    (id) => [`/1${id}`, `/2${id}`],
    (origin, id, { agent }) => {
      const layer = NodeHttpClient.layerWithoutAgent.pipe(
        Layer.provide(
          Layer.succeed(NodeHttpClient.HttpAgent, {
            http: agent,
            https: new http.Agent()
          } as unknown as NodeHttpClient.HttpAgent)
        )
      )
      return Effect.zip(platform(layer, `${origin}/1${id}`), platform(layer, `${origin}/2${id}`))
    }
  ],
  [
    "NodeHttpClient over undici",
    (id) => [`/1${id}`, `/2${id}`],
    (origin, id, { dispatcher }) => {
      const layer = NodeHttpClient.layerUndiciWithoutDispatcher.pipe(
        Layer.provide(Layer.succeed(NodeHttpClient.Dispatcher, dispatcher))
      )
      return Effect.zip(platform(layer, `${origin}/1${id}`), platform(layer, `${origin}/2${id}`))
    }
  ],
  [
    "FetchHttpClient that is led on",
    (id) => [`/to/${id}`, `/${id}`],
    (origin, id) => platform(FetchHttpClient.layer, `${origin}/to/${id}`)
  ]
]

/** The paths of the requests that an event tells of. */
const pathsIn = (event: Json, { origin }: Ingest): ReadonlyArray<string> =>
  crumbsIn(event).map(({ data }) => String((data as Json)["url"]).replace(origin, ""))

const IDS = ["a", "b", "c", "d"]

describe.each(ways)("%s", (_, paths, way) => {
  it.scopedLive(
    "belongs, with all it leads to, to the scope that it was started in, whoever woke it and whichever connection it took",
    () =>
      Effect.gen(function* () {
        const [target, ingest] = yield* Effect.all([Ingest.start({ others: byPath }), Ingest.start()])
        const connection = yield* single
        const go = yield* Deferred.make<void>()
        const one = (id: string) =>
          Effect.gen(function* () {
            // The first one wakes all others.
            if (id === "a")
              yield* Effect.zipRight(
                Effect.promise(() => Promise.resolve()),
                Deferred.succeed(go, undefined)
              )
            else yield* Deferred.await(go)
            yield* way(target.origin, id, connection)
            yield* Faultline.captureMessage(id)
          }).pipe(Faultline.withIsolationScope())
        yield* Effect.forEach(IDS, one, { concurrency: "unbounded" }).pipe(
          Effect.zipRight(flushed),
          Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest))))
        )
        const told = Object.fromEntries(ingest.allEvents.map((event) => [event["message"], pathsIn(event, target)]))
        assert.deepStrictEqual(told, Object.fromEntries(IDS.map((id) => [id, paths(id)])))
      })
  )
})

describe("a request of a scope of the facade", () => {
  const makers: ReadonlyArray<
    readonly [what: string, make: (origin: string, id: string, single: Single) => Promise<unknown>]
  > = [
    ["fetch", (origin, id) => text(fetch(`${origin}/to/${id}`))],
    [
      "undici.request",
      (origin, id, { dispatcher }) =>
        body(undici.request(`${origin}/to/${id}`, { dispatcher: dispatcher.compose(redirect) }))
    ],
    [
      "http.get",
      (origin, id, { agent }) =>
        new Promise<void>((resolve) =>
          get(`${origin}/to/${id}`, { agent }, () => get(`${origin}/${id}`, { agent }, () => resolve()))
        )
    ]
  ]
  it.scopedLive.each(makers)("(%s) is one of that scope, with all it leads to", ([, make]) =>
    Effect.gen(function* () {
      const [target, ingest] = yield* Effect.all([Ingest.start({ others: byPath }), Ingest.start()])
      const connection = yield* single
      yield* Effect.acquireRelease(
        Effect.sync(() => Facade.init({ dsn: ingest.dsn, serverName: "wire" })),
        () => Effect.promise(() => Facade.close(2000))
      )
      yield* Effect.promise(async () => {
        await Promise.all(
          IDS.map((id) =>
            Facade.withIsolationScope(async () => {
              await make(target.origin, id, connection)
              Facade.captureMessage(id)
            })
          )
        )
        assert.isTrue(await Facade.flush(5000))
      })
      const told = Object.fromEntries(ingest.allEvents.map((event) => [event["message"], pathsIn(event, target)]))
      assert.deepStrictEqual(told, Object.fromEntries(IDS.map((id) => [id, [`/to/${id}`, `/${id}`]])))
    })
  )
})

describe("the SDK's own requests", () => {
  it.scopedLive("are none of the program's, also where they are led on over a connection that it opened", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start({ others: byPath })
      const { dispatcher } = yield* single
      const transport = Faultline.Transport.layer((envelope, { headers, url }) =>
        Effect.tryPromise(async () => {
          const { body, statusCode } = await undici.request(url, {
            method: "POST",
            headers,
            body: envelope,
            dispatcher: dispatcher.compose(redirect)
          })
          await body.text()
          return { status: statusCode, headers: {} }
        })
      )
      ingest.answer({ status: 307, headers: { location: "/led/on/envelope/" } })
      const ask = (path: string) =>
        Effect.promise(() => body(undici.request(`${ingest.origin}${path}`, { dispatcher })))
      yield* Effect.gen(function* () {
        yield* ask("/before")
        yield* Faultline.captureMessage("first")
        yield* flushed
        yield* ask("/after")
        yield* Faultline.captureMessage("second")
        yield* flushed
      }).pipe(
        Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest)), Layer.provide(transport)))
      )
      assert.deepStrictEqual(
        ingest.envelopes.map(({ path }) => path),
        ["/api/42/envelope/", "/led/on/envelope/", "/api/42/envelope/"]
      )
      assert.strictEqual(ingest.connections, 1)
      for (const { headers } of ingest.envelopes) assert.isUndefined(headers["sentry-trace"])
      assert.deepStrictEqual(pathsIn(ingest.allEvents.at(-1) as Json, ingest), ["/before", "/after"])
    })
  )
})

describe("two hubs", () => {
  const patched = () => [
    globalThis.fetch,
    (http.Agent.prototype as unknown as Json)["addRequest"],
    Object.hasOwn(http.ClientRequest.prototype, "_storeHeader")
  ]

  it.scopedLive.each([[true], [false]])("get their own requests, each once (closed in order: %s)", ([inOrder]) =>
    Effect.gen(function* () {
      const target = yield* Ingest.start({ others: byPath })
      const before = patched()
      const hubs = yield* Effect.forEach(["a", "b"], (name) =>
        Effect.map(Ingest.start(), (ingest) => ({
          name,
          ingest,
          runtime: ManagedRuntime.make(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest))))
        }))
      )
      type HubOf = (typeof hubs)[number]
      const ask = ({ runtime }: HubOf, id: string) =>
        Effect.promise(() =>
          runtime.runPromise(
            Effect.gen(function* () {
              yield* Effect.promise(() => text(fetch(`${target.origin}/fetch/${id}`)))
              yield* Effect.async<void>((resume) =>
                get(`${target.origin}/http/${id}`, { agent: false }, () => resume(Effect.void))
              )
              yield* Faultline.captureMessage(id)
              yield* flushed
            })
          )
        )
      yield* Effect.forEach(hubs, (hub) => ask(hub, hub.name), { concurrency: 2 })
      const [goes, stays] = (inOrder ? hubs : hubs.toReversed()) as [HubOf, HubOf]
      yield* Effect.promise(() => goes.runtime.dispose())
      yield* ask(stays, "later")
      yield* Effect.promise(() => stays.runtime.dispose())
      assert.deepStrictEqual(patched(), before)
      const told = ({ ingest }: HubOf) => ingest.allEvents.map((event) => [event["message"], pathsIn(event, target)])
      const own = (id: string) => [id, [`/fetch/${id}`, `/http/${id}`]]
      assert.deepStrictEqual(told(goes), [own(goes.name)])
      assert.deepStrictEqual(told(stays), [own(stays.name), own("later")])
    })
  )
})
