/**
 * An HTTP server: requests of different users at the same time, each with a scope of its own, so that every event tells
 * whose request it was and what that request had done before, and nothing of the others.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/http-server.ts
 *
 * It starts on a free port, sends itself requests, and stops.
 */
import { createServer } from "node:http"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Data, Effect, Layer, Random } from "effect"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, Hub } from "effect-faultline"
import * as Http from "effect-faultline/http"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly amount: number; readonly reason: string }> {
  override get message() {
    return `the bank declined ${this.amount}: ${this.reason}`
  }
}

/** Around every request: a scope of its own, the user in it, and a report of whatever goes wrong. */
const monitored = Http.middleware({
  user: ({ headers }) => ({ id: headers["x-user"] ?? "nobody" }),
  // The customer has something to quote.
  errorResponse: (response, { eventId }) =>
    HttpServerResponse.text(`sorry, that is our fault (${eventId})`, { status: response.status })
})

/** Asks the bank, which answers 402 when it will not pay. */
const pay = Effect.gen(function* () {
  const { amount = "0", user } = yield* HttpRouter.params
  const { address } = yield* HttpServer.HttpServer
  yield* Effect.log(`${user} pays ${amount}`)
  yield* Effect.sleep(yield* Random.nextIntBetween(1, 50))
  const answer = yield* HttpClient.get(`${urlOf(address)}/bank/${amount}?card=4242&pin=1234`)
  yield* Faultline.addBreadcrumb({ category: "payment", message: `the bank answered ${user}` })
  const reason = yield* answer.text
  if (answer.status === 402) return yield* new CardDeclined({ amount: Number(amount), reason })
  return HttpServerResponse.text("thank you")
}).pipe(Effect.tapErrorCause((cause) => Effect.logError("no payment", cause)))

const bank = Effect.gen(function* () {
  const { amount } = yield* HttpRouter.params
  return Number(amount) > 100
    ? HttpServerResponse.text("over the limit", { status: 402 })
    : HttpServerResponse.text("done")
})

const router = HttpRouter.empty.pipe(
  HttpRouter.post("/pay/:user/:amount", pay),
  HttpRouter.use(monitored),
  HttpRouter.get("/bank/:amount", bank)
)

const ServerLive = HttpServer.serve(router).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
  Layer.provideMerge(NodeHttpClient.layer)
)

const urlOf = (address: HttpServer.Address): string =>
  address._tag === "TcpAddress" ? `http://127.0.0.1:${address.port}` : address.path

const customers = [
  { user: "ada", amount: 120 },
  { user: "grace", amount: 20 },
  { user: "alan", amount: 300 },
  { user: "edsger", amount: 80 },
  { user: "barbara", amount: 101 }
]

const visits = Effect.gen(function* () {
  const { address } = yield* HttpServer.HttpServer
  yield* Effect.forEach(
    customers,
    ({ amount, user }) =>
      HttpClientRequest.post(`${urlOf(address)}/pay/${user}/${amount}`).pipe(
        HttpClientRequest.setHeader("x-user", user),
        HttpClient.execute,
        Effect.andThen((response) => Effect.log(`${user}: ${response.status}`))
      ),
    { concurrency: "unbounded" }
  )
})

visits.pipe(
  Effect.provide(ServerLive),
  Effect.provide(DefaultIntegrations),
  Effect.provide(Hub.layerConfig()),
  NodeRuntime.runMain
)
