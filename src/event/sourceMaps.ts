/**
 * Where a line of generated code was written, from the source map beside it or in it. Node's own (`--enable-source-maps`) has
 * already been at work where it is on: what it has mapped has no map of its own.
 */
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs"
import { dirname, isAbsolute, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { linesOf, readingMap } from "./source.js"

/** @internal */
export interface OriginalPosition {
  readonly path: string
  /** From 1, both. */
  readonly lineno: number
  readonly colno: number
  /** The lines of the file, if the map has them. */
  readonly content: ReadonlyArray<string> | undefined
}

/**
 * @param lineno from 1
 * @param colno from 1
 * @param root what sources without a place (`webpack://shop/./src/a.ts`) are relative to
 * @internal
 */
export const originalPosition = (
  path: string,
  lineno: number,
  colno: number,
  root: string
): OriginalPosition | undefined => {
  const map = mapOf(path)
  if (map === undefined) return undefined
  try {
    const found = map.find(lineno - 1, colno - 1)
    const source = found?.map.sourcePath(found.source, root)
    if (found === undefined || source === undefined) return undefined
    return {
      path: source,
      lineno: found.line + 1,
      colno: found.column + 1,
      content: found.map.content(found.source)
    }
  } catch {
    return undefined
  }
}

const MAX_MAPS = 64
const MAX_MAP_BYTES = 8 * 1024 * 1024
/** As Base64. */
const MAX_INLINE_BYTES = Math.ceil(MAX_MAP_BYTES * 1.4)
const MAX_TOTAL_BYTES = 32 * 1024 * 1024
const TAIL_BYTES = 4096

interface Loaded {
  readonly map: SourceMap | undefined
  readonly bytes: number
}

/** Least recently used first. */
const maps = new Map<string, Loaded>()
let total = 0

const mapOf = (path: string): SourceMap | undefined => {
  const known = maps.get(path)
  if (known !== undefined) {
    maps.delete(path)
    maps.set(path, known)
    return known.map
  }
  const lines = linesOf(path)
  const loaded = readingMap(() => load(path, lines) ?? NONE)
  // Also where there was no time left: then it is looked for again.
  if (loaded === undefined) return undefined
  maps.set(path, loaded)
  total += loaded.bytes
  for (const [oldest, { bytes }] of maps) {
    if (maps.size <= MAX_MAPS && total <= MAX_TOTAL_BYTES) break
    maps.delete(oldest)
    total -= bytes
  }
  return loaded.map
}

const NONE: Loaded = { map: undefined, bytes: 0 }

const load = (path: string, lines: ReadonlyArray<string> | undefined): Loaded | undefined => {
  const url = mapUrlIn(lines === undefined ? endOf(path).split(/\r?\n/) : lines.slice(-10))
  if (url === undefined) return undefined
  try {
    const [text, base] = url.startsWith("data:") ? [inline(url), path] : fileAt(url, path)
    if (text === undefined) return undefined
    const json = JSON.parse(text.replace(/^\)\]\}'[^\n]*\n/, "")) as RawMap
    return { map: new SourceMap(json, dirname(base)), bytes: text.length }
  } catch {
    return undefined
  }
}

