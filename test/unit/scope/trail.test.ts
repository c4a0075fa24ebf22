import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import type { Breadcrumb } from "../../../src/protocol/Breadcrumb.js"
import { Branch, Trail } from "../../../src/scope/Trail.js"

const messages = (breadcrumbs: ReadonlyArray<Breadcrumb>): ReadonlyArray<string | undefined> =>
  breadcrumbs.map(({ message }) => message)

const isRelated = (a: Branch, b: Branch): boolean => {
  for (let at: Branch | undefined = a; at !== undefined; at = at.parent) if (at === b) return true
  for (let at: Branch | undefined = b; at !== undefined; at = at.parent) if (at === a) return true
  return false
}

/** What a trail is to do, in the plainest words: a list of everything, thinned out as the rules say. */
class Model {
  entries: Array<{ readonly branch: Branch; readonly message: string }> = []

  /** @param inherited what was seen where it was forked from: older than everything */
  constructor(
    readonly limit: number,
    public inherited: ReadonlyArray<string> = []
  ) {}

  push(branch: Branch, message: string): void {
    if (this.limit === 0) return
    this.entries.push({ branch, message })
    const own = this.entries.filter((entry) => entry.branch === branch)
    const isFull = own.length <= this.limit && this.entries.length > this.limit * 10
    const oldest = own.length > this.limit ? own[0] : isFull ? this.entries[0] : undefined
    if (isFull) this.inherited = []
    this.entries = this.entries.filter((entry) => entry !== oldest)
  }

  visibleFrom(branch: Branch): ReadonlyArray<string> {
    const related = this.entries.filter((entry) => isRelated(entry.branch, branch)).map(({ message }) => message)
    return this.limit === 0 ? [] : [...this.inherited, ...related].slice(-this.limit)
  }
}

