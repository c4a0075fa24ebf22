/**
 * What nothing in the program dealt with: the failure an Effect program ends with, uncaught exceptions and unhandled rejections.
 *
 * @since 0.1.0
 */

import { isMainThread } from "node:worker_threads"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import { OptionsError } from "../hub/Options.js"
import { reportOf } from "../hub/report.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether uncaught exceptions of an interactive session (`node -i`) are reported, too. Default: `false`. */
  readonly alwaysRun?: boolean | undefined
}

/**
 * Reports, with `handled: false`:
 *
 * - the failure with which whatever this layer is provided to ends, also that of a layer that cannot be built (but not
 *   interruption alone);
 * - exceptions nobody caught and rejections nobody handled, each one, also in a process that stays alive. Node's own output and
 *   exit code are unchanged. In an interactive session only with `alwaysRun`, which is looked at when it happens.
 *
 * In a worker thread uncaught exceptions are left to the parent, which sees them too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  const { alwaysRun = false } = options
  if (typeof alwaysRun !== "boolean") throw new OptionsError({ option: "alwaysRun", reason: "must be true or false" })
  return Integration.make("excepthook", ({ client }) =>
    Effect.succeed({
      onExit(exit) {
        if (exit._tag === "Failure" && !Cause.isInterruptedOnly(exit.cause)) report(client, exit.cause, "exit")
      },
      activate() {
        if (!isMainThread) return () => {}
        const onUncaught = (error: unknown, origin: NodeJS.UncaughtExceptionOrigin): void => {
          if (alwaysRun || !isInteractive()) report(client, error, origin)
        }
        process.on("uncaughtExceptionMonitor", onUncaught)
        return () => void process.off("uncaughtExceptionMonitor", onUncaught)
      }
    })
  )
}

const report = (client: Client, error: unknown, origin: "exit" | NodeJS.UncaughtExceptionOrigin): void => {
  const built = reportOf(error, {
    mechanism: { type: "excepthook", handled: false, data: { origin } },
    integration: "excepthook",
    escaped: true
  })
  if (built !== undefined) client.capture(built, client.mainPlace())
}

/** Whether a read-eval-print loop was started in this process. */
const isInteractive = (): boolean =>
  (process.getBuiltinModule("node:repl") as { readonly repl?: unknown } | undefined)?.repl !== undefined
