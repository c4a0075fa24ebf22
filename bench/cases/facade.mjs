import { nsPerCall, valueOf } from "../lib/measure.mjs"
import { openFaultline, openSentry } from "../lib/sdks.mjs"

export const title = "One call of the facade"

export const samples = {
  faultline: async () => measure(await openFaultline()),
  sentry: async () => measure(await openSentry())
}

const operations = {
  withIsolationScope: (sdk) => (number) => sdk.withIsolationScope(() => number),
  withScope: (sdk) => (number) => sdk.withScope((scope) => scope.setTag("step", valueOf(number))),
  setTag: (sdk) => (number) => sdk.setTag("step", valueOf(number)),
  addBreadcrumb: (sdk) => (number) =>
    sdk.addBreadcrumb({ category: "cart", message: `item ${number}`, data: { sku: "A-1", quantity: number } })
}

/** Once more, now that there are 100 breadcrumbs to take along. */
const AGAIN = "withIsolationScope, 100 breadcrumbs"

export const rows = [...Object.keys(operations), AGAIN].map((name) => ({
  what: name,
  unit: "ns",
  ours: `faultline.${name}`,
  peer: `sentry.${name}`,
  target: 1 / 2
}))

const measure = async (sdk) => {
  const costs = {}
  for (const [name, operation] of Object.entries(operations)) costs[name] = await cost(operation(sdk))
  costs[AGAIN] = await cost(operations.withIsolationScope(sdk))
  return costs
}

const cost = (call) => {
  const loop = (first, count) => {
    for (let number = first; number < first + count; number++) call(number)
  }
  return nsPerCall(loop, { size: 50_000 })
}
