import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { Cell, IsolationCell } from "../../../src/scope/carrier.js"
import * as ScopeData from "../../../src/scope/ScopeData.js"
import { open } from "../../../src/scope/ScopeState.js"

const owner = { isOpen: true, maxBreadcrumbs: 10, propagateScope: true }

describe("an isolation scope outside fibers", () => {
  const step = fc.oneof(
    fc.record({ key: fc.constantFrom("a", "b", "__proto__"), value: fc.constantFrom("1", "2", undefined) }),
    fc.constantFrom("look" as const, "look at the state" as const, "write" as const)
  )

  it.prop("whoever has looked at it sees none of what is set later", [fc.array(step)], ([steps]) => {
    const cell = new Cell(new IsolationCell(open(owner)))
    const expected: Record<string, string | undefined> = {}
    const seen: Array<{ readonly is: ScopeData.ScopeData; readonly was: object }> = []
    const look = (is: ScopeData.ScopeData): void => void seen.push({ is, was: { ...expected } })
    for (const action of steps) {
      if (action === "look") look(cell.home.isolation)
      else if (action === "look at the state") look(cell.state.isolation)
      else if (action === "write") {
        cell.home.isolation = ScopeData.setTag(cell.home.isolation, "a", "written")
        expected["a"] = "written"
      } else {
        cell.home.setTag(action.key, action.value)
        if (action.key !== "__proto__") expected[action.key] = action.value
      }
    }
    look(cell.home.isolation)
    for (const { is, was } of seen) assert.deepStrictEqual({ ...is.tags }, was)
    assert.deepStrictEqual(open(owner).isolation.tags, {})
  })

  it("its state is the same as long as nothing was changed", () => {
    const cell = new Cell(new IsolationCell(open(owner)))
    const before = cell.state
    assert.strictEqual(cell.state, before)
    cell.current = ScopeData.setTag(cell.current, "a", "1")
    const changed = cell.state
    assert.notStrictEqual(changed, before)
    assert.strictEqual(changed.current, cell.current)
    cell.home.setTag("b", "2")
    assert.notStrictEqual(cell.state, changed)
    assert.deepStrictEqual(cell.state.isolation.tags, { b: "2" })
  })
})
