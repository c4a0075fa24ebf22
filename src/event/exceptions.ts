/**
 * A failure as the exceptions of an event: everything that is in it, once, the most meaningful error last.
 */
import type { Exception, Mechanism, StackFrame } from "../protocol/Event.js"
import { typeOf, valueOf } from "./describe.js"
import { type Failure, failureOf, type Leaf, spanSites } from "./failure.js"
import { read } from "./inspect.js"
import { type Nested, nestedErrors } from "./nested.js"
import { beginReading } from "./source.js"
import type { StackParser } from "./stack.js"

export { typeOf, valueOf } from "./describe.js"
export { isError } from "./inspect.js"

/** @internal */
export interface MechanismInput {
  readonly type: string
  readonly handled: boolean
  readonly data?: Record<string, unknown> | undefined
}

/**
 * Ids count from the primary error (0), which comes last; every other exception names its parent and how the parent holds it:
 * `cause`, `errors[i]` of an `AggregateError`, the field it is in, or the place in the Cause it stood beside the primary error.
 *
 * @param onError is told of each error that is shown, the primary one first
 * @internal
 */
export const exceptionsOf = (
  failure: Failure,
  mechanism: MechanismInput,
  parser: StackParser,
  fallbackStack?: string | Error,
  onError?: (error: unknown) => void
): Array<Exception> => {
  const collected: Array<Exception> = []
  const seen = new Set<unknown>()
  const primary = failure.primary
  if (primary === undefined) return collected
  beginReading()
  /** One place for each error of the Cause itself, whatever those before it have inside. */
  let limit = MAX_EXCEPTIONS - failure.leaves.length + 1
  add(primary, undefined, undefined)
  for (const leaf of failure.leaves) {
    if (leaf === primary) continue
    limit++
    add(leaf, 0, leaf.position)
  }
  return collected.reverse()

  function add(leaf: Leaf, parentId: number | undefined, source: string | undefined): void {
    if (collected.length >= limit || seen.has(leaf.error)) return
    if (typeof leaf.error === "object" && leaf.error !== null) seen.add(leaf.error)
    const id = collected.length
    const nested = nestedErrors(leaf.error)
    const exception = describe(leaf, parser, id === 0 ? fallbackStack : undefined)
    exception.mechanism = mechanismOf(leaf, id, parentId, source, nested, exception.mechanism?.synthetic === true)
    collected.push(exception)
    onError?.(leaf.error)
    for (let index = 0; index < nested.count && collected.length < limit; index++) {
      const [inner, how] = nested.at(index)
      for (const part of failureOf(inner).leaves) add(part, id, how)
    }
  }

  function mechanismOf(
    leaf: Leaf,
    id: number,
    parentId: number | undefined,
    source: string | undefined,
    nested: Nested,
    synthetic: boolean
  ): Mechanism {
    const result: Mechanism = { type: id === 0 ? mechanism.type : "chained", handled: mechanism.handled }
    if (synthetic) result.synthetic = true
    if (failure.leaves.length > 1 || parentId !== undefined || nested.count > 0) result.exception_id = id
    if (parentId !== undefined) result.parent_id = parentId
    if (source !== undefined && source !== "") result.source = source
    if (nested.isGroup) result.is_exception_group = true
    const data = {
      ...(id === 0 ? mechanism.data : undefined),
      ...(leaf.kind === "throw" ? undefined : { cause: leaf.kind })
    }
    if (Object.keys(data).length > 0) result.data = data
    return result
  }
}

const MAX_EXCEPTIONS = 32

const describe = (leaf: Leaf, parser: StackParser, fallbackStack: string | Error | undefined): Exception => {
  const { error } = leaf
  const exception: Exception = { type: typeOf(error), value: valueOf(error) }
  const stack = read(error, "stack")
  const spans = spanSites(leaf.span)
  let frames: Array<StackFrame> = []
  if (typeof stack === "string") frames = parser.parse(stack, headerOf(error, stack), spans)
  else {
    exception.mechanism = { type: "generic", synthetic: true }
    frames = parser.parse(spans.length === 0 ? textOfStack(fallbackStack) : "", "", spans)
  }
  if (frames.length > 0) {
    exception.stacktrace = { frames }
    parser.onFrames?.(error, frames)
  }
  return exception
}

/** Not before it is needed: V8 writes it when it is first asked for. @internal */
export const textOfStack = (stack: string | Error | undefined): string =>
  typeof stack === "string" ? stack : String(stack?.stack ?? "")

/** The text before the frames, which may itself look like one. */
const headerOf = (error: unknown, stack: string): string => {
  const message = read(error, "message")
  if (typeof message !== "string" || message === "") return ""
  const start = stack.indexOf(message)
  // The message may have been changed since, to what only occurs in the frames.
  return start < 0 || stack.slice(0, start).includes("\n") ? "" : stack.slice(0, start + message.length)
}
