/**
 * Which typed errors are one issue: what tells them apart besides where they failed.
 */
import { fieldsOf, requestOf, typeOf, valueOf } from "./describe.js"
import { has, isError, read } from "./inspect.js"
import { memberAt, membersOf } from "./members.js"
import { wholeCharacters } from "./normalize.js"
import { isParseError, issuesOf, schemaName } from "./parseIssue.js"

/**
 * The fingerprint of a typed error, and of what is no error at all: its type, and what of it says which failure it is rather than
 * in which case. `{{ default }}` keeps the server's own grouping by stack inside of that. `undefined` for all other errors, which
 * servers tell apart by themselves.
 *
 * @internal
 */
export const fingerprintOf = (error: unknown): Array<string> | undefined => {
  try {
    const parts = partsOf(error)
    return parts === undefined ? undefined : ["{{ default }}", typeOf(error), ...parts.filter((part) => part !== "")]
  } catch {
    return undefined
  }
}

/**
 * A text with what varies from case to case (quoted words, numbers, ids, times, sizes, addresses, paths) replaced by what it is.
 *
 * @internal
 */
export const templateOf = (text: string): string => {
  let result = text.slice(0, wholeCharacters(text, MAX_TEXT))
  for (const [pattern, name] of VARYING) result = result.replace(pattern, name)
  return result.replace(/<(\w+)>(?:(?:, ?| and | or |[ -])<\1>)+/g, "<$1>").trim()
}

const MAX_TEXT = 256
const MAX_PART = 128
const DEFAULT_CODES = new Set(["reason", "code", "kind", "type", "operation", "op", "module", "method", "syscall"])
const NUMBERS = new Set(["status", "statusCode", "code", "errno"])
const SQL_ERROR = Symbol.for("@effect/sql/SqlError")
const CONFIG_ERROR = Symbol.for("effect/ConfigError")

