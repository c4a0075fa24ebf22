import { Context, Effect, Fiber, Layer, Logger, ManagedRuntime } from "effect"
import { nsPerCall } from "../lib/measure.mjs"
import { loadFaultline } from "../lib/sdks.mjs"

export const title = "One fork and join, all integrations on, against a bare one"

class Service extends Context.Tag("Service")() {}

/** What hardly any program is without. */
const program = Layer.merge(Layer.succeed(Service, { name: "service" }), Logger.add(Logger.make(() => {})))

export const samples = {
  empty: () => measure(Layer.empty),
  program: () => measure(program),
  faultline: async () => measure((await loadFaultline()).layer),
  both: async () => measure(Layer.provideMerge(program, (await loadFaultline()).layer))
}

export const rows = [
  { what: "SDK / an empty runtime", unit: "ns", ours: "faultline.cost", peer: "empty.cost", target: 1.25 },
  { what: "SDK / a program with a service and a logger", unit: "ns", ours: "faultline.cost", peer: "program.cost" },
  { what: "that program with the SDK / without", unit: "ns", ours: "both.cost", peer: "program.cost" }
]

const measure = async (layer) => {
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  return { cost: await nsPerCall((_, count) => runtime.runPromise(forks(count)), { size: 10_000, warmup: 30_000 }) }
}

const forks = (count) =>
  Effect.gen(function* () {
    for (let number = 0; number < count; number++) yield* Fiber.join(yield* Effect.fork(Effect.void))
  })
