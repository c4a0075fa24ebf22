/**
 * Options are looked at before they are used: one that does not exist, or cannot have the value it has, is an error that names it.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { OptionsError } from "./OptionsError.js"

/** What is wrong with a value, if anything is. @internal */
export type Check = (value: unknown) => string | undefined

/** One for each option there is. @internal */
export type Checks<O> = { readonly [K in keyof O]-?: Check }

/**
 * Throws an `OptionsError`. What is `undefined` counts as left out.
 *
 * @param within the option that these are part of
 * @internal
 */
export const checkOptions = <O>(options: O, checks: Checks<O>, within = ""): void => {
  if (isObject(options) !== undefined)
    throw new OptionsError({ option: within === "" ? "options" : within, reason: "must be an object" })
  const prefix = within === "" ? "" : `${within}.`
  for (const [option, value] of Object.entries(options as object)) {
    if (!Object.hasOwn(checks, option)) {
      const nearest = nearestTo(option, Object.keys(checks))
      throw new OptionsError({
        option: `${prefix}${option}`,
        reason: "does not exist",
        nearest: nearest === undefined ? undefined : `${prefix}${nearest}`
      })
    }
    const problem = value === undefined ? undefined : guarded(checks[option as keyof O])(value)
    if (problem !== undefined) throw new OptionsError({ option: `${prefix}${option}`, reason: problem })
  }
}

/** @internal */
export const isText: Check = (value) => (typeof value === "string" ? undefined : "must be a string")

/** @internal */
export const isFlag: Check = (value) => (typeof value === "boolean" ? undefined : "must be true or false")

/** @internal */
export const isFunction: Check = (value) => (typeof value === "function" ? undefined : "must be a function")

/** @internal */
export const isObject: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? undefined : "must be an object"

/** @internal */
export const isCount: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 ? undefined : "must be a whole number, 0 or more"

/** @internal */
export const isPositive: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 1 ? undefined : "must be a whole number, 1 or more"

/** @internal */
export const isOneOf =
  (...known: ReadonlyArray<string>): Check =>
  (value) =>
    typeof value === "string" && known.includes(value)
      ? undefined
      : `must be ${known.map((each) => `"${each}"`).join(" or ")}`

/** @internal */
export const isListOf =
  (what: string, test: (item: unknown) => boolean): Check =>
  (value) =>
    Array.isArray(value) && value.every(test) ? undefined : `must be a list of ${what}`

/** @internal */
export const isTexts: Check = isListOf("texts", (item) => typeof item === "string")

/** @internal */
export const isDuration: Check = (value) => {
  // `Duration` reads both as no time at all.
  const duration = value === null || Number.isNaN(value) ? Option.none() : Duration.decodeUnknown(value)
  return Option.isSome(duration) ? undefined : 'must be a duration: milliseconds, or a text such as "2 seconds"'
}

/** Of these names the one that was probably meant. @internal */
export const nearestTo = (name: string, names: ReadonlyArray<string>): string | undefined => {
  let nearest: string | undefined
  let least = Math.max(3, Math.ceil(name.length / 2))
  for (const known of names) {
    const distance = editDistance(name.toLowerCase().replace(/[-_]/g, ""), known.toLowerCase())
    if (distance < least) {
      least = distance
      nearest = known
    }
  }
  return nearest
}

/** Looking at a value may throw, if it is a proxy: then it is not what it should be. */
const guarded =
  (check: Check): Check =>
  (value) => {
    try {
      return check(value)
    } catch {
      return "cannot be read"
    }
  }

/** How many characters must be changed, added or removed to get from one word to the other. */
const editDistance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const substitute = (row[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(substitute, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}
