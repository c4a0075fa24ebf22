/**
 * When a server wants to hear nothing more of some kind, and until when. Pure: the table is a value, time is an argument.
 */
import { type Category, type ItemType, isCategory } from "../protocol/Category.js"

/** Until when (milliseconds of a monotonic clock) each category is off; `all` stands for every one. @internal */
export type RateLimits = ReadonlyMap<Category | "all", number>

/** @internal */
export const noLimits: RateLimits = new Map()

/** What of an answer concerns limits. @internal */
export interface LimitingResponse {
  readonly status: number
  readonly rateLimits: string | undefined
  readonly retryAfter: string | undefined
}

/**
 * The table after an answer, of whatever status. `X-Sentry-Rate-Limits` is the only word where it says something; else a 429 counts
 * for everything, for as long as `Retry-After` says or 60 s. A deadline is never shortened.
 *
 * @param now milliseconds of a monotonic clock
 * @param wallClock milliseconds since the epoch, for a `Retry-After` that is a date
 * @internal
 */
export const updateLimits = (
  limits: RateLimits,
  response: LimitingResponse,
  now: number,
  wallClock: number
): RateLimits => {
  if (response.rateLimits !== undefined && /[^\s,]/.test(response.rateLimits))
    return applyHeader(limits, response.rateLimits, now)
  if (response.status !== 429) return limits
  return extend(limits, ["all"], now + retryAfterMillis(response.retryAfter, wallClock))
}

/** Until when this category is off, `undefined` if it is not. @internal */
export const limitedUntil = (limits: RateLimits, category: Category, now: number): number | undefined => {
  const until = Math.max(limits.get(category) ?? 0, limits.get("all") ?? 0)
  return until > now ? until : undefined
}

/** Whether an item is off: as what it is counted as, or as something else that it is, too. @internal */
export const isItemLimited = (limits: RateLimits, type: ItemType, category: Category, now: number): boolean => {
  const other = ALSO[type]
  return (
    limitedUntil(limits, category, now) !== undefined ||
    (other !== undefined && limitedUntil(limits, other, now) !== undefined)
  )
}

/** The limits that have not ended. @internal */
export const activeLimits = (
  limits: RateLimits,
  now: number,
  wallClock: number
): ReadonlyArray<{ readonly category: Category | "all"; readonly until: Date }> =>
  Array.from(limits, ([category, until]) => ({ category, until: new Date(wallClock + until - now), left: until - now }))
    .filter(({ left }) => left > 0)
    .map(({ category, until }) => ({ category, until }))

const ALSO: Readonly<Partial<Record<ItemType, Category>>> = { attachment: "attachment_item", log: "log_byte" }

const DEFAULT_MILLIS = 60_000
/** No server means more than a year. */
const MAX_MILLIS = 365 * 24 * 60 * 60 * 1000

const applyHeader = (limits: RateLimits, header: string, now: number): RateLimits => {
  let next = limits
  for (const limit of header.split(",")) {
    if (limit.trim() === "") continue
    const [delay = "", categories = "", , , namespaces = ""] = limit.split(":").map((part) => part.trim())
    const seconds = /^\d+(?:\.\d+)?$/.test(delay) ? Number(delay) : DEFAULT_MILLIS / 1000
    const named = categories.split(";").flatMap((name) => (name.trim() === "" ? [] : [name.trim()]))
    const known = named.filter(isCategory).filter((name) => name !== "metric_bucket" || isCustom(namespaces))
    next = extend(next, named.length === 0 ? ["all"] : known, now + Math.min(MAX_MILLIS, seconds * 1000))
  }
  return next
}

const isCustom = (namespaces: string): boolean =>
  namespaces === "" || namespaces.split(";").some((namespace) => namespace.trim() === "custom")

const extend = (limits: RateLimits, names: ReadonlyArray<Category | "all">, until: number): RateLimits => {
  if (names.length === 0) return limits
  const next = new Map(limits)
  for (const name of names) next.set(name, Math.max(next.get(name) ?? 0, until))
  return next
}

const retryAfterMillis = (header: string | undefined, wallClock: number): number => {
  if (header === undefined) return DEFAULT_MILLIS
  const text = header.trim()
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.min(MAX_MILLIS, Number(text) * 1000)
  // `Date.parse` makes a year of any number it finds.
  const date = /[a-z]{3}.*\d{4}/i.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? DEFAULT_MILLIS : Math.min(MAX_MILLIS, Math.max(0, date - wallClock))
}