/** The last one counts. */
const mapUrlIn = (lines: ReadonlyArray<string>): string | undefined => {
  for (const line of lines.toReversed()) {
    const start = line.lastIndexOf("sourceMappingURL=")
    if (start > 0 && /\/[/*][#@]\s*$/.test(line.slice(Math.max(0, start - 8), start))) {
      return /^[^\s*'"]+/.exec(line.slice(start + "sourceMappingURL=".length))?.[0]
    }
  }
  return undefined
}

/** Of a bundle too large to be shown, the end, where it names its map, or has it. */
const endOf = (path: string): string => {
  const stat = statSync(path)
  if (!stat.isFile()) return ""
  const descriptor = openSync(path, "r")
  try {
    const tail = readEnd(descriptor, stat.size, TAIL_BYTES)
    // Nothing but the end of a map that is in the file.
    return /^[\w+/=%-]*\s*$/.test(tail) ? readEnd(descriptor, stat.size, MAX_INLINE_BYTES) : tail
  } finally {
    closeSync(descriptor)
  }
}

const readEnd = (descriptor: number, size: number, bytes: number): string => {
  const buffer = Buffer.alloc(Math.min(bytes, size))
  const read = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length)
  const line = bytes === TAIL_BYTES ? 0 : Math.max(0, buffer.lastIndexOf("sourceMappingURL=") - 8)
  return buffer.toString("utf8", line, read)
}

const inline = (url: string): string | undefined => {
  const comma = url.indexOf(",")
  if (comma < 0 || url.length > MAX_INLINE_BYTES) return undefined
  const data = url.slice(comma + 1)
  return /;base64$/i.test(url.slice(0, comma)) ? Buffer.from(data, "base64").toString("utf8") : decodeURIComponent(data)
}

const fileAt = (url: string, from: string): readonly [text: string | undefined, path: string] => {
  if (/^(?!file:)[a-z][a-z0-9+.-]+:/i.test(url)) return [undefined, from]
  const path = url.startsWith("file:") ? fileURLToPath(url) : resolve(dirname(from), decodeURIComponent(url))
  const stat = statSync(path)
  return [stat.isFile() && stat.size <= MAX_MAP_BYTES ? readFileSync(path, "utf8") : undefined, path]
}

interface RawMap {
  readonly sources?: ReadonlyArray<string | null>
  readonly sourcesContent?: ReadonlyArray<string | null>
  readonly sourceRoot?: string
  readonly mappings?: string
  readonly sections?: ReadonlyArray<{
    readonly offset: { readonly line: number; readonly column: number }
    readonly map: RawMap
  }>
}

interface Found {
  readonly map: SourceMap
  readonly source: number
  readonly line: number
  readonly column: number
}

/** A place in the text of the mappings, with the running sums up to there. */
interface Mark {
  readonly at: number
  readonly generated: number
  /** -1: what stands before it is of no source. */
  readonly source: number
  readonly lastSource: number
  readonly line: number
  readonly column: number
}

/** So many segments are decoded again at most: a minified bundle is one line of a million. */
const SEGMENTS_PER_MARK = 512

/** Decoded no further than what was asked for: most of a map is never looked at. */
class SourceMap {
  readonly #sections: ReadonlyArray<{ readonly line: number; readonly column: number; readonly map: SourceMap }>
  readonly #mappings: string
  /** The start of each line that was reached. */
  readonly #starts: Array<Mark> = [{ at: 0, generated: 0, source: -1, lastSource: 0, line: 0, column: 0 }]
  /** Places within a line that was reached, by line, in order. */
  readonly #marks = new Map<number, Array<Mark>>()
  readonly #contents = new Map<number, ReadonlyArray<string> | undefined>()

  constructor(
    readonly raw: RawMap,
    readonly folder: string,
    depth = 0
  ) {
    this.#mappings = typeof raw.mappings === "string" ? raw.mappings : ""
    this.#sections =
      depth > 0 || !Array.isArray(raw.sections)
        ? []
        : raw.sections.map(({ map, offset }) => ({ ...offset, map: new SourceMap(map, folder, depth + 1) }))
  }

  find(line: number, column: number): Found | undefined {
    const section = this.#sections.findLast((each) => each.line < line || (each.line === line && each.column <= column))
    if (section !== undefined) {
      return section.map.find(line - section.line, line === section.line ? column - section.column : column)
    }
    for (let known = this.#starts.length - 1; known < line; known++) {
      const next = this.#decode(this.#starts[known] as Mark)
      if (next === undefined) return undefined
      this.#starts.push(next)
    }
    const start = this.#starts[line]
    if (start === undefined) return undefined
    let marks = this.#marks.get(line)
    if (marks === undefined) this.#marks.set(line, (marks = [start]))
    let found = marks.findLast((mark) => mark.generated <= column)
    let count = 0
    this.#decode(found ?? start, (mark) => {
      if (mark.generated > column) return false
      found = mark
      if (++count % SEGMENTS_PER_MARK === 0 && mark.at > (marks.at(-1)?.at ?? 0)) marks.push(mark)
      return true
    })
    if (found === undefined || found.source < 0) return undefined
    return { map: this, source: found.source, line: found.line, column: found.column }
  }

  sourcePath(index: number, root: string): string | undefined {
    const source = this.raw.sources?.[index]
    if (typeof source !== "string" || source === "") return undefined
    const whole =
      typeof this.raw.sourceRoot === "string" && this.raw.sourceRoot !== "" && !isAbsolute(source)
        ? `${this.raw.sourceRoot.replace(/\/$/, "")}/${source}`
        : source
    if (whole.startsWith("file:")) return fileURLToPath(whole)
    const virtual = /^[a-z][a-z0-9+.-]+:\/\/[^/]*\/(.*)$/i.exec(whole)?.[1]
    return virtual === undefined ? resolve(this.folder, whole) : resolve(root, virtual.replace(/\?[\w=&]*$/, ""))
  }

  content(index: number): ReadonlyArray<string> | undefined {
    if (!this.#contents.has(index)) {
      const content = this.raw.sourcesContent?.[index]
      this.#contents.set(index, typeof content === "string" ? content.split(/\r?\n/) : undefined)
    }
    return this.#contents.get(index)
  }

  /** The rest of a line; returns where the next one starts, if there is one. `visit` may end it early. */
  #decode(start: Mark, visit?: (mark: Mark) => boolean): Mark | undefined {
    const text = this.#mappings
    let { at, generated, lastSource: source, line, column } = start
    while (at < text.length) {
      const char = text.charCodeAt(at)
      if (char === SEMICOLON) return { at: at + 1, generated: 0, source: -1, lastSource: source, line, column }
      if (char === COMMA) {
        at++
        continue
      }
      let fields = 0
      let next = char
      while (at < text.length && next !== SEMICOLON && next !== COMMA) {
        let value = 0
        let shift = 0
        let digit: number
        do {
          digit = DIGITS[text.charCodeAt(at++)] ?? 0
          value += (digit & 31) << shift
          shift += 5
        } while ((digit & 32) !== 0 && at < text.length)
        const change = (value & 1) === 1 ? -(value >>> 1) : value >>> 1
        if (fields === 0) generated += change
        else if (fields === 1) source += change
        else if (fields === 2) line += change
        else if (fields === 3) column += change
        fields++
        next = text.charCodeAt(at)
      }
      const mark = { at, generated, source: fields < 4 ? -1 : source, lastSource: source, line, column }
      if (visit?.(mark) === false) return undefined
    }
    return undefined
  }
}

const SEMICOLON = 0x3b
const COMMA = 0x2c
const DIGITS = new Uint8Array(128)
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
for (let value = 0; value < ALPHABET.length; value++) DIGITS[ALPHABET.charCodeAt(value)] = value
