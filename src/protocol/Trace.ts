/**
 * The headers that carry a trace from one process to the next: `sentry-trace`, `baggage`, `traceparent`.
 */
import { makeEventId, makeSpanId } from "./Ids.js"

/**
 * The dynamic sampling context: what the head of a trace tells everyone after it. All values are strings.
 *
 * @internal
 */
export type SamplingContext = Readonly<Record<string, string>>

/**
 * The trace that a unit of work belongs to. Ids are made on first use, so that a scope that never reports costs nothing.
 *
 * @internal
 */
export class PropagationContext {
  #traceId: string | undefined
  #spanId: string | undefined

  constructor(
    traceId?: string,
    readonly parentSpanId?: string,
    readonly sampled?: boolean,
    /** Present when this trace began elsewhere: it is then passed on as it came. */
    readonly incoming?: SamplingContext,
    spanId?: string
  ) {
    this.#traceId = traceId
    this.#spanId = spanId
  }

  get traceId(): string {
    return (this.#traceId ??= makeEventId())
  }

  get spanId(): string {
    return (this.#spanId ??= makeSpanId())
  }
}

/** @internal */
export interface ParsedSentryTrace {
  readonly traceId: string
  readonly parentSpanId: string
  /** Absent: the head of the trace deferred the decision. */
  readonly sampled: boolean | undefined
}

/** Reads `{32 hex}-{16 hex}[-{0|1}]`; anything else, and an id of zeros alone, is no trace at all. @internal */
export const parseSentryTrace = (header: string): ParsedSentryTrace | undefined => {
  const match = /^[ \t]*([0-9a-f]{32})-([0-9a-f]{16})(?:-([01]))?[ \t]*$/.exec(header)
  if (match === null) return undefined
  const [, traceId, parentSpanId, sampled] = match as unknown as [string, string, string, string | undefined]
  if (isInvalidId(traceId) || isInvalidId(parentSpanId)) return undefined
  return { traceId, parentSpanId, sampled: sampled === undefined ? undefined : sampled === "1" }
}

/** Zeros alone: W3C and OpenTelemetry say with it that there is no trace. @internal */
export const isInvalidId = (id: string): boolean => /^0+$/.test(id)

/** @internal */
export const formatSentryTrace = (traceId: string, spanId: string, sampled: boolean | undefined): string =>
  sampled === undefined ? `${traceId}-${spanId}` : `${traceId}-${spanId}-${sampled ? 1 : 0}`

/** The `sentry-` members of a baggage header. Members that cannot be decoded are passed over. @internal */
export const parseBaggage = (header: string): SamplingContext => {
  const members: Record<string, string> = {}
  for (const member of header.split(",")) {
    const [pair = ""] = member.split(";")
    const equals = pair.indexOf("=")
    if (equals < 0) continue
    const key = pair.slice(0, equals).trim()
    if (!key.startsWith(BAGGAGE_PREFIX)) continue
    try {
      members[key.slice(BAGGAGE_PREFIX.length)] = decodeURIComponent(pair.slice(equals + 1).trim())
    } catch {}
  }
  return members
}

/**
 * Our members added to what other vendors already put there. Older `sentry-` members are replaced; members that would push
 * the header past 8192 bytes are left out.
 *
 * @internal
 */
export const formatBaggage = (context: SamplingContext, existing?: string): string => {
  const foreign = (existing ?? "")
    .split(",")
    .map((member) => member.trim())
    .filter((member) => member !== "" && !member.startsWith(BAGGAGE_PREFIX))
  let header = foreign.join(",")
  for (const [key, value] of Object.entries(context)) {
    if (value === "" || !BAGGAGE_KEY.test(key)) continue
    const member = `${BAGGAGE_PREFIX}${key}=${encodeURIComponent(value.toWellFormed())}`
    const next = header === "" ? member : `${header},${member}`
    if (next.length <= MAX_BAGGAGE_BYTES) header = next
  }
  return header
}

/** Continues the trace that the headers of an incoming request name, or begins one. @internal */
export const continueTrace = (sentryTrace: string | undefined, baggage: string | undefined): PropagationContext => {
  const parsed = sentryTrace === undefined ? undefined : parseSentryTrace(sentryTrace)
  if (parsed === undefined) return new PropagationContext()
  return new PropagationContext(
    parsed.traceId,
    parsed.parentSpanId,
    parsed.sampled,
    baggage === undefined ? {} : parseBaggage(baggage)
  )
}

/** A token of HTTP. */
const BAGGAGE_KEY = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const BAGGAGE_PREFIX = "sentry-"
const MAX_BAGGAGE_BYTES = 8192
