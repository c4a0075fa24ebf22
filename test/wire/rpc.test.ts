/**
 * Servers of `@effect/rpc`, over HTTP and within a process.
 */
import { createServer } from "node:http"
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcClient from "@effect/rpc/RpcClient"
import type { RpcClientError } from "@effect/rpc/RpcClientError"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import * as RpcTest from "@effect/rpc/RpcTest"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Faultline from "effect-faultline"
import {
  defaultIntegrations,
  type EndedRequest,
  type Event,
  type Hub,
  Integration,
  type Options
} from "effect-faultline"
import * as Http from "effect-faultline/http"
import * as FaultlineRpc from "effect-faultline/rpc"
import { TestHub } from "effect-faultline/testing"
import { boom, quiet } from "./kit.js"

class Missing extends Schema.TaggedError<Missing>()("Missing", { id: Schema.String }) {}

class Users extends RpcGroup.make(
  Rpc.make("find", {
    payload: { id: Schema.String, password: Schema.optional(Schema.String) },
    success: Schema.String,
    error: Missing
  }),
  Rpc.make("watch", { payload: { id: Schema.String }, success: Schema.String, stream: true })
).middleware(FaultlineRpc.Monitored) {}

const UsersLive = Users.toLayer({
  find: ({ id }) =>
    Effect.gen(function* () {
      yield* Faultline.setUser({ id })
      yield* Faultline.addBreadcrumb({ message: id })
      yield* Effect.sleep(Math.random() * 5)
      if (id.startsWith("missing")) return yield* new Missing({ id })
      if (id.startsWith("bug")) return yield* Effect.die(boom(id))
      return id
    }),
  watch: ({ id }) => Stream.make("a", "b").pipe(Stream.concat(Stream.die(boom(id))))
})

const hub = (options: Options = {}, more: Layer.Layer<never, never, Hub> = Layer.empty) =>
  Layer.fresh(
    Layer.merge(defaultIntegrations({ stdlib: false }), more).pipe(Layer.provideMerge(TestHub.layerWith(options)))
  )

type Client = RpcClient.RpcClient<RpcGroup.Rpcs<typeof Users>, RpcClientError>

interface Given {
  readonly options?: Options
  readonly rpc?: FaultlineRpc.MiddlewareOptions
  readonly more?: Layer.Layer<never, never, Hub>
}

/** Within the process. */
const direct = <A, E>(use: (client: Client) => Effect.Effect<A, E, Scope.Scope>, { more, options, rpc }: Given = {}) =>
  Effect.gen(function* () {
    const result = yield* use(yield* RpcTest.makeClient(Users))
    return { result, events: yield* TestHub.events }
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.merge(UsersLive, FaultlineRpc.layer(rpc))),
    Effect.provide(hub(options, more)),
    Effect.provide(quiet)
  )

/** Over HTTP, whose middleware is there, too. */
const overHttp = <A, E>(
  use: (client: Client) => Effect.Effect<A, E, Scope.Scope>,
  { more, options, rpc }: Given = {}
) => {
  const server = HttpLayerRouter.serve(
    Layer.merge(
      RpcServer.layerHttpRouter({ group: Users, path: "/rpc", protocol: "http" }).pipe(
        Layer.provide(Layer.merge(UsersLive, FaultlineRpc.layer(rpc))),
        Layer.provide(RpcSerialization.layerNdjson)
      ),
      HttpLayerRouter.middleware(Http.middleware(), { global: true })
    ),
    { disableListenLog: true }
  )
  return Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    const port = address._tag === "TcpAddress" ? address.port : 0
    const result = yield* Effect.flatMap(RpcClient.make(Users), use).pipe(
      Effect.provide(
        RpcClient.layerProtocolHttp({ url: `http://127.0.0.1:${port}/rpc` }).pipe(
          Layer.provide(NodeHttpClient.layer),
          Layer.provide(RpcSerialization.layerNdjson)
        )
      )
    )
    return { result, events: yield* TestHub.events }
  }).pipe(
    Effect.scoped,
    Effect.provide(server.pipe(Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })))),
    Effect.provide(hub(options, more)),
    Effect.provide(quiet)
  )
}

const mechanismOf = (event: Event | undefined): unknown => event?.exception?.values.at(-1)?.mechanism
const primaryOf = (event: Event | undefined): unknown => event?.exception?.values.at(-1)?.value

const ways = [
  ["within the process", direct],
  ["over HTTP", overHttp]
] as const

