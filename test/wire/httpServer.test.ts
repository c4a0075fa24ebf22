/**
 * Servers of `@effect/platform` over real sockets, with clients that keep their connections.
 */
import * as http from "node:http"
import { createServer } from "node:http"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerRespondable from "@effect/platform/HttpServerRespondable"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Faultline from "effect-faultline"
import {
  DefaultIntegrations,
  defaultIntegrations,
  type EndedRequest,
  type Event,
  Hub,
  Integration,
  type Options
} from "effect-faultline"
import * as Http from "effect-faultline/http"
import { TestHub } from "effect-faultline/testing"
import { boom, quiet } from "./kit.js"

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: http.IncomingHttpHeaders
}

type Send = (
  path: string,
  options?: { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: string }
) => Effect.Effect<Answer>

/** A client that keeps its connections, and uses several of them. */
const client = (port: number): Effect.Effect<Send, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new http.Agent({ keepAlive: true, maxSockets: 8 })),
      (agent) => Effect.sync(() => agent.destroy())
    ),
    (agent): Send =>
      (path, { body, headers = {}, method = "GET" } = {}) =>
        Effect.async<Answer>((resume) => {
          const request = http.request({ agent, port, host: "127.0.0.1", path, method, headers }, (response) => {
            const chunks: Array<Buffer> = []
            response.on("data", (chunk: Buffer) => chunks.push(chunk))
            const done = (): void =>
              resume(
                Effect.succeed({
                  status: response.statusCode ?? 0,
                  body: Buffer.concat(chunks).toString(),
                  headers: response.headers
                })
              )
            response.on("end", done)
            response.on("error", done)
          })
          request.on("error", (error) => resume(Effect.succeed({ status: 0, body: String(error), headers: {} })))
          request.end(body)
        })
  )

type Server = Layer.Layer<never, never, HttpServer.HttpServer | HttpRouter.HttpRouter.DefaultServices>

/** What the requests have led to. */
const served = <A, E>(
  server: Server,
  use: (send: Send, port: number) => Effect.Effect<A, E, Scope.Scope | Hub | TestHub>,
  options: Options = {},
  more: Layer.Layer<never, never, Hub> = Layer.empty
) =>
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const port = address._tag === "TcpAddress" ? address.port : 0
    const result = yield* use(yield* client(port), port)
    return { result, events: yield* TestHub.events }
  }).pipe(
    Effect.scoped,
    Effect.provide(server.pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })))),
    Effect.provide(
      // What the clients do is no part of it.
      Layer.fresh(
        Layer.merge(defaultIntegrations({ stdlib: false }), more).pipe(Layer.provideMerge(TestHub.layerWith(options)))
      )
    ),
    Effect.provide(quiet)
  )

type Place = readonly [name: string, server: Server]

/** The four places where the middleware may be. */
const places = (
  handler: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    unknown,
    HttpServerRequest.HttpServerRequest | HttpRouter.RouteContext
  >,
  options?: Http.MiddlewareOptions
): ReadonlyArray<Place> => {
  const router = HttpRouter.empty.pipe(
    HttpRouter.all("/users/:id", handler),
    HttpRouter.get("/ok", HttpServerResponse.text("ok"))
  )
  return [
    ["HttpServer.serve", HttpServer.serve(router, Http.middleware(options))],
    ["HttpRouter.use", HttpServer.serve(HttpRouter.use(router, Http.middleware(options)))],
    [
      "HttpLayerRouter.middleware",
      HttpLayerRouter.serve(
        Layer.mergeAll(
          HttpLayerRouter.add("*", "/users/:id", handler),
          HttpLayerRouter.add("GET", "/ok", HttpServerResponse.text("ok")),
          HttpLayerRouter.middleware(Http.middleware(options), { global: true })
        ) as Layer.Layer<never, never, HttpLayerRouter.HttpRouter>,
        { disableListenLog: true }
      )
    ],
    ["both", HttpServer.serve(HttpRouter.use(router, Http.middleware(options)), Http.middleware(options))]
  ]
}

const sorted = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  values.toSorted((a, b) => String(a).localeCompare(String(b)))

const mechanismOf = (event: Event | undefined): unknown => event?.exception?.values.at(-1)?.mechanism

const primaryOf = (event: Event | undefined): unknown => event?.exception?.values.at(-1)?.value

class NotFound extends Data.TaggedError("NotFound")<{ readonly id: string }> {
  [HttpServerRespondable.symbol]() {
    return HttpServerResponse.text("no such user", { status: 404 })
  }
}

