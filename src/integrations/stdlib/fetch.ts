/**
 * Requests of the global `fetch` and of undici.
 */
import { installAll, patchMethod, refCounted } from "../../hub/patch.js"
import { bindScope, carryOn } from "../../scope/carrier.js"
import { subscribing } from "./channels.js"
import { Outgoing } from "./outgoing.js"

/**
 * The scope is noted when undici makes a request; what it calls later on comes in the asynchronous context of whichever request
 * opened the connection, and is put into that of its own. The global `fetch` is called in that of its fiber, for the further hops
 * of a request that is made in passing.
 *
 * @internal
 */
export const watchFetch = refCounted(() =>
  installAll([
    () => (typeof globalThis.fetch === "function" ? patchMethod(globalThis, "fetch", carryingOn) : () => {}),
    subscribing("undici:request:create", onCreate),
    subscribing("undici:request:headers", onHeaders),
    subscribing("undici:request:error", onError),
    () => () => {
      for (const unpatch of prototypes.values()) unpatch()
      prototypes.clear()
    }
  ])
)

const carryingOn = (original: typeof fetch, isActive: () => boolean): typeof fetch => {
  const patched = function (this: unknown, ...args: Parameters<typeof fetch>): ReturnType<typeof fetch> {
    return isActive() ? carryOn(() => Reflect.apply(original, this, args)) : Reflect.apply(original, this, args)
  }
  return Object.defineProperties(patched, Object.getOwnPropertyDescriptors(original))
}

interface UndiciRequest {
  readonly origin?: unknown
  readonly path: string
  readonly method: string
  /** A text of header lines, or a list of names and values in turn, by version. */
  headers: string | Array<string | ReadonlyArray<string>>
  readonly addHeader: (name: string, value: string) => void
}

const known = new WeakMap<UndiciRequest, Outgoing>()

const onCreate = (message: unknown): void => {
  const { request } = message as { readonly request: UndiciRequest }
  try {
    scopes.set(request, bindScope())
    watchCalls(request)
    const outgoing = Outgoing.start(() => ({
      method: request.method,
      origin: String(request.origin ?? "").replace(/\/$/, ""),
      path: request.path
    }))
    if (outgoing === undefined) return
    known.set(request, outgoing)
    addHeaders(request, outgoing)
  } catch {
    // The program's request goes on, whatever is the matter with our note of it.
  }
}

const addHeaders = (request: UndiciRequest, outgoing: Outgoing): void => {
  if (headerOf(request, "sentry-trace") !== undefined) return
  const existing = headerOf(request, "baggage")
  const headers = outgoing.headers(existing)
  if (headers === undefined) return
  request.addHeader("sentry-trace", headers.sentryTrace)
  if (headers.baggage === "") return
  // `addHeader` adds a line, whatever there is already.
  if (existing !== undefined) removeHeader(request, "baggage")
  request.addHeader("baggage", headers.baggage)
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

type Callback = (this: UndiciRequest, ...args: Array<unknown>) => unknown

/** By what a connection tells a request how it goes. */
const CALLBACKS = ["onConnect", "onHeaders", "onData", "onUpgrade", "onComplete", "onError"] as const

const scopes = new WeakMap<UndiciRequest, <A>(body: () => A) => A>()

/** Those of the requests of each undici there is: Node's own and the program's. */
const prototypes = new Map<object, () => void>()

// SAFETY: neither is in undici's documentation. Should they change, the next hop that a dispatcher makes of a request (it follows
// redirects, or tries again) may be taken for one of another request of the same connection.
const watchCalls = (request: UndiciRequest): void => {
  const prototype = Object.getPrototypeOf(request) as Record<string, Callback>
  if (prototypes.has(prototype)) return
  const calls = CALLBACKS.filter((name) => typeof prototype[name] === "function")
  prototypes.set(
    prototype,
    installAll(calls.map((name) => () => patchMethod(prototype, name, (original) => inItsScope(name, original))))
  )
}

const inItsScope = (name: (typeof CALLBACKS)[number], original: Callback): Callback =>
  function (...args) {
    // Of this one not all versions tell by a channel.
    if (name === "onUpgrade") known.get(this)?.answered(Number(args[0]), textOf(args[3]))
    const run = scopes.get(this)
    return run === undefined ? original.apply(this, args) : run(() => original.apply(this, args))
  }

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** Several of one name are one, as HTTP has it. */
const headerOf = ({ headers }: UndiciRequest, name: string): string | undefined => {
  const values =
    typeof headers === "string"
      ? Array.from(headers.matchAll(linesOf(name)), ([, value]) => value)
      : headers.filter((_, index) => index % 2 === 1 && isNamed(headers[index - 1], name))
  return values.length === 0 ? undefined : values.map(String).join(",")
}

const removeHeader = (request: UndiciRequest, name: string): void => {
  const { headers } = request
  if (typeof headers === "string") request.headers = headers.replace(linesOf(name), "")
  else {
    const others = headers.filter((_, index) => !isNamed(headers[index - (index % 2)], name))
    headers.splice(0, headers.length, ...others)
  }
}

const linesOf = (name: string): RegExp => new RegExp(`^${name}: ([^\\r]*)\\r\\n`, "gim")

const isNamed = (written: unknown, name: string): boolean => String(written).toLowerCase() === name
