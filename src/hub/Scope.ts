/**
 * What events say besides their error: tags, user, contexts, breadcrumbs. The setters write the isolation scope (of the
 * request, the job, the program) and survive an inner `withScope`; the combinators hold for one effect.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { Breadcrumb, BreadcrumbHint } from "../protocol/Breadcrumb.js"
import type { Attachment, Level, User } from "../protocol/Event.js"
import { branchOf, stateOfFiber } from "../scope/carrier.js"
import { type AnyFiber, setFiberRef } from "../scope/fiber.js"
import * as ScopeData from "../scope/ScopeData.js"
import { scopeRef } from "../scope/ScopeState.js"
import { ScopeWriter } from "../scope/ScopeWriter.js"
import { clientOf, placeOf } from "./report.js"
import { within } from "./within.js"

/**
 * @since 0.1.0
 * @category setters
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* Faultline.setTag("plan", "pro")
 *   yield* Faultline.setUser({ id: "u1" })
 * })
 */
export const setTag = (key: string, value: ScopeData.TagValue): Effect.Effect<void> => writer.setTag(key, value)

/**
 * @since 0.1.0
 * @category setters
 */
export const setTags = (tags: Readonly<Record<string, ScopeData.TagValue>>): Effect.Effect<void> => writer.setTags(tags)

/**
 * Whom what follows happens to; `null` for nobody.
 *
 * @since 0.1.0
 * @category setters
 */
export const setUser = (user: User | null): Effect.Effect<void> => writer.setUser(user)

/**
 * A named group of values; `null` removes it.
 *
 * @since 0.1.0
 * @category setters
 */
export const setContext = (key: string, context: Readonly<Record<string, unknown>> | null): Effect.Effect<void> =>
  writer.setContext(key, context)

/**
 * @since 0.1.0
 * @category setters
 */
export const setExtra = (key: string, value: unknown): Effect.Effect<void> => writer.setExtra(key, value)

/**
 * @since 0.1.0
 * @category setters
 */
export const setExtras = (extra: Readonly<Record<string, unknown>>): Effect.Effect<void> => writer.setExtras(extra)

/**
 * The level of every event that follows, whatever it had.
 *
 * @since 0.1.0
 * @category setters
 */
export const setLevel = (level: Level): Effect.Effect<void> => writer.setLevel(level)

/**
 * What the server groups events by; `{{ default }}` stands for its own grouping.
 *
 * @since 0.1.0
 * @category setters
 */
export const setFingerprint = (fingerprint: ReadonlyArray<string>): Effect.Effect<void> =>
  writer.setFingerprint(fingerprint)

/**
 * The name of what is being done: a route, a job, a command.
 *
 * @since 0.1.0
 * @category setters
 */
export const setTransactionName = (name: string): Effect.Effect<void> => writer.setTransactionName(name)

/**
 * A file that travels with every event that follows.
 *
 * @since 0.1.0
 * @category setters
 */
export const addAttachment = (attachment: Attachment): Effect.Effect<void> => writer.addAttachment(attachment)

/**
 * A function that sees every event that follows: it returns the event, changed or not, or `null` to drop it.
 *
 * @since 0.1.0
 * @category setters
 */
export const addEventProcessor = (processor: ScopeData.EventProcessor): Effect.Effect<void> =>
  writer.addEventProcessor(processor)

/**
 * Several of the above at once, in the isolation scope.
 *
 * @since 0.1.0
 * @category setters
 */
export const configureScope = (context: ScopeData.ScopeContext): Effect.Effect<void> => writer.configureScope(context)

/**
 * Forgets everything but event processors: tags, user, contexts, extra, level, fingerprint, attachments and breadcrumbs.
 *
 * @since 0.1.0
 * @category setters
 */
export const clearScope: Effect.Effect<void> = Effect.withFiberRuntime((fiber) => {
  const state = stateOfFiber(fiber)
  if (state.owner === undefined) return Effect.void
  state.trail.clear()
  setFiberRef(fiber as AnyFiber, scopeRef, state.withIsolation(ScopeData.clear(state.isolation)))
  return Effect.void
})

/**
 * Records one step on the way to whatever may happen.
 *
 * @since 0.1.0
 * @category breadcrumbs
 * @example
 * import * as Faultline from "effect-faultline"
 *
 * const step = Faultline.addBreadcrumb({ category: "cart", message: "item added", data: { sku: "A-1" } })
 */
export const addBreadcrumb = (breadcrumb: Breadcrumb, hint: BreadcrumbHint = {}): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const state = stateOfFiber(fiber)
    clientOf(state)?.addBreadcrumb(breadcrumb, hint, placeOf(fiber, state))
    return Effect.void
  })

/**
 * Adds data to every event of this effect, and of the fibers it starts, and of nothing else.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const import_ = Effect.fail("bad row").pipe(Faultline.withScope({ tags: { step: "import" } }))
 */
export const withScope: {
  (context: ScopeData.ScopeContext): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, context: ScopeData.ScopeContext): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, context: ScopeData.ScopeContext): Effect.Effect<A, E, R> =>
    within(
      self,
      (state) => state.withCurrent(ScopeData.applyContext(state.current, context)),
      (before, after) => (after.trail === before.trail ? after.withCurrent(before.current) : before)
    )
)

/**
 * A scope of its own for one unit of work (a request, a job): it begins with what is known here, and neither the setters nor
 * the breadcrumbs inside it are seen outside, or in other units.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * import * as Faultline from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const handle = (job: { id: string }) =>
 *   Faultline.setTag("job", job.id).pipe(Effect.andThen(Effect.log("working")), Faultline.withIsolationScope())
 */
export const withIsolationScope: {
  (context?: ScopeData.ScopeContext): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, context?: ScopeData.ScopeContext): Effect.Effect<A, E, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, context?: ScopeData.ScopeContext): Effect.Effect<A, E, R> =>
    within(
      self,
      (state, fiber) => {
        const isolated = state.isolate(branchOf(fiber, state))
        return context === undefined
          ? isolated
          : isolated.withIsolation(ScopeData.applyContext(isolated.isolation, context))
      },
      (before) => before
    )
)

class FiberWriter extends ScopeWriter<Effect.Effect<void>> {
  protected change(change: (scope: ScopeData.ScopeData) => ScopeData.ScopeData): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      const state = stateOfFiber(fiber)
      if (state.owner === undefined) return Effect.void
      const isolation = clientOf(state)?.attempt("a scope", () => change(state.isolation)) ?? state.isolation
      if (isolation !== state.isolation) setFiberRef(fiber as AnyFiber, scopeRef, state.withIsolation(isolation))
      return Effect.void
    })
  }
}

const writer = new FiberWriter()