describe("Trail", () => {
  const step = fc.oneof(
    { weight: 40, arbitrary: fc.record({ write: fc.nat(99), times: fc.constantFrom(1, 1, 1, 2, 5) }) },
    { weight: 16, arbitrary: fc.record({ branchOff: fc.nat(99) }) },
    { weight: 4, arbitrary: fc.record({ look: fc.nat(99) }) },
    { weight: 1, arbitrary: fc.record({ fork: fc.nat(99) }) },
    { weight: 1, arbitrary: fc.constant("clear" as const) }
  )

  it.prop(
    "shows the newest entries of related branches, and holds no more than it must",
    [fc.constantFrom(0, 1, 2, 3, 10), fc.array(step, { maxLength: 150, size: "max" })],
    ([limit, steps]) => {
      let trail = new Trail(limit)
      let model = new Model(limit)
      let branches = [trail.root]
      let count = 0
      const pick = (index: number): Branch => branches[index % branches.length] as Branch
      const check = (branch: Branch): void =>
        assert.deepStrictEqual(messages(trail.visibleFrom(branch)), [...model.visibleFrom(branch)])
      for (const action of steps) {
        if (action === "clear") {
          trail.clear()
          model.entries = []
          model.inherited = []
        } else if ("write" in action) {
          for (let i = 0; i < action.times; i++) {
            const message = `m${count++}`
            trail.push(pick(action.write), { message })
            model.push(pick(action.write), message)
          }
        } else if ("branchOff" in action) branches.push(new Branch(trail, pick(action.branchOff)))
        else if ("look" in action) check(pick(action.look))
        else {
          const visible = model.visibleFrom(pick(action.fork))
          const forked = trail.fork(pick(action.fork))
          trail = forked
          model = new Model(limit, visible)
          branches = [forked.root]
        }
        const held = branches.reduce((sum, { size }) => sum + size, 0)
        assert.isAtMost(held, limit * 10)
        assert.strictEqual(held, model.entries.length)
        for (const branch of branches) assert.isAtMost(branch.size, limit)
      }
      for (const branch of branches) check(branch)
    },
    { fastCheck: { numRuns: 300 } }
  )

  it("the oldest first, in the order of recording, whatever their times say", () => {
    const trail = new Trail(10)
    trail.push(trail.root, { message: "a", timestamp: 9 })
    trail.push(trail.root, { message: "b", timestamp: 1 })
    assert.deepStrictEqual(messages(trail.visibleFrom(trail.root)), ["a", "b"])
  })

  it("ancestors and descendants are seen, those beside are not", () => {
    const trail = new Trail(10)
    const left = new Branch(trail, trail.root)
    const right = new Branch(trail, trail.root)
    const leaf = new Branch(trail, left)
    const all = { root: trail.root, left, right, leaf }
    for (const [message, branch] of Object.entries(all)) trail.push(branch, { message })
    const seen = Object.fromEntries(
      Object.entries(all).map(([name, branch]) => [name, messages(trail.visibleFrom(branch))])
    )
    assert.deepStrictEqual(seen, {
      root: ["root", "left", "right", "leaf"],
      left: ["root", "left", "leaf"],
      right: ["root", "right"],
      leaf: ["root", "left", "leaf"]
    })
  })

  it("a busy fiber displaces its own entries, not those of others", () => {
    const trail = new Trail(3)
    const busy = new Branch(trail, trail.root)
    const quiet = new Branch(trail, trail.root)
    trail.push(trail.root, { message: "root" })
    trail.push(quiet, { message: "quiet" })
    for (let i = 0; i < 1000; i++) trail.push(busy, { message: `busy${i}` })
    assert.deepStrictEqual(messages(trail.visibleFrom(quiet)), ["root", "quiet"])
    assert.deepStrictEqual(messages(trail.visibleFrom(busy)), ["busy997", "busy998", "busy999"])
  })

  it("many fibers displace the oldest of all", () => {
    const trail = new Trail(2)
    const branches = Array.from({ length: 25 }, () => new Branch(trail, trail.root))
    branches.forEach((branch, index) => trail.push(branch, { message: `m${index}` }))
    assert.strictEqual(
      branches.reduce((sum, { size }) => sum + size, 0),
      20
    )
    assert.deepStrictEqual(messages(trail.visibleFrom(branches[4] as Branch)), [])
    assert.deepStrictEqual(messages(trail.visibleFrom(branches[5] as Branch)), ["m5"])
    assert.deepStrictEqual(messages(trail.visibleFrom(trail.root)), ["m23", "m24"])
  })

  it("of nothing, nothing is kept", () => {
    for (const limit of [0, -1]) {
      const trail = new Trail(limit)
      trail.push(trail.root, { message: "a" })
      assert.deepStrictEqual(trail.visibleFrom(trail.root), [])
      assert.deepStrictEqual(trail.fork(trail.root).visibleFrom(trail.root), [])
    }
  })

  describe("fork", () => {
    it("begins with what was seen, and then goes its own way", () => {
      const trail = new Trail(3)
      const left = new Branch(trail, trail.root)
      const right = new Branch(trail, trail.root)
      trail.push(trail.root, { message: "root" })
      trail.push(left, { message: "left" })
      trail.push(right, { message: "right" })
      const forked = trail.fork(left)
      assert.deepStrictEqual(messages(forked.visibleFrom(forked.root)), ["root", "left"])
      forked.push(forked.root, { message: "forked" })
      trail.push(left, { message: "later" })
      assert.deepStrictEqual(messages(forked.visibleFrom(forked.root)), ["root", "left", "forked"])
      assert.deepStrictEqual(messages(trail.visibleFrom(left)), ["root", "left", "later"])
      assert.strictEqual(forked.limit, 3)
    })

    it("knows where it comes from, as long as that is in use", () => {
      const first = new Trail(1)
      const second = first.fork(first.root)
      const third = second.fork(second.root)
      assert.deepStrictEqual(third.lineage(), [third, second, first])
      assert.deepStrictEqual(first.lineage(), [first])
    })
  })

  it("fibers that start each other for ever do not hold on to all before them", () => {
    const trail = new Trail(5)
    let branch = trail.root
    const weak: Array<Branch> = []
    for (let i = 0; i < 10_000; i++) {
      branch = new Branch(trail, branch)
      assert.isAtMost(branch.depth, 257)
      trail.push(branch, { message: `m${i}` })
      if (i === 300) weak.push(branch)
    }
    assert.deepStrictEqual(messages(trail.visibleFrom(branch)).at(-1), "m9999")
    let length = 0
    for (let at: Branch | undefined = branch; at !== undefined; at = at.parent) length++
    assert.isAtMost(length, 258)
    assert.isTrue(isRelated(weak[0] as Branch, trail.root))
  })

  it("clearing forgets everything, for all", () => {
    const trail = new Trail(5)
    const branch = new Branch(trail, trail.root)
    trail.push(trail.root, { message: "a" })
    trail.push(branch, { message: "b" })
    trail.clear()
    assert.deepStrictEqual(trail.visibleFrom(branch), [])
    assert.strictEqual(branch.size + trail.root.size, 0)
    trail.push(branch, { message: "c" })
    assert.deepStrictEqual(messages(trail.visibleFrom(trail.root)), ["c"])
  })

  it("what an event shows is its own to change", () => {
    const trail = new Trail(5)
    trail.push(trail.root, { message: "a" })
    trail.visibleFrom(trail.root).push({ message: "x" })
    assert.deepStrictEqual(messages(trail.visibleFrom(trail.root)), ["a"])
  })
})
