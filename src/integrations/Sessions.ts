/**
 * Release health: how many runs, or requests, of a release went well.
 *
 * @since 0.1.0
 */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import type { Hooks, SeenError } from "../hub/Registry.js"
import { checkOptions, isOneOf } from "../protocol/checkOptions.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * - `application` (the default), for what is run and ends: one session for the life of the hub;
   * - `request`, for servers: one for each request that is served, counted by the minute.
   */
  readonly mode?: "application" | "request" | undefined
}

/**
 * Tells the server how each session of the release ended: `exited`, `errored` (an error was reported in it) or `crashed` (one
 * escaped, also one that was reported before). An application's session ends as the hub closes or the process ends; `Atexit`
 * gets it delivered. Requests are counted by the middlewares of `effect-faultline/http` and `effect-faultline/rpc`, and told every
 * minute, and on a flush. Errors that `beforeSend` or a processor has dropped do not count, sampled ones do.
 *
 * Without a `release`, or where the profile of the server knows no sessions, it does nothing. It is none of the default
 * integrations: with it, each run of a program has something to send at its end.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { DefaultIntegrations, Hub, Sessions } from "effect-faultline"
 * import { Layer } from "effect"
 *
 * const Faultline = Layer.mergeAll(DefaultIntegrations, Sessions.layer({ mode: "request" })).pipe(
 *   Layer.provideMerge(Hub.layerConfig({ release: "shop@1.4.2" }))
 * )
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, { mode: isOneOf("application", "request") })
  const { mode = "application" } = options
  return Integration.make("sessions", ({ client }) =>
    Effect.sync((): Hooks => {
      const { environment, release } = client.options
      if (release === undefined) {
        client.debug("sessions need a release: none are counted")
        return {}
      }
      if (!client.accepts(mode === "request" ? "sessions" : "session")) return {}
      const attributes = { release, environment }
      return mode === "request" ? countRequests(client, attributes) : watchApplication(client, attributes)
    })
  )
}

interface Attributes {
  readonly release: string
  readonly environment: string
}

const watchApplication = (client: Client, attributes: Attributes): Hooks => {
  const session = new ApplicationSession(client, attributes)
  return {
    onError: ({ escaped }) => session.failed(escaped),
    onFlush: (isLast) => {
      if (isLast) session.end()
    },
    onHubClose: Effect.sync(() => session.end())
  }
}

class ApplicationSession {
  readonly #id = randomUUID()
  readonly #startedAt = Date.now()
  #errors = 0
  #wasSent = false
  #isOver = false

  constructor(
    readonly client: Client,
    readonly attributes: Attributes
  ) {}

  failed(escaped: boolean): void {
    if (this.#isOver) return
    this.#errors++
    // What crashes may not come to say so later. The count of the others can wait for the end.
    if (escaped) this.#send("crashed")
    else if (this.#errors === 1) this.#send("ok")
  }

  end(): void {
    if (!this.#isOver) this.#send("exited")
  }

  #send(status: "ok" | "exited" | "crashed"): void {
    const now = Date.now()
    this.#isOver = status !== "ok"
    const payload = {
      sid: this.#id,
      init: !this.#wasSent,
      started: new Date(this.#startedAt).toISOString(),
      timestamp: new Date(now).toISOString(),
      status,
      errors: this.#errors,
      ...(this.#isOver ? { duration: (now - this.#startedAt) / 1000 } : undefined),
      attrs: this.attributes
    }
    // What is sent first must not be overtaken by what follows.
    const isUrgent = status === "crashed" && !this.#wasSent
    this.#wasSent = true
    this.client.offer(
      { headers: { type: "session" }, payload: JSON.stringify(payload), category: "session", quantity: 1 },
      isUrgent
    )
  }
}

const countRequests = (client: Client, attributes: Attributes): Hooks => {
  const counts = new RequestCounts(client, attributes)
  return {
    onError: (seen) => counts.failed(seen),
    onRequestEnd: ({ isolations, startedAt }) => counts.ended(isolations[0], startedAt),
    onFlush: () => counts.send(),
    activate: () => {
      const timer = setInterval(() => counts.send(), SEND_INTERVAL_MILLIS).unref()
      return () => {
        clearInterval(timer)
        counts.send()
      }
    }
  }
}

type Outcome = "exited" | "errored" | "crashed"

class RequestCounts {
  readonly #worst = new WeakMap<object, "errored" | "crashed">()
  /** By the minute in which the requests began. */
  readonly #buckets = new Map<number, Partial<Record<Outcome, number>>>()

  constructor(
    readonly client: Client,
    readonly attributes: Attributes
  ) {}

  failed({ escaped, isolations }: SeenError): void {
    // It may have happened in an isolation scope within that of the request.
    for (const isolation of isolations) {
      if (this.#worst.get(isolation) !== "crashed") this.#worst.set(isolation, escaped ? "crashed" : "errored")
    }
  }

  ended(isolation: object | undefined, startedAt: number): void {
    const outcome = (isolation === undefined ? undefined : this.#worst.get(isolation)) ?? "exited"
    const minute = Math.floor(startedAt / 60_000) * 60_000
    if (!this.#buckets.has(minute) && this.#buckets.size >= MAX_BUCKETS) this.send()
    const bucket = this.#buckets.get(minute) ?? {}
    bucket[outcome] = (bucket[outcome] ?? 0) + 1
    this.#buckets.set(minute, bucket)
  }

  send(): void {
    if (this.#buckets.size === 0) return
    const aggregates = Array.from(this.#buckets, ([minute, bucket]) => ({
      started: new Date(minute).toISOString(),
      ...bucket
    }))
    this.#buckets.clear()
    const payload = JSON.stringify({ aggregates, attrs: this.attributes })
    this.client.offer({ headers: { type: "sessions" }, payload, category: "session", quantity: 1 })
  }
}

const SEND_INTERVAL_MILLIS = 60_000
const MAX_BUCKETS = 100
