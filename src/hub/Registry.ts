/**
 * The integrations of one hub, by name. Of several with one name a single one is active: a user's before a default, the last
 * one registered before the others. When it goes, the one below it takes over.
 */

import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Logger from "effect/Logger"
import type * as Option from "effect/Option"
import type { Event, EventId } from "../protocol/Event.js"
import type { EventHint } from "../scope/EventHint.js"
import { type Debug, describeError } from "../transport/debug.js"

/**
 * When an integration's `processEvent` has its turn: those that add to the event (`enrich`, the default) before those that
 * change or drop it (`filter`), and those (`last`) that must see what all others made of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase = "enrich" | "filter" | "last"

/**
 * What an integration hooks into. Every hook is optional, synchronous, and guarded: one that throws is reported in `debug` and
 * otherwise ignored.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hooks {
  readonly phase?: Phase | undefined
  /** Sees every event: returns it, changed or not, or `null` to drop it. */
  readonly processEvent?: ((event: Event, hint: EventHint) => Event | null) | undefined
  /** Asked before an event is built: the id of an earlier event that makes this one needless. */
  readonly admit?: ((report: Admission) => EventId | undefined) | undefined
  /** Told what became of a report that was admitted. */
  readonly settle?: ((report: Admission, sent: boolean) => void) | undefined
  /**
   * Told of every error that passed all filters and `beforeSend`, whether or not it is then sampled, and of one that was reported
   * before and has now escaped.
   */
  readonly onError?: ((seen: SeenError) => void) | undefined
  /** A request that the program has served is over: whatever was told of its isolation scope is all there is. */
  readonly onRequestEnd?: ((request: EndedRequest) => void) | undefined
  /**
   * Somebody waits for everything to be sent: what the integration holds back is to be handed over now.
   *
   * `isLast`: the program is at its end.
   */
  readonly onFlush?: ((isLast: boolean) => void) | undefined
  /**
   * Sees every log line that Effect's minimum level lets through, after the program's loggers had it. What is logged meanwhile
   * is not seen.
   */
  readonly onLog?:
    | ((options: Logger.Logger.Options<unknown>, fiber: Fiber.RuntimeFiber<unknown, unknown>) => void)
    | undefined
  /** Sees fibers begin; `parent` is none for a root fiber. */
  readonly onFiberStart?:
    | ((
        fiber: Fiber.RuntimeFiber<unknown, unknown>,
        parent: Option.Option<Fiber.RuntimeFiber<unknown, unknown>>
      ) => void)
    | undefined
  /** Sees fibers end. */
  readonly onFiberEnd?:
    | ((exit: Exit.Exit<unknown, unknown>, fiber: Fiber.RuntimeFiber<unknown, unknown>) => void)
    | undefined
  /** Whether root fibers and workers begin with a fork of the scope they come from. Without a word on it they do not. */
  readonly propagateScope?: boolean | undefined
  /**
   * Installs what lies outside the hub (listeners, patches). Called when the integration becomes the active one of its name;
   * the function it returns takes everything back, when it no longer is. One that throws is left out, and standard error says so.
   */
  readonly activate?: (() => () => void) | undefined
  /** The scope that the integration was built in closes: how the program it was provided to has ended. */
  readonly onExit?: ((exit: Exit.Exit<unknown, unknown>) => void) | undefined
  /** Runs when the hub closes, after every `onExit` and before the transport goes; in the order of the phases. */
  readonly onHubClose?: Effect.Effect<void> | undefined
}

/**
 * A report on its way to becoming an event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admission {
  readonly eventId: EventId
  /** The original error objects in it. */
  readonly errors: ReadonlyArray<object>
  /** Stand for the isolation scope it was reported in and, after it, those that one was forked from. */
  readonly isolations: ReadonlyArray<object>
  /** Nothing in the program dealt with it. */
  readonly escaped: boolean
}

/**
 * An error that counts for the health of a release.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeenError {
  /** Nothing in the program dealt with it. */
  readonly escaped: boolean
  /** As of an `Admission`. */
  readonly isolations: ReadonlyArray<object>
}

/**
 * A request that was served, whether or not it failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndedRequest {
  /** When it began, in milliseconds since the epoch. */
  readonly startedAt: number
  /** As of an `Admission`. */
  readonly isolations: ReadonlyArray<object>
}

/** @internal */
export type Priority = "default" | "user"

/** @internal */
export class Registration {
  #deactivate: (() => void) | undefined
  isActive = false

  constructor(
    readonly name: string,
    readonly hooks: Hooks,
    readonly priority: Priority,
    readonly order: number
  ) {}

  activate(warn: Debug): void {
    if (this.isActive) return
    this.isActive = true
    try {
      this.#deactivate = this.hooks.activate?.()
    } catch (error) {
      this.isActive = false
      warn(`the integration "${this.name}" could not be set up and is left out: ${describeError(error)}`)
    }
  }

  deactivate(debug: Debug): void {
    if (!this.isActive) return
    this.isActive = false
    const deactivate = this.#deactivate
    this.#deactivate = undefined
    try {
      deactivate?.()
    } catch (error) {
      debug(`the integration "${this.name}" could not be taken back: ${describeError(error)}`)
    }
  }
}

