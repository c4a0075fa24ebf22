/**
 * Structured logs of code that is not Effect. (In an Effect program `Effect.log` and its siblings write them.) They are sent where
 * the option `enableLogs` is on, and make neither breadcrumbs nor events.
 *
 * @since 0.1.0
 */
import { describe } from "../event/text.js"
import type { LogSeverity } from "../protocol/Log.js"
import { currentCarrier, stateOf } from "../scope/carrier.js"
import { clientOf, placeOf } from "./report.js"

/**
 * A message with its values apart: logs that say the same of other values can be found by what they have in common.
 *
 * @since 0.1.0
 * @category models
 */
export class Formatted {
  constructor(
    /** The text, with `%s` where a value was. */
    readonly template: string,
    readonly values: ReadonlyArray<unknown>,
    readonly text: string
  ) {}

  /** The text with its values. */
  toString(): string {
    return this.text
  }
}

/**
 * What a log says besides its message. Texts, numbers, booleans and lists of them are sent as they are, anything else as JSON.
 *
 * @since 0.1.0
 * @category models
 */
export type Attributes = Readonly<Record<string, unknown>>

/**
 * A template whose values become attributes of their own (`sentry.message.parameter.0`, …).
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * import { logger } from "effect-faultline/facade"
 *
 * const order = 17
 * logger.info(logger.fmt`order ${order} has left`, { carrier: "post" })
 */
export const fmt = (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): Formatted => {
  const text = strings.map((part, index) => part + (index < values.length ? describe(values[index]) : "")).join("")
  return new Formatted(strings.map((part) => part.replaceAll("%", "%%")).join("%s"), values, text)
}

/**
 * The finest detail.
 *
 * @since 0.1.0
 * @category logging
 */
export const trace = (message: string | Formatted, attributes?: Attributes): void => write("trace", message, attributes)

/**
 * What helps to find a fault.
 *
 * @since 0.1.0
 * @category logging
 */
export const debug = (message: string | Formatted, attributes?: Attributes): void => write("debug", message, attributes)

/**
 * What is normal.
 *
 * @since 0.1.0
 * @category logging
 */
export const info = (message: string | Formatted, attributes?: Attributes): void => write("info", message, attributes)

/**
 * What is not, but does no harm yet.
 *
 * @since 0.1.0
 * @category logging
 */
export const warn = (message: string | Formatted, attributes?: Attributes): void => write("warn", message, attributes)

/**
 * What has failed.
 *
 * @since 0.1.0
 * @category logging
 */
export const error = (message: string | Formatted, attributes?: Attributes): void => write("error", message, attributes)

/**
 * What the program cannot go on from.
 *
 * @since 0.1.0
 * @category logging
 */
export const fatal = (message: string | Formatted, attributes?: Attributes): void => write("fatal", message, attributes)

const write = (level: LogSeverity, message: unknown, given: Attributes | undefined): void => {
  const carrier = currentCarrier()
  if (carrier === undefined) return
  const state = stateOf(carrier)
  const logs = clientOf(state)?.logs
  if (logs === undefined) return
  const attributes = typeof given === "object" && (given as unknown) !== null ? given : {}
  const said =
    message instanceof Formatted
      ? { message: message.text, template: message.template, params: message.values }
      : { message: describe(message) }
  logs.add({ ...said, level, attributes }, placeOf(carrier, state))
}
