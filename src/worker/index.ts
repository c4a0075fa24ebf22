/**
 * Workers of `@effect/platform` (`Worker`, `SerializedWorker`, RPC over workers): every request takes the scope of the fiber that
 * makes it along to the fiber that answers it. Opt-in, as two layers around the platform's own: one where requests are made, one in
 * the worker. Needs `@effect/platform`.
 *
 * A worker lives longer than the request it was started for, and answers several at a time. So the scope has to travel with each
 * message, and only these two services of the platform see each message together with the fiber it belongs to, by their public
 * interfaces. (A patch of `postMessage` would have to guess, of any program's messages, which are the platform's.)
 *
 * @since 0.1.0
 */
import * as Worker from "@effect/platform/Worker"
import * as WorkerRunner from "@effect/platform/WorkerRunner"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Place } from "../hub/Client.js"
import { clientOf, placeOf } from "../hub/report.js"
import { snapshotToCarry, watchWork } from "../integrations/threading/workers.js"
import { branchOf, stateOfFiber } from "../scope/carrier.js"
import { setFiberRef } from "../scope/fiber.js"
import { scopeRef } from "../scope/ScopeState.js"
import { enterSnapshot, isSnapshot, type ScopeSnapshot } from "../scope/snapshot.js"

/**
 * The platform's layer of where workers are started, with the scope going along with each request: tags, user, contexts, extra,
 * level, fingerprint, breadcrumbs and trace of the fiber that makes it (not attachments and event processors). Also provides the
 * `WorkerManager` that pools need.
 *
 * A thread that crashes while it works on a single request is reported with the scope of that request.
 *
 * Nothing goes along where `Threading` is off or has `propagateScope: false`, here or in the worker. A worker that does not know of
 * this is not disturbed.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { Worker } from "@effect/platform"
 * import * as NodeWorker from "@effect/platform-node/NodeWorker"
 * import * as FaultlineWorker from "effect-faultline/worker"
 * import { Effect } from "effect"
 * import { Worker as WorkerThread } from "node:worker_threads"
 *
 * const Workers = FaultlineWorker.layer(
 *   NodeWorker.layerPlatform(() => new WorkerThread(new URL("./thumbnails.worker.js", import.meta.url)))
 * )
 *
 * const program = Effect.gen(function* () {
 *   const pool = yield* Worker.makePool<string, string>({ size: 2 })
 *   return yield* pool.executeEffect("beach.jpg")
 * }).pipe(Effect.scoped, Effect.provide(Workers))
 */
export const layer = <A, E, R>(
  platform: Layer.Layer<A | Worker.PlatformWorker, E, R>
): Layer.Layer<A | Worker.PlatformWorker | Worker.WorkerManager, E, R> =>
  Layer.provideMerge(
    Worker.layerManager,
    Layer.map(platform, (context) =>
      Context.add(context, Worker.PlatformWorker, sending(Context.get(context, Worker.PlatformWorker)))
    )
  )

/**
 * The platform's layer of inside a worker, with each request answered in the scope that came along with it. What the worker has
 * set itself (a tag of its own, breadcrumbs of its start) stays below; nothing of one request is seen by another, or comes back.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { WorkerRunner } from "@effect/platform"
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import * as NodeWorkerRunner from "@effect/platform-node/NodeWorkerRunner"
 * import { DefaultIntegrations, Hub } from "effect-faultline"
 * import * as FaultlineWorker from "effect-faultline/worker"
 * import { Effect, Layer } from "effect"
 *
 * const Runner = WorkerRunner.layer((picture: string) => Effect.succeed(`${picture}: done`)).pipe(
 *   Layer.provide(FaultlineWorker.layerRunner(NodeWorkerRunner.layer)),
 *   Layer.provide(DefaultIntegrations),
 *   Layer.provide(Hub.layerConfig())
 * )
 *
 * NodeRuntime.runMain(WorkerRunner.launch(Runner))
 */
export const layerRunner = <A, E, R>(
  platform: Layer.Layer<A | WorkerRunner.PlatformRunner, E, R>
): Layer.Layer<A | WorkerRunner.PlatformRunner, E, R> =>
  Layer.map(platform, (context) =>
    Context.add(context, WorkerRunner.PlatformRunner, receiving(Context.get(context, WorkerRunner.PlatformRunner)))
  )

