/**
 * Fibers and worker threads: the scope goes with them, and their crash is reported.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Client } from "../hub/Client.js"
import * as Integration from "../hub/Integration.js"
import { clientOf, placeOf, reportOf } from "../hub/report.js"
import { checkOptions, isFlag } from "../protocol/checkOptions.js"
import { stateOf } from "../scope/carrier.js"
import type { AnyFiber } from "../scope/fiber.js"
import { breadcrumbsOf, recall } from "../scope/remember.js"
import { CrashWatch, type Suspicion, watchAwait } from "./threading/fibers.js"
import { watchWorkers } from "./threading/workers.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Whether root fibers (`Runtime.runFork`, each HTTP request) and worker threads begin with a fork of the scope they come
   * from. `false`: with nothing but the global scope. Default: `true`. Structured children always share their parent's scope.
   */
  readonly propagateScope?: boolean | undefined
}

/**
 * Reports fibers that fail while nobody looks (`fork`, `forkDaemon`, `forkScoped`, `runFork`, …) and worker threads that
 * crash, with `handled: false`; what happens to them is not changed. A fiber whose failure is joined, awaited, raced or
 * interrupted is none of these, nor one forked under `Effect.withUnhandledErrorLogLevel(Option.none())`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, { propagateScope: isFlag })
  const { propagateScope = true } = options
  return Integration.make("threading", ({ client }) =>
    Effect.withFiberRuntime((self) => {
      const crashes = new CrashWatch((cause, fiber) => prepareReport(client, cause, fiber))
      const prototype = Object.getPrototypeOf(self) as object
      return Effect.succeed({
        propagateScope,
        onFiberEnd(exit, fiber) {
          if (clientOf(stateOf(fiber)) === client) crashes.ended(exit, fiber)
        },
        onExit: () => crashes.decideAll(),
        activate() {
          const unwatchAwait = watchAwait(prototype)
          const unwatchWorkers = watchWorkers()
          const decide = (): void => crashes.decideAll()
          // Nobody comes to ask any more. Before `Atexit`, which waits for what is to be sent.
          process.prependListener("beforeExit", decide).prependListener("exit", decide)
          client.beforeClose.add(decide)
          return () => {
            client.beforeClose.delete(decide)
            process.off("beforeExit", decide).off("exit", decide)
            crashes.close()
            unwatchWorkers()
            unwatchAwait()
          }
        }
      })
    })
  )
}

/**
 * What is said, and when, and where, is settled as the fiber ends; only whether it is said is not. What the fiber itself has reported
 * until then waits with it: it says whether somebody has dealt with the failure.
 */
const prepareReport = (client: Client, cause: Cause.Cause<unknown>, fiber: AnyFiber): Suspicion | undefined => {
  const report = reportOf(cause, {
    mechanism: { type: "threading", handled: false, data: { thread_kind: "fiber" } },
    integration: "threading",
    escaped: true,
    fiberId: `#${fiber.id().id}`
  })
  if (report?.failure === undefined) return undefined
  const place = placeOf(fiber)
  const { branch, state } = place
  const breadcrumbs = breadcrumbsOf(state, branch, recall(report.failure.primary, state))
  const release = client.holdBack(report.failure)
  return {
    confirm() {
      client.capture(report, { ...place, breadcrumbs })
      release()
    },
    dismiss: release
  }
}
