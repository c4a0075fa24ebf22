/**
 * The command line on every event.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { scrubArguments } from "../event/scrub.js"
import * as Integration from "../hub/Integration.js"

/**
 * Adds the script and its arguments to `extra` as `sys.argv`, as they are when the event is made: a copy, with the values of
 * sensitive flags (`--token x`, `--password=x`) masked. It comes first, so that other extras cannot push it out.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (): Integration.IntegrationLayer =>
  Integration.make("argv", () =>
    Effect.succeed({
      processEvent(event) {
        event.extra = { ...event.extra, "sys.argv": scrubArguments(process.argv.slice(1)) }
        return event
      }
    })
  )
