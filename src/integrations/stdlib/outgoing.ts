/**
 * An outgoing HTTP request, from the moment the program makes it: which scope it belongs to, and what is said about it there.
 */
import { scrubQuery, splitUrl } from "../../event/scrub.js"
import type { Client, Place } from "../../hub/Client.js"
import { clientOf, placeOf } from "../../hub/report.js"
import { currentCarrier, stateOf } from "../../scope/carrier.js"
import { type TraceHeaders, traceHeaders } from "../../scope/snapshot.js"

/** @internal */
export class Outgoing {
  readonly #started = performance.now()
  #done = false

  private constructor(
    readonly client: Client,
    readonly place: Place,
    readonly method: string,
    readonly url: string
  ) {}

  /** For the code that is running; `undefined` where nobody records it. */
  static start(method: string, url: string): Outgoing | undefined {
    const carrier = currentCarrier()
    if (carrier === undefined) return undefined
    const state = stateOf(carrier)
    const client = clientOf(state)
    if (client?.registry.get("stdlib") === undefined) return undefined
    return new Outgoing(client, placeOf(carrier, state), method, url)
  }

  /** What the request is to carry, unless its target is not to know of the trace. */
  headers(existingBaggage: string | undefined): TraceHeaders | undefined {
    const targets = this.client.options.tracePropagationTargets
    if (targets !== undefined && !targets.some((target) => matches(target, this.url))) return undefined
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
    const { fragment, query, url } = splitUrl(this.url)
    this.client.addBreadcrumb(
      {
        type: "http",
        category: "http",
        ...(level === undefined ? undefined : { level }),
        data: {
          "http.method": this.method,
          url,
          ...(query === "" ? undefined : { "http.query": scrubQuery(query) }),
          ...(fragment === "" ? undefined : { "http.fragment": fragment }),
          ...outcome,
          duration_ms: Math.round(performance.now() - this.#started)
        }
      },
      {},
      { ...this.place, now: Date.now() }
    )
  }
}

const matches = (target: string | RegExp, url: string): boolean =>
  typeof target === "string"
    ? url.includes(target)
    : new RegExp(target.source, target.flags.replace(/[gy]/g, "")).test(url)

const codeOf = (error: unknown): string => {
  const { cause, code, name } = (error ?? {}) as {
    readonly cause?: { readonly code?: unknown }
    readonly code?: unknown
    readonly name?: unknown
  }
  // The `code` of a DOMException is a number that says nothing.
  return [code, cause?.code, name].find((word): word is string => typeof word === "string") ?? "failed"
}
