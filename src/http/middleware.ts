/**
 * The middleware for servers of `@effect/platform`.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { clientOf } from "../hub/report.js"
import { within } from "../hub/within.js"
import { branchOf, stateOfFiber } from "../scope/carrier.js"
import { type AnyFiber, setFiberRef } from "../scope/fiber.js"
import * as ScopeData from "../scope/ScopeData.js"
import type { ScopeState } from "../scope/ScopeState.js"
import { Exchange } from "./Exchange.js"
import { checkOptions, type MiddlewareOptions } from "./options.js"
import { adoptTrace, incomingTrace } from "./trace.js"

/**
 * Gives each request an isolation scope of its own and reports what fails in it, with `handled: false`: whatever is answered with
 * 500 or more, and every defect; not what is answered with less, nor a client that went away. The trace of the request goes on
 * (`sentry-trace` and `baggage`, or `traceparent`), the route is the transaction (`GET /users/:id`), and events show the request, with
 * what may be personal or secret masked.
 *
 * One for all servers: `HttpServer.serve(Http.middleware())`, `HttpRouter.use(Http.middleware())`,
 * `HttpLayerRouter.middleware(Http.middleware(), { global: true })`, `HttpApiBuilder.serve(Http.middleware())`. Typed errors of an
 * `HttpApi` that are answered with 500 are seen where it is a `HttpApiBuilder.middleware(Http.middleware())`. In several places at
 * once it is still one.
 *
 * @since 0.1.0
 * @category middleware
 * @example
 * import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
 * import * as Http from "effect-faultline/http"
 *
 * const ServerLive = HttpRouter.empty.pipe(
 *   HttpRouter.get("/users/:id", HttpServerResponse.text("ada")),
 *   HttpServer.serve(Http.middleware({ user: (request) => ({ id: request.headers["x-user"] }) }))
 * )
 */
export const middleware = (
  options: MiddlewareOptions = {}
): (<E, R>(app: Effect.Effect<HttpServerResponse, E, R>) => Effect.Effect<HttpServerResponse, E, R>) => {
  checkOptions(options)
  return (app) =>
    Effect.withFiberRuntime((fiber) => {
      const request = fiber.currentContext.unsafeMap.get(HttpServerRequest.HttpServerRequest.key) as
        | HttpServerRequest.HttpServerRequest
        | undefined
      const client = clientOf(stateOfFiber(fiber))
      if (request === undefined || client?.delivery === undefined || !client.isOpen) return app
      const source = request.source as object
      const around = exchanges.get(source)
      if (around !== undefined) return Effect.tapErrorCause(app, (cause) => failed(around, cause))
      const exchange = new Exchange(client, request, options, fiber)
      exchanges.set(source, exchange)
      beforeResponse(fiber, exchange)
      return within(
        app,
        (state) => begin(state, fiber, request, exchange, options),
        (before, after, cause) => {
          client.attempt("a request", () => exchange.leave(after, cause))
          return before
        }
      )
    })
}

/** By what is behind a request, of which routers make copies. */
const exchanges = new WeakMap<object, Exchange>()

const begin = (
  state: ScopeState,
  fiber: AnyFiber,
  request: HttpServerRequest.HttpServerRequest,
  exchange: Exchange,
  options: MiddlewareOptions
): ScopeState => {
  let own = state.isolate(branchOf(fiber, state))
  const trace = incomingTrace(request.headers)
  if (trace !== undefined) {
    own = own.withPropagation(trace)
    const span = fiber.currentSpan
    if (span?._tag === "Span" && span.kind === "server") adoptTrace(span, trace)
  }
  let { isolation } = own
  const user = options.user === undefined ? undefined : exchange.client.attempt("user", () => options.user?.(request))
  if (user !== undefined) isolation = ScopeData.setUser(isolation, user)
  own = own.withIsolation(ScopeData.addProcessor(isolation, exchange.describe))
  exchange.state = own
  return own
}

/** Further in it is seen before it is turned into an answer. */
const failed = (exchange: Exchange, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    exchange.client.attempt("a request", () => exchange.fail(cause, stateOfFiber(fiber), fiber))
    return Effect.void
  })

/** Has the exchange look at the answer before it is sent. */
const beforeResponse = (fiber: AnyFiber, exchange: Exchange): void => {
  const earlier = fiber.getFiberRef(HttpApp.currentPreResponseHandlers)
  const handler: HttpApp.PreResponseHandler = (request, response) =>
    earlier._tag === "None"
      ? Effect.succeed(exchange.respond(response))
      : Effect.map(earlier.value(request, response), (response) => exchange.respond(response))
  setFiberRef(fiber, HttpApp.currentPreResponseHandlers, Option.some(handler))
}
