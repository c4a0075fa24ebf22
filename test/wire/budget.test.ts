import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Faultline from "effect-faultline"
import { type Event, Hub, type Options } from "effect-faultline"
import { TestHub } from "effect-faultline/testing"
import { Budget } from "../../src/hub/budget.js"
import { resolveOptions } from "../../src/hub/Options.js"

/** What is sent under a budget, and what was not sent. */
const run = <E>(effect: Effect.Effect<unknown, E>, options: Options = { budget: { burst: 3, perMinute: 6 } }) =>
  Effect.gen(function* () {
    yield* effect
    const { discarded } = yield* Effect.flatMap(Hub, ({ stats }) => stats)
    return { events: yield* TestHub.events, discarded }
  }).pipe(Effect.provide(TestHub.layerWith(options)))

/** All from one line. */
const fail = (message: string, type = "Error"): Effect.Effect<unknown> => {
  const error = new Error(message)
  error.name = type
  return Faultline.captureException(error)
}

const repeat = <A>(times: number, make: (n: number) => Effect.Effect<A>): Effect.Effect<ReadonlyArray<A>> =>
  Effect.forEach(
    Array.from({ length: times }, (_, n) => n),
    make
  )

const suppressedIn = (events: ReadonlyArray<Event>): ReadonlyArray<unknown> =>
  events.map(({ contexts }) => contexts?.["budget"]?.["suppressed"])

