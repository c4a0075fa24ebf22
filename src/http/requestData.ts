/**
 * What an event shows of the request it happened in.
 */
import { normalize } from "../event/normalize.js"
import { FILTERED, isSensitiveKey, scrubQuery, scrubText, splitUrl } from "../event/scrub.js"
import type { Request } from "../protocol/Event.js"

/** A request, as far as it is needed: nothing here holds on to its socket. @internal */
export interface RequestFacts {
  readonly method: string
  /** With its query, as it came. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly isSecure: boolean
  readonly remoteAddress: string | undefined
  /** What the program has read of the body, where that is to be shown. */
  readonly body: (() => string | undefined) | undefined
}

/** @internal */
export interface Visibility {
  /** Whether personal data that nobody set on purpose may be shown. */
  readonly pii: boolean
  /** In lower case: headers whose values are shown in any case. */
  readonly allowedHeaders: ReadonlySet<string>
}

/** @internal */
export const requestOf = (facts: RequestFacts, visibility: Visibility): Request => {
  const { query, url } = splitUrl(facts.url)
  const host = facts.headers["host"]
  const body = bodyOf(facts)
  const cookies = cookiesOf(facts, visibility)
  return {
    method: facts.method,
    url: scrubText(url.startsWith("/") && typeof host === "string" ? `${origin(facts, host)}${url}` : url),
    ...(query === "" ? undefined : { query_string: scrubText(scrubQuery(query)) }),
    headers: headersOf(facts, visibility),
    ...(cookies === undefined ? undefined : { cookies }),
    ...(body === undefined ? undefined : { data: body }),
    ...(visibility.pii && facts.remoteAddress !== undefined ? { env: { REMOTE_ADDR: facts.remoteAddress } } : undefined)
  }
}

/** Shown with their values by default: they say what was asked for, and not by whom. @internal */
export const HARMLESS_HEADERS: ReadonlyArray<string> = [
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "host",
  "origin",
  "sec-fetch-dest",
  "sec-fetch-mode",
  "sec-fetch-site",
  "te",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-request-id"
]

const origin = ({ isSecure }: RequestFacts, host: string): string => `${isSecure ? "https" : "http"}://${host}`

const headersOf = ({ headers }: RequestFacts, { allowedHeaders, pii }: Visibility): Record<string, string> => {
  const shown: Record<string, string> = {}
  for (const name of Object.keys(headers).slice(0, MAX_ENTRIES)) {
    const value = headers[name]
    if (value === undefined || name === "cookie") continue
    const isShown = allowedHeaders.has(name) || (pii && !isSensitiveKey(name))
    shown[name] = isShown ? scrubText(String(value)).slice(0, MAX_HEADER_LENGTH) : FILTERED
  }
  return shown
}

const cookiesOf = ({ headers }: RequestFacts, { pii }: Visibility): Record<string, string> | undefined => {
  const header = headers["cookie"]
  if (typeof header !== "string" || header === "") return undefined
  const cookies: Record<string, string> = {}
  for (const pair of header.split(";").slice(0, MAX_ENTRIES)) {
    const equals = pair.indexOf("=")
    const name = pair.slice(0, equals < 0 ? undefined : equals).trim()
    if (name === "") continue
    const isShown = pii && !isSensitiveKey(name)
    cookies[name] = isShown ? scrubText(pair.slice(equals + 1).trim()).slice(0, MAX_HEADER_LENGTH) : FILTERED
  }
  return cookies
}

/** As its content type says, with the values of sensitive names masked; of what is no text, nothing. */
const bodyOf = ({ body, headers }: RequestFacts): unknown => {
  const text = body?.()
  if (text === undefined || text === "") return undefined
  const type = String(headers["content-type"] ?? "").toLowerCase()
  try {
    if (/[/+]json\b/.test(type)) return normalize(JSON.parse(text))
    if (type.includes("x-www-form-urlencoded")) return normalize(formOf(text))
  } catch {
    return scrubText(text)
  }
  return type.startsWith("text/") ? scrubText(text) : undefined
}

const formOf = (text: string): Record<string, unknown> => {
  const form = Object.create(null) as Record<string, unknown>
  for (const [key, value] of new URLSearchParams(text)) {
    const before = form[key]
    form[key] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
  }
  return form
}

const MAX_ENTRIES = 100
const MAX_HEADER_LENGTH = 1024
