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
 * @internal
 */
export const addSourceContext = (frame: StackFrame, lines: number): void => {
  const { abs_path: path, lineno } = frame
  if (path === undefined || lineno === undefined || (!path.startsWith("/") && !/^[A-Za-z]:[\\/]/.test(path))) return
  const source = linesOf(path)
  const line = source?.[lineno - 1]
  if (source === undefined || line === undefined) return
  frame.pre_context = source.slice(Math.max(0, lineno - 1 - lines), lineno - 1).map((text) => clip(text, 0))
  frame.context_line = clip(line, frame.colno ?? 0)
  frame.post_context = source.slice(lineno, lineno + lines).map((text) => clip(text, 0))
}

const MAX_FILES = 64
const MAX_FILE_BYTES = 1024 * 1024
const MAX_LINE_LENGTH = 200

/** Least recently used first; `undefined` remembers a file that cannot be read. */
const files = new Map<string, ReadonlyArray<string> | undefined>()

const linesOf = (path: string): ReadonlyArray<string> | undefined => {
  const known = files.get(path)
  if (known !== undefined || files.has(path)) {
    files.delete(path)
    files.set(path, known)
    return known
  }
  const lines = read(path)
  files.set(path, lines)
  if (files.size > MAX_FILES) files.delete(files.keys().next().value as string)
  return lines
}

const read = (path: string): ReadonlyArray<string> | undefined => {
  try {
    const stat = statSync(path)
    if (!stat.isFile() || stat.size > MAX_FILE_BYTES) return undefined
    return readFileSync(path, "utf8").split(/\r?\n/)
  } catch {
    return undefined
  }
}

/** The part of a long line that lies around `column`. */
const clip = (line: string, column: number): string => {
  if (line.length <= MAX_LINE_LENGTH) return scrubText(line)
  const start = Math.max(0, Math.min(column - MAX_LINE_LENGTH / 2, line.length - MAX_LINE_LENGTH))
  const end = start + MAX_LINE_LENGTH
  const part = line.slice(start, end).toWellFormed()
  return scrubText(`${start > 0 ? "{snip} " : ""}${part}${end < line.length ? " {snip}" : ""}`)
}
