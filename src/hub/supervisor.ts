/**
 * The one Supervisor of a hub. It gives every fiber its place in the scope, and asks the hub's integrations, and first of all
 * whether the hub is still open: layers that were merged can leave it behind in a fiber after their scope has closed.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as Option from "effect/Option"
import * as Supervisor from "effect/Supervisor"
import type * as Tracer from "effect/Tracer"
import { adopt, branchOf, branchOff, startRoot } from "../scope/carrier.js"
import { type AnyFiber, currentFiber } from "../scope/fiber.js"
import { scopeRef } from "../scope/ScopeState.js"
import type { Client } from "./Client.js"
import { rememberEnd, watchSpans } from "./raised.js"

/** Into the FiberRefs of the fiber that runs this. An inert hub needs none. @internal */
export const installSupervisor = (client: Client): Effect.Effect<void> => {
  if (client.delivery === undefined) return Effect.void
  const supervisor = new HubSupervisor(client)
  watchSpans(client)
  supervisors.set(client, supervisor)
  return FiberRef.update(FiberRef.currentSupervisor, (current) =>
    current === Supervisor.none ? supervisor : current.zip(supervisor)
  )
}

/** Out of the FiberRefs of the fiber that runs this. @internal */
export const uninstallSupervisor = (client: Client): Effect.Effect<void> =>
  Effect.suspend(() => {
    const supervisor = supervisors.get(client)
    return supervisor === undefined
      ? Effect.void
      : FiberRef.update(FiberRef.currentSupervisor, (current) => without(current, supervisor) ?? Supervisor.none)
  })

/**
 * For the hub of a whole process: also over the root fibers of runtimes that know of no hub (`Effect.runPromise`). Installed
 * before; the function it returns takes it back.
 *
 * @internal
 */
export const superviseAll = (client: Client): (() => void) => {
  const supervisor = supervisors.get(client)
  if (supervisor === undefined) return () => {}
  // SAFETY: where a fiber holds no value of its own, Effect reads `initial`. Without it such fibers are the process's own.
  const ref = FiberRef.currentSupervisor as unknown as { initial: Supervisor.Supervisor<unknown> }
  ref.initial = ref.initial === Supervisor.none ? supervisor : ref.initial.zip(supervisor)
  return () => {
    ref.initial = without(ref.initial, supervisor) ?? Supervisor.none
  }
}

const supervisors = new WeakMap<Client, Supervisor.Supervisor<void>>()

class HubSupervisor extends Supervisor.AbstractSupervisor<void> {
  readonly value = Effect.void
  /** Of the spans that were met last. */
  #spanClass: object | undefined

  constructor(readonly client: Client) {
    super()
  }

  override onStart<A, E, R>(
    _context: unknown,
    _effect: Effect.Effect<A, E, R>,
    parent: Option.Option<Fiber.RuntimeFiber<unknown, unknown>>,
    fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    if (!this.client.isOpen) return
    const span = fiber.currentSpan
    if (span !== undefined && Object.getPrototypeOf(span) !== this.#spanClass) this.#meet(span)
    if (parent._tag === "Some") branchOff(parent.value, fiber)
    else this.#startRoot(fiber)
    for (const { hooks, name } of this.client.registry.having("onFiberStart")) {
      this.client.attempt(`onFiberStart of the integration "${name}"`, () => hooks.onFiberStart?.(fiber, parent))
    }
  }

  #meet(span: Tracer.AnySpan): void {
    this.#spanClass = Object.getPrototypeOf(span) as object
    if (span._tag === "Span") watchSpans(this.client, span)
  }

  #startRoot(fiber: AnyFiber): void {
    const state = fiber.getFiberRef(scopeRef)
    if (state.owner === undefined) adopt(fiber, this.client)
    if (state.owner !== this.client) return
    // Nothing says which fiber the runtime was taken from; the one that uses it now is the next best thing.
    const starter = currentFiber()
    startRoot(fiber, starter === undefined ? state.trail.root : branchOf(starter, state))
  }

  override onEnd<A, E>(exit: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>): void {
    if (exit._tag === "Success") {
      // A fiber of `Effect.all` hands over how it ended as its value.
      if (isFailure(exit.value)) rememberEnd(exit.value, fiber)
      return
    }
    if (!this.client.isOpen) return
    rememberEnd(exit, fiber)
    for (const { hooks, name } of this.client.registry.having("onFiberEnd")) {
      this.client.attempt(`onFiberEnd of the integration "${name}"`, () => hooks.onFiberEnd?.(exit, fiber))
    }
  }
}

const isFailure = (value: unknown): value is Exit.Failure<unknown, unknown> =>
  typeof value === "object" && value !== null && (value as { readonly _op?: unknown })._op === "Failure"

interface Zipped {
  readonly left: Supervisor.Supervisor<unknown>
  readonly right: Supervisor.Supervisor<unknown>
}

// SAFETY: Effect keeps zipped supervisors as a pair of `left` and `right` and offers no way to take one out again. Should that
// change, ours stays in the FiberRef of the closing fiber, where it does nothing.
const isZipped = (self: Supervisor.Supervisor<unknown>): self is Supervisor.Supervisor<unknown> & Zipped =>
  "left" in self && "right" in self

const contains = (self: Supervisor.Supervisor<unknown>, wanted: Supervisor.Supervisor<unknown>): boolean =>
  self === wanted || (isZipped(self) && (contains(self.left, wanted) || contains(self.right, wanted)))

const without = (
  self: Supervisor.Supervisor<unknown>,
  unwanted: Supervisor.Supervisor<unknown>
): Supervisor.Supervisor<unknown> | undefined => {
  if (self === unwanted) return undefined
  if (!isZipped(self) || !contains(self, unwanted)) return self
  const left = without(self.left, unwanted)
  const right = without(self.right, unwanted)
  if (left === undefined || right === undefined) return left ?? right
  return left.zip(right)
}
