/**
 * Layers are swapped where a test needs it: the payment service for one that fails, the hub for one that keeps what it would send,
 * one integration, or all, for none or another, the transport for one in memory. No network, no mocks of modules.
 *
 *     npx vitest run examples/swapping.test.ts
 */
import { assert, layer } from "@effect/vitest"
import { Context, Data, Effect, Layer } from "effect"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, defaultIntegrations, Hub, Integration, Transport } from "effect-faultline"
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

/** As the program itself provides it. */
const HubLive = Hub.layer({ dsn: "https://key@sentry.example/1" })

const withExtra = (event: Faultline.Event): Faultline.Event => ({
  ...event,
  extra: { "sys.argv": ["the same everywhere"] }
})

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

// One integration: left out, or another in its place. Three lines for each.

layer(defaultIntegrations({ dedupe: false }).pipe(Layer.provideMerge(Layer.merge(PaymentsFail, TestHub.layer))))(
  "without dedupe",
  (it) => {
    it.effect("the capture and the log line are two events", () =>
      Effect.gen(function* () {
        yield* checkout("ada", 120)
        assert.strictEqual((yield* TestHub.events).length, 2)
      })
    )
  }
)

const NoCommandLine = Integration.make("argv", () => Effect.succeed({ processEvent: withExtra }))

layer(defaultIntegrations({ argv: NoCommandLine }).pipe(Layer.provideMerge(Layer.merge(PaymentsFail, TestHub.layer))))(
  "with an argv of one's own",
  (it) => {
    it.effect("events have what that one says", () =>
      Effect.gen(function* () {
        yield* checkout("ada", 120)
        assert.deepStrictEqual((yield* TestHub.expectEvent("CardDeclined")).extra, {
          "sys.argv": ["the same everywhere"]
        })
      })
    )
  }
)

// All of them: a hub that is told to have none, whatever the program provides.

layer(
  DefaultIntegrations.pipe(
    Layer.provideMerge(TestHub.layerWith({ defaultIntegrations: false })),
    Layer.merge(PaymentsFail)
  )
)("without the default integrations", (it) => {
  it.effect("the capture is all there is", () =>
    Effect.gen(function* () {
      yield* checkout("ada", 120)
      assert.deepStrictEqual((yield* TestHub.expectEvent("CardDeclined")).sdk?.integrations, [])
      assert.strictEqual((yield* TestHub.events).length, 1)
    })
  )
})

// The transport: the program's own hub, with another way out.

const sent: Array<string> = []
const InMemory = Transport.layer((envelope) =>
  Effect.sync(() => ({ status: sent.push(String(Buffer.from(envelope))) && 200 }))
)

layer(DefaultIntegrations.pipe(Layer.provideMerge(Layer.provide(HubLive, InMemory)), Layer.merge(PaymentsFail)))(
  "with another transport",
  (it) => {
    it.effect("the envelopes go there", () =>
      Effect.gen(function* () {
        yield* checkout("ada", 120)
        assert.isTrue(yield* Faultline.flush("5 seconds"))
        assert.match(sent.join(), /"type":"CardDeclined"/)
      })
    )
  }
)
