/**
 * A report, and the scope it was made in, as an event that processors and `beforeSend` can look at.
 */
import type * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { Event, EventId, Exception, Level, LogEntry } from "../protocol/Event.js"
import { makeSpanId } from "../protocol/Ids.js"
import type { PropagationContext } from "../protocol/Trace.js"
import * as ScopeData from "../scope/ScopeData.js"
import { applyScope, tagsOf } from "./apply.js"
import { machineContexts } from "./contexts.js"
import { contextOf, isTagged, typeOf } from "./describe.js"
import { normalizeEvent } from "./encode.js"
import { exceptionsOf, type MechanismInput, textOfStack } from "./exceptions.js"
import type { Failure } from "./failure.js"
import { fingerprintOf } from "./grouping.js"
import { truncate } from "./normalize.js"
import type { Verdict } from "./policy.js"
import { scrubText } from "./scrub.js"
import { beginReading } from "./source.js"
import type { StackParser } from "./stack.js"

/** What is reported. @internal */
export interface Report {
  /** The errors, where there are any. */
  readonly failure?: Failure | undefined
  readonly cause?: Cause.Cause<unknown> | undefined
  readonly mechanism: MechanismInput
  readonly level: Level
  readonly message?: string | undefined
  readonly logentry?: LogEntry | undefined
  readonly logger?: string | undefined
  /** An event that the user built: it wins over everything that is added to it. */
  readonly event?: Partial<Event> | undefined
  /** Scope data for this report alone. */
  readonly context?: ScopeData.ScopeContext | undefined
  /** The stack of whoever reports, for what has none of its own: its text, or what has it and writes it when it is asked. */
  readonly stack?: string | Error | undefined
  /** The integration that reports. */
  readonly integration?: string | undefined
  readonly logRecord?: unknown
  /** Nothing in the program dealt with it: it was caught on its way out. */
  readonly escaped?: boolean | undefined
  readonly fiberId?: string | undefined
  /** The HTTP status that it was answered with: what the error says of itself does not count then. */
  readonly status?: number | undefined
  /** What the policy says of its error. */
  readonly verdict?: Verdict | undefined
}

/** @internal */
export interface BuildOptions {
  readonly release: string | undefined
  readonly environment: string
  readonly dist: string | undefined
  readonly serverName: string | undefined
  readonly maxValueLength: number | undefined
  readonly attachStacktrace: boolean
}

/** @internal */
export const buildEvent = (
  id: EventId,
  report: Report,
  now: number,
  options: BuildOptions,
  parser: StackParser
): Event => {
  const event: Event = {
    event_id: id,
    timestamp: now / 1000,
    platform: "node",
    level: report.level,
    environment: options.environment
  }
  if (options.release !== undefined) event.release = options.release
  if (options.dist !== undefined) event.dist = options.dist
  if (options.serverName !== undefined) event.server_name = options.serverName
  if (report.logger !== undefined) event.logger = truncate(report.logger.replace(/[\r\n]+/g, " "), 64)
  if (report.message !== undefined) event.message = message(report.message)
  if (report.logentry !== undefined) event.logentry = logentry(report.logentry)
  addExceptions(event, report, parser)
  if (report.event !== undefined) Object.assign(event, known(normalizeEvent(report.event)), { event_id: id })
  if (options.attachStacktrace) addThreadStack(event, report, parser)
  if (options.maxValueLength !== undefined) cutValues(event, options.maxValueLength)
  if (report.fiberId !== undefined) event.contexts = { effect: { fiber: report.fiberId }, ...event.contexts }
  return event
}

/** @internal */
export const addScope = (
  event: Event,
  scopes: ReadonlyArray<ScopeData.ScopeData>,
  context: ScopeData.ScopeContext | undefined
): ScopeData.ScopeData => {
  const merged = scopes.reduce(ScopeData.merge)
  const scope =
    context === undefined ? merged : ScopeData.merge(merged, ScopeData.applyContext(ScopeData.empty, context))
  applyScope(event, scope)
  return scope
}

/**
 * What the policy says of the error, below what was said with the capture, and which issue it belongs to.
 *
 * @internal
 */
export const addVerdict = (event: Event, report: Report): void => {
  const { context, failure, verdict } = report
  if (failure?.primary === undefined) return
  if (verdict !== undefined) {
    if (verdict.level !== undefined && context?.level === undefined) event.level = verdict.level
    const tags = tagsOf(verdict.tags)
    for (const key of Object.keys(context?.tags ?? {})) delete tags[key]
    if (Object.keys(tags).length > 0) event.tags = { ...event.tags, ...tags }
    if (Object.keys(verdict.extra).length > 0) event.extra = { ...verdict.extra, ...event.extra }
  }
  event.fingerprint ??= verdict?.fingerprint === undefined ? undefined : [...verdict.fingerprint]
  event.fingerprint ??= fingerprintOf(failure.primary.error)
  if (event.fingerprint === undefined) delete event.fingerprint
}

