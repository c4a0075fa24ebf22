import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Faultline from "effect-faultline"
import { TestHub } from "effect-faultline/testing"

class UserNotFound extends Data.TaggedError("UserNotFound")<{ readonly id: number }> {}

describe("TestHub", () => {
  it.effect("keeps what is captured as data, under the test's clock", () =>
    Effect.gen(function* () {
      yield* Faultline.setTag("plan", "pro")
      yield* Faultline.addBreadcrumb({ category: "cart", message: "item added" })
      const id = yield* Faultline.captureException(new UserNotFound({ id: 7 }))
      const event = yield* TestHub.expectEvent("UserNotFound")
      assert.deepStrictEqual(id, Option.some(event.event_id))
      assert.strictEqual(event.timestamp, 0)
      assert.deepStrictEqual(event.tags, { plan: "pro" })
      assert.deepStrictEqual(event.breadcrumbs, {
        values: [{ timestamp: 0, category: "cart", message: "item added" }]
      })
      assert.deepStrictEqual(event.contexts?.["UserNotFound"], { id: 7 })
    }).pipe(Effect.provide(TestHub.layer))
  )

  it.effect("expectEvent says what was captured instead", () =>
    Effect.gen(function* () {
      yield* Faultline.captureMessage("hello")
      const error = yield* Effect.flip(TestHub.expectEvent("Nope"))
      assert.strictEqual(error.message, "No event is Nope. Captured: hello")
    }).pipe(Effect.provide(TestHub.layer))
  )

  it.effect("without a hub every operation does nothing", () =>
    Effect.gen(function* () {
      yield* Faultline.setTag("a", "b")
      yield* Faultline.addBreadcrumb({ message: "x" })
      assert.deepStrictEqual(yield* Faultline.captureException(new Error("x")), Option.none())
      assert.strictEqual(yield* Effect.succeed(1).pipe(Faultline.withScope({ tags: { a: 1 } })), 1)
      assert.strictEqual(yield* Faultline.flush("1 second"), true)
    })
  )
})
