/**
 * Code that is not Effect: the same hub under the names that users of `@sentry/node` know. At the end it throws where
 * nothing catches; the event of that, and all that were still on their way, leave before the process ends.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/facade.ts
 */
import * as Faultline from "effect-faultline/facade"

Faultline.init({ release: "billing@2.0.1" })
Faultline.setTag("service", "billing")

/** Reports what it throws, and throws it on. */
const charge = Faultline.wrap((customer: string, cents: number) => {
  if (!Number.isSafeInteger(cents)) throw new TypeError(`${cents} is no amount of money`)
  Faultline.addBreadcrumb({ category: "billing", message: `${customer} was charged`, data: { cents } })
})

const bill = (customer: string, cents: number): Promise<void> =>
  Faultline.withIsolationScope(async () => {
    Faultline.setUser({ id: customer })
    await Promise.resolve()
    try {
      charge(customer, cents)
    } catch {
      // It is reported; the other customers are to be charged all the same.
    }
  })

await Promise.all([bill("ada", 1200), bill("grace", 0.5), bill("alan", 90)])

Faultline.withScope((scope) => {
  scope.setTag("step", "archive")
  Faultline.captureMessage("the archive is nearly full", "warning")
})

setImmediate(() => {
  throw new Error("the ledger does not add up")
})
