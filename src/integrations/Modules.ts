/**
 * Which packages, in which versions, an event comes from.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { setLazyField } from "../event/lazyJson.js"
import * as Integration from "../hub/Integration.js"
import { findModules } from "./modules/findModules.js"

/**
 * Adds `modules` to every event: the name and version of each installed package (at most 500, the program's own dependencies
 * first). The list is made once, in the background from when the layer is built; an event that cannot wait for that makes it
 * itself. Every event gets a copy.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (): Integration.IntegrationLayer =>
  Integration.make("modules", ({ client }) =>
    Effect.sync(() => {
      let json: string | undefined
      const find = (): string => (json ??= JSON.stringify(findModules(client.options.projectRoot)))
      return {
        activate() {
          const soon = setImmediate(() => setImmediate(find).unref()).unref()
          return () => clearImmediate(soon)
        },
        processEvent(event) {
          setLazyField(event, "modules", find())
          return event
        }
      }
    })
  )
