/**
 * Which failed fibers crashed: those whose failure nobody looks at.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberMap from "effect/FiberMap"
import * as FiberRef from "effect/FiberRef"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { responseStatus } from "../../event/failure.js"
import { refCounted } from "../../hub/patch.js"
import type { AnyFiber } from "../../scope/fiber.js"

/** How long somebody may take to join a fiber that has failed. @internal */
export const GRACE_MILLIS = 1000

/** A program that fails faster than it is looked at must not fill the memory with what is yet to be decided. */
const MAX_PENDING = 1000

/**
 * Effect tells about every fiber that fails, also of those that somebody joins, races or awaits, now or later. A failure counts
 * as a crash when, once the fiber has ended, nobody is listening for its exit, and nobody asks for it within a moment.
 *
 * @internal
 */
export class CrashWatch {
  readonly #pending = new Map<AnyFiber, Pending>()

  /**
   * @param prepare told of a failure that may turn out to be a crash, while the fiber still is as it ended; what it returns is
   * called if it does
   */
  constructor(readonly prepare: (cause: Cause.Cause<unknown>, fiber: AnyFiber) => (() => void) | undefined) {}

  ended(exit: Exit.Exit<unknown, unknown>, fiber: AnyFiber): void {
    if (exit._tag === "Success" || Cause.isInterruptedOnly(exit.cause)) return
    // Effect's own way of saying that the failure of a fiber is expected.
    if (fiber.getFiberRef(FiberRef.unhandledErrorLogLevel)._tag === "None") return
    if (isListenedTo(fiber) || wasAsked(fiber)) return
    const cause = withoutResponses(exit.cause)
    const report = cause === undefined ? undefined : this.prepare(cause, fiber)
    if (report === undefined) return
    const unwatch = watchEnded(fiber, exit, () => this.#forget(fiber))
    const timer = setTimeout(() => this.#decide(fiber), GRACE_MILLIS).unref()
    this.#pending.set(fiber, { report, timer, unwatch })
    if (this.#pending.size <= MAX_PENDING) return
    for (const oldest of this.#pending.keys()) return this.#decide(oldest)
  }

  /** No more time: whoever has not asked by now does not. */
  decideAll(): void {
    for (const fiber of this.#pending.keys()) this.#decide(fiber)
  }

  /** Nothing is reported any more. */
  close(): void {
    for (const fiber of this.#pending.keys()) this.#forget(fiber)
  }

  #decide(fiber: AnyFiber): void {
    const pending = this.#forget(fiber)
    if (pending !== undefined && !wasAsked(fiber)) pending.report()
  }

  #forget(fiber: AnyFiber): Pending | undefined {
    const pending = this.#pending.get(fiber)
    if (pending === undefined) return undefined
    this.#pending.delete(fiber)
    clearTimeout(pending.timer)
    pending.unwatch()
    return pending
  }
}

interface Pending {
  readonly report: () => void
  readonly timer: NodeJS.Timeout
  readonly unwatch: () => void
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

// SAFETY: joining, awaiting and interrupting a fiber all go through the getter `await` of its class. Should that change, only those
// who listen when the fiber ends are noticed, and a fiber that is joined later counts as crashed.
const acquireWatch = refCounted(() => {
  const prototype = fiberPrototype
  const descriptor = Object.getOwnPropertyDescriptor(prototype, "await")
  // oxlint-disable-next-line typescript/unbound-method -- called on the fiber below
  const original = descriptor?.get
  if (descriptor === undefined || original === undefined) return () => {}
  const get = function (this: { [ASKED]?: boolean }): unknown {
    // Also whoever then gives up waiting: of several fibers that are joined together, all but the first to fail are given up.
    this[ASKED] = true
    return original.call(this)
  }
  Object.defineProperty(prototype, "await", { ...descriptor, get })
  return () => {
    const current = Object.getOwnPropertyDescriptor(prototype, "await")
    if (current?.get === get) Object.defineProperty(prototype, "await", descriptor)
  }
})

type Observer = (exit: Exit.Exit<unknown, unknown>) => void

/**
 * Whoever wants the exit of a fiber listens with a function that takes it; those that only keep books take nothing. One of the
 * former is the supervisor that told us.
 */
const isListenedTo = (fiber: AnyFiber): boolean => {
  // SAFETY: private to Effect's fibers; without it everyone who asks later is still noticed.
  const observers = (fiber as AnyFiber & { readonly _observers?: ReadonlyArray<Observer> })._observers ?? []
  const takers = observers.filter((observer) => observer.length > 0)
  return takers.length > 1 && takers.filter((observer) => !isCollector(observer)).length > 1
}

/**
 * A `FiberSet`, `FiberHandle` or `FiberMap` takes the exits of its fibers, but keeps them to itself unless somebody joins it. Its
 * observers are known by their text: they are made anew for every fiber.
 */
const isCollector = (observer: Observer): boolean => (collectors ??= findCollectors()).has(String(observer))

let collectors: ReadonlySet<string> | undefined

// SAFETY: the only thing that these do with a fiber is to add an observer. Should that change, what happens in a `FiberSet` counts
// as listened to.
const findCollectors = (): ReadonlySet<string> => {
  const found = new Set<string>()
  const fiber = { addObserver: (observer: Observer) => found.add(String(observer)) } as unknown as AnyFiber
  const inScope = <A>(effect: Effect.Effect<A, never, Scope.Scope>): A =>
    Effect.runSync(Effect.flatMap(Scope.make(), (scope) => Scope.extend(effect, scope)))
  try {
    FiberSet.unsafeAdd(inScope(FiberSet.make()), fiber)
    FiberHandle.unsafeSet(inScope(FiberHandle.make()), fiber)
    FiberMap.unsafeSet(inScope(FiberMap.make<string>()), "", fiber)
  } catch {
    found.clear()
  }
  return found
}

/**
 * Calls `onLook` once somebody takes an interest in how a fiber has ended, in another way than by asking it. (What is started by
 * `runFork` may have failed before anybody can listen.)
 */
const watchEnded = (fiber: AnyFiber, exit: object, onLook: () => void): (() => void) => {
  let unwatchExit = watchExit(exit, onLook)
  const addObserver = fiber.addObserver.bind(fiber)
  const observe = (observer: Observer): void => {
    if (observer.length > 0 && !isCollector(observer)) onLook()
    unwatchExit()
    addObserver(observer)
    if (Object.hasOwn(fiber, "addObserver")) unwatchExit = watchExit(exit, onLook)
  }
  Object.defineProperty(fiber, "addObserver", { configurable: true, value: observe })
  return () => {
    unwatchExit()
    delete (fiber as Partial<AnyFiber> as { addObserver?: unknown }).addObserver
  }
}

/**
 * Whoever runs the exit (a `FiberSet` that is joined has it run), or reads the Cause in it.
 *
 * SAFETY: an exit that failed keeps its Cause in this field. Should that change, only those who ask the fiber are noticed.
 */
const watchExit = (exit: object, onLook: () => void): (() => void) => {
  const descriptor = Object.getOwnPropertyDescriptor(exit, CAUSE)
  if (descriptor === undefined || !("value" in descriptor) || descriptor.configurable !== true) return () => {}
  const get = (): unknown => {
    onLook()
    return descriptor.value
  }
  Object.defineProperty(exit, CAUSE, { configurable: true, enumerable: descriptor.enumerable === true, get })
  return () => Object.defineProperty(exit, CAUSE, descriptor)
}

const CAUSE = "effect_instruction_i0"

/**
 * An HTTP handler that fails carries its response along as a defect. A response below 500 (not found, an aborted client) is no
 * crash, whatever it answers for; above, the response is not what is to be reported.
 */
const withoutResponses = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  let status: number | undefined
  const stripped = Cause.stripSomeDefects(cause, (defect) => {
    const own = responseStatus(defect)
    if (own === undefined) return Option.none()
    status = own
    return Option.some(defect)
  })
  if (status !== undefined && status < 500) return undefined
  const remaining = Option.getOrElse(stripped, () => Cause.empty)
  return Cause.isEmpty(remaining) || Cause.isInterruptedOnly(remaining) ? undefined : remaining
}
