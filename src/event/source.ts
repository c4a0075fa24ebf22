/**
 * Source lines around a frame, read from disk once per file.
 */
import { readFileSync, statSync } from "node:fs"
import type { StackFrame } from "../protocol/Event.js"
import { scrubText } from "./scrub.js"

/**
 * Adds `context_line`, `pre_context` and `post_context` to a frame whose file can be read. Files over 1 MiB and lines of
 * generated code are left out or cut; what looks like a secret in a line is masked.
 *
 * @param lines how many lines before and after the frame's own
 * @param content of the file, where it is known
 * @internal
 */
export const addSourceContext = (frame: StackFrame, lines: number, content?: ReadonlyArray<string>): void => {
  const { abs_path: path, lineno } = frame
  if (path === undefined || lineno === undefined || (!path.startsWith("/") && !/^[A-Za-z]:[\\/]/.test(path))) return
  const source = content ?? linesOf(path)
  const line = source?.[lineno - 1]
  if (source === undefined || line === undefined) return
  frame.pre_context = source.slice(Math.max(0, lineno - 1 - lines), lineno - 1).map((text) => clip(text, 0))
  frame.context_line = clip(line, frame.colno ?? 0)
  frame.post_context = source.slice(lineno, lineno + lines).map((text) => clip(text, 0))
}

/**
 * From now on an event is being built: files are read for it until that has taken `READ_MILLIS`, and source maps until they have
 * taken as much again. What has been begun is finished; the rest is left to the next event.
 *
 * @internal
 */
export const beginReading = (): void => {
  ofSources.spent = 0
  ofMaps.spent = 0
}

/** @internal */
export const hasTimeToRead = (): boolean => isLeft(ofSources) && isLeft(ofMaps)

/** `undefined` where there was no time left, and where it fails. @internal */
export const readingMap = <A>(read: () => A): A | undefined => reading(ofMaps, read)

/** The lines of a file, `undefined` if it cannot be read. @internal */
export const linesOf = (path: string): ReadonlyArray<string> | undefined => {
  const known = files.get(path)
  if (known !== undefined || files.has(path)) {
    files.delete(path)
    files.set(path, known)
    return known?.lines
  }
  if (!isLeft(ofSources)) return undefined
  const file = reading(ofSources, () => readLines(path))
  remember(path, file)
  return file?.lines
}

const READ_MILLIS = 50
const MAX_FILES = 64
const MAX_BYTES = 16 * 1024 * 1024
const MAX_FILE_BYTES = 1024 * 1024
const MAX_LINE_LENGTH = 200

interface File {
  readonly lines: ReadonlyArray<string>
  readonly bytes: number
}

/** Least recently used first; `undefined` remembers a file that cannot be read. */
const files = new Map<string, File | undefined>()
let bytes = 0

/** Apart from each other: one large map must not take the time for the lines that it leads to. */
interface Time {
  spent: number
}

const ofSources: Time = { spent: 0 }
const ofMaps: Time = { spent: 0 }

const isLeft = (time: Time): boolean => time.spent < READ_MILLIS

const reading = <A>(time: Time, read: () => A): A | undefined => {
  if (!isLeft(time)) return undefined
  const start = performance.now()
  try {
    return read()
  } catch {
    return undefined
  } finally {
    time.spent += performance.now() - start
  }
}

const remember = (path: string, file: File | undefined): void => {
  files.set(path, file)
  bytes += file?.bytes ?? 0
  for (const [oldest, { bytes: size } = { bytes: 0 }] of files) {
    if (files.size <= MAX_FILES && bytes <= MAX_BYTES) break
    files.delete(oldest)
    bytes -= size
  }
}

const readLines = (path: string): File | undefined => {
  const stat = statSync(path)
  // Nothing but a regular file: a pipe or a device may never end.
  if (!stat.isFile() || stat.size > MAX_FILE_BYTES) return undefined
  return { lines: readFileSync(path, "utf8").split(/\r?\n/), bytes: stat.size }
}

/** The part of a long line that lies around `column`. */
const clip = (line: string, column: number): string => {
  if (line.length <= MAX_LINE_LENGTH) return scrubText(line)
  const start = Math.max(0, Math.min(column - MAX_LINE_LENGTH / 2, line.length - MAX_LINE_LENGTH))
  const end = start + MAX_LINE_LENGTH
  const part = line.slice(start, end).toWellFormed()
  return scrubText(`${start > 0 ? "{snip} " : ""}${part}${end < line.length ? " {snip}" : ""}`)
}
