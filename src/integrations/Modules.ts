/**
 * Which packages, in which versions, an event comes from.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { setLazyField } from "../event/lazyJson.js"
import * as Integration from "../hub/Integration.js"
import { checkOptions } from "../protocol/checkOptions.js"
import { placesToLook } from "./modules/installedModules.js"
import { ModuleList } from "./modules/ModuleList.js"

/**
 * Adds `modules` to every event: the name and version of each installed package, at most 500 of them (the program's own
 * dependencies first, then what those need, then what is only there for development), in place of what the event may have
 * there. Other items than events (check-ins, client reports) do not have it.
 *
 * The list is made once for the process, a millisecond at a time, from a second after the start or from the first event on,
 * whichever comes first. That event does not wait for it: it has what can be found in 3 milliseconds, or in 16 looks where the disk
 * is slow, direct dependencies before all others. Every event gets a copy of its own.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { defaultIntegrations, Modules } from "effect-faultline"
 *
 * const Without = defaultIntegrations({ modules: false })
 * const Explicit = defaultIntegrations({ modules: Modules.layer() }) // the same as the default
 */
export const layer = (options: Readonly<Record<string, never>> = {}): Integration.IntegrationLayer => {
  checkOptions(options, {})
  return Integration.make("modules", ({ client }) =>
    Effect.sync(() => {
      let known: ModuleList | undefined
      const list = (): ModuleList => (known ??= listFor(client.options.projectRoot))
      const background = new Background(list)
      let asked = false
      return {
        activate() {
          background.start(START_MILLIS)
          return () => background.stop()
        },
        processEvent(event) {
          if (!asked) {
            asked = true
            list().advance(FIRST_EVENT_MILLIS, FIRST_EVENT_STEPS)
            background.hurry()
          }
          setLazyField(event, "modules", list().json)
          return event
        }
      }
    })
  )
}

/** A program that has only begun has better things to do. */
const START_MILLIS = 1000
const FIRST_EVENT_MILLIS = 3
const FIRST_EVENT_STEPS = 16
const SLICE_MILLIS = 1
const PAUSE_MILLIS = 4

/** Goes on with a list whenever the program has had its turn. */
class Background {
  #timer: NodeJS.Timeout | undefined

  constructor(readonly list: () => ModuleList) {}

  start(millis: number): void {
    this.#timer = setTimeout(() => {
      const list = this.list()
      list.advance(SLICE_MILLIS)
      if (list.isComplete) this.stop()
      else this.start(PAUSE_MILLIS)
    }, millis).unref()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Where there is something left to do, and the integration is still active. */
  hurry(): void {
    if (this.#timer === undefined) return
    this.stop()
    this.start(PAUSE_MILLIS)
  }
}

const listFor = (projectRoot: string): ModuleList => {
  const places = placesToLook(projectRoot)
  const key = places.join("\n")
  const list = lists.get(key) ?? new ModuleList(places)
  lists.set(key, list)
  return list
}

const lists = new Map<string, ModuleList>()
