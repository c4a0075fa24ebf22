/**
 * How a request gets to a server, as plain data: it is followed on this thread, and on another one at a hard exit.
 */
import * as Redacted from "effect/Redacted"
import { parseProxy, withoutBrackets } from "./proxy.js"
import type { Endpoint } from "./Transport.js"

/** @internal */
export interface Route extends Hop {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** A proxy that is asked for a connection first. */
  readonly tunnel: Tunnel | undefined
  /** Certificates (PEM) that are trusted, instead of those that Node trusts. */
  readonly ca: ReadonlyArray<string> | undefined
}

/** @internal */
export interface Hop {
  readonly isSecure: boolean
  readonly host: string
  readonly port: string
}

/** @internal */
export interface Tunnel extends Hop {
  /** Host and port to be connected to. */
  readonly authority: string
  readonly headers: Readonly<Record<string, string>>
}

/** @internal */
export const routeTo = ({ ca, headers, proxy: given, url }: Endpoint): Route => {
  const { hostname, host, pathname, port, protocol, search } = new URL(url)
  const isSecure = protocol === "https:"
  const hop: Hop = { isSecure, host: withoutBrackets(hostname), port: port === "" ? (isSecure ? "443" : "80") : port }
  const direct: Route = { ...hop, path: pathname + search, headers, tunnel: undefined, ca }
  const proxy = given === undefined ? undefined : parseProxy(Redacted.value(given))
  if (proxy === undefined) return direct
  if (!isSecure) {
    const { headers: own, ...to } = proxy
    return { ...direct, ...to, path: `http://${host}${pathname}${search}`, headers: { ...headers, host, ...own } }
  }
  const authority = `${hostname}:${hop.port}`
  return { ...direct, tunnel: { ...proxy, authority, headers: { host: authority, ...proxy.headers } } }
}
