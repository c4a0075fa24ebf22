/**
 * An integration of your own, in a dozen lines: Node's warnings become events, and every event tells how long the
 * program had been running.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/integration.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { DefaultIntegrations, Hub, Integration } from "effect-faultline"

const Warnings = Integration.make("warnings", (hub) =>
  Effect.succeed({
    processEvent: (event) => ({ ...event, tags: { ...event.tags, uptime: process.uptime().toFixed(1) } }),
    activate() {
      const onWarning = (warning: Error) => void hub.unsafeCapture(warning, { context: { level: "warning" } })
      process.on("warning", onWarning)
      return () => process.off("warning", onWarning)
    }
  })
)

const FaultlineLive = Layer.merge(DefaultIntegrations, Warnings).pipe(Layer.provideMerge(Hub.layerConfig()))

const program = Effect.gen(function* () {
  yield* Effect.log("opening the database")
  yield* Effect.sync(() => process.emitWarning("the pool has one connection left", "PoolWarning"))
  yield* Effect.sleep("10 millis")
})

program.pipe(Effect.provide(FaultlineLive), NodeRuntime.runMain)
