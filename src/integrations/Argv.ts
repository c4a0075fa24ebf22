/**
 * The command line on every event.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { truncate } from "../event/normalize.js"
import { scrubArguments } from "../event/scrub.js"
import * as Integration from "../hub/Integration.js"
import { checkOptions, isCount } from "../protocol/checkOptions.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many arguments are shown; of the others only how many there are. Default: 100. */
  readonly maxArguments?: number | undefined
}

/**
 * Adds the script and its arguments to `extra` as `sys.argv`, as they are when the event is made: a copy, with the values of
 * sensitive flags (`--token x`, `--password=x`) masked. It comes first, so that other extras cannot push it out.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { Argv, defaultIntegrations, Hub } from "effect-faultline"
 * import { Layer } from "effect"
 *
 * const Faultline = defaultIntegrations({ argv: Argv.layer({ maxArguments: 20 }) }).pipe(
 *   Layer.provideMerge(Hub.layerConfig())
 * )
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, { maxArguments: isCount })
  const { maxArguments = 100 } = options
  return Integration.make("argv", () =>
    Effect.succeed({
      processEvent(event) {
        const extra: unknown = event.extra ?? {}
        if (typeof extra === "object" && !Array.isArray(extra)) {
          const { [KEY]: _, ...others } = extra as Record<string, unknown>
          event.extra = { [KEY]: argumentsNow(maxArguments), ...others }
        }
        return event
      }
    })
  )
}

const KEY = "sys.argv"

const argumentsNow = (max: number): Array<string> => {
  const given = process.argv.slice(1)
  const shown = scrubArguments(given.slice(0, max).map((argument) => truncate(String(argument), MAX_LENGTH)))
  return given.length > max ? [...shown, `... ${given.length - max} more`] : shown
}

const MAX_LENGTH = 1024
