/**
 * The contract between a hub and what hooks into it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { describeError, warn } from "../transport/debug.js"
import { Hub } from "./Hub.js"
import { watchLogs } from "./logHook.js"
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
 * `setup` runs once per build, with the hub, and may acquire resources. If a default integration fails there, it is left out,
 * standard error says why, and the rest works; a user's own fails its layer.
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
): IntegrationLayer<E, Exclude<R, Scope.Scope>> => {
  const definition: Definition = { name, setup: setup as Definition["setup"] }
  const layer = Layer.scopedDiscard(Effect.flatMap(Hub, (hub) => build(hub, definition, "user")))
  definitions.set(layer, definition)
  return layer as IntegrationLayer<E, Exclude<R, Scope.Scope>>
}

/**
 * Several integrations as one layer, built in this order and closed in the reverse. (One layer on top of another for each would
 * be the same, at twenty times the price.)
 *
 * @param layers made by `make`; of each whether it is a default, which gives way to a user's of the same name
 * @internal
 */
export const all = (layers: ReadonlyArray<readonly [layer: IntegrationLayer, priority: Priority]>): IntegrationLayer =>
  Layer.scopedDiscard(
    Effect.flatMap(Hub, (hub) =>
      Effect.forEach(
        layers.filter(([, priority]) => priority === "user" || hub.options.defaultIntegrations),
        ([layer, priority]) => build(hub, definitions.get(layer) as Definition, priority),
        { discard: true }
      )
    )
  ) as IntegrationLayer

/** The name of an integration as `make` makes it; `undefined` for a layer that has something around it. @internal */
export const nameOf = (layer: object): string | undefined => definitions.get(layer)?.name

interface Definition {
  readonly name: string
  readonly setup: (hub: Hub.Service) => Effect.Effect<Hooks, unknown, Scope.Scope>
}

const definitions = new WeakMap<object, Definition>()

const build = (
  hub: Hub.Service,
  { name, setup }: Definition,
  priority: Priority
): Effect.Effect<void, unknown, Scope.Scope> => {
  const installed = Effect.flatMap(
    Effect.suspend(() => setup(hub)),
    (hooks) => install(hub, name, hooks, priority)
  )
  return priority === "user"
    ? installed
    : Effect.catchAllCause(installed, (cause) =>
        Effect.sync(() =>
          warn(`the integration "${name}" could not be set up and is left out: ${describeError(Cause.squash(cause))}`)
        )
      )
}

const install = (
  { client }: Hub.Service,
  name: string,
  hooks: Hooks,
  priority: Priority
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.withFiberRuntime((fiber) =>
    Effect.flatMap(Effect.scope, (scope) => {
      const { registry } = client
      const heard = hooks.onLog === undefined ? hooks : listening(hooks, Object.getPrototypeOf(fiber) as object)
      const registration = registry.register(name, heard, priority)
      return Scope.addFinalizerExit(scope, (exit) =>
        Effect.sync(() =>
          registry.leave(registration, exit, () =>
            client.attempt(`onExit of the integration "${name}"`, () => hooks.onExit?.(exit))
          )
        )
      )
    })
  )

/** The same hooks, with log lines to be heard as long as they are the active ones. */
const listening = (hooks: Hooks, fiberPrototype: object): Hooks => ({
  ...hooks,
  activate() {
    const unwatch = watchLogs(fiberPrototype)
    const deactivate = hooks.activate?.()
    return () => {
      unwatch()
      deactivate?.()
    }
  }
})
