import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { Fifo } from "../../../src/transport/Fifo.js"

describe("Fifo", () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 2000 }) }),
    fc.record({ shift: fc.integer({ min: 1, max: 2000 }) }),
    fc.record({ pop: fc.integer({ min: 1, max: 500 }) }),
    fc.constant("takeAll" as const)
  )

  it.prop(
    "is a list that is taken from the front, the back, or whole",
    [fc.array(step, { maxLength: 20, size: "max" })],
    ([steps]) => {
      const fifo = new Fifo<number>()
      let model: Array<number> = []
      let count = 0
      for (const action of steps) {
        if (action === "takeAll") {
          assert.deepStrictEqual(fifo.takeAll(), model)
          model = []
        } else if ("push" in action) {
          for (let i = 0; i < action.push; i++) {
            fifo.push(count)
            model.push(count++)
          }
        } else if ("shift" in action) {
          for (let i = 0; i < action.shift; i++) assert.strictEqual(fifo.shift(), model.shift())
        } else for (let i = 0; i < action.pop; i++) assert.strictEqual(fifo.pop(), model.pop())
        assert.strictEqual(fifo.length, model.length)
      }
      assert.deepStrictEqual(fifo.takeAll(), model)
    },
    { fastCheck: { numRuns: 40 } }
  )
})
