/**
 * The smallest app: one layer, and the failure the program ends with is reported, with what led to it.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/smallest.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Data, Effect, Layer } from "effect"
import { DefaultIntegrations, Hub } from "effect-faultline"

const FaultlineLive = DefaultIntegrations.pipe(Layer.provideMerge(Hub.layerConfig()))

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly sku: string; readonly left: number }> {}

const order = Effect.gen(function* () {
  yield* Effect.log("the basket holds 2 of A-1")
  return yield* new OutOfStock({ sku: "A-1", left: 1 })
})

order.pipe(Effect.provide(FaultlineLive), NodeRuntime.runMain)
