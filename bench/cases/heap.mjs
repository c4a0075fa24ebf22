import { setImmediate as nextTurn } from "node:timers/promises"
import { loadFaultline, openFaultline, openSentry } from "../lib/sdks.mjs"

const MIB = 1024 * 1024
const FEW = 20_000
const MANY = 200_000

export const title = `Heap after ${MANY} scopes and breadcrumbs (ours), against after ${FEW} of them (peer)`

export const nodeFlags = ["--expose-gc"]

export const samples = {
  facade: async () => throughFacade(await openFaultline()),
  fiber: () => throughFiber((step) => step),
  forks: () => throughFiber((step, { Effect, Fiber }) => Effect.flatMap(Effect.fork(step), Fiber.join)),
  sentry: async () => throughFacade(await openSentry())
}

export const rows = [
  { what: "the facade", sample: "facade", target: 1.05 },
  { what: "one fiber", sample: "fiber", target: 1.05 },
  { what: "one fiber, each step in a fork that it joins", sample: "forks", target: 1.05 },
  { what: "for comparison: @sentry/node", sample: "sentry" }
].map(({ sample, ...row }) => ({ ...row, unit: "MiB", ours: `${sample}.many`, peer: `${sample}.few` }))

const breadcrumb = (number) => ({ category: "cart", message: `item ${number}`, data: { quantity: number } })

const throughFacade = async (sdk) => {
  const run = (first, end) => {
    for (let number = first; number < end; number++) {
      sdk.withScope((scope) => scope.setTag("step", `s${number}`))
      sdk.withIsolationScope(() => sdk.setTag("job", `j${number}`))
      sdk.addBreadcrumb(breadcrumb(number))
    }
  }
  run(0, FEW)
  const few = await heapUsed()
  run(FEW, MANY)
  return { few, many: await heapUsed() }
}

/**
 * All in one fiber, which is where history would pile up.
 *
 * @param around what is done with each step
 */
const throughFiber = async (around) => {
  const effect = await import("effect")
  const { Faultline, layer } = await loadFaultline()
  const { Effect, ManagedRuntime } = effect
  const step = (number) =>
    Faultline.addBreadcrumb(breadcrumb(number)).pipe(
      Faultline.withScope({ tags: { step: `s${number}` } }),
      Effect.zipRight(Faultline.withIsolationScope(Faultline.setTag("job", `j${number}`)))
    )
  const run = function* (first, end) {
    for (let number = first; number < end; number++) yield* around(step(number), effect)
  }
  const program = Effect.gen(function* () {
    yield* run(0, FEW)
    const few = yield* Effect.promise(heapUsed)
    yield* run(FEW, MANY)
    return { few, many: yield* Effect.promise(heapUsed) }
  })
  return ManagedRuntime.make(layer).runPromise(program)
}

const heapUsed = async () => {
  // What a WeakRef was made of lives until the turn of the event loop is over.
  await nextTurn()
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed / MIB
}
