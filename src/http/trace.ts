/**
 * The trace that a request comes from.
 */
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { isNativeSpan } from "../hub/raised.js"
import { continueTrace, isInvalidId, PropagationContext, parseBaggage } from "../protocol/Trace.js"

type Headers = Readonly<Record<string, string | undefined>>

/** `sentry-trace` (with `baggage`), else `traceparent`; `undefined` where the request names none. @internal */
export const incomingTrace = (headers: Headers): PropagationContext | undefined => {
  const { baggage, "sentry-trace": sentryTrace, traceparent } = headers
  if (sentryTrace !== undefined) {
    const continued = continueTrace(sentryTrace, baggage)
    if (continued.incoming !== undefined) return continued
  }
  const match = traceparent === undefined ? null : TRACEPARENT.exec(traceparent)
  if (match === null) return undefined
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string]
  if (isInvalidId(traceId) || isInvalidId(spanId)) return undefined
  const isSampled = (Number.parseInt(flags, 16) & 1) === 1
  return new PropagationContext(traceId, spanId, isSampled, baggage === undefined ? {} : parseBaggage(baggage))
}

/**
 * The span of a request goes on with the trace, and all that begins within it. The platform itself reads `traceparent` and `b3`
 * alone, and the span has begun before anybody else is asked.
 *
 * @param span nothing has begun within it yet
 * @internal
 */
export const adoptTrace = (span: Tracer.Span, trace: PropagationContext): void => {
  if (span.traceId === trace.traceId) return
  // SAFETY: Effect's own spans are plain objects that nobody has seen yet; those of another tracer may have been told of elsewhere.
  if (!isNativeSpan(span)) return
  const { parentSpanId: spanId = "", sampled = true, traceId } = trace
  const parent = spanId === "" ? Option.none() : Option.some(Tracer.externalSpan({ traceId, spanId, sampled }))
  Object.assign(span, { traceId, parent })
}

/** Whether the platform has taken over a trace that is none: it does not look at what the ids are. @internal */
export const isOfNoTrace = ({ parent }: Tracer.Span): boolean =>
  parent._tag === "Some" && (isInvalidId(parent.value.traceId) || isInvalidId(parent.value.spanId))

const TRACEPARENT = /^[ \t]*00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})[ \t]*$/
