/**
 * An outgoing HTTP request, from the moment the program makes it: which scope it belongs to, and what is said about it there.
 */
import { scrubQuery, splitUrl } from "../../event/scrub.js"
import type { Client, Place } from "../../hub/Client.js"
import { clientOf, placeOf } from "../../hub/report.js"
import { currentCarrier, stateOf } from "../../scope/carrier.js"
import { type TraceHeaders, traceHeaders } from "../../scope/snapshot.js"
import { settingsOf } from "./settings.js"

/** What is asked for, and of whom. @internal */
export interface Asking {
  readonly method: string
  /** Of the server that the request is made to. */
  readonly origin: string
  /** As it stands in the first line of the request: what a proxy is asked for is a whole URL, or (`CONNECT`) a host and a port. */
  readonly path: string
  /** The URL of the proxy that an agent goes through, where it says so. */
  readonly proxy?: string | undefined
}

/** @internal */
export class Outgoing {
  readonly #started = performance.now()
  readonly #method: string
  readonly #url: string
  readonly #proxy: string | undefined
  #done = false

  private constructor(
    readonly client: Client,
    readonly place: Place,
    { method, origin, path, proxy }: Asking
  ) {
    const isWhole = method === "CONNECT" || /^https?:\/\//i.test(path)
    this.#method = method
    this.#url = isWhole ? path.replace(/^\//, "") : `${origin}${path.startsWith("/") ? "" : "/"}${path}`
    this.#proxy = isWhole ? origin : proxy
  }

  /** For the code that is running; `undefined` where nobody records it. */
  static start(asking: () => Asking): Outgoing | undefined {
    const carrier = currentCarrier()
    if (carrier === undefined) return undefined
    const state = stateOf(carrier)
    const client = clientOf(state)
    if (client === undefined || settingsOf(client) === undefined || client.isInCallback) return undefined
    return new Outgoing(client, placeOf(carrier, state), asking())
  }

  /** What the request is to carry, unless its target is not to know of the trace. */
  headers(existingBaggage: string | undefined): TraceHeaders | undefined {
    // A tunnel is no part of what goes through it.
    if (this.#method === "CONNECT") return undefined
    const targets = this.client.options.tracePropagationTargets
    if (targets !== undefined && !targets.some((target) => matches(target, this.#url))) return undefined
    const { span, state } = this.place
    return traceHeaders(state, span, (traceId) => this.client.samplingContext(traceId), existingBaggage)
  }

  answered(status: number, reason: string | undefined): void {
    this.#record(
      { "http.response.status_code": status, ...(reason === undefined || reason === "" ? undefined : { reason }) },
      status >= 500 ? "error" : status >= 400 ? "warning" : undefined
    )
  }

  failed(error: unknown): void {
    this.#record({ error: codeOf(error) }, "error")
  }

  #record(outcome: Record<string, unknown>, level: "warning" | "error" | undefined): void {
    if (this.#done) return
    this.#done = true
    const { fragment, query, url } = splitUrl(this.#url)
    this.client.addBreadcrumb(
      {
        type: "http",
        category: "http",
        ...(level === undefined ? undefined : { level }),
        data: {
          "http.method": this.#method,
          url,
          ...(query === "" ? undefined : { "http.query": scrubQuery(query) }),
          ...(fragment === "" ? undefined : { "http.fragment": scrubQuery(fragment) }),
          ...peerOf(this.#proxy),
          ...outcome,
          duration_ms: Math.round(performance.now() - this.#started)
        }
      },
      {},
      { ...this.place, now: Date.now() }
    )
  }
}

const matches = (target: string | RegExp, url: string): boolean => {
  if (typeof target === "string") return url.includes(target)
  // Without the flags that make a pattern remember where it was.
  const pattern = target.global || target.sticky ? new RegExp(target.source, target.flags.replace(/[gy]/g, "")) : target
  return pattern.test(url)
}

const peerOf = (proxy: string | undefined): Record<string, unknown> | undefined => {
  if (proxy === undefined || !URL.canParse(proxy)) return undefined
  const { hostname, port, protocol } = new URL(proxy)
  return {
    "network.peer.address": hostname,
    "network.peer.port": port === "" ? (protocol === "https:" ? 443 : 80) : Number(port)
  }
}

const codeOf = (error: unknown): string => {
  const { cause, code, name } = (error ?? {}) as {
    readonly cause?: { readonly code?: unknown }
    readonly code?: unknown
    readonly name?: unknown
  }
  // The `code` of a DOMException is a number that says nothing.
  return [code, cause?.code, name].find((word): word is string => typeof word === "string") ?? "failed"
}