describe("a request", () => {
  const failing = Effect.gen(function* () {
    const { id } = yield* HttpRouter.params
    yield* Faultline.setUser({ id: id ?? "?" })
    yield* Faultline.addBreadcrumb({ message: `looking for ${id}` })
    yield* Effect.yieldNow()
    return yield* Effect.fail(boom(`no ${id}`))
  })

  it.live.each(places(failing))("that fails is reported as unhandled, with its route: %s", ([, server]) =>
    Effect.gen(function* () {
      const { events, result } = yield* served(server, (send) =>
        Effect.all([
          send("/users/u1?page=2&token=s3cret", { headers: { authorization: "Bearer abc", "x-custom": "1" } }),
          send("/ok")
        ])
      )
      assert.deepStrictEqual(
        result.map(({ status }) => status),
        [500, 200]
      )
      assert.lengthOf(events, 1)
      const [event] = events
      assert.strictEqual(event?.transaction, "GET /users/:id")
      assert.deepStrictEqual(event?.user, { id: "u1" })
      assert.deepStrictEqual(mechanismOf(event), {
        type: "effect.http",
        handled: false,
        data: { status: 500, cause: "fail" }
      })
      assert.deepStrictEqual(event?.contexts?.["response"], { status_code: 500 })
      assert.deepStrictEqual(
        event?.breadcrumbs?.values.map(({ message }) => message),
        ["looking for u1"]
      )
      const { headers, url, ...request } = event?.request ?? {}
      assert.deepStrictEqual(request, { method: "GET", query_string: "page=2&token=[Filtered]" })
      assert.match(String(url), /^http:\/\/127\.0\.0\.1:\d+\/users\/u1$/)
      assert.deepStrictEqual(
        { ...headers, host: "" },
        { authorization: "[Filtered]", "x-custom": "[Filtered]", host: "", connection: "keep-alive" }
      )
    })
  )

  it.live.each(places(Effect.die(new TypeError("bug"))))("that dies is reported: %s", ([, server]) =>
    Effect.gen(function* () {
      const { events, result } = yield* served(server, (send) => send("/users/1"))
      assert.strictEqual(result.status, 500)
      assert.deepStrictEqual(events.map(mechanismOf), [
        { type: "effect.http", handled: false, data: { status: 500, cause: "die" } }
      ])
    })
  )

  const harmless: ReadonlyArray<
    readonly [
      what: string,
      status: number,
      handler: Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest.HttpServerRequest>
    ]
  > = [
    ["succeeds", 204, HttpServerResponse.empty()],
    ["fails with what is an answer", 404, Effect.fail(new NotFound({ id: "1" }))],
    ["dies with an answer", 403, Effect.die(HttpServerResponse.empty({ status: 403 }))],
    ["dies with what is an answer", 404, Effect.die(new NotFound({ id: "1" }))],
    [
      "cannot read its body as JSON",
      400,
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ json }) =>
        Effect.zipRight(json, HttpServerResponse.empty())
      )
    ],
    ["is answered with 400", 400, HttpServerResponse.empty({ status: 400 })]
  ]
  it.live.each(harmless)("that %s is not reported", ([, status, handler]) =>
    Effect.gen(function* () {
      for (const [name, server] of places(handler)) {
        const { events, result } = yield* served(server, (send) => send("/users/1", { method: "POST", body: "{" }))
        assert.strictEqual(result.status, status, name)
        assert.lengthOf(events, 0, name)
      }
    })
  )

  it.live("to no route is not reported", () =>
    Effect.gen(function* () {
      for (const [name, server] of places(failing)) {
        const { events, result } = yield* served(server, (send) => send("/nowhere"))
        assert.strictEqual(result.status, 404, name)
        assert.lengthOf(events, 0, name)
      }
    })
  )

  it.live("that is given up is not reported, unless there was a bug", () =>
    Effect.gen(function* () {
      for (const index of places(failing).keys()) {
        for (const bug of [undefined, "bug at the end"]) {
          const started = yield* Deferred.make<void>()
          const ended = yield* Deferred.make<void>()
          const handler = Deferred.succeed(started, undefined).pipe(
            Effect.zipRight(Effect.never),
            Effect.ensuring(bug === undefined ? Effect.void : Effect.suspend(() => Effect.die(boom(bug)))),
            Effect.ensuring(Deferred.succeed(ended, undefined))
          )
          const [name, server] = places(handler)[index] as Place
          const { events } = yield* served(server, (_, port) =>
            Effect.gen(function* () {
              const request = http.get({ port, host: "127.0.0.1", path: "/users/1", agent: false })
              request.on("error", () => {})
              yield* Deferred.await(started)
              request.destroy()
              yield* Deferred.await(ended)
              // Until the server has dealt with it.
              yield* Effect.sleep(20)
            })
          )
          assert.deepStrictEqual(events.map(primaryOf), bug === undefined ? [] : [bug], name)
        }
      }
    })
  )

  it.live("with a typed failure and a defect behind it is reported, however it is answered", () =>
    Effect.gen(function* () {
      const both = Effect.fail(new NotFound({ id: "1" })).pipe(Effect.ensuring(Effect.die(new TypeError("bug"))))
      for (const [name, server] of places(both)) {
        const { events } = yield* served(server, (send) => send("/users/1"))
        assert.deepStrictEqual(
          events.map(({ exception }) => exception?.values.map(({ type }) => type)),
          [["NotFound", "TypeError"]],
          name
        )
      }
    })
  )

  it.live("shows where its error was raised, whatever it was wrapped in on its way", () =>
    Effect.gen(function* () {
      const raised = Effect.suspend(() => Effect.fail(boom())).pipe(
        Faultline.withScope({ tags: { layer: "repository" }, user: { id: "u1" } })
      )
      const wrapping = Effect.mapError(raised, (cause) => new Error("service", { cause }))
      const later = Effect.flatMap(Effect.flip(raised), (cause) => Effect.fail(new Error("service", { cause })))
      for (const handler of [wrapping, later, Effect.orDie(wrapping)]) {
        for (const [name, server] of places(Effect.withSpan(handler, "service"))) {
          const { events } = yield* served(server, (send) => send("/users/1"))
          assert.deepStrictEqual(
            events.map(({ tags, user }) => [tags?.["layer"], user?.id]),
            [["repository", "u1"]],
            name
          )
        }
      }
    })
  )

  it.live("that the program answers with 500 itself is one group for each route and status", () =>
    Effect.gen(function* () {
      const silent = HttpServerResponse.text("sorry", { status: 503 })
      for (const [name, server] of places(silent)) {
        const { events } = yield* served(server, (send) =>
          Effect.forEach(["/users/alice", "/users/bob"], (at) => send(at))
        )
        assert.deepStrictEqual(
          events.map(({ fingerprint, request }) => [fingerprint, request?.url?.replace(/^.*users/, "")]),
          [
            [["http", "GET /users/:id", "503"], "/alice"],
            [["http", "GET /users/:id", "503"], "/bob"]
          ],
          name
        )
      }
      const own = HttpServer.serve(
        HttpRouter.get(HttpRouter.empty, "/users/:id", Effect.zipRight(Faultline.setFingerprint(["mine"]), silent)),
        Http.middleware()
      )
      const { events } = yield* served(own, (send) => send("/users/1"))
      assert.deepStrictEqual(events[0]?.fingerprint, ["mine"])
    })
  )

  it.live("is judged by what it is answered with, not by the status that an error has of itself", () =>
    Effect.gen(function* () {
      class Upstream extends Data.TaggedError("Upstream")<{ readonly response: { readonly status: number } }> {}
      const options: Options = {
        policy: [
          { status: "4xx", ignore: true },
          { status: 500, tags: { answered: 500 } }
        ]
      }
      for (const error of [Object.assign(boom(), { status: 404 }), new Upstream({ response: { status: 404 } })]) {
        for (const [name, server] of places(Effect.fail(error))) {
          const { events, result } = yield* served(server, (send) => send("/users/1"), options)
          assert.strictEqual(result.status, 500)
          assert.deepStrictEqual(
            events.map(({ tags }) => tags?.["answered"]),
            ["500"],
            name
          )
        }
      }
      // Whoever sees it before it is answered goes by what it says of itself.
      const seen = Faultline.monitor(Effect.fail(Object.assign(boom(), { status: 404 }))).pipe(
        Effect.tapErrorCause((cause) => Effect.logError(cause))
      )
      for (const [name, server] of places(seen)) {
        const { events } = yield* served(server, (send) => send("/users/1"), options)
        assert.deepStrictEqual(
          events.map(({ tags }) => tags?.["answered"]),
          ["500"],
          name
        )
      }
      const found = places(Effect.fail(new NotFound({ id: "1" })), { shouldReport: () => true })
      for (const [name, server] of found) {
        const { events } = yield* served(server, (send) => send("/users/1"), options)
        assert.lengthOf(events, 0, name)
      }
    })
  )

  it.live("that the program answers with 500 itself is told of, unless it has reported why", () =>
    Effect.gen(function* () {
      const silent = HttpServerResponse.text("sorry", { status: 503 })
      for (const [name, server] of places(silent)) {
        const { events } = yield* served(server, (send) => send("/users/7?x=1"))
        assert.deepStrictEqual(
          events.map(({ level, message, transaction }) => ({ level, message, transaction })),
          [{ level: "error", message: "GET /users/:id was answered with 503", transaction: "GET /users/:id" }],
          name
        )
      }
      const told = Effect.zipRight(Faultline.captureException(boom()), silent)
      for (const [name, server] of places(told)) {
        const { events } = yield* served(server, (send) => send("/users/7"))
        assert.deepStrictEqual(events.map(primaryOf), ["boom"], name)
      }
    })
  )

  it.live("whose error was captured on the way is one event, and unhandled", () =>
    Effect.gen(function* () {
      const twice = Effect.fail(boom()).pipe(
        Effect.tapError((error) => Effect.logError("failed", error)),
        Faultline.monitor({ tags: { by: "monitor" } })
      )
      for (const [name, server] of places(twice)) {
        const { events } = yield* served(server, (send) => send("/users/7"))
        assert.lengthOf(events, 1, name)
        assert.deepStrictEqual((mechanismOf(events[0]) as { handled: boolean }).handled, false, name)
        assert.strictEqual(events[0]?.transaction, "GET /users/:id", name)
      }
    })
  )

  it.live("that an outer effect rescues is not reported", () =>
    Effect.gen(function* () {
      const router = HttpRouter.empty.pipe(
        HttpRouter.get("/a", Effect.fail(boom())),
        HttpRouter.use(Http.middleware()),
        HttpRouter.catchAll(() => HttpServerResponse.text("rescued"))
      )
      const { events, result } = yield* served(HttpServer.serve(router), (send) => send("/a"))
      assert.deepStrictEqual([result.status, result.body], [200, "rescued"])
      assert.lengthOf(events, 0)
    })
  )

  it.live("whose answer breaks while it is sent is reported", () =>
    Effect.gen(function* () {
      const stream = Stream.make("a", "b").pipe(Stream.encodeText, Stream.concat(Stream.die(boom("broken stream"))))
      for (const [name, server] of places(HttpServerResponse.stream(stream))) {
        const { events } = yield* served(server, (send) => send("/users/1"))
        assert.deepStrictEqual(events.map(primaryOf), ["broken stream"], name)
        assert.strictEqual(events[0]?.transaction, "GET /users/:id", name)
      }
    })
  )
})

