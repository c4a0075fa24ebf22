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
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Supervisor from "effect/Supervisor"
import { responseStatus } from "../../event/failure.js"
import { installAll, patchMethod, refCounted } from "../../hub/patch.js"
import { isLooking } from "../../hub/raised.js"
import { type AnyFiber, currentFiber } from "../../scope/fiber.js"

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

  /** @param prepare told of a failure that may turn out to be a crash, while the fiber still is as it ended */
  constructor(readonly prepare: (cause: Cause.Cause<unknown>, fiber: AnyFiber) => Suspicion | undefined) {}

  ended(exit: Exit.Exit<unknown, unknown>, fiber: AnyFiber): void {
    if (exit._tag === "Success" || Cause.isInterruptedOnly(exit.cause)) return
    // Effect's own way of saying that the failure of a fiber is expected.
    if (fiber.getFiberRef(FiberRef.unhandledErrorLogLevel)._tag === "None") return
    if ((fiber as Noted)[ASKED] === true || isListenedTo(fiber)) return
    const cause = withoutResponses(exit.cause)
    const suspicion = cause === undefined ? undefined : this.prepare(cause, fiber)
    if (suspicion === undefined) return
    const unwatch = watchEnded(fiber, exit, () => this.#forget(fiber)?.suspicion.dismiss())
    const timer = setTimeout(() => this.#decide(fiber), GRACE_MILLIS).unref()
    this.#pending.set(fiber, { suspicion, timer, unwatch })
    if (this.#pending.size <= MAX_PENDING) return
    for (const oldest of this.#pending.keys()) return this.#decide(oldest)
  }

  /** No more time: whoever has not asked by now does not. */
  decideAll(): void {
    for (const fiber of this.#pending.keys()) this.#decide(fiber)
  }

  /** Nothing is reported any more. */
  close(): void {
    for (const fiber of this.#pending.keys()) this.#forget(fiber)?.suspicion.dismiss()
  }

  #decide(fiber: AnyFiber): void {
    const suspicion = this.#forget(fiber)?.suspicion
    if (wasAsked(fiber)) suspicion?.dismiss()
    else suspicion?.confirm()
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

/** A failure that may be a crash: one of the two is called, once. @internal */
export interface Suspicion {
  readonly confirm: () => void
  readonly dismiss: () => void
}

interface Pending {
  readonly suspicion: Suspicion
  readonly timer: NodeJS.Timeout
  readonly unwatch: () => void
}

/** What is noted on a fiber itself: a weak map of fibers costs several times as much, for every fiber that is joined. */
interface Noted {
  /** Somebody has asked how it ended, or will be told. */
  [ASKED]?: boolean
  /** It is told to end: who asks next may only be waiting for that. */
  [STOPPING]?: boolean
  /** Who has told it to end and waits for it. */
  [STOPPERS]?: Array<AnyFiber>
}

const ASKED = Symbol("effect-faultline/asked")
const STOPPING = Symbol("effect-faultline/stopping")
const STOPPERS = Symbol("effect-faultline/stoppers")

const wasAsked = (fiber: AnyFiber): boolean => {
  const { [ASKED]: asked, [STOPPERS]: stoppers = [] } = fiber as Noted
  return asked === true || stoppers.some((stopper) => !hasPassedOn(stopper, fiber.unsafePoll()))
}

/**
 * What `Fiber.interruptFork` starts waits for the fiber, and ends with how that one has ended; but of itself nobody wants to know.
 * (An interruption that the program waits for is followed by whatever the program does next.)
 */
const hasPassedOn = (stopper: AnyFiber, exit: unknown): boolean => {
  const own = stopper.unsafePoll()
  return own?._tag === "Success" && own.value === exit && (stopper as Noted)[ASKED] !== true
}

/**
 * Begins to notice who asks for the exit of a fiber; the function it returns ends that.
 *
 * @param prototype of the class of fibers
 * @internal
 */
export const watchAwait = (prototype: object): (() => void) => {
  fiberPrototype = prototype as FiberClass
  return acquireWatch()
}

type FiberClass = Pick<AnyFiber, "interruptAsFork">

let fiberPrototype = {} as FiberClass

// SAFETY: joining, awaiting and interrupting a fiber all go through the getter `await` of its class, and `Fiber.poll` through its
// getter `poll`. Should that change, only those who listen when the fiber ends are noticed, and a fiber that is joined later counts
// as crashed.
const acquireWatch = refCounted(() =>
  installAll([
    () =>
      patchGetter(
        "await",
        (original) =>
          function (this) {
            const fiber = this as Noted
            // Also whoever then gives up waiting: of several fibers that are joined together, all but the first to fail are given up.
            if (fiber[STOPPING] !== true) fiber[ASKED] = true
            else noteStopper(fiber)
            return original.call(this)
          }
      ),
    () =>
      patchGetter(
        "poll",
        (original) =>
          function (this) {
            return Effect.map(original.call(this) as AnyFiber["poll"], (found) => {
              if (Option.isSome(found)) (this as Noted)[ASKED] = true
              return found
            })
          }
      ),
    () =>
      typeof fiberPrototype.interruptAsFork !== "function"
        ? () => {}
        : patchMethod(
            fiberPrototype,
            "interruptAsFork",
            (original, isActive) =>
              function (this: Noted, id) {
                if (isActive()) this[STOPPING] = true
                return original.call(this as AnyFiber, id)
              }
          )
  ])
)

const noteStopper = (fiber: Noted): void => {
  fiber[STOPPING] = false
  const stopper = currentFiber()
  if (stopper === undefined) fiber[ASKED] = true
  else fiber[STOPPERS] = [...(fiber[STOPPERS] ?? []), stopper]
}

type Getter = (this: AnyFiber) => unknown

const patchGetter = (name: "await" | "poll", wrap: (original: Getter) => Getter): (() => void) => {
  const prototype = fiberPrototype
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
  // oxlint-disable-next-line typescript/unbound-method -- called on the fiber by `wrap`
  const original = descriptor?.get
  if (descriptor === undefined || original === undefined) return () => {}
  const get = wrap(original)
  Object.defineProperty(prototype, name, { ...descriptor, get })
  return () => {
    if (Object.getOwnPropertyDescriptor(prototype, name)?.get === get)
      Object.defineProperty(prototype, name, descriptor)
  }
}

type Observer = (exit: Exit.Exit<unknown, unknown>) => void

/** Whoever wants to be told of the exit of a fiber observes it, or has stopped it and is observed. */
const isListenedTo = (fiber: AnyFiber): boolean => {
  // SAFETY: private to Effect's fibers; without it everyone who asks later is still noticed.
  const observers = observersOf(fiber) ?? []
  const stoppers = (fiber as Noted)[STOPPERS] ?? []
  return (
    observers.filter((observer) => !isBookkeeper(observer, fiber)).length > stoppers.length ||
    stoppers.some((stopper) => isListenedTo(stopper))
  )
}

const observersOf = (fiber: AnyFiber): ReadonlyArray<Observer> | undefined =>
  (fiber as AnyFiber & { readonly _observers?: ReadonlyArray<Observer> })._observers

/**
 * Of Effect's own observers some only keep books: that of the supervisor, whose child a fiber is, in which scope it ends, in which
 * `FiberSet`, `FiberHandle` or `FiberMap` it is (these keep the exits to themselves unless somebody joins them). They are made anew
 * for every fiber, and known by their text.
 */
const isBookkeeper = (observer: Observer, fiber: AnyFiber): boolean =>
  (bookkeepers ??= findBookkeepers(fiber)).has(String(observer))

let bookkeepers: ReadonlySet<string> | undefined

// SAFETY: what is done here does nothing else with a fiber than to have it observed by these. Should one of them change, fibers that
// it keeps books of count as listened to.
const findBookkeepers = (fiber: AnyFiber): ReadonlySet<string> => {
  const found = new Set<string>()
  const add = (observer: Observer): void => void found.add(String(observer))
  const decoy = { addObserver: add } as unknown as AnyFiber
  const run = <A>(effect: Effect.Effect<A, never, Scope.Scope>): A =>
    Effect.runSync(
      Effect.flatMap(Scope.make(), (scope) => Scope.extend(effect, scope)).pipe(
        Effect.locally(FiberRef.currentSupervisor, Supervisor.fromEffect(Effect.void))
      )
    )
  const pending = Effect.async<never>(() => {})
  const addAll = (own: AnyFiber): void => {
    observersOf(own)?.forEach(add)
    own.unsafeInterruptAsFork(own.id())
  }
  const finds: ReadonlyArray<() => void> = [
    () => FiberSet.unsafeAdd(run(FiberSet.make()), decoy),
    () => FiberHandle.unsafeSet(run(FiberHandle.make()), decoy),
    () => FiberMap.unsafeSet(run(FiberMap.make<string>()), "", decoy),
    () => addAll(run(Effect.flatMap(Effect.scope, (scope) => Effect.forkIn(pending, scope)))),
    () => addAll(Runtime.runFork(run(Effect.runtime()))(pending)),
    () => {
      const parent = { addChild() {}, removeChild() {}, tell: (told: Told) => told.onFiber?.(parent) }
      const scope = (fiber as AnyFiber & { readonly scope: () => FiberScope }).scope()
      scope.add.call({ parent }, 0, decoy)
    }
  ]
  for (const find of finds) {
    try {
      find()
    } catch {
      // Whoever it is that keeps books there is taken for a listener.
    }
  }
  return found
}

/** What a fiber tells another to do. */
interface Told {
  readonly onFiber?: (fiber: unknown) => void
}

interface FiberScope {
  readonly add: (this: object, runtimeFlags: number, child: AnyFiber) => void
}

/**
 * Calls `onLook` once somebody takes an interest in how a fiber has ended, in another way than by asking it. (What is started by
 * `runFork` may have failed before anybody can listen.)
 */
const watchEnded = (fiber: AnyFiber, exit: object, onLook: () => void): (() => void) => {
  let unwatchExit = watchExit(exit, onLook)
  const addObserver = fiber.addObserver.bind(fiber)
  const observe = (observer: Observer): void => {
    if (!isBookkeeper(observer, fiber)) onLook()
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
    if (!isLooking()) onLook()
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