describe("the budget", () => {
  it.effect("lets a burst of one and the same thing through, and no more", () =>
    Effect.gen(function* () {
      const { discarded, events } = yield* run(repeat(50, () => fail("boom")))
      assert.lengthOf(events, 3)
      assert.deepStrictEqual(suppressedIn(events), [undefined, undefined, undefined])
      assert.deepStrictEqual(discarded, [{ reason: "backpressure", category: "error", quantity: 47 }])
    })
  )

  it.effect("comes back with time, and the next event tells how many were held back", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.gen(function* () {
          yield* repeat(10, () => fail("boom"))
          yield* TestClock.adjust("10 seconds")
          yield* repeat(4, () => fail("boom"))
          yield* TestClock.adjust("1 hour")
          yield* repeat(10, () => fail("boom"))
        })
      )
      assert.deepStrictEqual(suppressedIn(events), [undefined, undefined, undefined, 7, 3, undefined, undefined])
      assert.deepStrictEqual(events[3]?.contexts?.["budget"], {
        suppressed: 7,
        same: 7,
        since: "1970-01-01T00:00:00.000Z"
      })
      assert.deepStrictEqual(events[4]?.contexts?.["budget"], {
        suppressed: 3,
        same: 3,
        since: "1970-01-01T00:00:10.000Z"
      })
    })
  )

  it.effect("tells on the very next event, of whatever kind, how many of all kinds were held back", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.gen(function* () {
          yield* repeat(10, () => fail("boom"))
          yield* repeat(5, () => fail("bang"))
          yield* fail("another")
          yield* fail("yet another")
          yield* TestClock.adjust("10 seconds")
          yield* fail("boom")
          yield* repeat(4, () => fail("boom"))
          yield* fail("bang")
        })
      )
      const since = "1970-01-01T00:00:00.000Z"
      assert.deepStrictEqual(
        events.map(({ contexts }) => contexts?.["budget"]),
        [
          undefined,
          undefined,
          undefined,
          { suppressed: 7, since },
          undefined,
          undefined,
          { suppressed: 2, since },
          undefined,
          { same: 7 },
          { suppressed: 4, same: 2, since: "1970-01-01T00:00:10.000Z" }
        ]
      )
    })
  )

  it.effect("is one for all values that vary in a message", () =>
    Effect.gen(function* () {
      const ids = ["7", "1234567", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", '"x y"', "deadbeef01"]
      assert.lengthOf((yield* run(Effect.forEach(ids, (id) => fail(`no order ${id}`)))).events, 3)
      assert.lengthOf((yield* run(repeat(9, (n) => Faultline.captureMessage(`message ${n}`)))).events, 3)
    })
  )

  it.effect("is another for another type, another message, another place", () =>
    Effect.gen(function* () {
      const elsewhere = (message: string): Effect.Effect<unknown> => Faultline.captureException(new Error(message))
      const { events } = yield* run(
        Effect.gen(function* () {
          yield* repeat(9, () => fail("one"))
          yield* repeat(9, () => fail("two"))
          yield* repeat(9, () => fail("one", "TypeError"))
          yield* repeat(9, () => elsewhere("one"))
        })
      )
      assert.lengthOf(events, 12)
    })
  )

  it.effect("goes by an explicit fingerprint, where there is one", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.gen(function* () {
          yield* repeat(9, (n) => fail(`message ${"x".repeat(n)}`)).pipe(
            Faultline.withScope({ fingerprint: ["all of them"] })
          )
          yield* repeat(9, (n) => Faultline.captureException(new Error("boom"), { fingerprint: [`${n}`] }))
          yield* repeat(9, () => fail("boom")).pipe(Faultline.withScope({ fingerprint: ["{{ default }}", "a"] }))
          yield* repeat(9, () => fail("boom")).pipe(Faultline.withScope({ fingerprint: ["{{ default }}", "b"] }))
        })
      )
      assert.lengthOf(events, 3 + 9 + 3 + 3)
    })
  )

  it.effect("does not count what is dropped otherwise, nor forgets for it what was held back", () =>
    Effect.gen(function* () {
      let drop = true
      const { events } = yield* run(
        Effect.gen(function* () {
          yield* repeat(20, () => fail("boom"))
          drop = false
          yield* repeat(5, () => fail("boom"))
          drop = true
          yield* TestClock.adjust("10 seconds")
          yield* fail("boom")
          drop = false
          yield* fail("boom")
        }),
        { budget: { burst: 3, perMinute: 6 }, beforeSend: (event) => (drop ? null : event) }
      )
      assert.deepStrictEqual(suppressedIn(events), [undefined, undefined, undefined, 2])
    })
  )

  it.effect("gives no id to what is held back, which may be reported again later", () =>
    Effect.gen(function* () {
      const { events } = yield* run(
        Effect.gen(function* () {
          const ids = yield* repeat(5, () => fail("boom"))
          assert.deepStrictEqual(
            ids.map((id) => (id as { _tag: string })._tag),
            ["Some", "Some", "Some", "None", "None"]
          )
        })
      )
      assert.lengthOf(events, 3)
    })
  )

  it.effect("is generous by default, and can be left out", () =>
    Effect.gen(function* () {
      const options = (budget: Options["budget"]): Options => ({ budget, frameContextLines: 0 })
      const times = (count: number) => repeat(count, () => fail("boom"))
      assert.lengthOf((yield* run(times(1003), options(undefined))).events, 1003)
      assert.lengthOf((yield* run(times(9), options({ burst: 2 }))).events, 2)
      assert.isUndefined(resolveOptions({ budget: false }, "host").budget)
    })
  )

  it("has no clock of its own, and none that goes back adds to it", () => {
    const budget = new Budget({ burst: 1, perMinute: 60 })
    assert.isDefined(budget.spend("a", 10_000))
    assert.isUndefined(budget.spend("a", 5_000))
    assert.isUndefined(budget.spend("a", 5_999))
    assert.isDefined(budget.spend("a", 6_000))
  })

  it("remembers no more than a thousand things", () => {
    const budget = new Budget({ burst: 1, perMinute: 0 })
    assert.isDefined(budget.spend("first", 0))
    assert.isUndefined(budget.spend("first", 0))
    for (let n = 0; n < 1000; n++) budget.spend(`${n}`, 0)
    assert.isDefined(budget.spend("first", 0))
    assert.isUndefined(budget.spend("999", 0))
  })
})