describe("the options of the middleware", () => {
  const failing = Effect.fail(boom())
  const options = (given: Http.MiddlewareOptions): Server => places(failing, given)[0]?.[1] as Server

  it.live("user: who it is, as far as the request tells; what a handler says wins", () =>
    Effect.gen(function* () {
      const handler = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
        headers["x-login"] === undefined ? failing : Effect.zipRight(Faultline.setUser({ id: "login" }), failing)
      )
      for (const [name, server] of places(handler, { user: ({ headers }) => ({ id: headers["x-user"] }) })) {
        const { events } = yield* served(server, (send) =>
          Effect.all([
            send("/users/1", { headers: { "x-user": "ada" } }),
            send("/users/1", { headers: { "x-user": "ada", "x-login": "1" } })
          ])
        )
        assert.deepStrictEqual(
          events.map(({ user }) => user),
          [{ id: "ada" }, { id: "login" }],
          name
        )
      }
    })
  )

  it.live("user: one that throws harms nothing", () =>
    Effect.gen(function* () {
      const broken: Http.MiddlewareOptions = {
        user: () => {
          throw new Error("no user")
        },
        shouldReport: () => {
          throw new Error("no verdict")
        },
        errorResponse: () => {
          throw new Error("no answer")
        }
      }
      const { events, result } = yield* served(options(broken), (send) => send("/users/1"))
      assert.strictEqual(result.status, 500)
      assert.lengthOf(events, 0)
    })
  )

  it.live("shouldReport: decides, and nothing else reports it instead", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const shouldReport = ({ cause, hasDefect, request, status }: Http.RequestOutcome): boolean => {
        seen.push([request.method, request.url, status, cause?._tag, hasDefect])
        return status === 404
      }
      for (const [name, server] of places(failing, { shouldReport })) {
        const { events } = yield* served(server, (send) =>
          // In one of the places: longer than it takes to find out that nobody has looked after a fiber.
          Effect.zipRight(send("/users/1"), Effect.sleep(name === "HttpRouter.use" ? 1200 : 0))
        )
        assert.lengthOf(events, 0, name)
      }
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 4 }, () => ["GET", "/users/1", 500, "Fail", false])
      )
      const missing = Effect.fail(new NotFound({ id: "1" }))
      for (const [name, server] of places(missing, { shouldReport })) {
        const { events } = yield* served(server, (send) => send("/users/1"))
        assert.deepStrictEqual(
          events.map(mechanismOf),
          [{ type: "effect.http", handled: true, data: { status: 404, cause: "fail" } }],
          name
        )
      }
    })
  )

  it.live("errorResponse: the answer names the event", () =>
    Effect.gen(function* () {
      const given: Http.MiddlewareOptions = {
        errorResponse: (response, { eventId }) =>
          HttpServerResponse.text(`quote ${eventId}`, { status: response.status })
      }
      const handlers = [
        failing,
        Effect.suspend(() => Effect.die(boom())),
        Effect.suspend(() => Faultline.monitor(Effect.fail(boom()))),
        HttpServerResponse.empty({ status: 500 })
      ]
      for (const handler of handlers) {
        for (const [name, server] of places(handler, given)) {
          const { events, result } = yield* served(server, (send) => Effect.all([send("/users/1"), send("/ok")]))
          assert.deepStrictEqual(
            result.map(({ body, status }) => [status, body]),
            [
              [500, `quote ${events[0]?.event_id}`],
              [200, "ok"]
            ],
            name
          )
        }
      }
    })
  )

  it.live("allowedHeaders and sendDefaultPii: what is shown", () =>
    Effect.gen(function* () {
      const headers = {
        "x-tenant": "acme",
        "x-api-key": "s3cret",
        "x-other": "2",
        "user-agent": "test",
        cookie: "theme=dark; session=abc"
      }
      const shown = (event: Event | undefined) => {
        const { host: _, connection: __, ...rest } = event?.request?.headers ?? {}
        return { headers: rest, cookies: event?.request?.cookies, env: event?.request?.env, user: event?.user }
      }
      const request = (send: Send) => send("/users/1", { headers })
      const private_ = yield* served(options({ allowedHeaders: ["X-Tenant"] }), request)
      assert.deepStrictEqual(shown(private_.events[0]), {
        headers: { "x-tenant": "acme", "x-api-key": "[Filtered]", "x-other": "[Filtered]", "user-agent": "test" },
        cookies: { theme: "[Filtered]", session: "[Filtered]" },
        env: undefined,
        user: undefined
      })
      const open = yield* served(options({}), request, { sendDefaultPii: true })
      assert.deepStrictEqual(shown(open.events[0]), {
        headers: { "x-tenant": "acme", "x-api-key": "[Filtered]", "x-other": "2", "user-agent": "test" },
        cookies: { theme: "dark", session: "[Filtered]" },
        env: { REMOTE_ADDR: "127.0.0.1" },
        user: { ip_address: "127.0.0.1" }
      })
    })
  )

  it.live("captureBody: what the program has read of it, and no more", () =>
    Effect.gen(function* () {
      const reading = (read: boolean) =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) =>
          Effect.zipRight(
            read ? text : Effect.void,
            Effect.suspend(() => Effect.fail(boom()))
          )
        )
      const bodyOf = (handler: ReturnType<typeof reading>, body: string, type: string, given: Http.MiddlewareOptions) =>
        Effect.gen(function* () {
          const results: Array<unknown> = []
          for (const [, server] of places(handler, given)) {
            const { events } = yield* served(server, (send) =>
              send("/users/1", { method: "POST", body, headers: { "content-type": type } })
            )
            results.push(events[0]?.request?.data)
          }
          assert.isTrue(results.every((result) => JSON.stringify(result) === JSON.stringify(results[0])))
          return results[0]
        })
      const json = JSON.stringify({ name: "ada", password: "s3cret", list: [1] })
      const on = { captureBody: true }
      assert.deepStrictEqual(yield* bodyOf(reading(true), json, "application/json", on), {
        name: "ada",
        password: "[Filtered]",
        list: [1]
      })
      assert.deepStrictEqual(
        yield* bodyOf(reading(true), "a=1&token=x&a=2&constructor=3", "application/x-www-form-urlencoded", on),
        {
          a: ["1", "2"],
          token: "[Filtered]",
          constructor: "3"
        }
      )
      assert.strictEqual(
        yield* bodyOf(reading(true), "password=1 is it", "text/plain", on),
        "password=[Filtered] is it"
      )
      assert.isUndefined(yield* bodyOf(reading(true), json, "application/octet-stream", on))
      assert.isUndefined(yield* bodyOf(reading(false), json, "application/json", on))
      assert.isUndefined(yield* bodyOf(reading(true), json, "application/json", {}))
      assert.isUndefined(yield* bodyOf(reading(true), json, "application/json", { ...on, maxBodyBytes: 10 }))
    })
  )

  it("wrong ones are refused", () => {
    const wrong: ReadonlyArray<object> = [
      { user: 1 },
      { shouldReport: true },
      { errorResponse: {} },
      { allowedHeaders: "x" },
      { captureBody: "yes" },
      { maxBodyBytes: -1 },
      { unknown: 1 }
    ]
    for (const given of [...wrong, null, [], "all"] as ReadonlyArray<object>)
      assert.throws(() => Http.middleware(given), Faultline.OptionsError)
  })
})

