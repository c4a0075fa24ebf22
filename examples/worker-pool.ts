/**
 * Threads and fibers: the scope of each request goes along to the worker thread that answers it, a worker that crashes is
 * reported by the thread that started it, and so is a fiber that fails in the background while nobody looks.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/worker-pool.ts
 */
import { Worker as WorkerThread } from "node:worker_threads"
import { Worker } from "@effect/platform"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeWorker from "@effect/platform-node/NodeWorker"
import { Data, Effect, Layer } from "effect"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, Hub } from "effect-faultline"
import * as FaultlineWorker from "effect-faultline/worker"

class CacheExpired extends Data.TaggedError("CacheExpired")<{ readonly age: number }> {}

const Workers = FaultlineWorker.layer(
  NodeWorker.layerPlatform(() => new WorkerThread(new URL("./worker-pool.worker.js", import.meta.url)))
)

const program = Effect.gen(function* () {
  yield* Faultline.setTag("album", "holidays")
  yield* Effect.log("making thumbnails")

  // Nobody joins this fiber: without `Threading` nobody would hear of it.
  yield* Effect.forkDaemon(new CacheExpired({ age: 90 }))

  const pool = yield* Worker.makePool<string, string, never>({ size: 2 })
  yield* Effect.forEach(
    ["beach.jpg", "dog.gif", "bomb.png"],
    (picture) =>
      Faultline.setTag("picture", picture).pipe(
        Effect.andThen(pool.executeEffect(picture)),
        Effect.andThen((thumbnail) => Effect.log(thumbnail)),
        Effect.catchTag("WorkerError", () => Effect.logWarning(`${picture}: the worker is gone`)),
        Faultline.withIsolationScope()
      ),
    { concurrency: 2, discard: true }
  )
})

program.pipe(
  Effect.scoped,
  Effect.provide(Workers),
  Effect.provide(DefaultIntegrations.pipe(Layer.provideMerge(Hub.layerConfig()))),
  NodeRuntime.runMain
)