/** The machine and the process, below whatever the user has to say of them. @internal */
export const addMachine = (event: Event, now: number): void => {
  event.contexts = { ...machineContexts(now), ...event.contexts }
}

/** `contexts.trace`: the span that the error failed in, else the current one, else the trace of the scope. @internal */
export const addTrace = (event: Event, span: Tracer.AnySpan | undefined, propagation: PropagationContext): void => {
  const contexts = (event.contexts ??= {})
  if (contexts["trace"] !== undefined) return
  if (span === undefined) {
    contexts["trace"] = { trace_id: propagation.traceId, span_id: propagation.spanId }
    if (propagation.parentSpanId !== undefined) contexts["trace"]["parent_span_id"] = propagation.parentSpanId
    return
  }
  contexts["trace"] = {
    trace_id: /^[0-9a-f]{32}$/.test(span.traceId) ? span.traceId : propagation.traceId,
    span_id: hex16(span.spanId)
  }
  if (span._tag !== "Span") return
  const parent = Option.getOrUndefined(span.parent)
  if (parent !== undefined) contexts["trace"]["parent_span_id"] = hex16(parent.spanId)
}

const MAX_MESSAGE_LENGTH = 8192

const addExceptions = (event: Event, report: Report, parser: StackParser): void => {
  if (report.failure?.primary === undefined) return
  const contexts = new Map<string, Record<string, unknown>>()
  let isPrimary = true
  const addFields = (error: unknown): void => {
    if (contexts.size < MAX_CONTEXTS && (isPrimary || isTagged(error))) addContext(contexts, error)
    isPrimary = false
  }
  const values = exceptionsOf(report.failure, report.mechanism, parser, report.stack, addFields)
  event.exception = { values }
  if (contexts.size > 0) event.contexts = Object.fromEntries(contexts)
}

/** Of how many errors the fields are shown. */
const MAX_CONTEXTS = 5

const addContext = (contexts: Map<string, Record<string, unknown>>, error: unknown): void => {
  const fields = contextOf(error)
  if (Object.keys(fields).length === 0) return
  const type = typeOf(error)
  const name = OWN_CONTEXTS.has(type) ? `${type} error` : type
  let unused = name
  for (let count = 2; contexts.has(unused); count++) unused = `${name} (${count})`
  contexts.set(unused, fields)
}

/** The names of the contexts that have a meaning of their own, or none at all. */
const OWN_CONTEXTS = new Set(["os", "device", "app", "culture", "runtime", "trace", "effect", "type", "__proto__"])

const message = (text: string): string => scrubText(truncate(text, MAX_MESSAGE_LENGTH)).toWellFormed()

const logentry = (entry: LogEntry): LogEntry => ({
  message: message(entry.message),
  ...(entry.formatted === undefined ? undefined : { formatted: message(entry.formatted) }),
  ...(entry.params === undefined
    ? undefined
    : { params: entry.params.map((param) => (typeof param === "string" ? message(param) : param)) })
})

const addThreadStack = (event: Event, report: Report, parser: StackParser): void => {
  if (event.exception !== undefined || event.threads !== undefined || report.stack === undefined) return
  beginReading()
  const frames = parser.parse(textOfStack(report.stack), "")
  if (frames.length === 0) return
  event.threads = { values: [{ id: 0, crashed: false, current: true, stacktrace: { frames } }] }
}

const cutValues = (event: Event, maxLength: number): void => {
  const cut = <A>(value: A): A => (typeof value === "string" ? (truncate(value, maxLength) as A & string) : value)
  // Of an event that a user built all of it may be anything.
  if (event.message !== undefined) event.message = cut(event.message)
  if (typeof event.logentry === "object" && event.logentry !== null) {
    const { formatted, message, ...rest } = event.logentry
    event.logentry = { message: cut(message), ...rest }
    if (formatted !== undefined) event.logentry.formatted = cut(formatted)
  }
  const values: unknown = event.exception?.values
  for (const exception of Array.isArray(values) ? (values as Array<Partial<Exception> | null | undefined>) : []) {
    if (typeof exception?.value === "string") exception.value = cut(exception.value)
  }
}

/** Servers strip, or reject, what they do not know. */
const known = (event: Partial<Event>): Partial<Event> =>
  Object.fromEntries(Object.entries(event).filter(([key]) => FIELDS.has(key)))

const FIELDS: ReadonlySet<string> = new Set<keyof Event>([
  "timestamp",
  "platform",
  "level",
  "logger",
  "transaction",
  "server_name",
  "release",
  "dist",
  "environment",
  "message",
  "logentry",
  "exception",
  "threads",
  "fingerprint",
  "tags",
  "extra",
  "user",
  "contexts",
  "request",
  "breadcrumbs",
  "modules",
  "debug_meta",
  "sdk",
  "_meta"
])

const hex16 = (id: string): string => (/^[0-9a-f]{16}$/.test(id) ? id : makeSpanId())
