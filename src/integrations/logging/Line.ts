/**
 * One log line, whoever wrote it, and what can be made of it.
 */
import type * as Cause from "effect/Cause"
import type * as LogLevel from "effect/LogLevel"
import type { Report } from "../../event/build.js"
import { isError, typeOf, valueOf } from "../../event/exceptions.js"
import { type Failure, failureOf, failureOfCause } from "../../event/failure.js"
import { normalize } from "../../event/normalize.js"
import { scrubText } from "../../event/scrub.js"
import { describe } from "../../event/text.js"
import type { LogInput } from "../../hub/Logs.js"
import type { Breadcrumb } from "../../protocol/Breadcrumb.js"
import { levelOf, severityOf } from "./levels.js"

/** What a line consists of. @internal */
export interface Spoken {
  readonly source: "effect" | "console"
  readonly logger: string
  readonly level: LogLevel.LogLevel
  readonly parts: ReadonlyArray<unknown>
  /** Each part as text, where that is known. */
  readonly texts?: ReadonlyArray<string> | undefined
  /** The parts as one text. */
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
  /** Milliseconds since each log span began. */
  readonly spans?: Readonly<Record<string, number>> | undefined
  readonly cause?: Cause.Cause<unknown> | undefined
  readonly fiberId?: string | undefined
  /** The stack of whoever wrote it. */
  readonly stack?: string | undefined
  /** What the line was made from: the hint of its breadcrumb and of its event. */
  readonly record: unknown
}

/** @internal */
export class Line {
  #failure: Failure | undefined
  #looked = false

  constructor(readonly spoken: Spoken) {}

  breadcrumb(): Breadcrumb {
    const { fiberId, logger, level, text } = this.spoken
    const data: Record<string, unknown> = {}
    const reason = scrubText(this.#causeText())
    if (text !== "" && reason !== "") data["cause"] = reason
    if (fiberId !== undefined) data["fiber"] = fiberId
    return { type: "log", category: logger, level: levelOf(level), message: text || reason, data: this.#addTo(data) }
  }

  report(): Report {
    const { cause, fiberId, logger, level, parts, record, stack, text } = this.spoken
    const { failure } = this
    const [template, ...params] = parts
    return {
      failure,
      cause,
      mechanism: { type: "logging", handled: true },
      level: levelOf(level),
      logger,
      logRecord: record,
      integration: "logging",
      fiberId,
      stack,
      ...(text === "" && failure !== undefined
        ? undefined
        : {
            logentry: {
              message: typeof template === "string" ? template : text,
              formatted: text,
              params: normalize(params) as Array<unknown>
            }
          }),
      context: { extra: this.#addTo({}) }
    }
  }

  log(): LogInput {
    const { annotations, fiberId, level, logger, parts, source, spans, text, texts } = this.spoken
    const attributes: Record<string, unknown> = { "logger.name": logger }
    if (fiberId !== undefined) attributes["fiberId"] = fiberId
    if (spans !== undefined) for (const label of Object.keys(spans)) attributes[`logSpan.${label}`] = spans[label]
    const error = this.failure?.primary?.error
    if (error !== undefined) {
      attributes["exception.type"] = typeOf(error)
      attributes["exception.message"] = valueOf(error)
    }
    for (const key of Object.keys(annotations)) if (key !== "logger") attributes[key] = annotations[key]
    const [template, ...params] = parts
    return {
      level: severityOf(level),
      message: text === "" ? (error === undefined ? this.#causeText() : describe(error)) : text,
      template: typeof template === "string" ? template : undefined,
      params: texts === undefined ? params : params.map((value, index) => (isObject(value) ? texts[index + 1] : value)),
      origin: source === "effect" ? "auto.log.effect" : "auto.log.console",
      attributes
    }
  }

  /** Whether anything has gone wrong, or is said to have: a Cause may hold nothing but interruption. */
  get isReport(): boolean {
    return this.spoken.text !== "" || this.failure !== undefined
  }

  /** Whether nothing is said at all, not even in passing. */
  get isEmpty(): boolean {
    const { annotations, cause, spans } = this.spoken
    return !this.isReport && cause === undefined && spans === undefined && Object.keys(annotations).length === 0
  }

  /** Of the Cause, or else of the first error among what was logged. */
  get failure(): Failure | undefined {
    if (!this.#looked) {
      this.#looked = true
      const { cause, parts } = this.spoken
      const ofCause = cause === undefined ? undefined : failureOfCause(cause)
      const error = ofCause?.primary === undefined ? parts.find(isError) : undefined
      this.#failure = error === undefined ? ofCause : failureOf(error)
    }
    return this.#failure?.primary === undefined ? undefined : this.#failure
  }

  #causeText(): string {
    const { cause } = this.spoken
    if (cause === undefined) return ""
    const { primary, status } = failureOfCause(cause)
    if (primary === undefined) return status === undefined ? "Interrupted" : `HTTP ${status}`
    return isError(primary.error) ? describe(primary.error) : `Error: ${describe(primary.error)}`
  }

  /** What the program has to say for itself counts more than what we have. */
  #addTo(data: Record<string, unknown>): Record<string, unknown> {
    const { annotations, spans } = this.spoken
    if (spans !== undefined) data["logSpans"] = spans
    return Object.assign(data, annotations)
  }
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null
