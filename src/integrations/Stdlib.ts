/**
 * What the program asks of the world through Node's own library: HTTP requests and subprocesses, as breadcrumbs that carry the
 * trace on; and what runs the program.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { runtimeContext } from "../event/contexts.js"
import * as Integration from "../hub/Integration.js"
import { installAll } from "../hub/patch.js"
import { checkOptions, isFlag } from "../protocol/checkOptions.js"
import { watchFetch } from "./stdlib/fetch.js"
import { watchHttp } from "./stdlib/http.js"
import { turnOn } from "./stdlib/settings.js"
import { watchSubprocesses } from "./stdlib/subprocess.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Whether breadcrumbs of subprocesses show their arguments, up to a hundred (values of sensitive flags stay masked). Default:
   * what the hub's `sendDefaultPii` says; without it only the names of flags are shown.
   */
  readonly includeArguments?: boolean | undefined
}

/**
 * - One breadcrumb for each outgoing HTTP request and hop (`node:http`, `node:https`, `fetch`, undici, and the three clients of
 *   `@effect/platform`), on the scope that started it: when its answer arrives, or when it fails. Requests carry `sentry-trace`
 *   and `baggage` on, to the option `tracePropagationTargets`.
 * - One breadcrumb for each subprocess, before it starts, and another if it ends badly. Its environment (a copy, never the
 *   parent's) carries the trace on.
 * - `contexts.runtime` on every event, unless the user has set it.
 *
 * The SDK's own requests are none of these.
 *
 * @example
 * import { defaultIntegrations, Stdlib } from "effect-faultline"
 *
 * const Integrations = defaultIntegrations({ stdlib: Stdlib.layer({ includeArguments: true }) })
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, { includeArguments: isFlag })
  const { includeArguments } = options
  return Integration.make("stdlib", ({ client }) =>
    Effect.succeed({
      activate: () =>
        installAll([
          () => turnOn(client, { includeArguments: includeArguments ?? client.options.sendDefaultPii }),
          watchHttp,
          watchFetch,
          watchSubprocesses
        ]),
      processEvent(event) {
        const contexts = (event.contexts ??= {})
        contexts["runtime"] ??= runtimeContext()
        return event
      }
    })
  )
}
