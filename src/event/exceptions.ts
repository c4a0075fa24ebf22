/**
 * A failure as the exceptions of an event: everything that is in it, once, the most meaningful error last.
 */
import type { Exception, Mechanism, StackFrame } from "../protocol/Event.js"
import { type Failure, failureOf, type Leaf, spanLines } from "./failure.js"
import { describeValue, truncate } from "./normalize.js"
import { scrubText } from "./scrub.js"
import type { StackParser } from "./stack.js"

/** @internal */
export interface MechanismInput {
  readonly type: string
  readonly handled: boolean
  readonly data?: Record<string, unknown> | undefined
}

/**
 * Ids count from the primary error (0), which comes last; every other exception names its parent and how the parent holds it:
 * `cause`, `errors[i]` of an `AggregateError`, or the place in the Cause it stood beside the primary error.
 *
 * @internal
 */
export const exceptionsOf = (
  failure: Failure,
  mechanism: MechanismInput,
  parser: StackParser,
  fallbackStack?: string
): Array<Exception> => {
  const collected: Array<Exception> = []
  const seen = new Set<unknown>()
  const primary = failure.primary
  if (primary === undefined) return collected
  const beside = failure.leaves.filter((leaf) => leaf !== primary)
  for (const leaf of [primary, ...beside]) {
    add(leaf, leaf === primary ? undefined : 0, leaf === primary ? undefined : leaf.position)
  }
  return collected.reverse()

  function add(leaf: Leaf, parentId: number | undefined, source: string | undefined): void {
    if (collected.length >= MAX_EXCEPTIONS || seen.has(leaf.error)) return
    if (typeof leaf.error === "object" && leaf.error !== null) seen.add(leaf.error)
    const id = collected.length
    const exception = describe(leaf, parser, id === 0 ? fallbackStack : undefined)
    const group = nestedErrors(leaf.error)
    exception.mechanism = mechanismOf(leaf, id, parentId, source, exception.mechanism?.synthetic === true)
    if (group.length > 0) exception.mechanism.is_exception_group = true
    collected.push(exception)
    const cause = causeOf(leaf.error)
    if (cause !== undefined && cause !== null) for (const inner of failureOf(cause).leaves) add(inner, id, "cause")
    for (let index = 0; index < group.length && collected.length < MAX_EXCEPTIONS; index++) {
      for (const inner of failureOf(group[index]).leaves) add(inner, id, `errors[${index}]`)
    }
  }

  function mechanismOf(
    leaf: Leaf,
    id: number,
    parentId: number | undefined,
    source: string | undefined,
    synthetic: boolean
  ): Mechanism {
    const result: Mechanism = { type: id === 0 ? mechanism.type : "chained", handled: mechanism.handled }
    if (synthetic) result.synthetic = true
    if (failure.leaves.length > 1 || parentId !== undefined || hasNested(leaf.error)) result.exception_id = id
    if (parentId !== undefined) result.parent_id = parentId
    if (source !== undefined && source !== "") result.source = source
    const data = {
      ...(id === 0 ? mechanism.data : undefined),
      ...(leaf.kind === "throw" ? undefined : { cause: leaf.kind })
    }
    if (Object.keys(data).length > 0) result.data = data
    return result
  }
}

/** The name an error is known by: its `_tag`, its own name, or that of its class. @internal */
export const typeOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return "Error"
  const tag = read(error, "_tag")
  if (typeof tag === "string" && tag !== "") return truncate(tag, 256)
  const name = read(error, "name")
  if (typeof name === "string" && name !== "" && name !== "Error") return truncate(name, 256)
  const constructorName = read(read(error, "constructor"), "name")
  return typeof constructorName === "string" && constructorName !== "" ? truncate(constructorName, 256) : "Error"
}

/** What an error says, without what looks like a secret. @internal */
export const valueOf = (error: unknown): string => {
  const message = read(error, "message")
  if (typeof message === "string" && message !== "") return scrubText(truncate(message, MAX_VALUE_LENGTH))
  if (!isError(error)) return scrubText(describeValue(error, 512))
  const fields = ownFields(error)
  return Object.keys(fields).length === 0 ? "" : scrubText(describeValue(fields, 512))
}

/**
 * The fields a typed error carries besides what every error has: what its own context on the event shows.
 *
 * @internal
 */
export const ownFields = (error: unknown): Record<string, unknown> => {
  const fields: Record<string, unknown> = {}
  if (typeof error !== "object" || error === null) return fields
  try {
    for (const key of Object.keys(error)) if (!COMMON_FIELDS.has(key)) fields[key] = read(error, key)
  } catch {}
  return fields
}

const MAX_EXCEPTIONS = 32
const MAX_VALUE_LENGTH = 8192
const COMMON_FIELDS = new Set(["_tag", "name", "message", "stack", "cause", "errors"])

const describe = (leaf: Leaf, parser: StackParser, fallbackStack: string | undefined): Exception => {
  const { error } = leaf
  const exception: Exception = { type: typeOf(error), value: valueOf(error) }
  const stack = read(error, "stack")
  const own = typeof stack === "string" ? parser.parse(stack, headerOf(error, stack)) : []
  const around = spanFrames(leaf, parser)
  let frames = [...around, ...own]
  if (typeof stack !== "string") {
    exception.mechanism = { type: "generic", synthetic: true }
    if (frames.length === 0 && fallbackStack !== undefined) frames = parser.parse(fallbackStack, "")
  }
  if (frames.length > 0) exception.stacktrace = { frames }
  return exception
}

/** Oldest first: the outermost span begins the stack, the error's own frames end it. */
const spanFrames = (leaf: Leaf, parser: StackParser): Array<StackFrame> => {
  const frames: Array<StackFrame> = []
  for (const line of spanLines(leaf.span)) {
    const frame = parser.frame(line)
    if (frame !== undefined) frames.push(frame)
  }
  return frames.reverse()
}

/** The text before the frames, which may itself look like one. */
const headerOf = (error: unknown, stack: string): string => {
  const message = read(error, "message")
  if (typeof message !== "string" || message === "") return ""
  const start = stack.indexOf(message)
  // The message may have been changed since, to what only occurs in the frames.
  return start < 0 || stack.slice(0, start).includes("\n") ? "" : stack.slice(0, start + message.length)
}

const causeOf = (error: unknown): unknown => read(error, "cause")

const nestedErrors = (error: unknown): ReadonlyArray<unknown> => {
  if (!isError(error) || !(error instanceof AggregateError || read(error, "name") === "AggregateError")) return []
  const errors = read(error, "errors")
  return Array.isArray(errors) ? errors : []
}

const hasNested = (error: unknown): boolean => {
  const cause = causeOf(error)
  return (cause !== undefined && cause !== null) || nestedErrors(error).length > 0
}

/** Asking a hostile proxy what it is throws. @internal */
export const isError = (value: unknown): value is Error => {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

const read = (value: unknown, key: string): unknown => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined
  try {
    return (value as Record<string, unknown>)[key]
  } catch {
    return undefined
  }
}
