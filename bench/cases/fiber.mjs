import { Effect, FiberRef, Layer, ManagedRuntime } from "effect"
import { nsPerCall, valueOf } from "../lib/measure.mjs"
import { loadFaultline } from "../lib/sdks.mjs"

export const title = "One operation inside a fiber, against Effect's own"

export const samples = {
  bare: () => {
    const ref = FiberRef.unsafeMake(0)
    return measure(Layer.empty, {
      locally: (number) => Effect.locally(Effect.void, ref, number),
      update: (number) => FiberRef.update(ref, (before) => before + number)
    })
  },
  faultline: async () => {
    const { Faultline, layer } = await loadFaultline()
    return measure(layer, {
      withIsolationScope: () => Faultline.withIsolationScope(Effect.void),
      withScope: (number) => Faultline.withScope(Effect.void, { tags: { step: valueOf(number) } }),
      setTag: (number) => Faultline.setTag("step", valueOf(number)),
      addBreadcrumb: (number) =>
        Faultline.addBreadcrumb({
          category: "cart",
          message: `item ${number}`,
          data: { sku: "A-1", quantity: number }
        })
    })
  }
}

export const rows = [
  { what: "withScope", peer: "locally", target: 1.2 },
  { what: "withIsolationScope", peer: "locally", target: 1.2 },
  { what: "addBreadcrumb", peer: "update", target: 2 },
  { what: "setTag", peer: "update", target: 2 }
].map(({ what, peer, target }) => ({
  what: `${what} / ${peer}`,
  unit: "ns",
  ours: `faultline.${what}`,
  peer: `bare.${peer}`,
  target
}))

const measure = async (layer, operations) => {
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  const costs = {}
  for (const [name, operation] of Object.entries(operations)) {
    costs[name] = await nsPerCall((first, count) => runtime.runPromise(repeat(operation, first, count)))
  }
  return costs
}

const repeat = (operation, first, count) =>
  Effect.gen(function* () {
    for (let number = first; number < first + count; number++) yield* operation(number)
  })
