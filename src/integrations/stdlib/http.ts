/**
 * Requests of `node:http` and `node:https`.
 */
import { Agent, ClientRequest, type IncomingMessage } from "node:http"
import { installAll, patchMethod, refCounted } from "../../hub/patch.js"
import { carryOn } from "../../scope/carrier.js"
import { isOwnAgent } from "../../transport/ownAgents.js"
import { subscribing } from "./channels.js"
import { Outgoing } from "./outgoing.js"

/**
 * Node tells about a request only when it leaves, by which time the fiber that made it is no longer known and its headers are
 * written. But every request, however and by whom it is made, is handed to an agent while it is constructed, and has its headers
 * written in one place. Where it comes by first it is noted; its headers are added to when the program has said all it has to say
 * about them. What becomes of it is heard from Node's channels.
 *
 * @internal
 */
export const watchHttp = refCounted(() =>
  installAll([
    () => patchMethod(Agent.prototype as unknown as Adding, "addRequest", noting),
    () => patchMethod(ClientRequest.prototype as unknown as Storing, "_storeHeader", addingHeaders),
    subscribing("http.client.request.start", onStart),
    subscribing("http.client.response.finish", onResponse),
    subscribing("http.client.request.error", onError)
  ])
)

// SAFETY: not in the documentation, but what every agent that is not Node's own implements, too. Should it change, requests are
// noted when their headers are written.
interface Adding {
  addRequest: (this: Agent, request: Request, ...rest: ReadonlyArray<unknown>) => void
}

// SAFETY: nor is this; Node calls it for every request, with the headers as a map of its own, or as the list that they were given as.
// Should it change, requests do not carry the trace on, and those of agents that are none of Node's are noted when they leave.
interface Storing {
  _storeHeader: (this: Request, firstLine: string, headers: unknown) => void
}

type Request = ClientRequest & { readonly agent?: (Agent & { readonly proxy?: unknown }) | null }

/** `undefined` for those that are not to be spoken of. */
const known = new WeakMap<ClientRequest, Outgoing | undefined>()

const noting = (original: Adding["addRequest"], isActive: () => boolean): Adding["addRequest"] =>
  function (request, ...rest) {
    if (!isActive() || isOwnAgent(this)) return original.call(this, request, ...rest)
    note(request, undefined, rest[0])
    return carryOn(() => original.call(this, request, ...rest))
  }

const addingHeaders = (original: Storing["_storeHeader"], isActive: () => boolean): Storing["_storeHeader"] =>
  function (firstLine, headers) {
    return original.call(this, firstLine, isActive() ? withTrace(this, headers) : headers)
  }

/** @param options what an agent is given for it */
const note = (request: Request, headers?: unknown, options?: unknown): Outgoing | undefined => {
  if (known.has(request)) return known.get(request)
  try {
    const { agent } = request
    if (agent !== undefined && agent !== null && isOwnAgent(agent)) return undefined
    const outgoing = Outgoing.start(() => ({
      method: request.method,
      origin: `${request.protocol}//${hostOf(request, headers, options)}`,
      path: request.path,
      proxy: agent?.proxy instanceof URL ? agent.proxy.href : undefined
    }))
    known.set(request, outgoing)
    if (outgoing !== undefined) request.on("close", onClose)
    return outgoing
  } catch {
    // The program's request goes on, whatever is the matter with our note of it.
    return undefined
  }
}

const hostOf = (request: Request, headers: unknown, options: unknown): string => {
  const list = listOf(headers)
  const host = list === undefined ? request.getHeader("host") : valueIn(list, "host")
  if (host !== undefined) return String(host)
  const { port } = (options ?? {}) as { readonly port?: unknown }
  return port === undefined ? request.host : `${request.host}:${String(port)}`
}

/** The headers to write in the place of these. */
const withTrace = (request: Request, headers: unknown): unknown => {
  try {
    const outgoing = note(request, headers)
    if (outgoing === undefined) return headers
    const list = listOf(headers)
    return list === undefined ? addToRequest(request, headers, outgoing) : addToList(list, headers, outgoing)
  } catch {
    return headers
  }
}

const addToRequest = (request: Request, headers: unknown, outgoing: Outgoing): unknown => {
  if (request.hasHeader("sentry-trace")) return headers
  const existing = request.getHeader("baggage")
  const trace = outgoing.headers(existing === undefined ? undefined : String(existing))
  if (trace === undefined) return headers
  // Where there are no headers at all yet, this function was not given the map that Node would put them in.
  if (headers === null || headers === undefined) {
    return Object.entries({
      "sentry-trace": trace.sentryTrace,
      ...(trace.baggage !== "" && { baggage: trace.baggage })
    })
  }
  request.setHeader("sentry-trace", trace.sentryTrace)
  if (trace.baggage !== "") request.setHeader("baggage", trace.baggage)
  return headers
}

type Header = ReadonlyArray<unknown>

const addToList = (list: ReadonlyArray<Header>, headers: unknown, outgoing: Outgoing): unknown => {
  if (valueIn(list, "sentry-trace") !== undefined) return headers
  const trace = outgoing.headers(valueIn(list, "baggage"))
  if (trace === undefined) return headers
  const others = list.filter((header) => !isNamed(header, "baggage"))
  return [...others, ["sentry-trace", trace.sentryTrace], ...(trace.baggage === "" ? [] : [["baggage", trace.baggage]])]
}

/** Headers that were given as a list: of names and values in turn, or of pairs. Lists that Node refuses are none. */
const listOf = (headers: unknown): ReadonlyArray<Header> | undefined => {
  if (!Array.isArray(headers)) return undefined
  const list = headers as ReadonlyArray<unknown>
  if (Array.isArray(list[0])) return list as ReadonlyArray<Header>
  if (list.length % 2 !== 0) return undefined
  return Array.from({ length: list.length / 2 }, (_, index) => list.slice(2 * index, 2 * index + 2))
}

const isNamed = ([name]: Header, wanted: string): boolean => String(name).toLowerCase() === wanted

const valueIn = (list: ReadonlyArray<Header>, name: string): string | undefined => {
  const values = list.filter((header) => isNamed(header, name)).map(([, value]) => String(value))
  return values.length === 0 ? undefined : values.join(",")
}

const onStart = (message: unknown): void => {
  note((message as { readonly request: Request }).request)
}

const onResponse = (message: unknown): void => {
  const { request, response } = message as { readonly request: ClientRequest; readonly response: IncomingMessage }
  known.get(request)?.answered(response.statusCode ?? 0, response.statusMessage)
}

const onError = (message: unknown): void => {
  const { error, request } = message as { readonly request: ClientRequest; readonly error: unknown }
  known.get(request)?.failed(error)
}

/** Of an answer that ends the HTTP on its connection (to `Upgrade` and `CONNECT`) and of `request.abort()` Node's channels say nothing. */
function onClose(this: ClientRequest): void {
  const { res } = this as { readonly res?: IncomingMessage | null }
  if (res === null || res === undefined) known.get(this)?.failed({ code: "ABORT_ERR" })
  else known.get(this)?.answered(res.statusCode ?? 0, res.statusMessage)
}
