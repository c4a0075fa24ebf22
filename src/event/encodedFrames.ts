/**
 * The JSON of frames. What a frame holds (ten lines of source among it) is the same for every error that comes by: it is written
 * once, for as long as nobody changes it.
 */
import type { Exception, StackFrame } from "../protocol/Event.js"

/** Each of `copies` is one of what stands in the same place of `originals`, which never change. @internal */
export const rememberOriginals = (copies: ReadonlyArray<StackFrame>, originals: ReadonlyArray<StackFrame>): void =>
  void originalsOf.set(copies, originals)

/** The exceptions of an event as JSON, as `JSON.stringify` writes them; callbacks may have left anything there. @internal */
export const stringifyExceptions = (exception: unknown): string | undefined => {
  try {
    if (!hasOnly(exception, "values") || !Array.isArray(exception.values)) return JSON.stringify(exception)
    return `{"values":[${Array.from(exception.values, (value) => stringifyException(value) ?? "null").join(",")}]}`
  } catch {
    // What throws at a closer look.
    return JSON.stringify(exception)
  }
}

const stringifyException = (exception: Exception | null | undefined): string | undefined => {
  if (!isPlain(exception)) return JSON.stringify(exception)
  const { stacktrace, ...rest } = exception
  const frames = hasOnly(stacktrace, "frames") ? stringifyFrames(stacktrace.frames) : undefined
  if (frames === undefined) return JSON.stringify(exception)
  const json = JSON.stringify(rest)
  return `${json.slice(0, -1)}${json === "{}" ? "" : ","}"stacktrace":{"frames":[${frames}]}}`
}

/** `undefined` for those that are not known. */
const stringifyFrames = (frames: unknown): string | undefined => {
  if (!Array.isArray(frames)) return undefined
  const originals = originalsOf.get(frames as ReadonlyArray<StackFrame>)
  if (originals === undefined || originals.length !== frames.length) return undefined
  return Array.from(frames as ReadonlyArray<unknown>, (frame, index) => stringifyFrame(frame, originals[index])).join()
}

const stringifyFrame = (frame: unknown, original: StackFrame | undefined): string => {
  if (original === undefined || !isCopy(frame, original)) return JSON.stringify(frame) ?? "null"
  let json = written.get(original)
  if (json === undefined) written.set(original, (json = JSON.stringify(original)))
  return json
}

const isCopy = (value: unknown, original: StackFrame): boolean => {
  if (!isPlain(value)) return false
  let more = 0
  for (const _ in value) more++
  for (const key in original) {
    if (!isSame((value as Record<string, unknown>)[key], (original as Record<string, unknown>)[key])) return false
    more--
  }
  return more === 0
}

const isSame = (value: unknown, original: unknown): boolean => {
  if (value === original) return true
  if (!Array.isArray(value) || !Array.isArray(original) || value.length !== original.length) return false
  for (let index = 0; index < value.length; index++) if (value[index] !== original[index]) return false
  return true
}

/** An object whose JSON is that of its fields, and that has no other field than this one. */
const hasOnly = <K extends string>(value: unknown, field: K): value is Record<K, unknown> =>
  isPlain(value) && Object.hasOwn(value, field) && Object.keys(value).length === 1

const isPlain = (value: unknown): value is object =>
  typeof value === "object" &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !("toJSON" in value)

const originalsOf = new WeakMap<ReadonlyArray<StackFrame>, ReadonlyArray<StackFrame>>()
const written = new WeakMap<StackFrame, string>()
