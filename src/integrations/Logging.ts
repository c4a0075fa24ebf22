/**
 * What the program logs: as breadcrumbs, from `Error` on as events, and, where that is wanted, as structured logs.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import { captureAt, clientOf, placeOf } from "../hub/report.js"
import { checkOptions, isObject, isTexts } from "../protocol/checkOptions.js"
import { type Carrier, stateOf } from "../scope/carrier.js"
import { watchConsole } from "./logging/console.js"
import { effectLine } from "./logging/effectLine.js"
import type { Line } from "./logging/Line.js"
import { isThreshold, reaches, type Threshold, threshold } from "./logging/levels.js"
import { matching } from "./logging/names.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The least level of log lines that become breadcrumbs; `null`: none do. Default: `Info`. */
  readonly level?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /** The least level of log lines that become events; `null`: none do. Default: `Error`. */
  readonly eventLevel?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /**
   * The least level of log lines that become structured logs, where the hub's `enableLogs` is on; `null`: none do. Default:
   * `Info`.
   */
  readonly logsLevel?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /**
   * Loggers (values of the annotation `logger`; `effect` where there is none; `console`) whose lines become neither breadcrumbs
   * nor events; `*` stands for any characters, `?` for one. Default: none.
   */
  readonly ignoreLoggers?: ReadonlyArray<string> | undefined
  /** The same for structured logs; independent of `ignoreLoggers`. Default: none. */
  readonly ignoreLoggersInLogs?: ReadonlyArray<string> | undefined
  /**
   * What becomes of lines that are written to `console` by something else than Effect's loggers; `false`: nothing, and the
   * console is left as it is. Default: breadcrumbs from `level` on, no events.
   */
  readonly console?: boolean | ConsoleOptions | undefined
}

/**
 * `debug` and `trace` are at level `Debug`, `log` and `info` at `Info`, `warn` at `Warning`, `error` and an `assert` that fails at
 * `Error`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConsoleOptions {
  /** The least level of what becomes a breadcrumb; `null`: nothing does. Default: the `level` of log lines. */
  readonly level?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /** The least level of what becomes an event; `null`: nothing does. Default: `null`. */
  readonly eventLevel?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
  /** The least level of what becomes a structured log, where `enableLogs` is on; `null`: nothing does. Default: `null`. */
  readonly logsLevel?: LogLevel.LogLevel | LogLevel.Literal | null | undefined
}

/**
 * Listens to log lines, whatever loggers the program has (it adds none, and replaces none), as far as the program's minimum log
 * level lets them through. Annotations, log spans, the fiber and the Cause are kept; the annotation `logger` is the logger's
 * name. The event of a log line does not show the line's own breadcrumb, the next event does. A line without a text whose Cause
 * holds nothing but interruption is no event.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { defaultIntegrations, Hub, Logging } from "effect-faultline"
 * import { Layer } from "effect"
 *
 * const Faultline = defaultIntegrations({
 *   logging: Logging.layer({ level: "Debug", eventLevel: null, ignoreLoggers: ["http.*"] })
 * }).pipe(Layer.provideMerge(Hub.layerConfig()))
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  const { ignores, ofConsole, ofEffect } = resolve(options)
  return Integration.make("logging", ({ client }) =>
    Effect.sync(() => {
      const record = (carrier: Carrier, level: LogLevel.LogLevel, least: Thresholds, make: () => Line): void => {
        const isLog = client.logs !== undefined && reaches(level, least.log)
        if (!isLog && !reaches(level, least.event) && !reaches(level, least.breadcrumb)) return
        const line = make()
        if (line.isEmpty) return
        if (!ignores.inEvents(line.spoken.logger)) {
          if (reaches(level, least.event) && line.isReport) captureAt(carrier, line.report())
          if (reaches(level, least.breadcrumb)) addBreadcrumb(client, carrier, line)
        }
        if (isLog && !ignores.inLogs(line.spoken.logger)) client.logs?.add(line.log(), placeOf(carrier))
      }
      return {
        onLog(options, fiber) {
          // Neither is a level that a line can have.
          if (options.logLevel._tag === "None" || options.logLevel._tag === "All") return
          if (clientOf(stateOf(fiber)) !== client) return
          record(fiber, options.logLevel, ofEffect, () => effectLine(options, fiber))
        },
        ...(ofConsole === undefined
          ? undefined
          : {
              activate: () => watchConsole(client, (level, line, carrier) => record(carrier, level, ofConsole, line))
            })
      }
    })
  )
}

interface Thresholds {
  readonly breadcrumb: Threshold
  readonly event: Threshold
  readonly log: Threshold
}

const addBreadcrumb = (client: Client, carrier: Carrier, line: Line): void =>
  client.addBreadcrumb(line.breadcrumb(), { logRecord: line.spoken.record }, placeOf(carrier))

/** Throws an `OptionsError` for what cannot be used. */
const resolve = (options: Options) => {
  checkOptions(options, {
    level: isThreshold,
    eventLevel: isThreshold,
    logsLevel: isThreshold,
    ignoreLoggers: isTexts,
    ignoreLoggersInLogs: isTexts,
    console: (value) => (typeof value === "boolean" ? undefined : isObject(value) && "must be true, false or an object")
  })
  const ofEffect: Thresholds = {
    breadcrumb: threshold(options.level, LogLevel.Info),
    event: threshold(options.eventLevel, LogLevel.Error),
    log: threshold(options.logsLevel, LogLevel.Info)
  }
  return {
    ofEffect,
    ofConsole: consoleThresholds(options.console === undefined ? true : options.console, ofEffect),
    ignores: {
      inEvents: matching(options.ignoreLoggers ?? []),
      inLogs: matching(options.ignoreLoggersInLogs ?? [])
    }
  }
}

const consoleThresholds = (given: boolean | ConsoleOptions, ofEffect: Thresholds): Thresholds | undefined => {
  if (given === false) return undefined
  const options = given === true ? {} : given
  checkOptions(options, { level: isThreshold, eventLevel: isThreshold, logsLevel: isThreshold }, "console")
  const thresholds = {
    breadcrumb: threshold(options.level, ofEffect.breadcrumb),
    event: threshold(options.eventLevel, null),
    log: threshold(options.logsLevel, null)
  }
  return Object.values(thresholds).every((least) => least === null) ? undefined : thresholds
}