describe("the trace of a request", () => {
  const server = places(Effect.suspend(() => Effect.fail(boom())))[0]?.[1] as Server
  const TRACE = "771a43a4192642f0b136d5159a501700"
  const traceOf = (headers: Record<string, string>) =>
    Effect.map(
      served(server, (send) => Effect.zipRight(send("/users/1", { headers }), TestHub.envelopes)),
      ({ events, result }) => ({ trace: events[0]?.contexts?.["trace"], header: result[0]?.headers["trace"] })
    )

  it.live("goes on from sentry-trace and baggage", () =>
    Effect.gen(function* () {
      const { header, trace } = yield* traceOf({
        "sentry-trace": `${TRACE}-7c51afd529da4a2a-1`,
        baggage: `vendor=1,sentry-trace_id=${TRACE},sentry-release=up@1`
      })
      assert.strictEqual(trace?.["trace_id"], TRACE)
      assert.strictEqual(trace?.["parent_span_id"], "7c51afd529da4a2a")
      assert.deepStrictEqual(header, { trace_id: TRACE, release: "up@1" })
    })
  )

  it.live("goes on from traceparent", () =>
    Effect.gen(function* () {
      const { trace } = yield* traceOf({ traceparent: `00-${TRACE}-7c51afd529da4a2a-01` })
      assert.strictEqual(trace?.["trace_id"], TRACE)
      assert.strictEqual(trace?.["parent_span_id"], "7c51afd529da4a2a")
    })
  )

  it.live("is its own where there is none, or one that cannot be read", () =>
    Effect.gen(function* () {
      const seen = new Set<unknown>()
      for (const headers of [{}, {}, { "sentry-trace": "x" }, { traceparent: `00-${"0".repeat(32)}-1-01` }]) {
        const { trace } = yield* traceOf(headers)
        assert.match(String(trace?.["trace_id"]), /^[0-9a-f]{32}$/)
        seen.add(trace?.["trace_id"])
      }
      assert.strictEqual(seen.size, 4)
    })
  )

  it.live("is its own where the ids are nothing but zeros", () =>
    Effect.gen(function* () {
      const [noTrace, noSpan, span] = ["0".repeat(32), "0".repeat(16), "7c51afd529da4a2a"]
      for (const headers of [
        { traceparent: `00-${noTrace}-${span}-01` },
        { traceparent: `00-${TRACE}-${noSpan}-01` },
        { traceparent: `00-${noTrace}-${noSpan}-00` },
        { "sentry-trace": `${noTrace}-${span}-1` },
        { "sentry-trace": `${TRACE}-${noSpan}-1`, traceparent: `00-${noTrace}-${noSpan}-01` }
      ]) {
        const { trace } = yield* traceOf(headers)
        assert.match(String(trace?.["trace_id"]), /^[0-9a-f]{32}$/)
        assert.notInclude([noTrace, TRACE], trace?.["trace_id"])
        assert.isUndefined(trace?.["parent_span_id"])
      }
    })
  )

  it.live("goes on also where the platform traces nothing", () =>
    Effect.gen(function* () {
      const app = Effect.suspend(() => Effect.fail(boom()))
      const untraced = HttpMiddleware.withTracerDisabledWhen(HttpServer.serve(app, Http.middleware()), () => true)
      const { events } = yield* served(untraced, (send) =>
        send("/x", { headers: { "sentry-trace": `${TRACE}-7c51afd529da4a2a` } })
      )
      assert.strictEqual(events[0]?.contexts?.["trace"]?.["trace_id"], TRACE)
      assert.strictEqual(events[0]?.transaction, "GET /x")
    })
  )
})

