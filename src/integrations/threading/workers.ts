/**
 * Worker threads: the scope they are started in goes with them, and their crash is reported by the thread that started them.
 */
import * as diagnostics from "node:diagnostics_channel"
import { errorMonitor } from "node:events"
import { syncBuiltinESMExports } from "node:module"
import workerThreads, { getEnvironmentData, setEnvironmentData, type Worker } from "node:worker_threads"
import type { Client, Place } from "../../hub/Client.js"
import { patchMethod, refCounted } from "../../hub/patch.js"
import { clientOf, placeOf, reportOf } from "../../hub/report.js"
import { type Carrier, currentCarrier, stateOf } from "../../scope/carrier.js"
import { SCOPE_DATA } from "../../scope/inherited.js"
import type { ScopeState } from "../../scope/ScopeState.js"
import { type ScopeSnapshot, takeSnapshot, traceHeaders } from "../../scope/snapshot.js"

/** Installed once for all hubs: which of them a worker belongs to is decided where it is started. @internal */
export const watchWorkers = refCounted(() => {
  const unpatch = patchMethod(workerThreads, "Worker", (Original, isActive) => propagating(Original, isActive))
  syncBuiltinESMExports()
  diagnostics.subscribe("worker_threads", onWorker)
  return () => {
    diagnostics.unsubscribe("worker_threads", onWorker)
    unpatch()
    syncBuiltinESMExports()
  }
})

const propagating = (Original: typeof Worker, isActive: () => boolean): typeof Worker =>
  new Proxy(Original, {
    construct(target, args, newTarget) {
      const snapshot = isActive() ? snapshotToCarry() : undefined
      if (snapshot === undefined) return Reflect.construct(target, args, newTarget) as object
      const before = getEnvironmentData(SCOPE_DATA)
      // Copied into the new thread while it is constructed: no other can come between.
      setEnvironmentData(SCOPE_DATA, snapshot)
      try {
        return Reflect.construct(target, args, newTarget) as object
      } finally {
        setEnvironmentData(SCOPE_DATA, before)
      }
    }
  })

/**
 * The scope of the code that is running, for another thread; `undefined` where it is not to go along. A scope that is too large for
 * the way loses its oldest breadcrumbs.
 *
 * @internal
 */
export const snapshotToCarry = (): ScopeSnapshot | undefined => {
  const here = monitored()
  if (here === undefined || !here.client.propagateScope) return undefined
  const { carrier, client, state } = here
  return client.attempt("the scope for a worker", () => {
    const { branch, span } = placeOf(carrier, state)
    const trace = traceHeaders(state, span, (traceId) => client.samplingContext(traceId))
    return takeSnapshot(state, branch, trace, MAX_SNAPSHOT_LENGTH)
  })
}

const MAX_SNAPSHOT_LENGTH = 256 * 1024

interface Here {
  readonly carrier: Carrier
  readonly state: ScopeState
  readonly client: Client
}

/** Where the code that is running reports to, if `Threading` is on there. */
const monitored = (): Here | undefined => {
  const carrier = currentCarrier()
  if (carrier === undefined) return undefined
  const state = stateOf(carrier)
  const client = clientOf(state)
  return client?.registry.get("threading") === undefined ? undefined : { carrier, state, client }
}

/**
 * A crash of this worker is reported from where its work was asked for, if that is known when it happens, and not from where it was
 * started.
 *
 * @internal
 */
export const watchWork = (worker: object, place: () => Place | undefined): void => void work.set(worker, place)

const work = new WeakMap<object, () => Place | undefined>()

const onWorker = (message: unknown): void => {
  const { worker } = message as { readonly worker: Worker }
  const here = monitored()
  if (here === undefined) return
  const { carrier, client, state } = here
  const place = placeOf(carrier, state)
  // Once it has crashed it has none any more.
  const { threadId } = worker
  // Only watched, never handled: whether an error of the worker ends this process is the program's business.
  worker.on(errorMonitor, (error: unknown) => {
    // Without a listener it becomes an error of this thread; what is no object could not be recognised there.
    const isOurs = typeof error === "object" && error !== null
    if (!isOurs && worker.listenerCount("error") === 0 && client.registry.get("excepthook") !== undefined) return
    const report = reportOf(error, {
      mechanism: { type: "threading", handled: false, data: { thread_kind: "worker", thread_id: threadId } },
      integration: "threading",
      escaped: true
    })
    const asked = client.attempt("the work of a worker", () => work.get(worker)?.())
    const from = asked !== undefined && clientOf(asked.state) === client ? asked : place
    if (report !== undefined) client.capture(report, { ...from, now: Date.now() })
  })
}
