/**
 * Ways to make HTTP requests, and what is asked of all of them.
 */
import * as http from "node:http"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import * as undici from "undici"
import { type Answer, Ingest, type Json, type ReceivedRequest } from "../support/ingest.js"
import { crumbsIn, flushed, hubAt, settle } from "./kit.js"

type Headers = Readonly<Record<string, string>>

/** Makes a request and reads its answer to the end. */
export type Client = (url: string, headers?: Headers, method?: "GET" | "POST") => Effect.Effect<unknown, unknown>

export const viaNode =
  (make: (url: string, options: http.RequestOptions) => http.ClientRequest): Client =>
  (url, headers = {}, method = "GET") =>
    Effect.async<void, unknown>((resume) => {
      const request = make(url, { headers, method, agent: false })
      request.on("response", (response) => {
        response.resume().on("end", () => resume(Effect.void))
        response.on("error", (error) => resume(Effect.fail(error)))
      })
      request.on("error", (error) => resume(Effect.fail(error)))
      request.end(method === "POST" ? "body" : undefined)
    })

export const viaPlatform =
  (layer: Layer.Layer<HttpClient.HttpClient>): Client =>
  (url, headers = {}, method = "GET") =>
    Effect.flatMap(
      method === "GET"
        ? HttpClient.get(url, { headers })
        : HttpClient.post(url, { headers, body: HttpBody.text("body") }),
      ({ text }) => text
    ).pipe(Effect.provide(layer))

interface UndiciOptions {
  readonly method: "GET" | "POST"
  readonly headers: Record<string, string>
  readonly body?: string
}

const viaUndici =
  (make: (url: string, options: UndiciOptions) => Promise<unknown>): Client =>
  (url, headers = {}, method = "GET") =>
    Effect.tryPromise({
      try: () => make(url, { method, headers: { ...headers }, ...(method === "POST" && { body: "body" }) }),
      catch: (error) => error
    })

export const clients: ReadonlyArray<readonly [name: string, client: Client]> = [
  ["http.request", viaNode((url, options) => http.request(url, options))],
  [
    "fetch",
    (url, headers, method = "GET") =>
      Effect.tryPromise(async () =>
        (await fetch(url, { method, ...(headers && { headers }), ...(method === "POST" && { body: "body" }) })).text()
      )
  ],
  ["undici.request", viaUndici(async (url, options) => (await undici.request(url, options)).body.text())],
  ["undici.fetch", viaUndici(async (url, options) => (await undici.fetch(url, options)).text())],
  ["FetchHttpClient", viaPlatform(FetchHttpClient.layer)],
  ["NodeHttpClient", viaPlatform(NodeHttpClient.layer)],
  ["NodeHttpClient over undici", viaPlatform(NodeHttpClient.layerUndici)]
]

export const getters: typeof clients = [["http.get", viaNode((url, options) => http.get(url, options))]]

/** A server that answers `/404` with a 404, and so on; `/to/x` leads to `/x`. */
export const byPath = ({ path }: ReceivedRequest): Answer => {
  const [, first = "", second = ""] = path.split(/[/?]/)
  if (first === "to") return { status: 302, headers: { location: `/${second}` } }
  return /^\d+$/.test(first) ? { status: Number(first) } : first === "cutOff" || first === "reset" ? first : {}
}

/** Runs the effect in a span, with `Stdlib` on and a server to talk to: that server, and the breadcrumbs of an event afterwards. */
export const talking = <E>(
  effect: (target: Ingest) => Effect.Effect<unknown, E, Scope.Scope>,
  options: Faultline.Options = {},
  target: Effect.Effect<Ingest, never, Scope.Scope> = Ingest.start({ others: byPath })
) =>
  Effect.gen(function* () {
    const server = yield* target
    const ingest = yield* Ingest.start()
    yield* Effect.gen(function* () {
      yield* effect(server)
      yield* Faultline.captureMessage("after")
      yield* flushed
    }).pipe(
      Effect.withSpan("job"),
      Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest, options))))
    )
    const event = yield* ingest.event()
    return {
      server,
      ingest,
      trace: (event["contexts"] as Record<string, Json>)["trace"] as Json,
      crumbs: crumbsIn(settle(event)).map(settleDuration)
    }
  })

export const crumb = (url: string, outcome: Json, own: Json = {}, level?: string): Json => ({
  timestamp: "<timestamp>",
  type: "http",
  category: "http",
  ...(level === undefined ? undefined : { level }),
  data: { "http.method": "GET", url, ...own, ...outcome, duration_ms: "<ms>" }
})

export const status = (code: number): Json => ({
  "http.response.status_code": code,
  reason: http.STATUS_CODES[code]
})

export const settleDuration = (crumb: Json): Json => {
  const data = crumb["data"] as Json
  assert.isTrue(Number.isInteger(data["duration_ms"]) && Number(data["duration_ms"]) >= 0)
  return { ...crumb, data: { ...data, duration_ms: "<ms>" } }
}

/** The members of a baggage header, without order. */
export const members = (baggage: string | undefined): ReadonlyArray<string> =>
  (baggage ?? "")
    .split(",")
    .map((member) => member.trim())
    .toSorted((a, b) => a.localeCompare(b))

export const dsc = (trace: Json, ...others: ReadonlyArray<string>): ReadonlyArray<string> =>
  members(
    [
      `sentry-trace_id=${String(trace["trace_id"])}`,
      "sentry-public_key=public",
      "sentry-environment=production",
      ...others
    ].join()
  )