describe("requests at the same time", () => {
  const users = Array.from({ length: 24 }, (_, n) => `u${n}`)

  it.live("show each their own user, tags, breadcrumbs and request, also after reading a body", () =>
    Effect.gen(function* () {
      const handler = Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* Faultline.setTag("before", request.headers["x-user"])
        const { user } = (yield* request.json) as { user: string }
        yield* Faultline.setUser({ id: user, email: `${user}@example.com` })
        yield* Faultline.addBreadcrumb({ message: user })
        yield* Effect.sleep(Math.random() * 10)
        if (Number(user.slice(1)) % 3 === 0) return HttpServerResponse.text("fine")
        return yield* Effect.fail(boom(user))
      })
      for (const [name, server] of places(handler)) {
        const { events } = yield* served(server, (send) =>
          Effect.gen(function* () {
            yield* Effect.forEach(
              users,
              (user) =>
                send(`/users/${user}`, {
                  method: "POST",
                  body: JSON.stringify({ user }),
                  headers: { "x-user": user, "content-type": "application/json" }
                }),
              { concurrency: 8 }
            )
            yield* Faultline.captureMessage("outside")
          })
        )
        const failed = users.filter((_, n) => n % 3 !== 0)
        assert.lengthOf(events, failed.length + 1, name)
        for (const event of events) {
          if (event.message === "outside") {
            assert.deepStrictEqual(
              [event.user, event.tags, event.request, event.transaction],
              [undefined, undefined, undefined, undefined]
            )
            continue
          }
          const user = String(primaryOf(event))
          assert.deepStrictEqual(event.user, { id: user, email: `${user}@example.com` })
          assert.deepStrictEqual(event.tags, { before: user })
          assert.deepStrictEqual(
            event.breadcrumbs?.values.map(({ message }) => message),
            [user]
          )
          assert.isTrue(event.request?.url?.endsWith(`/users/${user}`))
          assert.strictEqual(event.transaction, "POST /users/:id")
        }
        assert.deepStrictEqual(
          sorted(events.filter(({ message }) => message === undefined).map(primaryOf)),
          sorted(failed)
        )
      }
    })
  )

  it.live("that wait for each other are not taken for each other", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const waiting = yield* Deferred.make<void>()
      let parked = 0
      const handler = Effect.gen(function* () {
        const { id = "" } = yield* HttpRouter.params
        yield* Faultline.setUser({ id })
        if (id === "opener") {
          yield* Deferred.await(waiting)
          yield* Deferred.succeed(gate, undefined)
          return HttpServerResponse.empty()
        }
        if (++parked === 2) yield* Deferred.succeed(waiting, undefined)
        yield* Deferred.await(gate)
        return yield* Effect.fail(boom(id))
      })
      const { events } = yield* served(places(handler)[0]?.[1] as Server, (send) =>
        Effect.all([send("/users/a"), send("/users/b"), send("/users/opener")], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(
        sorted(
          events.map(({ request, user, ...event }) => [
            primaryOf(event as Event),
            user?.id,
            request?.url?.split("/").at(-1)
          ])
        ),
        [
          ["a", "a", "a"],
          ["b", "b", "b"]
        ]
      )
    })
  )

  it.live("that share a failing lookup are reported each as their own", () =>
    Effect.gen(function* () {
      const shared = yield* Effect.cached(Effect.sleep(20).pipe(Effect.zipRight(Effect.fail(boom("shared")))))
      const handler = Effect.gen(function* () {
        const { id = "" } = yield* HttpRouter.params
        yield* Faultline.setUser({ id })
        yield* Faultline.setTag("who", id)
        return yield* shared
      })
      const { events } = yield* served(places(handler)[0]?.[1] as Server, (send) =>
        Effect.all([send("/users/a"), send("/users/b")], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(sorted(events.map(({ tags, user }) => [user?.id, tags?.["who"]])), [
        ["a", "a"],
        ["b", "b"]
      ])
    })
  )
})

