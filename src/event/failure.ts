/**
 * What failed: the errors inside a Cause, or inside anything that was thrown, each as the object the program made.
 */
import * as Cause from "effect/Cause"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Tracer from "effect/Tracer"
import { isError } from "./inspect.js"
import { partsOf } from "./parts.js"

/** One error of a failure. @internal */
export interface Leaf {
  /** The original object (never the proxy that Effect hands around inside a span), or whatever else was thrown. */
  readonly error: unknown
  /** `fail` for an expected error, `die` for a defect, `throw` for what reached us outside an Effect. */
  readonly kind: "fail" | "die" | "throw"
  /** The innermost span that the error failed in. */
  readonly span: Tracer.AnySpan | undefined
  /** Where it stood beside other errors: `parallel[1]`, `sequential[0]`; empty for the only one. */
  readonly position: string
}

/** @internal */
export interface Failure {
  /** In the order of the Cause, each error once. Empty: there was nothing but interruption. */
  readonly leaves: ReadonlyArray<Leaf>
  /** The one that matters most: the first defect, else the first error. */
  readonly primary: Leaf | undefined
  /** Where there is no error: the status of the response that stands in place of one. */
  readonly status?: number | undefined
}

/** @internal */
export const failureOfCause = (cause: Cause.Cause<unknown>): Failure => collect(cause, "fail")

/** Whatever was thrown or rejected: also a `FiberFailure`, or a Cause. @internal */
export const failureOf = (error: unknown): Failure => collect(error, "throw")

/** The objects by which a failure is recognised when it comes by again; primitives have none. @internal */
export const identitiesOf = (failure: Failure): Array<object> =>
  failure.leaves
    .map((leaf) => withoutMessengers(leaf.error))
    .filter((error): error is object => typeof error === "object" && error !== null)

/**
 * What a platform reports when a worker is gone stands for the error that the worker crashed with. On the event it is still there:
 * that one has it as its cause.
 */
const withoutMessengers = (error: unknown): unknown => {
  let current = error
  for (let depth = 0; depth < MAX_MESSENGERS && typeof current === "object" && current !== null; depth++) {
    const cause = messageOf(current)
    if (cause === undefined) return current
    current = cause
  }
  return current
}

const messageOf = (error: Messenger): object | undefined => {
  try {
    const { _tag, cause } = error
    return MESSENGERS.has(_tag) && typeof cause === "object" && cause !== null ? cause : undefined
  } catch {
    return undefined
  }
}

interface Messenger {
  readonly _tag?: unknown
  readonly cause?: unknown
}

const MESSENGERS = new Set<unknown>(["WorkerError", "RpcClientError"])
const MAX_MESSENGERS = 4

/**
 * The same failure with another error as the one that matters: the first of those that are left, where `isOut` leaves some. All of
 * them stay part of it. `undefined` where it leaves none.
 *
 * @internal
 */
export const withoutPrimary = (failure: Failure, isOut: (leaf: Leaf) => boolean): Failure | undefined => {
  if (failure.primary === undefined) return failure
  const left = failure.leaves.filter((leaf) => !isOut(leaf))
  const primary = primaryOf(left)
  return primary === undefined ? undefined : { leaves: failure.leaves, primary }
}

const MAX_LEAVES = 32
/** How much more of a Cause is looked through for a defect, where there were only failures so far. */
const MAX_NODES = 200_000
const MAX_POSITION_LENGTH = 200
/** One may make another whenever it is looked at. */
const MAX_LISTS = 1000

type Work = readonly [node: unknown, kind: Leaf["kind"], position: string, span?: Tracer.AnySpan | undefined]

const collect = (root: unknown, kind: Leaf["kind"]): Failure => {
  const leaves: Array<Leaf> = []
  const seen = new Set<unknown>()
  let response: Leaf | undefined
  let lists = 0
  // Depth first, left to right, without recursion: a Cause can be nested deeper than the stack allows.
  const work: Array<Work> = [[root, kind, ""]]
  for (let nodes = 0; work.length > 0 && (leaves.length < MAX_LEAVES || nodes < MAX_NODES); nodes++) {
    const [node, as, position, around] = work.pop() as Work
    if (isCause(node)) {
      if (node._tag === "Fail") work.push([node.error, "fail", position])
      else if (node._tag === "Die") work.push([node.defect, "die", position])
      else if ((node._tag === "Parallel" || node._tag === "Sequential") && !seen.has(node)) {
        // The same part can stand in many places of a Cause, as often as doubling it makes.
        seen.add(node)
        const word = node._tag === "Parallel" ? "parallel" : "sequential"
        work.push([node.right, as, at(position, `${word}[1]`)], [node.left, as, at(position, `${word}[0]`)])
      }
      continue
    }
    if (leaves.length >= MAX_LEAVES && as !== "die") continue
    const { error, span = around } = unwrap(node)
    const cause = causeIn(error)
    if (cause !== undefined) {
      if (cause === error || !seen.has(error)) work.push([cause, as, position])
      if (cause !== error) seen.add(error)
      continue
    }
    if (isInterruption(error)) continue
    const parts = lists < MAX_LISTS ? partsOf(error) : []
    if (parts.length > 0 && !seen.has(error)) {
      lists++
      seen.add(error)
      for (const [part, step] of parts.toReversed()) work.push([part, as, at(position, step), span])
      continue
    }
    const leaf: Leaf = { error, kind: as, span, position }
    if (responseStatus(error) !== undefined) {
      response ??= leaf
      continue
    }
    const identity = typeof error === "object" && error !== null ? error : { primitive: error }
    if (seen.has(identity)) continue
    seen.add(identity)
    if (leaves.length >= MAX_LEAVES) leaves.pop()
    leaves.push(leaf)
    if (leaves.length >= MAX_LEAVES && leaves.some(({ kind }) => kind === "die")) break
  }
  // A handler that fails carries its response along as a defect: it says what was answered, not what went wrong.
  if (leaves.length === 0 && response !== undefined) {
    const status = Number(responseStatus(response.error))
    if (!(status >= 500)) return { leaves, primary: undefined, status }
    leaves.push(response)
  }
  return { leaves, primary: primaryOf(leaves) }
}

