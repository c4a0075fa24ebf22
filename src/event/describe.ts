/**
 * What an error is called, what it says, and what it carries: for a person to read, and without what is secret.
 */
import { isCause, responseStatus } from "./failure.js"
import { has, isError, read } from "./inspect.js"
import { holdsMembers } from "./members.js"
import { describeValue, normalize, truncate } from "./normalize.js"
import { describeIssue, isParseError, issuesOf } from "./parseIssue.js"
import { scrubText, splitUrl } from "./scrub.js"

/** The name an error is known by: its `_tag`, its own name, or that of its class. @internal */
export const typeOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return "Error"
  if (responseStatus(error) !== undefined) return "HttpServerResponse"
  const tag = read(error, "_tag")
  if (typeof tag === "string" && tag !== "") return truncate(tag, 256)
  // A name that only data has is no type.
  const name = isError(error) || typeof read(error, "message") === "string" ? read(error, "name") : undefined
  if (typeof name === "string" && name !== "" && name !== "Error") return truncate(name, 256)
  const constructorName = read(read(error, "constructor"), "name")
  return typeof constructorName === "string" && constructorName !== "" ? truncate(constructorName, 256) : "Error"
}

/** What an error says, without what looks like a secret. Never empty. @internal */
export const valueOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return scrubText(describeValue(error, 512)) || NO_MESSAGE
  const status = responseStatus(error)
  if (status !== undefined) return `status ${status}`
  if (isParseError(error)) return truncate(describeIssue(error.issue), MAX_VALUE_LENGTH)
  if (isConfigError(error)) return scrubText(truncate(describeConfigError(error), MAX_VALUE_LENGTH))
  const message = read(error, "message")
  if (typeof message === "string" && message !== "") {
    return scrubText(truncate(withoutQuery(message, error), MAX_VALUE_LENGTH))
  }
  if (!isError(error) && !isTagged(error)) return scrubText(describeValue(withoutAnnotations(error), 512))
  const known = WORDLESS.get(typeOf(error))
  if (known !== undefined) return known
  const fields = shownFields(error)
  return Object.keys(fields).length === 0 ? NO_MESSAGE : scrubText(describeValue(fields, 512))
}

/**
 * What a typed error carries besides what every error has, masked: the context of its name.
 *
 * @internal
 */
export const contextOf = (error: unknown): Record<string, unknown> => {
  if (typeof error !== "object" || error === null || responseStatus(error) !== undefined) return {}
  try {
    if (isParseError(error)) return { issues: issuesOf(error.issue) }
    if (isConfigError(error)) return {}
    return scrubbed(normalize(shownFields(error))) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** Whether it is a typed error: it has a `_tag`. @internal */
export const isTagged = (error: unknown): boolean => {
  const tag = read(error, "_tag")
  return typeof tag === "string" && tag !== ""
}

/** The fields that are the error's own: not what every error has. @internal */
export function* fieldsOf(error: object): Iterable<readonly [key: string, value: unknown]> {
  let keys: ReadonlyArray<string> = []
  try {
    keys = Object.keys(error)
  } catch {}
  for (let index = 0; index < keys.length && index < MAX_FIELDS; index++) {
    const key = keys[index] as string
    const value = read(error, key)
    if (isField(error, key, value)) yield [key, value]
  }
  // Of a class of errors it is not enumerable, whatever the program has put there.
  const message = keys.includes("message") ? undefined : read(error, "message")
  if (typeof message === "object" && message !== null) yield ["message", message]
}

/** The request of an HTTP error, without what is private: `GET` and the URL up to its query. @internal */
export const requestOf = (error: unknown): { readonly method: string; readonly url: string } | undefined => {
  const request = read(error, "request")
  if (!has(request, CLIENT_REQUEST) && !has(request, SERVER_REQUEST)) return undefined
  const method = read(request, "method")
  const url = read(request, "url")
  return typeof method === "string" && typeof url === "string" ? { method, url: splitUrl(url).url } : undefined
}

const MAX_VALUE_LENGTH = 8192
const MAX_FIELDS = 100
/** The value of an error that says nothing. @internal */
export const NO_MESSAGE = "(no message)"
const CLIENT_REQUEST = Symbol.for("@effect/platform/HttpClientRequest")
const CLIENT_RESPONSE = Symbol.for("@effect/platform/HttpClientResponse")
const SERVER_REQUEST = Symbol.for("@effect/platform/HttpServerRequest")
const CONFIG_ERROR = Symbol.for("effect/ConfigError")

/** What Effect's own errors mean when they say nothing. */
const WORDLESS = new Map([
  ["NoSuchElementException", "there was no element where one was expected"],
  ["TimeoutException", "the operation took too long"],
  ["IllegalArgumentException", "an argument was out of what is allowed"],
  ["ExceededCapacityException", "there was no room left"],
  ["InvalidPubSubCapacityException", "the capacity of the PubSub cannot be"]
])

/** Not what is shown of it elsewhere: its type, its value, its stack, the errors that it holds, what it says to reporters. */
const isField = (error: object, key: string, value: unknown): boolean => {
  switch (key) {
    case "cause":
      return false
    case "_tag":
    case "message":
    case "stack":
      return typeof value !== "string" && value !== undefined
    case "name":
      return typeof value === "string" ? !isNameOf(error, value) : value !== undefined
    case "errors":
      return value !== undefined && !holdsMembers(error)
    default:
      return !key.startsWith(ANNOTATION)
  }
}

/** Of an error without a `_tag` any name is its own; of one with a `_tag` only that of its class. */
const isNameOf = (error: object, name: string): boolean => {
  if (isError(error) && !isTagged(error)) return true
  return name === typeOf(error) || name === read(read(error, "constructor"), "name")
}

/** The keys of Effect 4's `ErrorReporter`, and whatever else is there for Effect alone. */
const ANNOTATION = "~effect/"

const withoutAnnotations = (value: object): object => {
  try {
    if (Array.isArray(value) || !Object.keys(value).some((key) => key.startsWith(ANNOTATION))) return value
    return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith(ANNOTATION)))
  } catch {
    return value
  }
}

