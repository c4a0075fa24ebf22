import { afterEach, assert, describe, it } from "@effect/vitest"
import { deepenStacks, STACK_DEPTH } from "../../../src/hub/stackDepth.js"

const original = Error.stackTraceLimit
afterEach(() => {
  Error.stackTraceLimit = original
})

describe("Error.stackTraceLimit", () => {
  it("is raised while anyone needs it, and then given back", () => {
    Error.stackTraceLimit = 10
    const first = deepenStacks()
    const second = deepenStacks()
    assert.strictEqual(Error.stackTraceLimit, STACK_DEPTH)
    first()
    first()
    assert.strictEqual(Error.stackTraceLimit, STACK_DEPTH)
    second()
    assert.strictEqual(Error.stackTraceLimit, 10)
  })

  it("is left as somebody else has set it meanwhile", () => {
    Error.stackTraceLimit = 10
    const giveBack = deepenStacks()
    Error.stackTraceLimit = 20
    giveBack()
    assert.strictEqual(Error.stackTraceLimit, 20)
  })

  it("is not touched where it is high enough, turned off, or gone", () => {
    for (const limit of [STACK_DEPTH, 200, Number.POSITIVE_INFINITY, 0]) {
      Error.stackTraceLimit = limit
      const giveBack = deepenStacks()
      assert.strictEqual(Error.stackTraceLimit, limit)
      giveBack()
      assert.strictEqual(Error.stackTraceLimit, limit)
    }
    Reflect.deleteProperty(Error, "stackTraceLimit")
    deepenStacks()()
    assert.notProperty(Error, "stackTraceLimit")
  })

  it("stays what it is where it cannot be set", () => {
    Error.stackTraceLimit = 10
    Object.defineProperty(Error, "stackTraceLimit", { value: 10, writable: false, configurable: true })
    try {
      deepenStacks()()
      assert.strictEqual(Error.stackTraceLimit, 10)
    } finally {
      Object.defineProperty(Error, "stackTraceLimit", { value: 10, writable: true, configurable: true })
    }
  })
})
