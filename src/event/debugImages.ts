/**
 * Debug ids, which a bundler's plugin has put into the files it made: by them a server finds the source maps that were uploaded.
 */
import type { Event } from "../protocol/Event.js"
import { parseLocation, splitCall } from "./location.js"

/** The debug id of the file at this path, if it has one. @internal */
export const debugIdOf = (path: string): string | undefined => idsByPath()?.get(path)

/**
 * `debug_meta.images`: the files with a debug id that frames of the event are in. After all processors, which may have changed
 * the frames.
 *
 * @internal
 */
export const addDebugImages = (event: Event): void => {
  const ids = idsByPath()
  const values: unknown = event.exception?.values
  if (ids === undefined || !Array.isArray(values)) return
  const images = new Map<string, Record<string, unknown>>()
  for (const { stacktrace } of values as NonNullable<Event["exception"]>["values"]) {
    for (const { abs_path: path } of stacktrace?.frames ?? []) {
      const id = path === undefined ? undefined : ids.get(path)
      if (path !== undefined && id !== undefined) images.set(path, { type: "sourcemap", code_file: path, debug_id: id })
    }
  }
  if (images.size > 0) {
    event.debug_meta = { ...event.debug_meta, images: [...(event.debug_meta?.images ?? []), ...images.values()] }
  }
}

/** Written by bundlers: the stack of a line in each file, and its id. */
interface Globals {
  readonly _sentryDebugIds?: Readonly<Record<string, string>>
  readonly _debugIds?: Readonly<Record<string, string>>
}

let remembered: ReadonlyMap<string, string> | undefined
let rememberedCount = 0

const idsByPath = (): ReadonlyMap<string, string> | undefined => {
  const { _debugIds: standard, _sentryDebugIds: sentry } = globalThis as Globals
  if (standard === undefined && sentry === undefined) return undefined
  // Files that are loaded later add theirs.
  const count = countOf(standard) + countOf(sentry)
  if (remembered === undefined || count !== rememberedCount) {
    rememberedCount = count
    const ids = new Map<string, string>()
    for (const [stack, id] of [...entriesOf(sentry), ...entriesOf(standard)]) {
      const path = newestPath(stack)
      if (path !== undefined && typeof id === "string") ids.set(path, id)
    }
    remembered = ids
  }
  return remembered
}

const entriesOf = (ids: unknown): Array<[string, unknown]> =>
  typeof ids === "object" && ids !== null ? Object.entries(ids) : []

const countOf = (ids: unknown): number => (typeof ids === "object" && ids !== null ? Object.keys(ids).length : 0)

/** Of the file that the stack was made in. */
const newestPath = (stack: string): string | undefined => {
  for (const line of stack.split("\n")) {
    const call = /^\s+at (.*)$/.exec(line)?.[1]
    const path = call === undefined ? undefined : parseLocation(splitCall(call).place).path
    if (path !== undefined) return path
  }
  return undefined
}
