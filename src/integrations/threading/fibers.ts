/**
 * Which failed fibers crashed: those whose failure nobody looks at.
 */
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import { refCounted } from "../../hub/patch.js"
import type { AnyFiber } from "../../scope/fiber.js"

/** How long somebody may take to join a fiber that has failed. @internal */
export const GRACE_MILLIS = 1000

/**
 * Effect tells about every fiber that fails, also of those that somebody joins, races or awaits, now or later. A failure counts
 * as a crash when, once the fiber has ended, nobody is listening for its exit, and nobody asks for it within a moment.
 *
 * @internal
 */
export class CrashWatch {
  readonly #pending = new Map<AnyFiber, Pending>()

  constructor(readonly onCrash: (cause: Cause.Cause<unknown>, fiber: AnyFiber) => void) {}

  ended(exit: Exit.Exit<unknown, unknown>, fiber: AnyFiber): void {
    if (exit._tag === "Success" || Cause.isInterruptedOnly(exit.cause)) return
    // Effect's own way of saying that the failure of a fiber is expected.
    if (fiber.getFiberRef(FiberRef.unhandledErrorLogLevel)._tag === "None") return
    if (isListenedTo(fiber) || wasAsked(fiber)) return
    const cause = withoutResponses(exit.cause)
    if (cause === undefined) return
    const timer = setTimeout(() => this.#decide(fiber), GRACE_MILLIS).unref()
    this.#pending.set(fiber, { cause, timer })
  }

  /** No more time: whoever has not asked by now does not. */
  decideAll(): void {
    for (const fiber of this.#pending.keys()) this.#decide(fiber)
  }

  #decide(fiber: AnyFiber): void {
    const pending = this.#pending.get(fiber)
    if (pending === undefined) return
    this.#pending.delete(fiber)
    clearTimeout(pending.timer)
    if (!wasAsked(fiber)) this.onCrash(pending.cause, fiber)
  }
}

interface Pending {
  readonly cause: Cause.Cause<unknown>
  readonly timer: NodeJS.Timeout
}

/** On the fiber itself: a weak set of fibers costs several times as much, for every fiber that is joined. */
const ASKED = Symbol("effect-faultline/asked")

const wasAsked = (fiber: object): boolean => (fiber as { [ASKED]?: boolean })[ASKED] === true

/**
 * Begins to notice who asks for the exit of a fiber; the function it returns ends that.
 *
 * @param prototype of the class of fibers
 * @internal
 */
export const watchAwait = (prototype: object): (() => void) => {
  fiberPrototype = prototype
  return acquireWatch()
}

let fiberPrototype: object = {}

// SAFETY: joining, awaiting and interrupting a fiber all go through the getter `await` of its class. Should that change, only
// those who listen when the fiber ends are noticed, and a fiber that is joined later counts as crashed.
const acquireWatch = refCounted(() => {
  const prototype = fiberPrototype
  const descriptor = Object.getOwnPropertyDescriptor(prototype, "await")
  // oxlint-disable-next-line typescript/unbound-method -- called on the fiber below
  const original = descriptor?.get
  if (descriptor === undefined || original === undefined) return () => {}
  const get = function (this: { [ASKED]?: boolean }): unknown {
    this[ASKED] = true
    return original.call(this)
  }
  Object.defineProperty(prototype, "await", { ...descriptor, get })
  return () => {
    const current = Object.getOwnPropertyDescriptor(prototype, "await")
    if (current?.get === get) Object.defineProperty(prototype, "await", descriptor)
  }
})

/**
 * Whoever wants the exit of a fiber listens with a function that takes it; those that only keep books take nothing. One of the
 * former is the supervisor that told us.
 */
const isListenedTo = (fiber: AnyFiber): boolean => {
  // SAFETY: private to Effect's fibers; without it everyone who asks later is still noticed.
  const observers =
    (fiber as AnyFiber & { readonly _observers?: ReadonlyArray<(exit: unknown) => void> })._observers ?? []
  return observers.filter((observer) => observer.length > 0).length > 1
}

const RESPONSE = Symbol.for("@effect/platform/HttpServerResponse")

/**
 * An HTTP handler that fails carries its response along as a defect. A response below 500 (not found, an aborted client) is no
 * crash; above, the response is not what is to be reported.
 */
const withoutResponses = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  let status: number | undefined
  const stripped = Cause.stripSomeDefects(cause, (defect) => {
    if (typeof defect !== "object" || defect === null || !(RESPONSE in defect)) return Option.none()
    status = (defect as { readonly status?: number }).status
    return Option.some(defect)
  })
  if (status !== undefined && status < 500) return undefined
  const remaining = Option.getOrElse(stripped, () => Cause.empty)
  return Cause.isEmpty(remaining) || Cause.isInterruptedOnly(remaining) ? undefined : remaining
}