describe.each(ways)("a call %s", (_, run) => {
  it.live("that dies is reported as unhandled, with its name and its own scope", () =>
    Effect.gen(function* () {
      const { events, result } = yield* run((client) => Effect.exit(client.find({ id: "bug" })))
      assert.isTrue(Exit.isFailure(result))
      assert.lengthOf(events, 1)
      const [event] = events
      assert.strictEqual(event?.transaction, "find")
      assert.deepStrictEqual(event?.user, { id: "bug" })
      assert.strictEqual(event?.contexts?.["rpc"]?.["method"], "find")
      assert.isUndefined(event?.contexts?.["rpc"]?.["payload"])
      assert.deepStrictEqual(mechanismOf(event), { type: "effect.rpc", handled: false, data: { cause: "die" } })
    })
  )

  it.live("that succeeds, or fails as its type says, is not", () =>
    Effect.gen(function* () {
      const { events, result } = yield* run((client) =>
        Effect.all([
          client.find({ id: "ada" }),
          Effect.map(Effect.flip(client.find({ id: "missing" })), ({ _tag }) => _tag)
        ])
      )
      assert.deepStrictEqual(result, ["ada", "Missing"])
      assert.lengthOf(events, 0)
    })
  )

  it.live("is not taken for another one at the same time", () =>
    Effect.gen(function* () {
      // Not with defects: of those, `@effect/rpc` lets one end all calls of its client.
      const ids = Array.from({ length: 12 }, (_, n) => `missing ${n}`)
      const { events } = yield* run(
        (client) => Effect.forEach(ids, (id) => Effect.exit(client.find({ id })), { concurrency: "unbounded" }),
        { rpc: { shouldReport: () => true } }
      )
      assert.lengthOf(events, 12)
      for (const { breadcrumbs, contexts, user } of events) {
        const id = contexts?.["Missing"]?.["id"]
        assert.deepStrictEqual([user, breadcrumbs?.values.map(({ message }) => message)], [{ id }, [id]])
      }
    })
  )

  it.live("whose stream dies is reported", () =>
    Effect.gen(function* () {
      const { events } = yield* run((client) => Effect.exit(Stream.runDrain(client.watch({ id: "stream bug" }))))
      assert.deepStrictEqual(
        events.map((event) => [primaryOf(event), event.transaction]),
        [["stream bug", "watch"]]
      )
    })
  )

  it.live("goes on with the trace of its client", () =>
    Effect.gen(function* () {
      let traceId = ""
      const { events } = yield* run((client) =>
        Effect.gen(function* () {
          traceId = (yield* Effect.currentSpan).traceId
          yield* Effect.exit(client.find({ id: "bug" }))
        }).pipe(Effect.orDie, Effect.withSpan("client"))
      )
      assert.strictEqual(events[0]?.contexts?.["trace"]?.["trace_id"], traceId)
    })
  )

  it.live("answers with what names the event, if it is told to", () =>
    Effect.gen(function* () {
      const { events, result } = yield* run((client) => Effect.exit(client.find({ id: "bug" })), {
        rpc: { defect: ({ eventId }) => `quote ${eventId}` }
      })
      assert.isTrue(Exit.isFailure(result) && Cause.pretty(result.cause).includes(`quote ${events[0]?.event_id}`))
    })
  )
})

describe("the options of the middleware", () => {
  it.live("shouldReport, user, capturePayload", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const rpc: FaultlineRpc.MiddlewareOptions = {
        shouldReport: ({ hasDefect, rpc }) => {
          seen.push([rpc, hasDefect])
          return !hasDefect
        },
        user: ({ headers }) => ({ id: headers["x-user"], plan: "pro" }),
        capturePayload: true
      }
      const { events } = yield* direct(
        (client) =>
          Effect.all([
            Effect.exit(client.find({ id: "bug" })),
            Effect.exit(client.find({ id: "missing", password: "s3cret" }, { headers: { "x-user": "ada" } }))
          ]),
        { rpc }
      )
      assert.deepStrictEqual(seen, [
        ["find", true],
        ["find", false]
      ])
      assert.lengthOf(events, 1)
      const [event] = events
      assert.deepStrictEqual(event?.contexts?.["rpc"], {
        method: "find",
        client_id: 0,
        payload: { id: "missing", password: "[Filtered]" }
      })
      assert.deepStrictEqual(mechanismOf(event), { type: "effect.rpc", handled: true, data: { cause: "fail" } })
    })
  )

  it.live("that throw harm nothing", () =>
    Effect.gen(function* () {
      const fail = (): never => {
        throw new Error("no")
      }
      const { events, result } = yield* direct((client) => Effect.exit(client.find({ id: "bug" })), {
        rpc: { user: fail, defect: fail }
      })
      assert.isTrue(Exit.isFailure(result) && Cause.pretty(result.cause).includes("bug"))
      assert.lengthOf(events, 1)
    })
  )

  it("are refused where they are wrong", () => {
    const wrong = [
      { user: 1 },
      { shouldReport: true },
      { defect: "x" },
      { capturePayload: 1 },
      { unknown: 1 },
      null,
      []
    ]
    for (const given of wrong) assert.throws(() => FaultlineRpc.layer(given as object), Faultline.OptionsError)
  })
})

describe("the end of a call", () => {
  it.live("is told to integrations, over HTTP as the end of a request", () =>
    Effect.gen(function* () {
      for (const [, run] of ways) {
        const ends: Array<EndedRequest> = []
        const more = Integration.make("ends", () =>
          Effect.succeed({ onRequestEnd: (end: EndedRequest) => void ends.push(end) })
        )
        yield* run((client) => Effect.all([client.find({ id: "a" }), Effect.exit(client.find({ id: "bug" }))]), {
          more
        })
        assert.lengthOf(ends, 2)
      }
    })
  )

  it.live("comes also where there is no hub", () =>
    Effect.gen(function* () {
      const result = yield* Effect.flatMap(RpcTest.makeClient(Users), (client) => client.find({ id: "ada" })).pipe(
        Effect.scoped,
        Effect.provide(Layer.merge(UsersLive, FaultlineRpc.layer()))
      )
      assert.strictEqual(result, "ada")
    })
  )
})
