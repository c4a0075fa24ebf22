/**
 * The first of the two code samples for `ThreadingIntegration` on Sentry's page of default integrations: nothing goes along by itself,
 * so the scope is handed over by hand. Python: `run(scope)`, and `use_isolation_scope(scope)` inside.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/threading-manual.ts
 */
import { fileURLToPath } from "node:url"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Fiber, Layer, Queue, Runtime } from "effect"
import * as Faultline from "effect-faultline"
import { defaultIntegrations, Hub, Threading } from "effect-faultline"

export const Integrations = defaultIntegrations({ threading: Threading.layer({ propagateScope: false }) })

/** The boilerplate that `propagateScope: true` does without. */
const byHand = Effect.gen(function* () {
  const scope = yield* Faultline.forkScope
  const runFork = Runtime.runFork(yield* Effect.runtime())
  yield* Fiber.join(runFork(Faultline.captureMessage("hello").pipe(Faultline.withForkedScope(scope))))
})

/** Where it is always necessary: a worker of one's own has the scope of whoever started it, not of whoever gives it work. */
const throughQueue = Effect.gen(function* () {
  const jobs = yield* Queue.unbounded<{ readonly name: string; readonly scope: Faultline.ForkedScope }>()
  const worker = yield* Queue.take(jobs).pipe(
    Effect.flatMap(({ name, scope }) => Faultline.captureMessage(name).pipe(Faultline.withForkedScope(scope))),
    Effect.repeatN(1),
    Effect.fork
  )
  yield* Effect.forEach(["first job", "second job"], (name) =>
    Faultline.setTag("job", name).pipe(
      Effect.andThen(Faultline.forkScope),
      Effect.andThen((scope) => Queue.offer(jobs, { name, scope })),
      Faultline.withIsolationScope()
    )
  )
  yield* Fiber.join(worker)
})

export const program = Effect.gen(function* () {
  yield* Faultline.setTag("order", "A-1")
  yield* Effect.log("order received")
  yield* byHand
  yield* throughQueue
})

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  program.pipe(Effect.provide(Integrations.pipe(Layer.provideMerge(Hub.layerConfig()))), NodeRuntime.runMain)
}
