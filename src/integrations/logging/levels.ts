/**
 * Levels of log lines: which of them are enough, and what they are called elsewhere.
 */
import * as LogLevel from "effect/LogLevel"
import { OptionsError } from "../../hub/Options.js"
import type { Level } from "../../protocol/Event.js"
import type { LogSeverity } from "../../protocol/Log.js"

/** The least level that is enough; `null`: none is. @internal */
export type Threshold = LogLevel.LogLevel | null

/** As it is written in options. @internal */
export type ThresholdInput = LogLevel.LogLevel | LogLevel.Literal | null | undefined

/** Throws an `OptionsError` for what is no level. @internal */
export const threshold = (option: string, given: ThresholdInput, otherwise: Threshold): Threshold => {
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

/** @internal */
export const reaches = (level: LogLevel.LogLevel, least: Threshold): boolean =>
  least !== null && level.ordinal >= least.ordinal

/** By its place in the order, not by its label, which a program may have changed. @internal */
export const levelOf = ({ ordinal }: LogLevel.LogLevel): Level => {
  if (ordinal >= LogLevel.Fatal.ordinal) return "fatal"
  if (ordinal >= LogLevel.Error.ordinal) return "error"
  if (ordinal >= LogLevel.Warning.ordinal) return "warning"
  return ordinal >= LogLevel.Info.ordinal ? "info" : "debug"
}

/** The same, for a structured log. @internal */
export const severityOf = (level: LogLevel.LogLevel): LogSeverity => {
  if (level.ordinal < LogLevel.Debug.ordinal) return "trace"
  const known = levelOf(level)
  return known === "warning" ? "warn" : known
}
