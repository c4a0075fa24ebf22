import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import { nsPerCall } from "../lib/measure.mjs"
import { loadFaultline } from "../lib/sdks.mjs"

export const title = "One log line that becomes a breadcrumb, beyond Effect's own (to a logger that does nothing)"

const quiet = Logger.replace(
  Logger.defaultLogger,
  Logger.make(() => {})
)

export const samples = {
  bare: () => measure(quiet),
  faultline: async () => measure(Layer.merge(quiet, (await loadFaultline()).layer))
}

export const rows = [
  { what: "Effect.log", unit: "µs", ours: "faultline.plain", without: "bare.plain", atMost: 10 },
  {
    what: "with annotations and a span",
    unit: "µs",
    ours: "faultline.annotated",
    without: "bare.annotated",
    atMost: 10
  }
]

const annotated = (number) =>
  Effect.log("item added").pipe(Effect.annotateLogs({ cart: number, sku: "A-1" }), Effect.withLogSpan("checkout"))

const measure = async (layer) => {
  const runtime = ManagedRuntime.make(layer)
  await runtime.runPromise(Effect.void)
  const micros = async (line) => {
    const run = (first, count) => runtime.runPromise(repeat(line, first, count))
    return (await nsPerCall(run, { size: 10_000, warmup: 30_000 })) / 1000
  }
  return { plain: await micros((number) => Effect.log(`item ${number}`)), annotated: await micros(annotated) }
}

const repeat = (line, first, count) =>
  Effect.gen(function* () {
    for (let number = first; number < first + count; number++) yield* line(number)
  })
