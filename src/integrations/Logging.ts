/**
 * What the program logs: as breadcrumbs, and from `Error` on as events.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as List from "effect/List"
import type * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type { Report } from "../event/build.js"
import { failureOf, failureOfCause } from "../event/failure.js"
import { describeValue, normalize } from "../event/normalize.js"
import * as Integration from "../hub/Integration.js"
import { OptionsError } from "../hub/Options.js"
import { captureAt, clientOf, placeOf } from "../hub/report.js"
import type { Breadcrumb } from "../protocol/Breadcrumb.js"
import type { Level } from "../protocol/Event.js"
import { stateOf } from "../scope/carrier.js"
import { currentFiber } from "../scope/fiber.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The least level of log lines that become breadcrumbs; `null`: none do. Default: `Info`. */
  readonly level?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /** The least level of log lines that become events; `null`: none do. Default: `Error`. */
  readonly eventLevel?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /** Log lines with these values of the annotation `logger` are left alone; `*` stands for any characters. */
  readonly ignoreLoggers?: ReadonlyArray<string> | undefined
}

/**
 * Adds a Logger beside those the program has (never in place of one). It sees what the program's minimum log level lets
 * through. Annotations, log spans and the Cause are kept; the annotation `logger` is the logger's name. The event of a log
 * line does not show the line's own breadcrumb, the next event does.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  const level = threshold("level", options.level, LogLevel.Info)
  const eventLevel = threshold("eventLevel", options.eventLevel, LogLevel.Error)
  const ignored = (options.ignoreLoggers ?? []).map(wildcard)
  return Integration.make("logging", ({ client }) =>
    Effect.succeed({
      onLog(record) {
        const fiber = currentFiber()
        if (fiber === undefined || clientOf(stateOf(fiber)) !== client) return
        const line = new Line(record)
        if (line.isOwn || ignored.some((pattern) => pattern.test(line.logger))) return
        if (reaches(record.logLevel, eventLevel)) captureAt(fiber, line.report())
        if (reaches(record.logLevel, level)) {
          client.addBreadcrumb(
            line.breadcrumb(),
            { logRecord: record },
            { ...placeOf(fiber), now: record.date.getTime() }
          )
        }
      }
    })
  )
}

/** The annotation by which the SDK knows its own log lines. @internal */
export const OWN_PACKAGE = "effect-faultline"

class Line {
  readonly logger: string
  readonly #annotations: Record<string, unknown> = {}
  readonly #parts: ReadonlyArray<unknown>

  constructor(readonly record: Logger.Logger.Options<unknown>) {
    HashMap.forEach(record.annotations, (value, key) => (this.#annotations[key] = value))
    const name = this.#annotations["logger"]
    this.logger = typeof name === "string" ? name.trim() : "effect"
    this.#parts = Array.isArray(record.message) ? record.message : [record.message]
  }

  get isOwn(): boolean {
    return this.#annotations["package"] === OWN_PACKAGE
  }

  breadcrumb(): Breadcrumb {
    return {
      type: "log",
      category: this.logger,
      level: levelOf(this.record.logLevel),
      message: this.#text(),
      data: this.#data()
    }
  }

  report(): Report {
    const failure = this.#failure()
    const text = this.#text()
    const [template, ...params] = this.#parts
    return {
      failure,
      cause: Cause.isEmpty(this.record.cause) ? undefined : this.record.cause,
      mechanism: { type: "logging", handled: true },
      level: levelOf(this.record.logLevel),
      logger: this.logger,
      logRecord: this.record,
      integration: "logging",
      ...(text === "" && failure !== undefined
        ? undefined
        : {
            logentry: {
              message: typeof template === "string" ? template : text,
              formatted: text,
              params: normalize(params) as Array<unknown>
            }
          }),
      context: { extra: this.#data() }
    }
  }

  /** The Cause, or else the first error among what was logged. */
  #failure(): Report["failure"] {
    const { cause } = this.record
    if (!Cause.isEmpty(cause) && !Cause.isInterruptedOnly(cause)) return failureOfCause(cause)
    const error = this.#parts.find((part) => part instanceof Error)
    return error === undefined ? undefined : failureOf(error)
  }

  #text(): string {
    return this.#parts
      .map((part) => (part instanceof Error ? `${part.name}: ${part.message}` : describeValue(part, 8192)))
      .join(" ")
  }

  #data(): Record<string, unknown> {
    const data: Record<string, unknown> = { ...this.#annotations }
    const now = this.record.date.getTime()
    const spans = List.toArray(this.record.spans).map((span) => [span.label, now - span.startTime] as const)
    if (spans.length > 0) data["logSpans"] = Object.fromEntries(spans)
    return data
  }
}

const threshold = (
  option: string,
  given: LogLevel.LogLevel | LogLevel.Literal | null | undefined,
  otherwise: LogLevel.LogLevel
): LogLevel.LogLevel | null => {
  if (given === null) return null
  if (given === undefined) return otherwise
  const level = typeof given === "string" ? LogLevel.allLevels.find((known) => known._tag === given) : given
  if (level === undefined || !LogLevel.allLevels.includes(level)) {
    throw new OptionsError({
      option,
      reason: `must be a log level (${LogLevel.allLevels.map((known) => known._tag).join(", ")}) or null`
    })
  }
  return level
}

const reaches = (level: LogLevel.LogLevel, least: LogLevel.LogLevel | null): boolean =>
  least !== null && LogLevel.greaterThanEqual(level, least)

const levelOf = (level: LogLevel.LogLevel): Level => {
  switch (level._tag) {
    case "Fatal":
      return "fatal"
    case "Error":
      return "error"
    case "Warning":
      return "warning"
    case "Debug":
    case "Trace":
      return "debug"
    default:
      return "info"
  }
}

const wildcard = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .trim()
      .split("*")
      .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`
  )
