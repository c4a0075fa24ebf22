/**
 * Fields that a server would refuse the whole event for, whoever has put them there.
 */
import type { Event, Level } from "../protocol/Event.js"
import { describeValue } from "./normalize.js"

/** @internal */
export const isLevel = (value: unknown): value is Level => typeof value === "string" && LEVELS.has(value)

/** Seconds since the epoch, or a text that is a time. @internal */
export const isTimestamp = (value: unknown): boolean =>
  typeof value === "number" ? Number.isFinite(value) : typeof value === "string" && !Number.isNaN(Date.parse(value))

/**
 * Puts right what is of the wrong type, in place.
 *
 * @param complain told of each field, and why
 * @internal
 */
export const mendEvent = (event: Event, now: number, complain: (what: string) => void): void => {
  if (event.level !== undefined && !isLevel(event.level)) {
    complain(`the level ${describeValue(event.level, 64)} is none`)
    event.level = event.exception === undefined ? "info" : "error"
  }
  if (!isTimestamp(event.timestamp)) {
    complain(`the timestamp ${describeValue(event.timestamp, 64)} is none`)
    event.timestamp = now / 1000
  }
  for (const field of TEXTS) {
    const value: unknown = event[field]
    if (value === undefined || typeof value === "string") continue
    complain(`${field} is no text`)
    event[field] = describeValue(value)
  }
  const { fingerprint } = event as { readonly fingerprint?: unknown }
  if (
    fingerprint === undefined ||
    (Array.isArray(fingerprint) && fingerprint.every((part) => typeof part === "string"))
  )
    return
  complain("the fingerprint is no list of texts")
  event.fingerprint = (Array.isArray(fingerprint) ? fingerprint : [fingerprint]).map((part) => describeValue(part))
}

const LEVELS: ReadonlySet<string> = new Set<Level>(["fatal", "error", "warning", "info", "debug"])

const TEXTS = [
  "message",
  "transaction",
  "logger",
  "server_name",
  "release",
  "dist",
  "environment",
  "platform"
] as const satisfies ReadonlyArray<keyof Event>
