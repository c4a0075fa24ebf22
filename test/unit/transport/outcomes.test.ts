import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import type { Category, DiscardReason } from "../../../src/protocol/Category.js"
import { type DiscardedEvents, Outcomes } from "../../../src/transport/Outcomes.js"

const reasons: ReadonlyArray<DiscardReason> = ["queue_overflow", "network_error", "before_send", "ratelimit_backoff"]
const categories: ReadonlyArray<Category> = ["error", "attachment", "session", "internal"]

const sum = (discarded: ReadonlyArray<DiscardedEvents>): ReadonlyMap<string, number> => {
  const sums = new Map<string, number>()
  for (const { category, quantity, reason } of discarded) {
    const key = `${reason}:${category}`
    sums.set(key, (sums.get(key) ?? 0) + quantity)
  }
  return sums
}

describe("Outcomes", () => {
  it("counts by reason and category", () => {
    const outcomes = new Outcomes(true)
    outcomes.record("before_send", "error")
    outcomes.record("before_send", "error")
    outcomes.record("queue_overflow", "error")
    outcomes.record("queue_overflow", "attachment", 300)
    assert.isFalse(outcomes.isEmpty)
    assert.deepStrictEqual(outcomes.take(), [
      { reason: "before_send", category: "error", quantity: 2 },
      { reason: "queue_overflow", category: "error", quantity: 1 },
      { reason: "queue_overflow", category: "attachment", quantity: 300 }
    ])
  })

  it("taking resets, putting back adds", () => {
    const outcomes = new Outcomes(true)
    outcomes.record("send_error", "error", 2)
    const taken = outcomes.take()
    assert.isTrue(outcomes.isEmpty)
    assert.deepStrictEqual(outcomes.take(), [])
    outcomes.record("send_error", "error", 3)
    outcomes.putBack(taken)
    assert.deepStrictEqual(outcomes.take(), [{ reason: "send_error", category: "error", quantity: 5 }])
    assert.deepStrictEqual(taken, [{ reason: "send_error", category: "error", quantity: 2 }])
  })

  it("the loss of a report is not reported, but counted", () => {
    const outcomes = new Outcomes(true)
    outcomes.record("network_error", "internal")
    assert.isTrue(outcomes.isEmpty)
    assert.deepStrictEqual(outcomes.take(), [])
    assert.deepStrictEqual(outcomes.totals(), [{ reason: "network_error", category: "internal", quantity: 1 }])
  })

  it("switched off it has nothing to report, but counts", () => {
    const outcomes = new Outcomes(false)
    outcomes.record("before_send", "error")
    assert.isTrue(outcomes.isEmpty)
    assert.deepStrictEqual(outcomes.take(), [])
    assert.deepStrictEqual(outcomes.totals(), [{ reason: "before_send", category: "error", quantity: 1 }])
  })

  it("nothing is not counted", () => {
    const outcomes = new Outcomes(true)
    outcomes.record("before_send", "error", 0)
    assert.isTrue(outcomes.isEmpty)
    assert.deepStrictEqual(outcomes.totals(), [])
  })

  const step = fc.oneof(
    fc.record({
      record: fc.tuple(fc.constantFrom(...reasons), fc.constantFrom(...categories), fc.integer({ min: 1, max: 9 }))
    }),
    fc.constantFrom("takeAndTell" as const, "takeAndPutBack" as const)
  )

  it.prop(
    "whatever is told or put back when, each loss is told once and none is forgotten",
    [fc.array(step)],
    ([steps]) => {
      const outcomes = new Outcomes(true)
      const told: Array<DiscardedEvents> = []
      const recorded: Array<DiscardedEvents> = []
      const pending: Array<ReadonlyArray<DiscardedEvents>> = []
      for (const action of steps) {
        if (action === "takeAndTell") told.push(...outcomes.take())
        else if (action === "takeAndPutBack") {
          const earlier = pending.shift()
          pending.push(outcomes.take())
          if (earlier !== undefined) outcomes.putBack(earlier)
        } else {
          const [reason, category, quantity] = action.record
          outcomes.record(reason, category, quantity)
          recorded.push({ reason, category, quantity })
        }
      }
      pending.forEach((taken) => outcomes.putBack(taken))
      told.push(...outcomes.take())
      assert.deepStrictEqual(sum(told), sum(recorded.filter(({ category }) => category !== "internal")), "told")
      assert.deepStrictEqual(sum(outcomes.totals()), sum(recorded), "totals")
      assert.isTrue(told.every(({ quantity }) => Number.isInteger(quantity) && quantity >= 1))
    }
  )
})
