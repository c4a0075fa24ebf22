/**
 * A structured log as the JSON that is sent. It is put together as text: a log costs half of what it does by way of objects, and
 * of most logs the greater part is known beforehand.
 */
import type * as Tracer from "effect/Tracer"
import { type Log, SEVERITY_NUMBERS } from "../protocol/Log.js"
import type { PropagationContext } from "../protocol/Trace.js"
import { truncate } from "./normalize.js"
import { FILTERED, isSensitiveKey, scrubText } from "./scrub.js"
import { describe } from "./text.js"

/**
 * Masked like everything that leaves; `undefined` for what a callback has made of it and is no log any more.
 *
 * @param before attributes that are encoded already
 * @internal
 */
export const encodeLog = (
  log: Log,
  span: Tracer.AnySpan | undefined,
  propagation: PropagationContext,
  before = ""
): string | undefined => {
  const { attributes, level, message, timestamp } = log
  const severity = SEVERITIES.get(level)
  if (severity === undefined || !Number.isFinite(timestamp)) return undefined
  const inSpan = span !== undefined && TRACE_ID.test(span.traceId)
  const traceId = inSpan ? span.traceId : propagation.traceId
  const spanId = inSpan && SPAN_ID.test(span.spanId) ? `"span_id":"${span.spanId}",` : ""
  const head = `{"timestamp":${timestamp},"trace_id":"${traceId}",${spanId}"level":"${level}","severity_number":${severity},`
  return `${head}"body":${JSON.stringify(clean(message))},"attributes":{${encodeAttributes(attributes, before)}}}`
}

/** The members of the object that they become, after those in `before`. @internal */
export const encodeAttributes = (attributes: unknown, before = ""): string => {
  let json = before
  if (typeof attributes !== "object" || attributes === null) return json
  let count = 0
  for (const name of Object.keys(attributes)) {
    const value = (attributes as Record<string, unknown>)[name]
    if (value === undefined || value === null) continue
    if (++count > MAX_ATTRIBUTES) break
    const { isSecret, prefix } = keyOf(name)
    json = `${json}${json === "" ? "" : ","}${prefix}${isSecret ? MASKED : encodeValue(value)}`
  }
  return json
}

/** What a callback that failed, often a scrubber, may have been about to remove is gone. @internal */
export const reduceLog = ({ level, timestamp }: Log): Log => ({
  timestamp,
  level,
  message: "A log was reduced because beforeSendLog failed",
  attributes: {}
})

const SEVERITIES: ReadonlyMap<string, number> = new Map(Object.entries(SEVERITY_NUMBERS))
const MAX_LENGTH = 8192
const MAX_ATTRIBUTES = 200
const MAX_ITEMS = 100
const MAX_NAME_LENGTH = 200
const MAX_REMEMBERED = 1024
const TRACE_ID = /^[0-9a-f]{32}$/
const SPAN_ID = /^[0-9a-f]{16}$/

const encodeValue = (value: unknown): string => {
  switch (typeof value) {
    case "boolean":
      return `{"type":"boolean","value":${value}}`
    case "number":
      if (!Number.isFinite(value)) return encodeText(String(value))
      return Number.isSafeInteger(value)
        ? `{"type":"integer","value":${JSON.stringify(value)}}`
        : `{"type":"double","value":${value}}`
    case "bigint":
      // JSON has no room for all of its digits.
      return encodeText(String(value))
    default:
      return isPlainList(value)
        ? `{"type":"array","value":${JSON.stringify(value.map((item) => (typeof item === "string" ? clean(item) : item)))}}`
        : encodeText(clean(value))
  }
}

const encodeText = (text: string): string => `{"type":"string","value":${JSON.stringify(text)}}`

const MASKED = encodeText(FILTERED)

const clean = (value: unknown): string => scrubText(truncate(describe(value), MAX_LENGTH).toWellFormed())

/** Lists of one kind of value; all others are sent as JSON. */
const isPlainList = (value: unknown): value is ReadonlyArray<string | number | boolean> => {
  try {
    if (!Array.isArray(value) || value.length > MAX_ITEMS) return false
    const kind = typeof value[0]
    if (kind !== "string" && kind !== "boolean" && kind !== "number") return false
    return value.every((item) => typeof item === kind && (kind !== "number" || Number.isFinite(item)))
  } catch {
    return false
  }
}

interface Key {
  /** The name and the colon. */
  readonly prefix: string
  readonly isSecret: boolean
}

const keys = new Map<string, Key>()

const keyOf = (name: string): Key => {
  const known = keys.get(name)
  if (known !== undefined) return known
  const text = truncate(name, MAX_NAME_LENGTH).toWellFormed()
  const key = { prefix: `${JSON.stringify(text)}:`, isSecret: isSensitiveKey(name) }
  if (keys.size >= MAX_REMEMBERED) keys.clear()
  if (name.length <= MAX_NAME_LENGTH) keys.set(name, key)
  return key
}
