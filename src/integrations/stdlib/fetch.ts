/**
 * Requests of the global `fetch` and of undici.
 */
import * as diagnostics from "node:diagnostics_channel"
import { refCounted } from "../../hub/patch.js"
import { Outgoing } from "./outgoing.js"

/**
 * The scope is noted when undici makes a request; its later events come in the asynchronous context of whichever request opened
 * the connection.
 *
 * @internal
 */
export const watchFetch = refCounted(() => {
  diagnostics.subscribe("undici:request:create", onCreate)
  diagnostics.subscribe("undici:request:headers", onHeaders)
  diagnostics.subscribe("undici:request:error", onError)
  return () => {
    diagnostics.unsubscribe("undici:request:create", onCreate)
    diagnostics.unsubscribe("undici:request:headers", onHeaders)
    diagnostics.unsubscribe("undici:request:error", onError)
  }
})

interface UndiciRequest {
  readonly origin?: unknown
  readonly path: string
  readonly method: string
  /** A text of header lines, or a list of names and values, by version. */
  headers: string | Array<string | ReadonlyArray<string>>
  readonly addHeader: (name: string, value: string) => void
}

const known = new WeakMap<UndiciRequest, Outgoing>()

const onCreate = (message: unknown): void => {
  const { request } = message as { readonly request: UndiciRequest }
  try {
    const outgoing = Outgoing.start(request.method, `${String(request.origin ?? "")}${request.path}`)
    if (outgoing === undefined) return
    known.set(request, outgoing)
    if (headerOf(request, "sentry-trace") !== undefined) return
    const existing = headerOf(request, "baggage")
    const headers = outgoing.headers(existing)
    if (headers === undefined) return
    request.addHeader("sentry-trace", headers.sentryTrace)
    if (headers.baggage === "") return
    if (existing === undefined || !replaceHeader(request, "baggage", headers.baggage)) {
      request.addHeader("baggage", headers.baggage)
    }
  } catch {
    // The program's request goes on, whatever is the matter with our note of it.
  }
}

const onHeaders = (message: unknown): void => {
  const { request, response } = message as {
    readonly request: UndiciRequest
    readonly response: { readonly statusCode: number; readonly statusText?: string }
  }
  known.get(request)?.answered(response.statusCode, response.statusText)
}

const onError = (message: unknown): void => {
  const { error, request } = message as { readonly request: UndiciRequest; readonly error: unknown }
  known.get(request)?.failed(error)
}

const headerOf = ({ headers }: UndiciRequest, name: string): string | undefined => {
  const lines = typeof headers === "string" ? headers.split(/\r\n|: /) : headers.flat()
  const index = indexOf(lines, name)
  return index < 0 ? undefined : String(lines[index + 1])
}

/** `addHeader` adds a line, whatever there is already. `false`: this version of undici keeps headers in some other way. */
const replaceHeader = (request: UndiciRequest, name: string, value: string): boolean => {
  if (typeof request.headers === "string") {
    request.headers = request.headers.replace(
      new RegExp(`(^|\\r\\n)${name}: [^\\r]*`, "i"),
      (_, start: string) => `${start}${name}: ${value}`
    )
    return true
  }
  const index = indexOf(request.headers, name)
  if (index < 0) return false
  request.headers[index + 1] = value
  return true
}

const indexOf = (lines: ReadonlyArray<unknown>, name: string): number => {
  for (let index = 0; index + 1 < lines.length; index += 2) {
    if (String(lines[index]).toLowerCase() === name) return index
  }
  return -1
}
