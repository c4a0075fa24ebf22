/**
 * The contract between a hub and what hooks into it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Hub } from "./Hub.js"
import { addLoggerWhereMissing, removeOwnLogger, watchLogs } from "./logHook.js"
import type { Hooks, Priority } from "./Registry.js"

/**
 * An integration as a layer: it needs a `Hub` and provides nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type IntegrationLayer<E = never, R = never> = Layer.Layer<never, E, Hub | R>

/**
 * An integration from its name and the hooks it wants. Of several with the same name only the last is active, and one that a
 * user provides wins over the default of that name; when its scope closes, everything it installed is taken back.
 *
 * `setup` runs once per build, with the hub, and may acquire resources. If a default integration fails there, it is left out
 * (`debug` says why) and the rest works; a user's own fails its layer.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * import { Integration } from "effect-faultline"
 * import { Effect } from "effect"
 *
 * const Region = Integration.make("region", () =>
 *   Effect.succeed({
 *     processEvent: (event) => ({ ...event, tags: { ...event.tags, region: "eu-1" } })
 *   })
 * )
 */
export const make = <E = never, R = never>(
  name: string,
  setup: (hub: Hub.Service) => Effect.Effect<Hooks, E, R>
): IntegrationLayer<E, Exclude<R, Scope.Scope>> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const hub = yield* Hub
      const priority = yield* CurrentPriority
      if (priority === "user") return yield* install(hub, name, yield* setup(hub), priority)
      return yield* Effect.matchCauseEffect(setup(hub), {
        onFailure: (cause) =>
          Effect.sync(() => hub.client.debug(`the integration "${name}" is left out: ${String(cause)}`)),
        onSuccess: (hooks) => install(hub, name, hooks, priority)
      })
    })
  )

/** Marks the integrations of a layer as defaults: a user's of the same name takes their place. @internal */
export const asDefaults = <E, R>(layer: IntegrationLayer<E, R>): IntegrationLayer<E, R> =>
  Layer.unwrapEffect(
    Effect.map(Hub, (hub): IntegrationLayer<E, R> => {
      if (!hub.options.defaultIntegrations) return Layer.empty
      return Layer.provide(layer, Layer.succeed(CurrentPriority, "default"))
    })
  )

class CurrentPriority extends Context.Reference<CurrentPriority>()("effect-faultline/Integration/CurrentPriority", {
  defaultValue: (): Priority => "user"
}) {}

const install = (
  hub: Hub.Service,
  name: string,
  hooks: Hooks,
  priority: Priority
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { registry } = hub.client
    const scope = yield* Effect.scope
    const registration = registry.register(name, hooks.onLog === undefined ? hooks : listening(hooks), priority)
    // Not `addFinalizer` of Effect: it would undo what the finalizer does to the FiberRefs.
    yield* Scope.addFinalizerExit(scope, (exit) =>
      Effect.suspend(() => {
        if (registration.isActive) hub.client.guard(`onExit of the integration "${name}"`, () => hooks.onExit?.(exit))
        registry.unregister(registration, exit._tag === "Failure" ? exit.cause : undefined)
        return removeOwnLogger
      })
    )
    if (hooks.onLog !== undefined && hub.isEnabled()) yield* addLoggerWhereMissing
  })

/** The same hooks, with log lines to be heard as long as they are the active ones. */
const listening = (hooks: Hooks): Hooks => ({
  ...hooks,
  activate() {
    const unwatch = watchLogs()
    const deactivate = hooks.activate?.()
    return () => {
      unwatch()
      deactivate?.()
    }
  }
})
