/**
 * Requests of `node:http` and `node:https`.
 */
import * as diagnostics from "node:diagnostics_channel"
import http, { type ClientRequest, type IncomingMessage } from "node:http"
import https from "node:https"
import { syncBuiltinESMExports } from "node:module"
import { patchMethod, refCounted } from "../../hub/patch.js"
import { isOwnRequest } from "../../transport/ownRequests.js"
import { Outgoing } from "./outgoing.js"

/**
 * Node tells about a request only when it leaves, by which time the fiber that made it is no longer known. So the functions that
 * make one are wrapped, to note where they are called; what becomes of it is heard from Node's channels, which (unlike listeners
 * on the request) change nothing for the program.
 *
 * @internal
 */
export const watchHttp = refCounted(() => {
  const unpatch = [
    patchMethod(http, "request", noting),
    patchMethod(http, "get", noting),
    patchMethod(https, "request", noting),
    patchMethod(https, "get", noting)
  ]
  syncBuiltinESMExports()
  diagnostics.subscribe("http.client.request.start", onStart)
  diagnostics.subscribe("http.client.response.finish", onResponse)
  diagnostics.subscribe("http.client.request.error", onError)
  return () => {
    diagnostics.unsubscribe("http.client.request.start", onStart)
    diagnostics.unsubscribe("http.client.response.finish", onResponse)
    diagnostics.unsubscribe("http.client.request.error", onError)
    for (const takeBack of unpatch) takeBack()
    syncBuiltinESMExports()
  }
})

const known = new WeakMap<ClientRequest, Outgoing | undefined>()

const noting = <F extends (...args: Array<never>) => ClientRequest>(original: F, isActive: () => boolean): F => {
  const wrapped = function (this: unknown, ...args: Parameters<F>): ClientRequest {
    const request = Reflect.apply(original, this, args)
    if (isActive()) note(request)
    return request
  }
  Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original))
  return wrapped as F
}

const note = (request: ClientRequest): void => {
  try {
    const outgoing = Outgoing.start(request.method, urlOf(request))
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

/** For requests of those who took hold of `http.request` before we did. */
const onStart = (message: unknown): void => {
  const { request } = message as { readonly request: ClientRequest }
  if (!known.has(request) && !isOwnRequest(request)) known.set(request, Outgoing.start(request.method, urlOf(request)))
}

const onResponse = (message: unknown): void => {
  const { request, response } = message as { readonly request: ClientRequest; readonly response: IncomingMessage }
  known.get(request)?.answered(response.statusCode ?? 0, response.statusMessage)
}

const onError = (message: unknown): void => {
  const { error, request } = message as { readonly request: ClientRequest; readonly error: unknown }
  known.get(request)?.failed(error)
}