const shownFields = (error: object): Record<string, unknown> => {
  const fields: Record<string, unknown> = {}
  for (const [key, value] of fieldsOf(error)) {
    // An exception of its own, with all that it says. And how to write the error as JSON is not for its fields.
    if (isError(value) || isCause(value) || key === "toJSON") continue
    fields[key] = summary(value, error)
  }
  return fields
}

/** Requests and responses hold sockets, bodies and headers. */
const summary = (value: unknown, error: object): unknown => {
  if (has(value, CLIENT_REQUEST) || has(value, SERVER_REQUEST)) {
    const request = requestOf(error)
    return request === undefined ? "[Request]" : `${request.method} ${request.url}`
  }
  return has(value, CLIENT_RESPONSE) ? { status: read(value, "status") } : value
}

/** The message of an HTTP error repeats the URL as it is. */
const withoutQuery = (message: string, error: object): string => {
  const request = requestOf(error)
  const url = read(read(error, "request"), "url")
  return request === undefined || typeof url !== "string" ? message : message.replaceAll(url, () => request.url)
}

interface ConfigErrorLike {
  readonly _op?: unknown
  readonly path?: unknown
  readonly message?: unknown
  readonly left?: unknown
  readonly right?: unknown
}

const isConfigError = (value: unknown): value is ConfigErrorLike => has(value, CONFIG_ERROR)

/** `PORT: Expected a number value but received [Filtered]`: the environment is where the secrets are. */
const describeConfigError = (error: ConfigErrorLike, depth = 0): string => {
  const op = read(error, "_op")
  if ((op === "And" || op === "Or") && depth < 16) {
    return [read(error, "left"), read(error, "right")]
      .map((part) => (isConfigError(part) ? describeConfigError(part, depth + 1) : "?"))
      .join(op === "And" ? " and " : " or ")
  }
  const path = read(error, "path")
  const text = String(read(error, "message")).replace(/\breceived [\s\S]*$/, "received [Filtered]")
  return Array.isArray(path) && path.length > 0 ? `${path.map(String).join(".")}: ${text}` : text
}

/** A copy is not needed: it is all of our own making. */
const scrubbed = (value: unknown): unknown => {
  if (typeof value === "string") return scrubText(value)
  if (Array.isArray(value)) return value.map(scrubbed)
  if (typeof value !== "object" || value === null) return value
  const record = value as Record<string, unknown>
  for (const key of Object.keys(record)) record[key] = scrubbed(record[key])
  return record
}
