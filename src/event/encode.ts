/**
 * An event as the JSON that is sent, and the two events that are less than what was built: one too large for any server, and
 * one whose last scrubber failed.
 */
import type { Event, Exception, StackFrame } from "../protocol/Event.js"
import { stringifyEvent } from "./lazyJson.js"
import { normalize, normalizeGiven, truncate } from "./normalize.js"

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
    if (json.length <= MAX_EVENT_BYTES && Buffer.byteLength(json) <= MAX_EVENT_BYTES) break
    json = stringify(lessen(JSON.parse(json) as Event))
  }
  return json
}

/**
 * Everything JSON-safe, after callbacks had it or as a user built it. Masked is what stands in `extra`, in breadcrumbs and in the
 * request; elsewhere names that look like secrets are none (a package called `js-tokens`), or were set on purpose.
 *
 * @internal
 */
export const normalizeEvent = <E extends Partial<Event>>(event: E): E => {
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(event)) {
    if (value === undefined || value === null) continue
    if (key === "breadcrumbs") result[key] = breadcrumbsOf(value)
    else if (key === "request") result[key] = requestOf(value)
    else if (key === "extra") result[key] = normalize(value, 10, 1000)
    else result[key] = safe(value)
  }
  return result as E
}

/** Cookies are masked one by one: their names stay. */
const requestOf = (given: unknown): unknown => {
  const normal = normalize(given, 10, 1000)
  try {
    const { cookies } = given as { readonly cookies?: unknown }
    return isObject(cookies) && isObject(normal) ? { ...normal, cookies: normalize(cookies, 10, 1000) } : normal
  } catch {
    return normal
  }
}

/** Also the bare list that other SDKs write. */
const breadcrumbsOf = (given: unknown): { values: Array<unknown> } => {
  try {
    const values = Array.isArray(given) ? given : (given as { readonly values?: unknown }).values
    return { values: (Array.isArray(values) ? values : []).map((breadcrumb) => normalize(breadcrumb, 6, 1000)) }
  } catch {
    return { values: [] }
  }
}

/**
 * What may leave when `beforeSend`, often the user's own scrubber, has thrown: nothing that can hold user data, but enough to
 * see that something failed, and where.
 *
 * @param reason what the callback did
 * @internal
 */
export const reduceEvent = (event: Event, callback: string, reason: string): Event => {
  const reduced: Event = { event_id: event.event_id, timestamp: event.timestamp, platform: event.platform }
  for (const key of ["level", "release", "environment", "dist", "sdk"] as const) {
    if (event[key] !== undefined) Object.assign(reduced, { [key]: event[key] })
  }
  // The callback may have left anything in it.
  const values: unknown = event.exception?.values
  const exceptions = Array.isArray(values)
    ? values.filter(isObject).map((value) => withoutUserData(value as Exception))
    : []
  if (exceptions.length > 0) reduced.exception = { values: exceptions }
  else reduced.message = `An event was reduced because ${callback} failed`
  reduced.contexts = { faultline: { reduced: `${callback} ${reason}` } }
  return reduced
}

const stringify = (event: Event): string => {
  let json: string
  try {
    json = stringifyEvent(event)
  } catch {
    json = JSON.stringify(normalizeEvent(event))
  }
  // Half a surrogate pair, which JSON escapes and servers reject; an escaped backslash before the same letters is none.
  return json.includes("\\ud")
    ? json.replace(/\\(?:\\|ud[89a-f][0-9a-f]{2})/g, (escape) => (escape.startsWith("\\u") ? "\ufffd" : escape))
    : json
}

const safe = <A>(value: A): A => {
  try {
    return JSON.parse(JSON.stringify(value)) as A
  } catch {
    return normalizeGiven(value, 10, 1000) as A
  }
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const withoutUserData = (exception: Exception): Exception => {
  const result: Exception = { type: exception.type }
  if (isObject(exception.mechanism)) {
    const { data: _, ...mechanism } = exception.mechanism
    result.mechanism = mechanism
  }
  const frames: unknown = exception.stacktrace?.frames
  if (Array.isArray(frames)) {
    const kept = (frames as Array<StackFrame>)
      .filter(isObject)
      .map(({ raw_function: _, vars: __, ...frame }: StackFrame) => frame)
    if (kept.length > 0) result.stacktrace = { frames: kept }
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
    const { contexts: _, extra: __, modules: ___, request: ____, ...rest } = cut(event, 256) as Event
    return rest
  },
  (event) => essence(cut(event, 200) as Event)
]

/** What tells at least which event it is. */
const essence = (event: Event): Event => {
  const result: Event = { event_id: event.event_id, timestamp: event.timestamp, platform: event.platform }
  for (const key of ["level", "release", "environment", "dist", "transaction", "message", "sdk"] as const) {
    if (event[key] !== undefined) Object.assign(result, { [key]: event[key] })
  }
  if (isObject(event.tags)) result.tags = Object.fromEntries(Object.entries(event.tags).slice(0, 100))
  const values = event.exception?.values
  if (Array.isArray(values))
    result.exception = {
      values: values
        .filter(isObject)
        .slice(-5)
        .map((value) => essentialException(value))
    }
  return result
}

const essentialException = ({ mechanism, stacktrace, type, value }: Exception): Exception => {
  const frames: unknown = stacktrace?.frames
  return {
    type,
    value,
    ...(isObject(mechanism) ? { mechanism } : undefined),
    ...(Array.isArray(frames)
      ? {
          stacktrace: {
            frames: frames
              .filter(isObject)
              .slice(-50)
              .map((frame) => withoutSource(frame))
          }
        }
      : undefined)
  }
}

const withoutSource = ({
  context_line: _,
  post_context: __,
  pre_context: ___,
  vars: ____,
  ...frame
}: StackFrame): StackFrame => frame

/** Every text in it at most `maxLength` long, and every name. */
const cut = (value: unknown, maxLength: number): unknown => {
  if (typeof value === "string") return truncate(value, maxLength)
  if (Array.isArray(value)) return value.map((item) => cut(item, maxLength))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [truncate(key, maxLength), cut(item, maxLength)])
  )
}
