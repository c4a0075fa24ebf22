/**
 * Requests of `node:http` and `node:https`.
 */
import * as diagnostics from "node:diagnostics_channel"
import { Agent, type ClientRequest, type IncomingMessage } from "node:http"
import { patchMethod, refCounted } from "../../hub/patch.js"
import { isOwnAgent } from "../../transport/ownAgents.js"
import { Outgoing } from "./outgoing.js"

/**
 * Node tells about a request only when it leaves, by which time the fiber that made it is no longer known. But every request,
 * however and by whom it is made, is handed to an agent while it is constructed: there it is noted. What becomes of it is heard
 * from Node's channels, which (unlike listeners on the request) change nothing for the program.
 *
 * @internal
 */
export const watchHttp = refCounted(() => {
  const unpatch = patchMethod(
    Agent.prototype as unknown as Adding,
    "addRequest",
    (original, isActive) =>
      function (this: Agent, request, ...rest) {
        if (isActive()) note(request, this)
        return original.call(this, request, ...rest)
      }
  )
  diagnostics.subscribe("http.client.request.start", onStart)
  diagnostics.subscribe("http.client.response.finish", onResponse)
  diagnostics.subscribe("http.client.request.error", onError)
  return () => {
    diagnostics.unsubscribe("http.client.request.start", onStart)
    diagnostics.unsubscribe("http.client.response.finish", onResponse)
    diagnostics.unsubscribe("http.client.request.error", onError)
    unpatch()
  }
})

// SAFETY: not in the documentation, but what every agent that is not Node's own implements, too. Should it change, requests are
// noted when they leave.
interface Adding {
  addRequest: (this: Agent, request: ClientRequest, ...rest: ReadonlyArray<unknown>) => void
}

const known = new WeakMap<ClientRequest, Outgoing | undefined>()

const note = (request: ClientRequest, agent: Agent | undefined): void => {
  try {
    if (known.has(request)) return
    const outgoing =
      agent !== undefined && isOwnAgent(agent) ? undefined : Outgoing.start(request.method, urlOf(request))
    known.set(request, outgoing)
    if (outgoing !== undefined && !request.headersSent) addHeaders(request, outgoing)
  } catch {
    // The program's request goes on, whatever is the matter with our note of it.
  }
}

const addHeaders = (request: ClientRequest, outgoing: Outgoing): void => {
  if (request.hasHeader("sentry-trace")) return
  const existing = request.getHeader("baggage")
  const headers = outgoing.headers(existing === undefined ? undefined : String(existing))
  if (headers === undefined) return
  request.setHeader("sentry-trace", headers.sentryTrace)
  if (headers.baggage !== "") request.setHeader("baggage", headers.baggage)
}

const urlOf = (request: ClientRequest): string => {
  const host = request.getHeader("host") ?? request.host
  return /^https?:\/\//.test(request.path) ? request.path : `${request.protocol}//${String(host)}${request.path}`
}

/** For requests without an agent, or with one that is none of Node's. */
const onStart = (message: unknown): void => {
  const { request } = message as { readonly request: ClientRequest & { readonly agent?: Agent } }
  note(request, request.agent)
}

const onResponse = (message: unknown): void => {
  const { request, response } = message as { readonly request: ClientRequest; readonly response: IncomingMessage }
  known.get(request)?.answered(response.statusCode ?? 0, response.statusMessage)
}

const onError = (message: unknown): void => {
  const { error, request } = message as { readonly request: ClientRequest; readonly error: unknown }
  known.get(request)?.failed(error)
}
