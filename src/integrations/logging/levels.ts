/**
 * Levels of log lines: which of them are enough, and what they are called elsewhere.
 */
import * as LogLevel from "effect/LogLevel"
import type { Check } from "../../protocol/checkOptions.js"
import type { Level } from "../../protocol/Event.js"
import type { LogSeverity } from "../../protocol/Log.js"

/** The least level that is enough; `null`: none is. @internal */
export type Threshold = LogLevel.LogLevel | null

/** As it is written in options. @internal */
export type ThresholdInput = LogLevel.LogLevel | LogLevel.Literal | null | undefined

/** @internal */
export const isThreshold: Check = (value) =>
  value === null || levelNamed(value as ThresholdInput) !== undefined
    ? undefined
    : `must be a log level (${LogLevel.allLevels.map((known) => known._tag).join(", ")}) or null`

/** Of what `isThreshold` has let through. @internal */
export const threshold = (given: ThresholdInput, otherwise: Threshold): Threshold =>
  given === undefined ? otherwise : (levelNamed(given) ?? null)

const levelNamed = (given: ThresholdInput): LogLevel.LogLevel | undefined =>
  LogLevel.allLevels.find((known) => known === given || known._tag === given)

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
