/**
 * A scope that is handed over to code which runs elsewhere: the consumer of a queue, a fiber of another runtime.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { branchOf, stateOfFiber } from "../scope/carrier.js"
import type { ScopeState } from "../scope/ScopeState.js"
import { within } from "./within.js"

/**
 * What a scope knew at one moment: tags, user, contexts, breadcrumbs, trace and all the rest. Later changes are not in it.
 *
 * @since 0.1.0
 * @category models
 */
export class ForkedScope {
  /** @internal */
  readonly state: ScopeState

  /** @internal */
  constructor(state: ScopeState) {
    this.state = state
  }
}

/**
 * The scope as it is here and now, to be handed over to code that would otherwise not have it.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect, Queue } from "effect"
 *
 * interface Job {
 *   readonly picture: string
 *   readonly scope: Faultline.ForkedScope
 * }
 *
 * const program = Effect.gen(function* () {
 *   const jobs = yield* Queue.unbounded<Job>()
 *   yield* Queue.take(jobs).pipe(
 *     Effect.flatMap(({ picture, scope }) => Effect.log(picture).pipe(Faultline.withForkedScope(scope))),
 *     Effect.forever,
 *     Effect.fork
 *   )
 *   const scope = yield* Faultline.forkScope
 *   yield* Queue.offer(jobs, { picture: "beach.jpg", scope })
 * })
 */
export const forkScope: Effect.Effect<ForkedScope> = Effect.withFiberRuntime((fiber) => {
  const state = stateOfFiber(fiber)
  return Effect.succeed(new ForkedScope(state.isolate(branchOf(fiber, state))))
})

/**
 * Runs an effect in a scope that was handed over, in place of its own: it begins with what that one knew, and nothing it does is
 * seen anywhere else, not even where the same scope is used again.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withForkedScope: {
  (scope: ForkedScope): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, scope: ForkedScope): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, scope: ForkedScope): Effect.Effect<A, E, R> =>
    within(
      self,
      (own, fiber) =>
        // A scope of another hub reports to that one, which may be closed.
        scope.state.owner === own.owner
          ? scope.state.isolate(scope.state.trail.root)
          : own.isolate(branchOf(fiber, own)),
      (before) => before
    )
)