const primaryOf = (leaves: ReadonlyArray<Leaf>): Leaf | undefined =>
  leaves.find((leaf) => leaf.kind === "die") ?? leaves[0]

/** The status of what is an `HttpServerResponse` of `@effect/platform`. @internal */
export const responseStatus = (value: unknown): number | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  try {
    return RESPONSE in value ? Number((value as { readonly status?: unknown }).status) : undefined
  } catch {
    return undefined
  }
}

const RESPONSE = Symbol.for("@effect/platform/HttpServerResponse")

/** What `Cause.squash` makes of a Cause in which nothing has failed. */
const isInterruption = (value: unknown): boolean => {
  try {
    return Cause.isInterruptedException(value)
  } catch {
    return false
  }
}

const at = (position: string, step: string): string =>
  position === "" || step === ""
    ? position + step
    : position.length > MAX_POSITION_LENGTH
      ? position
      : `${position}.${step}`

/** Whether every error in it has a stack of its own: then it does not matter where it is reported. @internal */
export const bringsStack = (value: unknown, depth = 0): boolean => {
  if (!isCause(value)) return isError(value)
  switch (value._tag) {
    case "Fail":
      return isError(value.error)
    case "Die":
      return isError(value.defect)
    case "Parallel":
    case "Sequential":
      return depth < MAX_DEPTH && bringsStack(value.left, depth + 1) && bringsStack(value.right, depth + 1)
    default:
      return true
  }
}

const MAX_DEPTH = 16

/** Whatever was thrown may be a proxy that throws when it is looked at. @internal */
export const isCause = (value: unknown): value is Cause.Cause<unknown> => {
  try {
    return Cause.isCause(value)
  } catch {
    return false
  }
}

/** The Cause that a value is, or stands for. */
const causeIn = (value: unknown): Cause.Cause<unknown> | undefined => {
  try {
    if (Cause.isCause(value)) return value
    return Runtime.isFiberFailure(value) ? value[Runtime.FiberFailureCauseId] : undefined
  } catch {
    return undefined
  }
}

/**
 * Through what Effect wraps around an error: the proxy that carries the span, and `UnknownException`, which stands for an error
 * of code that is not Effect and says nothing of its own.
 */
const unwrap = (value: unknown): { readonly error: unknown; readonly span?: Tracer.AnySpan | undefined } => {
  if (typeof value !== "object" || value === null) return { error: value, span: undefined }
  try {
    const span = (value as Record<symbol, unknown>)[SPAN] as Tracer.AnySpan | undefined
    const original = Cause.originalError(value)
    // An `error` event that nobody listens to and that is no Error: Node throws this in its place.
    if ((original as NodeJS.ErrnoException).code === "ERR_UNHANDLED_ERROR" && "context" in original) {
      return { error: original.context, span }
    }
    if (Cause.isUnknownException(original) && original.error !== undefined && original.error !== null) {
      const inner = unwrap(original.error)
      return { error: inner.error, span: inner.span ?? span }
    }
    return { error: original, span }
  } catch {
    return { error: value, span: undefined }
  }
}

/**
 * The spans around an error as places of a stack, innermost first: for each its definition and call site where Effect knows them,
 * else its name alone.
 *
 * @internal
 */
export const spanSites = (span: Tracer.AnySpan | undefined): Array<SpanSite> => {
  const sites: Array<SpanSite> = []
  let current: Tracer.AnySpan | undefined = span
  for (let depth = 0; current !== undefined && current._tag === "Span" && depth < MAX_SPANS; depth++) {
    const { name } = current
    const locations = spanLocations(current)
    if (locations.length === 0) sites.push({ name, location: undefined })
    for (const location of locations) sites.push({ name, location })
    current = Option.getOrUndefined(current.parent)
  }
  return sites
}

/** Those of them whose place is known, as V8 would write them. @internal */
export const spanLines = (span: Tracer.AnySpan | undefined): Array<string> =>
  spanSites(span).flatMap(({ location, name }) => (location === undefined ? [] : [`    at ${name} (${location})`]))

/** @internal */
export interface SpanSite {
  readonly name: string
  /** `file:line:column`. */
  readonly location: string | undefined
}

const spanLocations = (span: Tracer.Span): Array<string> => {
  const site = spanToTrace.get(span)
  const text = typeof site === "function" ? (site as () => unknown)() : undefined
  if (typeof text !== "string") return []
  return text
    .split("\n")
    .map((line) => /\(([^()]+)\)\s*$/.exec(line)?.[1] ?? line.trim().replace(/^at /, ""))
    .filter((location) => /:\d+:\d+$/.test(location))
}

// SAFETY: the key under which Effect itself keeps the sites of its spans. Should it change, spans have no location.
const spanToTrace = globalValue("effect/Tracer/spanToTrace", () => new WeakMap<object, unknown>())

const SPAN = Symbol.for("effect/SpanAnnotation")
const MAX_SPANS = 10
