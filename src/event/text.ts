/**
 * What was logged, as one text.
 */
import { NO_MESSAGE } from "./describe.js"
import { isError, typeOf, valueOf } from "./exceptions.js"
import { describeValue } from "./normalize.js"

/** One value: errors by type and message, everything else as it can be read. Never throws. @internal */
export const describe = (value: unknown): string => {
  if (typeof value === "string") return value
  if (!isError(value)) return describeValue(value, MAX_LENGTH)
  const message = valueOf(value)
  return message === "" || message === NO_MESSAGE ? typeOf(value) : `${typeOf(value)}: ${message}`
}

/** As Effect's loggers have it: one after the other. @internal */
export const joined = (values: ReadonlyArray<unknown>): string =>
  values.length === 1 ? describe(values[0]) : values.map(describe).join(" ")

/**
 * As the console has it: the first text may have places (`%s`, `%d`, …) for the values that follow it. Nothing of theirs is
 * called for it, unlike by the console.
 *
 * @internal
 */
export const formatted = (values: ReadonlyArray<unknown>): string => {
  const [template, ...rest] = values
  if (typeof template !== "string" || rest.length === 0 || !template.includes("%")) return joined(values)
  let used = 0
  const text = template.replace(PLACE, (place, kind: string) => {
    if (kind === "%") return "%"
    if (used >= rest.length) return place
    const value = rest[used++]
    return kind === "c" ? "" : placed(value, kind)
  })
  return used < rest.length ? `${text} ${joined(rest.slice(used))}` : text
}

const PLACE = /%([sdifjoOc%])/g

const placed = (value: unknown, kind: string): string => {
  const isNumeric = typeof value === "string" || typeof value === "number"
  if (kind === "d" && isNumeric) return String(Number(value))
  if (kind === "i" && isNumeric) return String(Number.parseInt(String(value), 10))
  if (kind === "f" && isNumeric) return String(Number.parseFloat(String(value)))
  return typeof value === "bigint" ? `${value}n` : describe(value)
}

const MAX_LENGTH = 8192