const VARYING: ReadonlyArray<readonly [pattern: RegExp, name: string]> = [
  [/"[^"]*"|`[^`]*`|(?<![\w'])'[^']*'(?!\w)|“[^”]*”|«[^»]*»/g, "<text>"],
  [/\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s<>"'`)\]}]*/gi, "<url>"],
  [/[\w.+%-]+@[\w-]+(?:\.[\w-]+)+/g, "<email>"],
  [/(?<![\w<])(?:[A-Za-z]:)?[\\/](?:[\w.@~%+ -]*[\\/])*[\w.@~%+-]+/g, "<path>"],
  [
    /\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*,? (?=[\d<]|[A-Z][a-z]{2} \d)/g,
    ""
  ],
  [/[\w.:+-]*\d[\w.:+-]*(?: ?(?:[nµm]?s|min|[kKMGT]i?B|bytes?|%)(?!\w))?/g, "<n>"],
  [/\b[a-f]{8,}\b|\b(?=\w*[a-z][A-Z])(?=\w*[A-Z][a-z])[A-Za-z_]{24,}\b/g, "<n>"]
]

const partsOf = (error: unknown): ReadonlyArray<string> | undefined => {
  if (typeof error !== "object" || error === null) return [templateOf(valueOf(error))]
  if (isParseError(error)) {
    const [first] = issuesOf(error.issue, 1)
    return [part(schemaName(error.issue)), part(first === undefined ? "" : `${keysOf(first.path)}: ${first.problem}`)]
  }
  if (has(error, CONFIG_ERROR)) return [part(valueOf(error))]
  if (typeof read(error, "_tag") === "string") {
    return [...discriminants(error), part(saying(error)), ...underlying(error)]
  }
  if (isError(error)) return undefined
  const keys = Object.keys(error).filter((key) => !key.startsWith("~effect/") && templateOf(key) === key)
  return [
    ...discriminants(error),
    typeof read(error, "message") === "string" ? part(saying(error)) : part(keys.join(","))
  ]
}

/** Indices and ids are of the case, not of the schema. */
const keysOf = (path: string): string => path.replace(/\[\d+\]/g, "[]")

const part = (text: string): string => {
  const template = templateOf(text)
  return template.slice(0, wholeCharacters(template, MAX_PART))
}

/** The fields that by their name and look choose between a few cases: a reason, a code, a status. */
const discriminants = (error: object): Array<string> => {
  const parts: Array<string> = []
  for (const [key, value] of fieldsOf(error)) {
    const word = wordOf(key, value)
    if (word !== undefined) parts.push(`${key}:${word}`)
  }
  const request = requestOf(error)
  if (request !== undefined) parts.push(request.method, hostOf(request.url))
  const status = read(read(error, "response"), "status")
  if (typeof status === "number") parts.push(`status:${status}`)
  return parts
}

const wordOf = (key: string, value: unknown): string | undefined => {
  if (typeof value === "number") {
    return NUMBERS.has(key) && Number.isInteger(value) && Math.abs(value) < 10_000 ? String(value) : undefined
  }
  if (!DEFAULT_CODES.has(key)) return undefined
  const word = typeof value === "object" ? read(value, "_tag") : value
  return typeof word === "string" && isWord(word) ? word : undefined
}

/** `NotFound`, `not_found`, `ENOENT`, `card.declined`, `P2002`, not an id or a sentence. */
const isWord = (text: string): boolean =>
  text.length <= 48 && /^(?:[A-Z][a-z]+|[a-z]+|[A-Z]+)(?:[A-Z][a-z]+|[._:/-]?[A-Za-z]+)*$|^P\d{4}$/.test(text)

/** What an error says, without the values of its own fields: `User 7 of acme` says as much as `User 8 of initech`. */
const saying = (error: object): string => {
  const message = read(error, "message")
  if (typeof message !== "string" || message === "" || requestOf(error) !== undefined) return ""
  // What a `Schema.TaggedError` says by itself: its fields.
  if (message.startsWith("{ ")) return ""
  let line = message.slice(0, MAX_TEXT * 2)
  for (const [key, value] of fieldsOf(error)) {
    // What chooses between a few cases may be said.
    if (wordOf(key, value) !== undefined) continue
    for (const shown of valuesIn(value)) if (line.includes(shown)) line = line.replace(wholeWord(shown), "<n>")
  }
  return /^[^\r\n]*/.exec(line)?.[0] ?? ""
}

const wholeWord = (text: string): RegExp =>
  new RegExp(`(?<!\\w)${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?!\\w)`, "g")

const valuesIn = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return value.length > 1 && value.length <= MAX_TEXT ? [value] : []
  if (typeof value === "number" || typeof value === "bigint") return [String(value)]
  if (typeof value !== "object" || value === null) return []
  try {
    return Object.values(value)
      .slice(0, 20)
      .filter((inner) => typeof inner !== "object")
      .flatMap(valuesIn)
  } catch {
    return []
  }
}

/**
 * One error of a driver or of Node can stand behind another for quite different reasons: the code is that of the innermost that has
 * one, since a `TypeError: fetch failed` says nothing and its `ECONNREFUSED` all.
 */
const underlying = (error: object): Array<string> => {
  const cause = read(error, "cause")
  if (typeof cause !== "object" || cause === null) return []
  const isOfSql = has(error, SQL_ERROR)
  let found: string | undefined
  let current: unknown = cause
  for (let depth = 0; depth < MAX_CAUSES && typeof current === "object" && current !== null; depth++) {
    found = codeOf(current, isOfSql) ?? found
    current = read(current, "cause") ?? memberAt(membersOf(current).errors, 0)
  }
  return found === undefined ? [`cause:${typeOf(cause)}`] : [`cause:${typeOf(cause)}`, found]
}

const MAX_CAUSES = 8

const codeOf = (error: object, isOfSql: boolean): string | undefined => {
  const code = read(error, "code")
  if (typeof code === "string" && (isWord(code) || (isOfSql && /^[0-9A-Z]{5}$/.test(code)))) return code
  const errno = isOfSql ? read(error, "errno") : undefined
  return typeof errno === "number" ? String(errno) : undefined
}

const hostOf = (url: string): string => {
  try {
    return new URL(url).hostname
  } catch {
    return ""
  }
}