const sending = (inner: Worker.PlatformWorker): Worker.PlatformWorker => ({
  ...inner,
  spawn: <I, O>(id: number) =>
    Effect.flatMap(Worker.Spawner, (spawner) => {
      const requests = new OpenRequests()
      const watched: typeof spawner = (id) => {
        // It may be the successor of one that has crashed.
        requests.clear()
        const worker = spawner(id)
        if (typeof worker === "object" && worker !== null) watchWork(worker, () => requests.only)
        return worker
      }
      return Effect.map(
        Effect.provideService(inner.spawn<I, O>(id), Worker.Spawner, watched),
        (worker): Worker.BackingWorker<I, O> => ({
          send: (message, transfers) =>
            // The platform makes a request on the fiber that asks for it.
            Effect.withFiberRuntime((fiber) => {
              requests.sent(message, placeOf(fiber))
              return worker.send(withScope(message), transfers)
            }),
          run: (handler) =>
            worker.run((message) => {
              if (message[0] === 1) requests.answered(message[1])
              return handler(message)
            })
        })
      )
    })
})

/** What a worker was asked for and has not answered yet: from where it was asked. */
class OpenRequests {
  readonly #places = new Map<unknown, Place>()

  /** Where there is a single one, it is what the worker is busy with. */
  get only(): Place | undefined {
    const [only, another] = this.#places.values()
    return another === undefined ? only : undefined
  }

  sent(message: unknown, place: Place): void {
    if (isRequest(message)) this.#places.set(idOf(message), place)
    else if (Array.isArray(message) || tagOf(message) === "Interrupt") this.#places.delete(idOf(message))
  }

  answered(message: unknown): void {
    // One that answers with a stream is taken for done with its first chunk, which looks like an answer.
    if (Array.isArray(message) || tagOf(message) === "Exit") this.#places.delete(idOf(message))
    else if (tagOf(message) === "Defect") this.clear()
  }

  clear(): void {
    this.#places.clear()
  }
}

const receiving = (inner: WorkerRunner.PlatformRunner): WorkerRunner.PlatformRunner => ({
  ...inner,
  start: <I, O>(closeLatch: typeof WorkerRunner.CloseLatch.Service) =>
    Effect.map(
      inner.start<I, O>(closeLatch),
      (runner): WorkerRunner.BackingRunner<I, O> => ({
        ...runner,
        run: (handler) =>
          runner.run((portId, received) => {
            const { message, snapshot } = withoutScope(received)
            const answer = handler(portId, message)
            // The platform runs each answer on a root fiber of its own.
            return snapshot === undefined || !Effect.isEffect(answer)
              ? answer
              : Effect.zipRight(enter(snapshot), answer)
          })
      })
    )
})

const enter = (snapshot: ScopeSnapshot): Effect.Effect<void> =>
  Effect.withFiberRuntime<void>((fiber) => {
    const state = stateOfFiber(fiber)
    const client = clientOf(state)
    if (client?.propagateScope !== true) return Effect.void
    const entered = client.attempt("the scope of a request to a worker", () =>
      enterSnapshot(state, branchOf(fiber, state), client.opened, snapshot)
    )
    if (entered !== undefined) setFiberRef(fiber, scopeRef, entered)
    return Effect.void
  })

const KEY = "effect-faultline/scope"

/** Requests of `Worker` are tuples, of which the runner reads the first four; those of RPC are objects, read by their keys. */
const isRequest = (message: unknown): boolean =>
  Array.isArray(message) ? message.length === 4 && message[1] === 0 : tagOf(message) === "Request"

const tagOf = (message: unknown): unknown => (message as { readonly _tag?: unknown } | null)?._tag

const idOf = (message: unknown): unknown => {
  if (Array.isArray(message)) return message[0]
  const { id, requestId } = message as { readonly id?: unknown; readonly requestId?: unknown }
  return requestId ?? id
}

const withScope = <I>(message: I): I => {
  const snapshot = isRequest(message) ? snapshotToCarry() : undefined
  if (snapshot === undefined) return message
  return (Array.isArray(message) ? [...message, { [KEY]: snapshot }] : { ...message, [KEY]: snapshot }) as I
}

const withoutScope = <I>(received: I): { readonly message: I; readonly snapshot?: ScopeSnapshot } => {
  const isTuple = Array.isArray(received)
  const carrying = (isTuple ? (received as ReadonlyArray<unknown>)[4] : received) as { readonly [KEY]?: unknown } | null
  if (typeof carrying !== "object" || carrying === null || !isSnapshot(carrying[KEY])) return { message: received }
  const snapshot = carrying[KEY]
  if (isTuple) return { message: received.slice(0, 4) as I, snapshot }
  const { [KEY]: _, ...message } = received as Record<string, unknown>
  return { message: message as I, snapshot }
}
