/**
 * The second of the two code samples for `ThreadingIntegration` on Sentry's page of default integrations: what is started in the
 * background takes the scope along by itself. Python: `ThreadingIntegration(propagate_scope=True)`; here it is the default, too.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/threading-automatic.ts
 */
import { fileURLToPath } from "node:url"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Fiber, Layer, Runtime } from "effect"
import * as Faultline from "effect-faultline"
import { defaultIntegrations, Hub, Threading } from "effect-faultline"

export const Integrations = defaultIntegrations({ threading: Threading.layer({ propagateScope: true }) })

export const program = Effect.gen(function* () {
  yield* Faultline.setTag("order", "A-1")
  yield* Effect.log("order received")

  // What a thread is to Python, a root fiber is here: on its own from the start.
  const runFork = Runtime.runFork(yield* Effect.runtime())
  yield* Fiber.join(runFork(Faultline.captureMessage("hello")))
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  program.pipe(Effect.provide(Integrations.pipe(Layer.provideMerge(Hub.layerConfig()))), NodeRuntime.runMain)
}
