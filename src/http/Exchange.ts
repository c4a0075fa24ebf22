/**
 * One request and its answer: what is known of it, and whether it is reported.
 */
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerError from "@effect/platform/HttpServerError"
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import { isRespondable } from "@effect/platform/HttpServerRespondable"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import type { Client, Place } from "../hub/Client.js"
import { placeOf, reportOf } from "../hub/report.js"
import type { Event, EventId } from "../protocol/Event.js"
import { makeEventId } from "../protocol/Ids.js"
import { type AnyFiber, currentFiber, fiberNow, setFiberRef } from "../scope/fiber.js"
import type { ScopeState } from "../scope/ScopeState.js"
import { watchBody } from "./body.js"
import type { MiddlewareOptions, RequestOutcome } from "./options.js"
import { HARMLESS_HEADERS, type RequestFacts, requestOf, type Visibility } from "./requestData.js"
import { routeIn, routeOn } from "./route.js"

/** @internal */
export class Exchange {
  /** Of the isolation scope of this request, as far as it has come. */
  state: ScopeState | undefined
  route: string | undefined
  readonly #facts: RequestFacts
  // Not the fiber itself: what holds on to it makes each of them a burden to the garbage collector.
  readonly #context: Context.Context<never>
  readonly #span: Tracer.AnySpan | undefined
  readonly #startedAt: number
  #failure: { readonly cause: Cause.Cause<unknown>; readonly place: Place } | undefined
  #status: number | undefined
  #hasLeft = false
  #isWatching = false
  #isSettled = false
  /** The last event of this request. */
  #eventId: EventId | undefined
  /** The id that was given away before there was an event. */
  #promised: EventId | undefined
  #hasCrashed = false

