/**
 * The middleware for servers of `@effect/rpc`.
 */
import { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as RpcMiddleware from "@effect/rpc/RpcMiddleware"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { normalize } from "../event/normalize.js"
import { adoptTrace, incomingTrace } from "../http/trace.js"
import type { Client } from "../hub/Client.js"
import { clientOf, placeOf, reportOf } from "../hub/report.js"
import { within } from "../hub/within.js"
import type { EventId } from "../protocol/Event.js"
import { branchOf, stateOfFiber } from "../scope/carrier.js"
import { type AnyFiber, fiberNow } from "../scope/fiber.js"
import * as ScopeData from "../scope/ScopeData.js"
import type { ScopeState } from "../scope/ScopeState.js"
import { checkOptions, type MiddlewareOptions } from "./options.js"

/**
 * Marks the procedures that are monitored. Those of a group: `group.middleware(Rpc.Monitored)`. Other middlewares that are added
 * before it run inside of it, and what they set is on its events.
 *
 * @since 0.1.0
 * @category tags
 * @example
 * import { Rpc, RpcGroup } from "@effect/rpc"
 * import * as FaultlineRpc from "effect-faultline/rpc"
 * import { Schema } from "effect"
 *
 * class Users extends RpcGroup.make(
 *   Rpc.make("find", { payload: { id: Schema.String }, success: Schema.String })
 * ).middleware(FaultlineRpc.Monitored) {}
 */
export class Monitored extends RpcMiddleware.Tag<Monitored>()("effect-faultline/rpc/Monitored", { wrap: true }) {}

/**
 * What `Monitored` does on the server: each call has an isolation scope of its own, with the name of the procedure as its
 * transaction; a defect is reported, with `handled: false`; the trace of the client goes on. Of streams it covers every element.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { RpcServer } from "@effect/rpc"
 * import * as FaultlineRpc from "effect-faultline/rpc"
 * import { Layer } from "effect"
 *
 * const MonitoredLive = FaultlineRpc.layer({ defect: ({ eventId }) => `something went wrong: ${eventId}` })
 */
export const layer = (options: MiddlewareOptions = {}): Layer.Layer<Monitored> => {
  checkOptions(options)
  return Layer.succeed(Monitored, ({ clientId, headers, next, payload, rpc }) =>
    Effect.withFiberRuntime((fiber) => {
      const client = clientOf(stateOfFiber(fiber))
      if (client?.delivery === undefined || !client.isOpen) return next
      const call: Call = { client, clientId, headers, options, payload, name: rpc._tag, startedAt: fiberNow(fiber) }
      let reported: EventId | undefined
      const monitored = within(
        next,
        (state) => begin(call, state, fiber),
        (before, after, cause) => {
          client.attempt("a call", () => {
            reported = cause === undefined ? undefined : report(call, cause, after, fiber)
            // Over HTTP it is the request that counts.
            if (!fiber.currentContext.unsafeMap.has(HttpServerRequest.key)) client.requestEnded(after, call.startedAt)
          })
          return before
        }
      )
      return options.defect === undefined
        ? monitored
        : Effect.catchAllCause(monitored, (cause) => Effect.failCause(answer(call, cause, reported)))
    })
  )
}

interface Call {
  readonly client: Client
  readonly clientId: number
  readonly headers: Parameters<Monitored["Type"]>[0]["headers"]
  readonly options: MiddlewareOptions
  readonly payload: unknown
  readonly name: string
  readonly startedAt: number
}

const begin = (call: Call, state: ScopeState, fiber: AnyFiber): ScopeState => {
  const { client, clientId, headers, name, options, payload } = call
  let own = state.isolate(branchOf(fiber, state))
  const trace = incomingTrace(headers)
  if (trace !== undefined) {
    own = own.withPropagation(trace)
    const span = fiber.currentSpan
    // A span that knows where it comes from has been told by the client of `@effect/rpc`.
    if (span?._tag === "Span" && span.parent._tag === "None" && span.name.endsWith(`.${name}`)) adoptTrace(span, trace)
  }
  const { capturePayload = client.options.sendDefaultPii } = options
  const user = client.attempt("user", () => options.user?.({ headers, payload }))
  const rpc = { method: name, client_id: clientId, ...(capturePayload ? { payload: normalize(payload) } : undefined) }
  return own.withIsolation(
    ScopeData.applyContext(own.isolation, {
      transactionName: name,
      contexts: { rpc },
      ...(user !== undefined && { user })
    })
  )
}

const report = (
  { client, name, options }: Call,
  cause: Cause.Cause<unknown>,
  state: ScopeState,
  fiber: AnyFiber
): EventId | undefined => {
  const hasDefect = !Chunk.isEmpty(Cause.defects(cause))
  const { shouldReport } = options
  const isWanted =
    shouldReport === undefined
      ? hasDefect
      : client.attempt("shouldReport", () => shouldReport({ rpc: name, cause, hasDefect })) === true
  if (!isWanted) return undefined
  const built = reportOf(cause, { mechanism: { type: "effect.rpc", handled: !hasDefect }, integration: "rpc" })
  return built === undefined ? undefined : client.capture(built, placeOf(fiber, state))
}

const answer = <E>({ client, options }: Call, cause: Cause.Cause<E>, eventId: EventId | undefined): Cause.Cause<E> => {
  if (eventId === undefined || Chunk.isEmpty(Cause.defects(cause))) return cause
  return client.attempt("defect", () => Cause.die(options.defect?.({ eventId, cause }))) ?? cause
}
