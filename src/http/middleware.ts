/**
 * The middleware for servers of `@effect/platform`.
 */
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { clientOf } from "../hub/report.js"
import { within } from "../hub/within.js"
import { PropagationContext } from "../protocol/Trace.js"
import { beginUnit, stateOfFiber } from "../scope/carrier.js"
import { type AnyFiber, currentFiber } from "../scope/fiber.js"
import * as ScopeData from "../scope/ScopeData.js"
import type { ScopeState } from "../scope/ScopeState.js"
import { Exchange } from "./Exchange.js"
import { checkOptions, type MiddlewareOptions } from "./options.js"
import { adoptTrace, incomingTrace, isOfNoTrace } from "./trace.js"

/**
 * Gives each request an isolation scope of its own and reports what fails in it, with `handled: false`: whatever is answered with
 * 500 or more, and every defect; not what is answered with less, nor a client that went away. The trace of the request goes on
 * (`sentry-trace` and `baggage`, or `traceparent`), the route is the transaction (`GET /users/:id`), and events show the request, with
 * what may be personal or secret masked.
 *
 * One for all servers: `HttpServer.serve(Http.middleware())`, `HttpRouter.use(Http.middleware())`,
 * `HttpLayerRouter.middleware(Http.middleware(), { global: true })`, and for an `HttpApi`
 * `HttpApiBuilder.middleware(Http.middleware())`. (`HttpApiBuilder.serve(Http.middleware())` does not see typed errors that the API has
 * turned into answers, nor a defect beside one.) In several places at once it is still one.
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
      const source = request.source as Source
      const around = source[EXCHANGE]
      if (around !== undefined) return Effect.tapErrorCause(app, (cause) => failed(around, cause))
      const exchange = new Exchange(client, request, options, fiber)
      source[EXCHANGE] = exchange
      // Otherwise it is soon enough when something has failed.
      if (options.errorResponse !== undefined) exchange.watchAnswer(fiber)
      const unit = beginUnit(fiber)
      return within(
        app,
        () => begin(unit.state, fiber, request, exchange, options),
        (before, after, cause, response) => {
          client.attempt("a request", () =>
            exchange.leave(currentFiber() ?? fiber, after, HANDLED in request, cause, response)
          )
          // What a server does after the request, in its fiber, is still about the request.
          return unit.isRoot ? after : before
        }
      )
    })
}

/** On what is behind a request, of which routers make copies. A weak map of them would cost more than all the rest. */
const EXCHANGE = Symbol("effect-faultline/exchange")

type Source = { [EXCHANGE]?: Exchange }

/** The platform's own mark on a request whose answer has been sent. */
const HANDLED = Symbol.for("@effect/platform/HttpApp/handled")

const begin = (
  state: ScopeState,
  fiber: AnyFiber,
  request: HttpServerRequest.HttpServerRequest,
  exchange: Exchange,
  options: MiddlewareOptions
): ScopeState => {
  let own = state
  const span = fiber.currentSpan?._tag === "Span" && fiber.currentSpan.kind === "server" ? fiber.currentSpan : undefined
  const isAstray = span !== undefined && isOfNoTrace(span)
  const trace = incomingTrace(request.headers) ?? (isAstray ? new PropagationContext() : undefined)
  if (trace !== undefined) {
    own = own.withPropagation(trace)
    if (span !== undefined) adoptTrace(span, trace)
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
