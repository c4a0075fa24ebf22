/**
 * Any value, as JSON can carry it: a copy that later changes to the original cannot reach, bounded in depth and breadth, with
 * sensitive keys, and what looks like a secret in texts, masked. Never throws.
 */
import * as Duration from "effect/Duration"
import { withoutValues } from "./parseIssue.js"
import { FILTERED, isSensitiveKey, scrubText, withoutActual } from "./scrub.js"

/** How many levels of objects and lists are kept. @internal */
export const MAX_DEPTH = 5

/** How many entries of one object or list are kept. @internal */
export const MAX_BREADTH = 100

/**
 * @param depth levels of nesting to keep below `value`
 * @internal
 */
export const normalize = (value: unknown, depth: number = MAX_DEPTH, breadth: number = MAX_BREADTH): unknown =>
  (depth > 0 ? flat(value, breadth, true) : undefined) ?? new Visit(breadth, true).visit(value, depth)

/** The same for what a user has set on purpose: nothing is masked but what a schema did not accept. @internal */
export const normalizeGiven = (value: unknown, depth: number = MAX_DEPTH, breadth: number = MAX_BREADTH): unknown =>
  (depth > 0 ? flat(value, breadth, false) : undefined) ?? new Visit(breadth, false).visit(value, depth)

/** The text of a value on one line, for where a string is expected. @internal */
export const describeValue = (value: unknown, maxLength = 512): string => {
  const normal = typeof value === "object" && value !== null ? normalize(value, 3, 20) : normalizePrimitive(value)
  return truncate(typeof normal === "string" ? normal : (JSON.stringify(normal) ?? String(normal)), maxLength)
}

/** At most `maxLength` UTF-16 units, ending in `...` where something was cut, never inside a surrogate pair. @internal */
export const truncate = (text: string, maxLength: number): string => {
  if (text.length <= maxLength) return text
  const mark = "...".slice(0, maxLength)
  return `${text.slice(0, wholeCharacters(text, maxLength - mark.length))}${mark}`
}

/** `end`, or one less where it would cut a surrogate pair in two. @internal */
export const wholeCharacters = (text: string, end: number): number => {
  const last = text.charCodeAt(end - 1)
  return last >= 0xd800 && last <= 0xdbff ? end - 1 : end
}

/**
 * The same for a plain record of texts, numbers and flags, as the data of a breadcrumb mostly is, at a third of the price;
 * `undefined` for everything else.
 */
const flat = (value: unknown, breadth: number, masks: boolean): Record<string, unknown> | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  try {
    if (!isPlain(value)) return undefined
    const result: Record<string, unknown> = {}
    let count = 0
    for (const key in value) {
      const property = (value as Record<string, unknown>)[key]
      if (typeof property === "object" ? property !== null : typeof property === "function") return undefined
      if (++count > breadth || !Object.hasOwn(value, key) || key === "__proto__" || !key.isWellFormed())
        return undefined
      if (property === undefined) continue
      if (!masks) result[key] = given(normalizePrimitive(property))
      else if (property !== null && isSensitiveKey(key)) result[key] = FILTERED
      else result[key] = scrubbed(normalizePrimitive(property))
    }
    return result
  } catch {
    return undefined
  }
}

/** Wrappers within wrappers cost no depth, but servers read no JSON that is nested without end. */
const MAX_NESTING = 32

class Visit {
  /** The objects on the way down to here: only these make a value circular, not those that merely occur twice. */
  readonly #ancestors: Array<object> = []
  #budget = 10_000

  constructor(
    readonly breadth: number,
    readonly masks: boolean
  ) {}

  visit(value: unknown, depth: number): unknown {
    if (typeof value !== "object" || value === null) return this.#text(normalizePrimitive(value))
    try {
      return this.#object(value, depth)
    } catch (error) {
      return `[Throws: ${safeMessage(error)}]`
    }
  }

