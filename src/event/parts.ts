/**
 * What fails with several errors at once: `Effect.validateAll` with a list of them, `Effect.all` in the mode "validate" with an
 * Option for each effect.
 */
import * as Option from "effect/Option"
import { isError, read } from "./inspect.js"

/**
 * The errors that a failure is a plain list, a record of Options, or an Option of, each with its place in it. Empty for all else,
 * also for a list of what is no error.
 *
 * @internal
 */
export const partsOf = (value: unknown): ReadonlyArray<readonly [part: unknown, place: string]> => {
  if (typeof value !== "object" || value === null) return NONE
  try {
    if (Option.isOption(value)) return Option.isSome(value) ? [[value.value, ""]] : NONE
    if (Array.isArray(value)) return partsOfList(value)
    return Object.getPrototypeOf(value) === Object.prototype ? partsOfRecord(value) : NONE
  } catch {
    return NONE
  }
}

type Parts = ReturnType<typeof partsOf>

const partsOfList = (list: ReadonlyArray<unknown>): Parts => {
  if (list.length === 0 || typeof read(list, "_tag") === "string") return NONE
  const parts: Array<Parts[number]> = []
  for (let index = 0; index < list.length && index < MAX_PARTS; index++) {
    const member = list[index]
    if (!isPart(member)) return NONE
    if (!isNothing(member)) parts.push([member, `errors[${index}]`])
  }
  return parts
}

const partsOfRecord = (record: object): Parts => {
  const parts: Array<Parts[number]> = []
  for (const key in record) {
    const member = read(record, key)
    // Of anything else it is what the program has made of an error.
    if (!Option.isOption(member) || parts.length >= MAX_PARTS) return NONE
    if (Option.isSome(member)) parts.push([member, `errors.${key.slice(0, MAX_KEY_LENGTH)}`])
  }
  return parts
}

const isPart = (value: unknown): boolean => isError(value) || typeof read(value, "_tag") === "string"

const isNothing = (value: unknown): boolean => Option.isOption(value) && Option.isNone(value)

const NONE: Parts = []
const MAX_PARTS = 100
const MAX_KEY_LENGTH = 64
