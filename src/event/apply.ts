/**
 * Scope data written onto an event.
 */
import { readFileSync, statSync } from "node:fs"
import { basename } from "node:path"
import type { Attachment, Event } from "../protocol/Event.js"
import type { ScopeData, TagValue } from "../scope/ScopeData.js"
import { describeValue, wholeCharacters } from "./normalize.js"

/**
 * What is already on the event wins, key by key; a level of the scope does replace the event's own (as in every Sentry SDK).
 *
 * @internal
 */
export const applyScope = (event: Event, scope: ScopeData): void => {
  const tags = { ...tagsOf(scope.tags), ...(event.tags === undefined ? undefined : tagsOf(event.tags)) }
  if (Object.keys(tags).length > 0) event.tags = tags
  const extra = { ...defined(scope.extra), ...event.extra }
  if (Object.keys(extra).length > 0) event.extra = extra
  event.contexts = { ...defined(scope.contexts), ...event.contexts }
  const user = { ...scope.user, ...event.user }
  if (Object.keys(user).length > 0) event.user = user
  if (scope.level !== undefined) event.level = scope.level
  if (event.fingerprint?.length === 0) delete event.fingerprint
  if (event.fingerprint === undefined && scope.fingerprint !== undefined && scope.fingerprint.length > 0) {
    event.fingerprint = [...scope.fingerprint]
  }
  if (event.transaction === undefined && scope.transactionName !== undefined) event.transaction = scope.transactionName
}

/**
 * Tags as servers take them: text of 1 to 200 characters on one line under a key of letters, digits and `_.:-`. What does not
 * fit is cut or left out, never the event with it.
 *
 * @internal
 */
export const tagsOf = (tags: Readonly<Record<string, TagValue>>): Record<string, string> => {
  const result: Record<string, string> = {}
  for (const key of Object.keys(tags)) {
    const raw = tags[key]
    if (raw === undefined || raw === null) continue
    const name = key.replace(/[^A-Za-z0-9_.:-]+/g, "-").slice(0, 200)
    const value = tagValue(raw)
    if (name !== "" && value !== "") result[name] = value
  }
  return result
}

/**
 * The bytes of an attachment; `undefined` where there are none, or they cannot be read, or are too many (then `onTooLarge` is
 * told how many).
 *
 * @internal
 */
export const readAttachment = (
  attachment: Attachment,
  maxBytes: number,
  onTooLarge: (bytes: number) => void = () => {}
): Uint8Array | undefined => {
  const fits = (bytes: number): boolean => {
    if (bytes > maxBytes) onTooLarge(bytes)
    return bytes <= maxBytes
  }
  try {
    const data = attachment.path === undefined ? attachment.data : readFile(attachment.path, fits)
    const bytes = typeof data === "string" ? Buffer.from(data) : data
    return bytes instanceof Uint8Array && (attachment.path !== undefined || fits(bytes.byteLength)) ? bytes : undefined
  } catch {
    return undefined
  }
}

/** Nothing but a regular file: reading a pipe or a device may never end. */
const readFile = (path: string, fits: (bytes: number) => boolean): Uint8Array | undefined => {
  const stat = statSync(path)
  return stat.isFile() && fits(stat.size) ? readFileSync(path) : undefined
}

/** The name alone, without folders or line breaks. @internal */
export const attachmentName = (attachment: Attachment): string => {
  const { filename } = attachment as { readonly filename: unknown }
  return (
    (typeof filename === "string"
      ? basename(filename)
          .replace(/[\r\n]+/g, " ")
          .toWellFormed()
      : "") || "attachment"
  )
}

const tagValue = (raw: Exclude<TagValue, null | undefined>): string => {
  const text = typeof raw === "object" || typeof raw === "function" ? describeValue(raw) : String(raw)
  const line = text
    .replace(/[\r\n]+/g, " ")
    .trim()
    .toWellFormed()
  return line.length <= 200 ? line : line.slice(0, wholeCharacters(line, 200))
}

const defined = <A>(record: Readonly<Record<string, A | undefined>>): Record<string, A> => {
  const result: Record<string, A> = {}
  for (const key of Object.keys(record)) if (record[key] !== undefined) result[key] = record[key]
  return result
}
