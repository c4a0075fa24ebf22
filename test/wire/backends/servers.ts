/**
 * What servers of the protocol do with an envelope, each by its own rules.
 */
import type { Answer, Json, ReceivedEnvelope } from "../../support/ingest.js"

/** A server: what it keeps of an envelope, and how it answers. */
export interface Backend {
  readonly name: string
  /** The events it has kept, in the order they came. */
  readonly kept: Array<Json>
  /** The envelopes it has refused, by the types of their items. */
  readonly refused: Array<string>
  readonly judge: (envelope: ReceivedEnvelope) => Answer
}

type Rule = (envelope: ReceivedEnvelope, keep: (event: Json) => void) => number

const backend = (name: string, rule: Rule): Backend => {
  const kept: Array<Json> = []
  const refused: Array<string> = []
  return {
    name,
    kept,
    refused,
    judge(envelope) {
      const status = rule(envelope, (event) => void kept.push(event))
      if (status >= 400) refused.push(typesOf(envelope).join("+"))
      return { status }
    }
  }
}

const typesOf = ({ framed }: ReceivedEnvelope): Array<string> =>
  framed.items.map(({ headers }) => String(headers["type"]))

const eventsOf = ({ framed }: ReceivedEnvelope): Array<Json> =>
  framed.items.filter(({ headers }) => headers["type"] === "event").map(({ json }) => json as Json)

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i

/** Takes everything, but no two kinds of telemetry in one envelope. */
export const sentry = (): Backend =>
  backend("Sentry", (envelope, keep) => {
    const kinds = new Set(typesOf(envelope).map((type) => (type === "attachment" ? "event" : type)))
    if (kinds.size > 1) return 400
    eventsOf(envelope).forEach(keep)
    return 200
  })

/** Knows a list of item types, keeps events alone, and stops reading at a type that is not on it. */
export const glitchtip = (): Backend =>
  backend("GlitchTip", (envelope, keep) => {
    const { headers, items } = envelope.framed
    const sdk = headers["sdk"] as Json | undefined
    if (typeof sdk?.["name"] !== "string" || typeof sdk["version"] !== "string") return 400
    const key = /sentry_key=([^,\s]+)/.exec(envelope.headers["x-sentry-auth"] ?? "")?.[1]
    if (key === undefined || !UUID.test(key)) return 401
    for (const { headers: itemHeaders, json } of items) {
      const type = String(itemHeaders["type"])
      if (type === "event" && isValidForGlitchtip(json as Json)) keep(json as Json)
      else if (!GLITCHTIP_TYPES.has(type)) return 200
    }
    return 200
  })

const GLITCHTIP_TYPES = new Set(
  "event transaction log session sessions client_report attachment user_report check_in profile replay span".split(" ")
)

/** A local variable that is null or a flag costs the whole stack. */
const isValidForGlitchtip = (event: Json): boolean => {
  const values = (
    event["exception"] as { values?: Array<{ stacktrace?: { frames: Array<{ vars?: Json }> } }> } | undefined
  )?.values
  return (values ?? []).every(({ stacktrace }) =>
    (stacktrace?.frames ?? []).every(({ vars }) =>
      Object.values(vars ?? {}).every(
        (value) => typeof value === "string" || (typeof value === "object" && value !== null)
      )
    )
  )
}

/** Exactly one event an envelope, found by the id in its header; everything else goes without a word. */
export const bugsink = (quota = Number.POSITIVE_INFINITY): Backend => {
  let taken = 0
  return backend("Bugsink", (envelope, keep) => {
    const { headers } = envelope.framed
    if (longestLine(envelope) > 8192) return 400
    if (!UUID.test(String(headers["event_id"]))) return 400
    if (taken >= quota) return 429
    const events = eventsOf(envelope)
    if (events.length !== 1) return 200
    taken++
    keep(events[0] as Json)
    return 200
  })
}

/** Wants an id in the header of every envelope. */
export const rustrak = (): Backend =>
  backend("Rustrak", (envelope, keep) => {
    if (!UUID.test(String(envelope.framed.headers["event_id"]))) return 422
    const [event] = eventsOf(envelope)
    if (event !== undefined) keep(event)
    return 200
  })

/** Strict about sizes; keeps each id once. */
export const telebugs = (): Backend => {
  const ids = new Set<unknown>()
  return backend("Telebugs", (envelope, keep) => {
    const events = eventsOf(envelope)
    const encoding = envelope.headers["content-encoding"]
    if (encoding !== undefined && encoding !== "gzip") return 415
    if (envelope.framed.items.length > 16 || events.length > 1 || longestLine(envelope) > 8192) return 400
    if (events.some((event) => depthOf(event) > 64)) return 400
    for (const event of events) {
      if (!ids.has(event["event_id"])) keep(event)
      ids.add(event["event_id"])
    }
    return 200
  })
}

/** Events and messages, and an error for whatever else there is. */
export const eventsOnly = (): Backend =>
  backend("a server that takes events alone", (envelope, keep) => {
    if (typesOf(envelope).some((type) => type !== "event")) return 400
    eventsOf(envelope).forEach(keep)
    return 200
  })

/** Of the header lines. */
const longestLine = ({ framed }: ReceivedEnvelope): number =>
  Math.max(
    ...[framed.headers, ...framed.items.map(({ headers }) => headers)].map((line) =>
      Buffer.byteLength(JSON.stringify(line))
    )
  )

const depthOf = (value: unknown): number =>
  typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
