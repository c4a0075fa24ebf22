/**
 * Layers are swapped where a test needs it: the payment service for one that fails, the hub for one that keeps what it
 * would send, one integration for none. No network, no mocks of modules.
 *
 *     npx vitest run examples/swapping.test.ts
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Data, Effect, Layer } from "effect"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, defaultIntegrations } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly amount: number }> {}

class Payments extends Context.Tag("Payments")<
  Payments,
  { readonly charge: (amount: number) => Effect.Effect<void, CardDeclined> }
>() {}

const PaymentsWork = Layer.succeed(Payments, { charge: () => Effect.void })
const PaymentsFail = Layer.succeed(Payments, { charge: (amount) => new CardDeclined({ amount }) })

/** What is tested. */
const checkout = (user: string, amount: number) =>
  Effect.gen(function* () {
    yield* Faultline.setUser({ id: user })
    yield* Effect.log("checking out")
    const payments = yield* Payments
    yield* payments.charge(amount)
    return "paid"
  }).pipe(
    Effect.tapError((error) => Faultline.captureException(error)),
    Effect.tapError((error) => Effect.logError("no checkout", error)),
    Effect.orElseSucceed(() => "declined"),
    Faultline.withIsolationScope()
  )

const Monitored = DefaultIntegrations.pipe(Layer.provideMerge(TestHub.layer))

layer(Layer.merge(PaymentsFail, Monitored))("checkout when the bank declines", (it) => {
  it.effect("reports it once, with the user and what was logged before", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* checkout("ada", 120), "declined")

      const events = yield* TestHub.events
      assert.strictEqual(events.length, 1)
      const event = yield* TestHub.expectEvent("CardDeclined")
      assert.deepStrictEqual(event.user, { id: "ada" })
      assert.deepStrictEqual(event.contexts?.["CardDeclined"], { amount: 120 })
      assert.deepStrictEqual(
        event.breadcrumbs?.values?.map(({ message }) => message),
        ["checking out"]
      )
    })
  )
})

layer(Layer.merge(PaymentsWork, Monitored))("checkout when the bank pays", (it) => {
  it.effect("reports nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* checkout("ada", 20), "paid")
      assert.deepStrictEqual(yield* TestHub.events, [])
    })
  )
})

describe("checkout without dedupe", () => {
  it.effect("reports the capture and the log line", () =>
    Effect.gen(function* () {
      yield* checkout("ada", 120)
      assert.strictEqual((yield* TestHub.events).length, 2)
    }).pipe(
      Effect.provide(PaymentsFail),
      Effect.provide(defaultIntegrations({ dedupe: false }).pipe(Layer.provideMerge(TestHub.layer)))
    )
  )
})
