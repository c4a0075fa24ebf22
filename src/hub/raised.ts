/**
 * Where errors are seen to leave a span or a fiber, so that they remember what held there.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import { liveServices } from "effect/DefaultServices"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { branchOf, startedFrom, stateOf } from "../scope/carrier.js"
import { type AnyFiber, currentFiber } from "../scope/fiber.js"
import { remember } from "../scope/remember.js"
import type { Client } from "./Client.js"
import { patchMethod, refCounted } from "./patch.js"
import { clientOf } from "./report.js"

/** A fiber has failed, or hands over as its value that what it did has. @internal */
export const rememberEnd = (exit: Exit.Failure<unknown, unknown>, fiber: AnyFiber): void => {
  const cause = causeOf(exit)
  const state = stateOf(fiber)
  const branch = branchOf(fiber, state)
  clientOf(state)?.attempt("an error", () =>
    remember(
      cause,
      { state, branch, span: fiber.currentSpan },
      (memory) => memory.moment > branch.begun,
      startedFrom(fiber, state)
    )
  )
}

const causeOf = (exit: Exit.Failure<unknown, unknown>): Cause.Cause<unknown> => {
  looking = true
  const { cause } = exit
  looking = false
  return cause
}

let looking = false

/** Whether it is we who look at an exit right now, not the program. @internal */
export const isLooking = (): boolean => looking

/**
 * From now on, until the hub closes, errors remember what held where they leave a span. Effect's own spans are known; those of
 * another tracer have to be met first.
 *
 * @param span of the tracer
 * @internal
 */
export const watchSpans = (client: Client, span: Tracer.AnySpan = nativeSpan()): void => {
  const known = watched.get(client) ?? new Set<object>()
  watched.set(client, known)
  const spanClass = Object.getPrototypeOf(span) as SpanClass
  if (known.has(spanClass) || !Object.hasOwn(spanClass, "end")) return
  known.add(spanClass)
  let acquire = watchers.get(spanClass)
  if (acquire === undefined) watchers.set(spanClass, (acquire = refCounted(() => watchEnd(spanClass))))
  client.onClose(acquire())
}

/** Whether it is one of Effect's own spans. @internal */
export const isNativeSpan = (span: Tracer.AnySpan): boolean =>
  Object.getPrototypeOf(span) === (nativeClass ??= Object.getPrototypeOf(nativeSpan()) as object)

let nativeClass: object | undefined

type SpanClass = Pick<Tracer.Span, "end">

const watched = new WeakMap<Client, Set<object>>()
const watchers = new WeakMap<object, () => () => void>()

const nativeSpan = (): Tracer.Span =>
  Context.get(liveServices, Tracer.Tracer).span("", Option.none(), Context.empty(), [], 0n, "internal")

const watchEnd = (spanClass: SpanClass): (() => void) =>
  patchMethod(
    spanClass,
    "end",
    (original, isActive) =>
      function (this: Tracer.Span, endTime, exit) {
        original.call(this, endTime, exit)
        if (exit._tag === "Failure" && isActive()) leave(this, exit)
      }
  )

const leave = (span: Tracer.Span, { cause }: Exit.Failure<unknown, unknown>): void => {
  const fiber = currentFiber()
  if (fiber === undefined) return
  const state = stateOf(fiber)
  clientOf(state)?.attempt("an error", () =>
    remember(cause, { state, branch: branchOf(fiber, state), span }, (memory) => isInside(memory.span, span))
  )
}

const isInside = (inner: Tracer.AnySpan | undefined, outer: Tracer.Span): boolean => {
  let span = inner
  for (let depth = 0; span !== undefined && depth < MAX_DEPTH; depth++) {
    if (span === outer) return true
    span = span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined
  }
  return false
}

const MAX_DEPTH = 100
