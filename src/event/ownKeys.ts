/**
 * The keys of the hub's own DSN, where the program itself names them.
 */
import type { Dsn } from "../protocol/Dsn.js"
import { FILTERED } from "./scrub.js"

/**
 * Masks the keys in a text, which may be JSON: a long one wherever it stands; a short one, which may be a word like any other, where it
 * stands before the host, or in a URL before an `@`. A text without them costs a search for each.
 *
 * @internal
 */
export const maskOf = (dsn: Dsn | undefined): ((text: string) => string) => {
  if (dsn === undefined) return (text) => text
  const { host, publicKey, secretKey } = dsn
  const keys = writtenForms(publicKey)
  const secrets = secretKey === undefined ? [] : writtenForms(secretKey)
  const long = [...keys, ...secrets].filter((key) => key.length >= LONG)
  const short = patternOf(keys, secrets, host)
  const all = [...keys, ...secrets]
  // Of a short key alone every other text may be full.
  const isIn = (text: string, key: string): boolean =>
    text.includes(key) && (key.length >= LONG || ENDS.some((end) => text.includes(`${key}${end}`)))
  return (text) => {
    if (!all.some((key) => isIn(text, key))) return text
    return long.reduce(
      (masked, key) => masked.replaceAll(key, FILTERED),
      text.replace(short, `${FILTERED}:${FILTERED}`)
    )
  }
}

/** What is shorter may be a word that stands anywhere. */
const LONG = 16

/** What may come after a key in a URL, which may be a part of another one. */
const ENDS = ["@", "%40", ":", "%3A", "%3a"]

/** As it is, and within JSON. */
const writtenForms = (key: string): Array<string> => Array.from(new Set([key, JSON.stringify(key).slice(1, -1)]))

const patternOf = (keys: ReadonlyArray<string>, secrets: ReadonlyArray<string>, host: string): RegExp => {
  const key = anyOf(keys)
  const secret = secrets.length === 0 ? "(?!)" : anyOf(secrets)
  const colon = "(?::|%3A)"
  const at = "(?=@|%40)"
  const slashes = "(?<=\\/\\/|%2F%2F|\\\\\\/)"
  return new RegExp(
    [
      `${slashes}${key}(?:${colon}[^@/"\\s%]*)?${at}`,
      `(?<![\\w.+-])${key}${colon}${secret}`,
      `(?<![\\w.+-])(?:${key}|${secret})(?=(?:@|%40)${escaped(host)})`
    ].join("|"),
    "gi"
  )
}

const anyOf = (texts: ReadonlyArray<string>): string => `(?:${texts.map(escaped).join("|")})`

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