  constructor(
    readonly client: Client,
    request: HttpServerRequest,
    readonly options: MiddlewareOptions,
    fiber: AnyFiber
  ) {
    this.#context = fiber.currentContext
    this.#span = fiber.currentSpan
    this.#startedAt = fiberNow(fiber)
    const { captureBody = client.options.sendDefaultPii, maxBodyBytes = 10_000 } = options
    const { sendDefaultPii } = client.options
    this.#facts = {
      method: request.method,
      url: request.originalUrl,
      headers: request.headers,
      isSecure: isEncrypted(request.source),
      remoteAddress: sendDefaultPii ? Option.getOrUndefined(request.remoteAddress) : undefined,
      body: captureBody ? watchBody(request.source, maxBodyBytes) : undefined
    }
    this.route = routeIn(fiber.currentContext)
  }

  /** Sees every event of the request. */
  readonly describe = (event: Event): Event => {
    this.#eventId = event.event_id
    event.transaction ??= this.#name
    event.request = { ...requestOf(this.#facts, this.#visibility), ...event.request }
    const { remoteAddress } = this.#facts
    if (remoteAddress !== undefined) event.user = { ip_address: remoteAddress, ...event.user }
    return event
  }

  /** The method, and the route, or the path where no router has chosen one. */
  get #name(): string {
    const { method, url } = this.#facts
    this.route ??= routeIn(currentFiber()?.currentContext ?? this.#context) ?? routeOn(this.#span)
    return `${method} ${this.route ?? pathOf(url)}`
  }

  /** Something has failed, whatever is made of it further out. */
  fail(cause: Cause.Cause<unknown>, state: ScopeState, fiber: AnyFiber): void {
    this.route ??= routeIn(fiber.currentContext)
    this.#failure ??= { cause, place: placeOf(fiber, state) }
  }

  /**
   * The program is done with the request.
   *
   * @param isAnswered whether the answer has been sent
   */
  leave(
    fiber: AnyFiber,
    state: ScopeState,
    isAnswered: boolean,
    cause: Cause.Cause<unknown> | undefined,
    response: HttpServerResponse.HttpServerResponse | undefined
  ): void {
    if (state.trail === this.state?.trail) this.state = state
    this.#hasLeft = true
    if (cause !== undefined) this.fail(cause, state, fiber)
    if (isAnswered) return this.settle(response?.status ?? this.#status ?? statusOf(cause))
    if (response !== undefined && response.status < 500 && response.body._tag !== "Stream")
      return this.settle(response.status)
    // What is made of it further out decides; or else, in a server that does not ask, the end of the fiber has to do.
    this.watchAnswer(fiber)
    fiber.addObserver(() => this.#settleAnyhow(cause, response))
  }

  /** Looks at the answer before it is sent. */
  watchAnswer(fiber: AnyFiber): void {
    if (this.#isWatching) return
    this.#isWatching = true
    const earlier = fiber.getFiberRef(HttpApp.currentPreResponseHandlers)
    const handler: HttpApp.PreResponseHandler = (request, response) =>
      earlier._tag === "None"
        ? Effect.succeed(this.respond(response))
        : Effect.map(earlier.value(request, response), (response) => this.respond(response))
    setFiberRef(fiber, HttpApp.currentPreResponseHandlers, Option.some(handler))
  }

  /** The answer is about to be sent: perhaps it is to be another one. */
  respond(response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse {
    const { status } = response
    this.#status = status
    if (this.#failure !== undefined || this.#hasLeft) this.settle(status)
    const watched = response.body._tag === "Stream" ? this.#watched(response, response.body) : response
    const { errorResponse } = this.options
    if (errorResponse === undefined) return watched
    const eventId = this.#isSettled ? this.#reported : this.#promise(status)
    if (eventId === undefined) return watched
    return this.client.attempt("errorResponse", () => errorResponse(watched, { eventId })) ?? watched
  }

  #settleAnyhow(
    cause: Cause.Cause<unknown> | undefined,
    response: HttpServerResponse.HttpServerResponse | undefined
  ): void {
    if (this.#isSettled) return
    if (cause === undefined) return this.settle(response?.status ?? 500)
    const answer = Effect.runSyncExit(HttpServerError.causeResponse(cause))
    this.settle(answer._tag === "Success" ? answer.value[0].status : 500)
  }

  settle(status: number): void {
    if (this.#isSettled) return
    this.#isSettled = true
    const outcome = this.#outcome(status)
    const isReported = this.client.attempt("shouldReport", () => (this.options.shouldReport ?? isFailure)(outcome))
    if (isReported === true) this.#report(outcome)
    // Whoever looks after fibers that crash need not look after this one, which the platform lets fail with the request.
    const fiber = outcome.cause === undefined ? undefined : currentFiber()
    if (fiber !== undefined) setFiberRef(fiber, FiberRef.unhandledErrorLogLevel, Option.none())
    if (this.state !== undefined) this.client.requestEnded(this.state, this.#startedAt)
  }

  get #reported(): EventId | undefined {
    return this.#hasCrashed ? this.#eventId : undefined
  }

  /** The answer leaves before it is known what failed: what is reported then is going to have this id. */
  #promise(status: number): EventId | undefined {
    if (status < 500) return undefined
    this.#promised = this.#eventId ?? makeEventId()
    return this.#promised
  }

  #outcome(status: number): RequestOutcome {
    const { method, url } = this.#facts
    const cause = this.#failure === undefined ? undefined : withoutResponse(this.#failure.cause)
    const hasDefect = cause !== undefined && Chunk.some(Cause.defects(cause), (defect) => !isAnswer(defect, status))
    return { request: { method, url }, status, cause, hasDefect }
  }

  #report({ cause, status }: RequestOutcome): void {
    // Answered with 500 after somebody has reported why.
    if (cause === undefined && this.#eventId !== undefined) return
    const mechanism = { type: "effect.http", handled: status < 500, data: { status } }
    const place = this.#failure?.place ?? this.#place
    if (place === undefined) return
    const name = this.#name
    const report =
      cause === undefined
        ? { message: `${name} was answered with ${status}`, level: "error" as const, mechanism }
        : reportOf(cause, { mechanism, integration: "http" })
    if (report === undefined) return
    const context = {
      contexts: { response: { status_code: status } },
      ...(cause === undefined && !this.#hasFingerprint(place)
        ? { fingerprint: ["http", name, String(status)] }
        : undefined)
    }
    const event =
      this.#promised === undefined || this.#promised === this.#eventId ? undefined : { event_id: this.#promised }
    const id = this.client.capture({ ...report, integration: "http", context, event, status }, place)
    if (id === undefined) return
    this.#eventId = id
    this.#hasCrashed = true
  }

  #hasFingerprint({ state }: Place): boolean {
    return [state.current, state.isolation, this.client.globalScope].some(
      ({ fingerprint }) => fingerprint !== undefined
    )
  }

  get #place(): Place | undefined {
    const { state } = this
    return state === undefined ? undefined : { state, branch: state.trail.root, now: Date.now(), span: this.#span }
  }

  /** What fails while the answer is being sent. */
  #watched(
    response: HttpServerResponse.HttpServerResponse,
    body: HttpBody.Stream
  ): HttpServerResponse.HttpServerResponse {
    const stream = Stream.tapErrorCause(body.stream, (cause) =>
      Effect.sync(() => {
        const place = this.#place
        const mechanism = { type: "effect.http", handled: false, data: { status: response.status } }
        const report = reportOf(cause, { mechanism, integration: "http" })
        if (report !== undefined && place !== undefined)
          this.client.capture({ ...report, status: response.status }, place)
      })
    )
    return HttpServerResponse.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
  }

  get #visibility(): Visibility {
    const { allowedHeaders = [] } = this.options
    return {
      pii: this.client.options.sendDefaultPii,
      allowedHeaders: new Set([...HARMLESS_HEADERS, ...allowedHeaders.map((name) => name.toLowerCase())])
    }
  }
}

const statusOf = (cause: Cause.Cause<unknown> | undefined): number =>
  cause === undefined ? 500 : HttpServerError.causeResponseStripped(cause)[0].status

/** Without its query; a web handler is given the whole URL. */
const pathOf = (url: string): string => url.replace(/^[a-z]+:\/\/[^/?#]*/i, "").replace(/[?#].*$/, "") || "/"

const isFailure = ({ hasDefect, status }: RequestOutcome): boolean => status >= 500 || hasDefect

/** What failed, without the answers that are thrown about; of a request that was given up, nothing but the defects. */
const withoutResponse = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  const [, stripped] = HttpServerError.causeResponseStripped(cause)
  if (stripped._tag === "None" || Cause.isInterruptedOnly(stripped.value)) return undefined
  if (!HashSet.has(Cause.interruptors(stripped.value), HttpServerError.clientAbortFiberId)) return stripped.value
  return Option.getOrUndefined(Cause.keepDefects(stripped.value))
}

/** A defect that says itself how the request is to be answered, and was listened to. */
const isAnswer = (defect: unknown, status: number): boolean => {
  const original = Cause.originalError(defect)
  return HttpServerResponse.isServerResponse(original) || (status < 500 && isRespondable(original))
}

const isEncrypted = (source: unknown): boolean =>
  (source as { readonly socket?: { readonly encrypted?: boolean } } | undefined)?.socket?.encrypted === true
