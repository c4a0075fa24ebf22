/**
 * An event as the JSON that is sent, and the two events that are less than what was built: one too large for any server, and
 * one whose last scrubber failed.
 */
import type { Event, Exception } from "../protocol/Event.js"
import { stringifyEvent } from "./lazyJson.js"
import { normalize, truncate } from "./normalize.js"

/** What servers take at most. @internal */
export const MAX_EVENT_BYTES = 1024 * 1024

/**
 * The event as JSON, within `MAX_EVENT_BYTES`. What callbacks put into it that JSON cannot carry (cycles, BigInt) is made
 * readable; what is too long is cut, the most voluminous parts first.
 *
 * @internal
 */
export const encodeEvent = (event: Event): string => {
  let json = stringify(event)
  for (const lessen of REDUCTIONS) {
    if (json.length <= MAX_EVENT_BYTES && Buffer.byteLength(json) <= MAX_EVENT_BYTES) return json
    json = stringify(lessen(JSON.parse(json) as Event))
  }
  return json
}

/** Everything JSON-safe again, after callbacks had it. @internal */
export const normalizeEvent = (event: Event): Event => {
  const { exception, breadcrumbs, request, user, tags, ...rest } = event
  const result = normalize(rest, 10, 1000) as Event
  // These hold their own nesting, and names that are no secrets though they look like ones.
  if (exception !== undefined) result.exception = safe(exception)
  if (breadcrumbs !== undefined) result.breadcrumbs = safe(breadcrumbs)
  if (request !== undefined) result.request = normalize(request, 7) as NonNullable<Event["request"]>
  if (user !== undefined) result.user = safe(user)
  if (tags !== undefined) result.tags = safe(tags)
  return result
}

/**
 * What may leave when `beforeSend`, often the user's own scrubber, has thrown: nothing that can hold user data, but enough to
 * see that something failed, and where.
 *
 * @param reason the name of what the callback threw
 * @internal
 */
export const reduceEvent = (event: Event, callback: string, reason: string): Event => {
  const reduced: Event = { event_id: event.event_id, timestamp: event.timestamp, platform: event.platform }
  for (const key of ["level", "release", "environment", "dist", "sdk"] as const) {
    if (event[key] !== undefined) Object.assign(reduced, { [key]: event[key] })
  }
  if (event.exception !== undefined) {
    reduced.exception = { values: event.exception.values.map(withoutUserData) }
  } else {
    reduced.message = `An event was reduced because ${callback} failed`
  }
  reduced.contexts = { faultline: { reduced: `${callback} threw ${reason}` } }
  return reduced
}

const stringify = (event: Event): string => {
  try {
    return stringifyEvent(event)
  } catch {
    return JSON.stringify(normalizeEvent(event))
  }
}

const safe = <A>(value: A): A => {
  try {
    return JSON.parse(JSON.stringify(value)) as A
  } catch {
    return normalize(value, 10, 1000) as A
  }
}

const withoutUserData = (exception: Exception): Exception => {
  const result: Exception = { type: exception.type }
  if (exception.mechanism !== undefined) {
    const { data: _, ...mechanism } = exception.mechanism
    result.mechanism = mechanism
  }
  if (exception.stacktrace !== undefined) {
    result.stacktrace = { frames: exception.stacktrace.frames.map(({ vars: _, ...frame }) => frame) }
  }
  return result
}

const REDUCTIONS: ReadonlyArray<(event: Event) => Event> = [
  (event) => cut(event, 8192) as Event,
  (event) => {
    const { breadcrumbs: _, ...rest } = cut(event, 1024) as Event
    return rest
  },
  (event) => {
    const { extra: _, contexts: __, request: ___, modules: ____, ...rest } = cut(event, 256) as Event
    return rest
  }
]

/** Every text in it at most `maxLength` long. */
const cut = (value: unknown, maxLength: number): unknown => {
  if (typeof value === "string") return truncate(value, maxLength)
  if (Array.isArray(value)) return value.map((item) => cut(item, maxLength))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, cut(item, maxLength)]))
}