describe("the route of a request", () => {
  it.live("has all of its path, however routers are put together", () =>
    Effect.gen(function* () {
      const failing = Effect.suspend(() => Effect.fail(boom()))
      const inner = HttpRouter.empty.pipe(HttpRouter.get("/items/:item", failing))
      const router = HttpRouter.empty.pipe(
        HttpRouter.get("/plain", failing),
        HttpRouter.concat(HttpRouter.prefixAll(inner, "/prefixed")),
        HttpRouter.mount("/mounted", inner)
      )
      const within = HttpServer.serve(HttpRouter.use(router, Http.middleware()))
      const around = HttpServer.serve(router, Http.middleware())
      const paths = ["/plain?x=1", "/prefixed/items/1", "/mounted/items/2"]
      const transactions = (server: Server) =>
        Effect.map(
          served(server, (send) => Effect.forEach(paths, (path) => send(path))),
          ({ events }) => events.map(({ transaction }) => transaction)
        )
      assert.deepStrictEqual((yield* transactions(within)).slice(0, 2), ["GET /plain", "GET /prefixed/items/:item"])
      assert.deepStrictEqual((yield* transactions(around)).slice(0, 2), ["GET /plain", "GET /prefixed/items/:item"])
    })
  )

  it.live("gives way to a name that the program has chosen", () =>
    Effect.gen(function* () {
      const handler = Effect.zipRight(Faultline.setTransactionName("my name"), Effect.fail(boom()))
      for (const [name, server] of places(handler)) {
        const { events } = yield* served(server, (send) => send("/users/1"))
        assert.strictEqual(events[0]?.transaction, "my name", name)
      }
    })
  )
})