/** @internal */
export class Registry {
  readonly #byName = new Map<string, Array<Registration>>()
  readonly #gone: Array<Registration> = []
  #leaving: ReadonlyArray<readonly [registration: Registration, end: object]> = []
  #ending: object | undefined
  #active: ReadonlyArray<Registration> = []
  #having: Record<CommonHook, ReadonlyArray<Registration>> = NOBODY
  #count = 0

  /** @param warn says what is said without being asked, too */
  constructor(
    readonly debug: Debug,
    readonly warn: Debug = debug
  ) {}

  register(name: string, hooks: Hooks, priority: Priority): Registration {
    const registration = new Registration(name, hooks, priority, this.#count++)
    const named = this.#byName.get(name) ?? []
    this.#byName.set(name, [...named, registration])
    this.#settle(name)
    return registration
  }

  /**
   * The scope of an integration closes.
   *
   * @param exit what ended it
   * @param onExit what the integration does about it; whatever it reports is a report of this end
   */
  leave(registration: Registration, exit: Exit.Exit<unknown, unknown>, onExit: () => void): void {
    const end = endOf(exit)
    const outer = this.#ending
    this.#ending = end
    try {
      if (registration.isActive) onExit()
    } finally {
      this.#ending = outer
    }
    this.#unregister(registration, end)
  }

  #unregister(registration: Registration, end: object): void {
    if (registration.isActive) {
      const others = this.#leaving.filter(([{ name }, other]) => other === end && name !== registration.name)
      this.#leaving = [...others, [registration, end]]
    }
    const named = (this.#byName.get(registration.name) ?? []).filter((other) => other !== registration)
    if (named.length === 0) this.#byName.delete(registration.name)
    else this.#byName.set(registration.name, named)
    if (registration.isActive && registration.hooks.onHubClose !== undefined) this.#gone.push(registration)
    registration.deactivate(this.debug)
    this.#settle(registration.name)
  }

  /** What is to be run as the hub closes, by which time the integrations themselves are gone: one for each name. */
  closing(): ReadonlyArray<Effect.Effect<void>> {
    const byName = new Map<string, Registration>()
    for (const registration of [...this.#gone, ...this.#active].toSorted(byPriority))
      byName.set(registration.name, registration)
    return sorted([...byName.values()]).flatMap(({ hooks }) =>
      hooks.onHubClose === undefined ? [] : [hooks.onHubClose]
    )
  }

  /** In the order of their phases; within one, in the order of their names, so that registration order does not matter. */
  get active(): ReadonlyArray<Registration> {
    return this.#active
  }

  /**
   * Those that have a say on a report. As a program ends, its integrations go one by one, in an order that depends on how their
   * layers were put together; the report of its failure, and what they themselves report as they go, is still everyone's.
   */
  activeFor(cause: object | undefined): ReadonlyArray<Registration> {
    const leaving = this.#leaving.filter(
      ([registration, end]) => (end === cause || end === this.#ending) && this.get(registration.name) === undefined
    )
    return leaving.length === 0
      ? this.#active
      : sorted([...this.#active, ...leaving.map(([registration]) => registration)])
  }

  /** The active ones that have this hook. */
  having(hook: CommonHook): ReadonlyArray<Registration> {
    return this.#having[hook]
  }

  get(name: string): Registration | undefined {
    return this.#active.find((registration) => registration.name === name)
  }

  close(): void {
    for (const registration of this.#active) registration.deactivate(this.debug)
    this.#byName.clear()
    this.#active = []
    this.#having = NOBODY
    this.#leaving = []
  }

  #settle(name: string): void {
    const named = this.#byName.get(name) ?? []
    const winner = named.findLast((registration) => registration.priority === "user") ?? named.at(-1)
    for (const registration of named) if (registration !== winner) registration.deactivate(this.debug)
    winner?.activate(this.warn)
    this.#active = sorted(
      [...this.#byName.values()].flatMap((registrations) => registrations.filter(({ isActive }) => isActive))
    )
    const having = (hook: keyof Hooks): ReadonlyArray<Registration> =>
      this.#active.filter(({ hooks }) => hooks[hook] !== undefined)
    this.#having = {
      onLog: having("onLog"),
      onFlush: having("onFlush"),
      onRequestEnd: having("onRequestEnd"),
      onFiberStart: having("onFiberStart"),
      onFiberEnd: having("onFiberEnd")
    }
  }
}

/** What the scopes that end together have in common. */
const endOf = (exit: Exit.Exit<unknown, unknown>): object => (exit._tag === "Failure" ? exit.cause : exit)

const sorted = (registrations: ReadonlyArray<Registration>): ReadonlyArray<Registration> =>
  registrations.toSorted(
    (a, b) => PHASES[a.hooks.phase ?? "enrich"] - PHASES[b.hooks.phase ?? "enrich"] || compare(a.name, b.name)
  )

/** What is asked for often, or by name. */
type CommonHook = "onLog" | "onFlush" | "onRequestEnd" | "onFiberStart" | "onFiberEnd"

const NOBODY = { onLog: [], onFlush: [], onRequestEnd: [], onFiberStart: [], onFiberEnd: [] }

const PHASES: Record<Phase, number> = { enrich: 0, filter: 1, last: 2 }

/** The one that counts comes last. */
const byPriority = (a: Registration, b: Registration): number =>
  a.priority === b.priority ? a.order - b.order : a.priority === "user" ? 1 : -1

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
