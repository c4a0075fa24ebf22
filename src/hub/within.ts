/**
 * The scope of one effect.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { branchOf, stateOfFiber } from "../scope/carrier.js"
import { type AnyFiber, currentFiber, setFiberRef } from "../scope/fiber.js"
import { remember } from "../scope/remember.js"
import { type ScopeState, scopeRef } from "../scope/ScopeState.js"
import { moment } from "../scope/Trail.js"
import { clientOf } from "./report.js"

/**
 * `Effect.locally` for the scope, at about half its price: nothing is allocated but the two continuations.
 *
 * @param leave the state after the effect, from the state before it, the one it left behind, and how it ended; it must not throw
 * @internal
 */
export const within = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  enter: (before: ScopeState, fiber: AnyFiber) => ScopeState,
  leave: (before: ScopeState, after: ScopeState, cause: Cause.Cause<unknown> | undefined, value?: A) => ScopeState
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E, R>((fiber) => {
      const before = stateOfFiber(fiber)
      const inside = clientOf(before)?.attempt("a scope", () => enter(before, fiber))
      if (inside === undefined) return restore(self)
      setFiberRef(fiber as AnyFiber, scopeRef, inside)
      const begun = moment()
      const end = (cause: Cause.Cause<unknown> | undefined, value?: A): void => {
        // Batched requests continue an effect on another fiber than the one that began it.
        const now = currentFiber() ?? fiber
        const state = now.getFiberRef(scopeRef)
        if (cause !== undefined) {
          const place = { state, branch: branchOf(now, state), span: now.currentSpan }
          clientOf(state)?.attempt("an error", () =>
            remember(cause, place, (memory) => memory.moment > begun, before.trail)
          )
        }
        const next = leave(before, state, cause, value)
        if (next !== state) setFiberRef(now, scopeRef, next)
      }
      return Effect.matchCauseEffect(restore(self), {
        onFailure: (cause) => {
          end(cause)
          return Effect.failCause(cause)
        },
        onSuccess: (value) => {
          end(undefined, value)
          return Effect.succeed(value)
        }
      })
    })
  )
