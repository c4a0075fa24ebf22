/**
 * The worker threads of worker-pool.ts (plain JavaScript: tsx does not translate what worker threads load). Each picture is
 * worked on in the scope of the fiber that asks for it: the tags `album` and `picture` are on the events, and so are the
 * breadcrumbs from before.
 */
import { WorkerRunner } from "@effect/platform"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
import { Data, Effect, Layer } from "effect"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, Hub } from "effect-faultline"
import * as FaultlineWorker from "effect-faultline/worker"

class FormatUnknown extends Data.TaggedError("FormatUnknown") {}

/** A decoder that throws where no Effect can catch it: that is the end of the thread. */
const crash = Effect.async(() => {
  setTimeout(() => {
    throw new RangeError("50 gigapixels do not fit into memory")
  }, 1)
})

const thumbnail = (/** @type {string} */ picture) => {
  if (picture === "bomb.png") return crash
  return picture.endsWith(".jpg") ? Effect.succeed(`${picture}: done`) : new FormatUnknown({ picture })
}

const Runner = WorkerRunner.layer((/** @type {string} */ picture) =>
  thumbnail(picture).pipe(
    Effect.tapErrorCause((cause) => Faultline.captureCause(cause)),
    Effect.catchTag("FormatUnknown", () => Effect.succeed(`${picture}: skipped`))
  )
).pipe(
  Layer.provide(FaultlineWorker.layerRunner(NodeWorkerRunner.layer)),
  Layer.provide(DefaultIntegrations),
  Layer.provide(Hub.layerConfig())
)

NodeRuntime.runMain(NodeWorkerRunner.launch(Runner))