  #object(value: object, depth: number): unknown {
    if (this.#ancestors.includes(value)) return "[Circular ~]"
    if (--this.#budget < 0) return "[MaxSize ~]"
    const issue = withoutValues(value)
    if (issue !== undefined) return issue
    const plain = isPlain(value)
    const leaf = plain ? undefined : readable(value)
    if (leaf !== undefined) return this.#text(leaf)
    this.#ancestors.push(value)
    try {
      return plain ? this.#record(value, depth) : this.#container(value, depth)
    } finally {
      this.#ancestors.pop()
    }
  }

  #text(value: unknown): unknown {
    return this.masks ? scrubbed(value) : given(value)
  }

  #container(value: object, depth: number): unknown {
    const items = listed(value)
    if (items !== undefined) return depth <= 0 ? "[Array]" : this.#list(items, depth)
    const entries = keyed(value)
    if (entries !== undefined) return depth <= 0 ? "[Object]" : this.#entries(entries, depth)
    const single = wrapped(value)
    // A wrapper is no level of its own: what it holds stays as readable as it would be without it.
    if (single !== undefined) {
      return this.#ancestors.length > MAX_NESTING
        ? `[${nameOf(value)}]`
        : this.#entries(single, Math.max(depth, 1), depth)
    }
    if (!(value instanceof Error)) return this.#record(value, depth)
    return depth <= 0 ? `[${nameOf(value)}]` : this.#entries(errorEntries(value), depth)
  }

  #record(value: object, depth: number): unknown {
    if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
      const json = (value as { toJSON(): unknown }).toJSON()
      if (json !== value) return this.visit(json, depth)
    }
    return depth <= 0 ? `[${nameOf(value)}]` : this.#properties(value, depth - 1)
  }

  /** What `#entries` makes of an object's own properties, without a pair for each: most of what is normalised is these. */
  #properties(value: object, below: number): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    let count = 0
    for (const key of Object.keys(value)) {
      if (count++ >= this.breadth) {
        result["..."] = "[MaxProperties ~]"
        break
      }
      this.#put(result, wellFormed(key), readProperty(value, key), below)
    }
    return result
  }

  #put(result: Record<string, unknown>, key: string, value: unknown, below: number): void {
    if (key === "__proto__" || value === undefined) return
    if (this.masks && value !== null && isSensitiveKey(key)) result[key] = FILTERED
    else result[key] = this.visit(value, below)
  }

  #list(items: Iterable<unknown>, depth: number): Array<unknown> {
    const list: Array<unknown> = []
    for (const item of items) {
      if (list.length >= this.breadth) {
        list.push("[MaxProperties ~]")
        break
      }
      list.push(this.visit(item, depth - 1))
    }
    return list
  }

  #entries(entries: Iterable<readonly [unknown, unknown]>, depth: number, below = depth - 1): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    let count = 0
    for (const [rawKey, value] of entries) {
      if (count++ >= this.breadth) {
        result["..."] = "[MaxProperties ~]"
        break
      }
      this.#put(result, typeof rawKey === "string" ? wellFormed(rawKey) : this.#key(rawKey), value, below)
    }
    return result
  }

  #key(rawKey: unknown): string {
    const normal = this.visit(rawKey, 1)
    return truncate(typeof normal === "string" ? normal : (JSON.stringify(normal) ?? String(normal)), 64)
  }
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Objects that are best shown as one short text. */
const readable = (value: object): unknown => {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[Invalid Date]" : value.toISOString()
  if (value instanceof RegExp || value instanceof URL) return String(value)
  if (ArrayBuffer.isView(value)) return `[${nameOf(value)}: ${value.byteLength} bytes]`
  if (value instanceof ArrayBuffer) return `[ArrayBuffer: ${value.byteLength} bytes]`
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    return `[${nameOf(value)}]`
  }
  if (REDACTED in value) return "<redacted>"
  if (DURATION in value) return Duration.format(value as object as Duration.Duration)
  if (DATE_TIME in value || BIG_DECIMAL in value) {
    const json = (value as object as { toJSON(): unknown }).toJSON()
    return typeof json === "string" ? json : String(value).replace(/^BigDecimal\((.*)\)$/, "$1")
  }
  return undefined
}

