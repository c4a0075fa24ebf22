/**
 * The eight integrations that are on unless they are left out.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { Hub } from "./hub/Hub.js"
import * as Integration from "./hub/Integration.js"
import * as Argv from "./integrations/Argv.js"
import * as Atexit from "./integrations/Atexit.js"
import * as Dedupe from "./integrations/Dedupe.js"
import * as Excepthook from "./integrations/Excepthook.js"
import * as Logging from "./integrations/Logging.js"
import * as Modules from "./integrations/Modules.js"
import * as Stdlib from "./integrations/Stdlib.js"
import * as Threading from "./integrations/Threading.js"
import { isObject, nearestTo } from "./protocol/checkOptions.js"
import { OptionsError } from "./protocol/OptionsError.js"

/** In the order they are built: those that report go first again, while the others still have their say. */
const defaults = {
  atexit: Atexit.layer,
  dedupe: Dedupe.layer,
  argv: Argv.layer,
  modules: Modules.layer,
  stdlib: Stdlib.layer,
  logging: Logging.layer,
  excepthook: Excepthook.layer,
  threading: Threading.layer
}

/**
 * @since 0.1.0
 * @category models
 */
export type DefaultIntegrationName = keyof typeof defaults

/**
 * For each default integration: `false` to leave it out, or a layer to take its place.
 *
 * @since 0.1.0
 * @category models
 */
export type Overrides = { readonly [K in DefaultIntegrationName]?: Layer.Layer<never, any, any> | false | undefined }

type ErrorOf<L> = L extends Layer.Layer<any, infer E, any> ? E : never
type ContextOf<L> = L extends Layer.Layer<any, any, infer R> ? R : never

/**
 * The default integrations, some of them replaced or left out, by name. A replacement stands for itself: none of the default's
 * options remain; it may have a name of its own, but not that of another default. Throws an `OptionsError` for a name that does
 * not exist, and for what is neither `false` nor a layer.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { defaultIntegrations, Hub, Threading } from "effect-faultline"
 * import { Layer } from "effect"
 *
 * const Faultline = defaultIntegrations({
 *   argv: false,
 *   threading: Threading.layer({ propagateScope: false })
 * }).pipe(Layer.provideMerge(Hub.layerConfig()))
 */
export const defaultIntegrations = <const O extends Overrides>(
  overrides: O
): Layer.Layer<never, ErrorOf<O[keyof O]>, Hub | ContextOf<O[keyof O]>> => {
  checkOverrides(overrides)
  const own: Array<readonly [Integration.IntegrationLayer, "default" | "user"]> = []
  const composed: Array<Layer.Layer<never, any, any>> = []
  for (const name of NAMES) {
    const override = overrides[name]
    if (override === undefined) own.push([defaults[name](), "default"])
    else if (override !== false && Integration.nameOf(override) !== undefined)
      own.push([override as Integration.IntegrationLayer, "user"])
    else if (override !== false) composed.push(override)
  }
  return composed.reduce((below, layer) => Layer.provideMerge(layer, below), Integration.all(own))
}

const checkOverrides = (overrides: Overrides): void => {
  if (isObject(overrides) !== undefined) throw new OptionsError({ option: "integrations", reason: "must be an object" })
  for (const [name, override] of Object.entries(overrides as Record<string, unknown>)) {
    if (!Object.hasOwn(defaults, name)) {
      const reason = `is none of the default integrations (${NAMES.join(", ")})`
      throw new OptionsError({ option: name, reason, nearest: nearestTo(name, NAMES) })
    }
    if (override === undefined || override === false) continue
    if (!Layer.isLayer(override))
      throw new OptionsError({ option: name, reason: "must be false or a layer: options are given to its factory" })
    const given = Integration.nameOf(override)
    // Else the one would be off and the other there twice.
    if (given !== undefined && given !== name && Object.hasOwn(defaults, given))
      throw new OptionsError({ option: name, reason: `is given the integration "${given}"` })
  }
}

const NAMES = Object.keys(defaults) as Array<DefaultIntegrationName>

/**
 * All eight: `Argv`, `Atexit`, `Dedupe`, `Excepthook`, `Logging`, `Modules`, `Stdlib`, `Threading`. Provide it to the program
 * as a whole (`Layer.provide`), not beside it (`Layer.merge`): what was started before it is there does not have it.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { DefaultIntegrations, Hub } from "effect-faultline"
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 *
 * const MainLive = Layer.effectDiscard(Effect.log("serving"))
 *
 * MainLive.pipe(Layer.provide(DefaultIntegrations), Layer.provide(Hub.layerConfig()), Layer.launch, NodeRuntime.runMain)
 */
export const DefaultIntegrations: Layer.Layer<never, never, Hub> = defaultIntegrations({})