describe("an HttpApi", () => {
  class Missing extends Schema.TaggedError<Missing>()("Missing", { id: Schema.String }) {}
  class Broken extends Schema.TaggedError<Broken>()("Broken", { why: Schema.String }) {}

  const Api = HttpApi.make("api").add(
    HttpApiGroup.make("users").add(
      HttpApiEndpoint.get("find", "/users/:id")
        .setPath(Schema.Struct({ id: Schema.String }))
        .addSuccess(Schema.String)
        .addError(Missing, { status: 404 })
        .addError(Broken, { status: 500 })
    )
  )
  const Users = HttpApiBuilder.group(Api, "users", (handlers) =>
    handlers.handle("find", ({ path: { id } }) =>
      Effect.gen(function* () {
        yield* Faultline.setUser({ id })
        if (id === "missing") return yield* new Missing({ id })
        if (id === "broken") return yield* new Broken({ why: "disk" })
        if (id === "bug") return yield* Effect.die(new TypeError("bug"))
        return id
      })
    )
  )
  const ApiLive = HttpApiBuilder.api(Api).pipe(Layer.provide(Users))
  const ids = ["ada", "missing", "broken", "bug"]
  const requests = (send: Send) => Effect.forEach(ids, (id) => send(`/users/${id}`))

  it.live("is monitored from within, where typed errors are still errors", () =>
    Effect.gen(function* () {
      const server = HttpApiBuilder.serve().pipe(
        Layer.provide(HttpApiBuilder.middleware(Http.middleware())),
        Layer.provide(ApiLive)
      )
      const { events, result } = yield* served(server, requests)
      assert.deepStrictEqual(
        result.map(({ status }) => status),
        [200, 404, 500, 500]
      )
      assert.deepStrictEqual(
        events.map(({ exception, transaction, user }) => [exception?.values.at(-1)?.type, transaction, user?.id]),
        [
          ["Broken", "GET /users/:id", "broken"],
          ["TypeError", "GET /users/:id", "bug"]
        ]
      )
    })
  )

  it.live("is monitored from outside, and both at once", () =>
    Effect.gen(function* () {
      const outside = HttpApiBuilder.serve(Http.middleware()).pipe(Layer.provide(ApiLive))
      assert.deepStrictEqual(
        (yield* served(outside, requests)).events.map(
          ({ exception, message }) => exception?.values.at(-1)?.type ?? message
        ),
        ["GET /users/:id was answered with 500", "TypeError"]
      )
      const both = HttpApiBuilder.serve(Http.middleware()).pipe(
        Layer.provide(HttpApiBuilder.middleware(Http.middleware())),
        Layer.provide(ApiLive)
      )
      assert.deepStrictEqual(
        (yield* served(both, requests)).events.map(({ exception }) => exception?.values.at(-1)?.type),
        ["Broken", "TypeError"]
      )
    })
  )
})