const listed = (value: object): Iterable<unknown> | undefined => {
  if (Array.isArray(value) || value instanceof Set) return value
  for (const id of LISTS) if (id in value) return value as Iterable<unknown>
  return undefined
}

const keyed = (value: object): Iterable<readonly [unknown, unknown]> | undefined => {
  if (value instanceof Map) return value
  for (const id of MAPS) if (id in value) return value as Iterable<readonly [unknown, unknown]>
  return undefined
}

const wrapped = (value: object): ReadonlyArray<readonly [string, unknown]> | undefined => {
  if (!(OPTION in value) && !(EITHER in value)) return undefined
  const { _tag, ...rest } = value as object as { readonly _tag: string } & Record<string, unknown>
  const field = WRAPPED_FIELDS[_tag]
  return field === undefined
    ? [["_tag", _tag]]
    : [
        ["_tag", _tag],
        [field, rest[field]]
      ]
}

const errorEntries = (error: Error): Array<readonly [string, unknown]> => {
  const entries: Array<readonly [string, unknown]> = [
    ["name", error.name],
    ["message", error.message]
  ]
  for (const key of Object.keys(error)) if (!ERROR_KEYS.has(key)) entries.push([key, readProperty(error, key)])
  if (error.cause !== undefined) entries.push(["cause", error.cause])
  return entries
}

const readProperty = (value: object, key: string): unknown => {
  try {
    return (value as Record<string, unknown>)[key]
  } catch (error) {
    return `[Throws: ${safeMessage(error)}]`
  }
}

const normalizePrimitive = (value: unknown): unknown => {
  switch (typeof value) {
    case "string":
      return wellFormed(value)
    case "number":
      return Number.isFinite(value) ? value : `[${value}]`
    case "bigint":
      return `[BigInt: ${value}]`
    case "symbol":
      return wellFormed(`[${String(value)}]`)
    case "function":
      return wellFormed(`[Function: ${safeName(value) || "anonymous"}]`)
    default:
      return value
  }
}

const scrubbed = (value: unknown): unknown => (typeof value === "string" ? scrubText(value) : value)

const given = (value: unknown): unknown => (typeof value === "string" ? withoutActual(value) : value)

const wellFormed = (text: string): string => (text.isWellFormed() ? text : text.toWellFormed())

const nameOf = (value: object): string => {
  try {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
    return typeof name === "string" && name !== "" ? name : "Object"
  } catch {
    return "Object"
  }
}

const safeName = (value: { readonly name?: unknown }): string => {
  try {
    return typeof value.name === "string" ? value.name : ""
  } catch {
    return ""
  }
}

const safeMessage = (error: unknown): string => {
  try {
    return error instanceof Error ? String(error.message) : typeof error
  } catch {
    return "unknown"
  }
}

const WRAPPED_FIELDS: Readonly<Record<string, string>> = { Some: "value", Right: "right", Left: "left" }

const ERROR_KEYS = new Set(["name", "message", "stack", "cause"])

const OPTION = Symbol.for("effect/Option")
const EITHER = Symbol.for("effect/Either")
const REDACTED = Symbol.for("effect/Redacted")
const DURATION = Symbol.for("effect/Duration")
const DATE_TIME = Symbol.for("effect/DateTime")
const BIG_DECIMAL = Symbol.for("effect/BigDecimal")
const LISTS = ["Chunk", "List", "HashSet", "SortedSet", "MutableHashSet"].map((name) => Symbol.for(`effect/${name}`))
const MAPS = ["HashMap", "SortedMap", "MutableHashMap"].map((name) => Symbol.for(`effect/${name}`))