describe("the end of a request", () => {
  it.live("is told to integrations, once for each", () =>
    Effect.gen(function* () {
      const handler = Effect.gen(function* () {
        const { id } = yield* HttpRouter.params
        if (id === "crashed") return yield* Effect.fail(boom())
        return HttpServerResponse.empty()
      })
      for (const [name, server] of places(handler)) {
        const ends: Array<EndedRequest> = []
        const listening = Integration.make("ends", () =>
          Effect.succeed({ onRequestEnd: (end: EndedRequest) => void ends.push(end) })
        )
        const three = (send: Send) => Effect.forEach(["ok", "crashed", "ok"], (id) => send(`/users/${id}`))
        yield* served(server, three, {}, listening)
        assert.lengthOf(ends, 3, name)
        assert.lengthOf(new Set(ends.map(({ isolations }) => isolations[0])), 3, name)
        for (const { startedAt } of ends) assert.closeTo(startedAt, Date.now(), 20_000)
      }
    })
  )
})

describe("the middleware", () => {
  it.live("leaves everything alone where there is no hub, or none that sends", () =>
    Effect.gen(function* () {
      const handler = HttpApp.toWebHandler(
        Http.middleware()(Effect.succeed(HttpServerResponse.text("hello"))),
        Http.middleware()
      )
      const response = yield* Effect.promise(() => handler(new Request("http://localhost/")))
      assert.strictEqual(yield* Effect.promise(() => response.text()), "hello")
      const inert = places(Effect.fail(boom()))[0]?.[1] as Server
      const { result } = yield* Effect.gen(function* () {
        const { address } = yield* HttpServer.HttpServer
        const send = yield* client(address._tag === "TcpAddress" ? address.port : 0)
        return { result: yield* send("/users/1") }
      }).pipe(
        Effect.scoped,
        Effect.provide(inert.pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0 })))),
        Effect.provide(Hub.layer()),
        Effect.provide(quiet)
      )
      assert.strictEqual(result.status, 500)
    })
  )

  it.live("works for a web handler, too", () =>
    Effect.gen(function* () {
      const events = yield* Effect.gen(function* () {
        const runtime = yield* Effect.runtime()
        const handler = HttpApp.toWebHandlerRuntime(runtime)(Effect.fail(boom()), Http.middleware())
        const response = yield* Effect.promise(() =>
          handler(new Request("http://localhost/a/b?c=1", { method: "POST" }))
        )
        assert.strictEqual(response.status, 500)
        return yield* TestHub.events
      }).pipe(Effect.provide(Layer.fresh(DefaultIntegrations.pipe(Layer.provideMerge(TestHub.layer)))))
      assert.lengthOf(events, 1)
      assert.strictEqual(events[0]?.transaction, "POST /a/b")
    })
  )
})

describe("requests that one fiber answers one after the other", () => {
  it.live("know nothing of each other, nor does what comes after them", () =>
    Effect.gen(function* () {
      const events = yield* Effect.gen(function* () {
        const runtime = yield* Effect.runtime()
        const app = Http.middleware()(
          Effect.gen(function* () {
            const { url } = yield* HttpServerRequest.HttpServerRequest
            yield* Faultline.setTag(url.slice(1), true)
            yield* Faultline.addBreadcrumb({ message: url })
            yield* Faultline.captureMessage(url)
            return HttpServerResponse.empty()
          })
        )
        const request = (path: string) =>
          Effect.provideService(
            app,
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromWeb(new Request(`http://localhost${path}`)).modify({ url: path })
          )
        yield* Effect.promise(() => Runtime.runPromise(runtime, Effect.zipRight(request("/a"), request("/b"))))
        yield* Faultline.captureMessage("outside")
        return yield* TestHub.events
      }).pipe(Effect.provide(Layer.fresh(DefaultIntegrations.pipe(Layer.provideMerge(TestHub.layer)))))
      assert.deepStrictEqual(
        events.map(({ breadcrumbs, message, tags }) => [
          message,
          tags,
          breadcrumbs?.values.map(({ message }) => message)
        ]),
        [
          ["/a", { a: "true" }, ["/a"]],
          ["/b", { b: "true" }, ["/b"]],
          ["outside", undefined, []]
        ]
      )
    })
  )
})
