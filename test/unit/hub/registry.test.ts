import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import { type Hooks, type Phase, type Priority, type Registration, Registry } from "../../../src/hub/Registry.js"

const leave = (registry: Registry, registration: Registration, cause?: Cause.Cause<unknown>): void =>
  registry.leave(registration, cause === undefined ? Exit.void : Exit.failCause(cause), () => {})

const setUp = () => {
  const said: Array<string> = []
  const log: Array<string> = []
  const registry = new Registry((message) => said.push(message))
  const register = (name: string, id: string, priority: Priority = "default", hooks: Hooks = {}): Registration =>
    registry.register(
      name,
      {
        activate: () => {
          log.push(`+${id}`)
          return () => log.push(`-${id}`)
        },
        ...hooks
      },
      priority
    )
  const names = (): ReadonlyArray<string> => registry.active.map(({ name }) => name)
  return { registry, register, names, log, said }
}

const boom = (): never => {
  throw new Error("boom")
}

describe("Registry", () => {
  it("of several with one name the last is active; when it goes, the one before takes over", () => {
    const { log, names, register, registry } = setUp()
    const a = register("x", "a")
    const b = register("x", "b")
    const c = register("x", "c")
    assert.deepStrictEqual(log, ["+a", "-a", "+b", "-b", "+c"])
    assert.deepStrictEqual(names(), ["x"])
    assert.strictEqual(registry.get("x"), c)
    log.length = 0
    leave(registry, c)
    assert.deepStrictEqual(log, ["-c", "+b"])
    leave(registry, a)
    assert.deepStrictEqual(log, ["-c", "+b"], "one that was not active goes silently")
    leave(registry, b)
    assert.deepStrictEqual(log, ["-c", "+b", "-b"])
    assert.deepStrictEqual(names(), [])
    leave(registry, b)
    assert.deepStrictEqual(log, ["-c", "+b", "-b"], "once is enough")
  })

  it("a user's wins over a default, whichever came first", () => {
    for (const order of [
      ["user", "default"],
      ["default", "user"]
    ] as const) {
      const { register, registry } = setUp()
      const [first, second] = order.map((priority) => register("x", priority, priority))
      const user = order[0] === "user" ? first : second
      assert.strictEqual(registry.get("x"), user)
      assert.isTrue(user?.isActive)
      leave(registry, user)
      assert.strictEqual(registry.get("x")?.priority, "default")
    }
  })

  it("in the order of their phases, then of their names, however they were registered", () => {
    const all: ReadonlyArray<readonly [name: string, phase: Phase | undefined]> = [
      ["b", "last"],
      ["z", undefined],
      ["m", "filter"],
      ["a", "last"],
      ["y", "enrich"],
      ["n", "filter"],
      ["B", undefined]
    ]
    for (const order of [all, all.toReversed()]) {
      const { names, register } = setUp()
      for (const [name, phase] of order) register(name, name, "default", { phase })
      assert.deepStrictEqual(names(), ["B", "y", "z", "m", "n", "a", "b"])
    }
  })

  it("one that throws as it is activated is left out; the others are not disturbed", () => {
    const { log, names, register, registry, said } = setUp()
    register("a", "a")
    const bad = register("b", "b", "default", { activate: boom, onLog: () => {} })
    register("c", "c")
    assert.deepStrictEqual(names(), ["a", "c"])
    assert.isFalse(bad.isActive)
    assert.isUndefined(registry.get("b"))
    assert.deepStrictEqual(registry.having("onLog"), [])
    assert.deepStrictEqual(log, ["+a", "+c"])
    assert.isTrue(said.some((line) => line.includes('"b"') && line.includes("boom")))
    assert.doesNotThrow(() => leave(registry, bad))
    assert.deepStrictEqual(names(), ["a", "c"])
  })

  it("one that throws as it is taken back is gone all the same", () => {
    const { names, register, registry, said } = setUp()
    const bad = register("b", "b", "default", { activate: () => boom })
    register("a", "a")
    assert.doesNotThrow(() => leave(registry, bad))
    assert.deepStrictEqual(names(), ["a"])
    assert.isTrue(said.some((line) => line.includes('"b"')))
  })

  it("closing takes everything back, once, also where one throws", () => {
    const { log, names, register, registry } = setUp()
    const a = register("a", "a")
    register("b", "b", "default", { activate: () => boom })
    register("c", "c")
    registry.close()
    assert.deepStrictEqual(log, ["+a", "+c", "-a", "-c"])
    assert.deepStrictEqual(names(), [])
    assert.deepStrictEqual(registry.having("onFiberStart"), [])
    registry.close()
    leave(registry, a)
    assert.deepStrictEqual(log, ["+a", "+c", "-a", "-c"])
  })

  it("those that have a hook are known", () => {
    const { register, registry } = setUp()
    const hook = (): void => {}
    register("a", "a", "default", { onLog: hook, onFiberEnd: hook })
    const b = register("b", "b", "default", { onLog: hook, onFiberStart: hook })
    const named = (hook: "onLog" | "onFiberStart" | "onFiberEnd") => registry.having(hook).map(({ name }) => name)
    assert.deepStrictEqual([named("onLog"), named("onFiberStart"), named("onFiberEnd")], [["a", "b"], ["b"], ["a"]])
    leave(registry, b)
    assert.deepStrictEqual([named("onLog"), named("onFiberStart"), named("onFiberEnd")], [["a"], [], ["a"]])
  })

  describe("activeFor", () => {
    const cause = Cause.fail("x")
    const other = Cause.fail("y")

    it("those that a failure has taken away still have a say on that failure, in their order", () => {
      const { register, registry } = setUp()
      const a = register("a", "a")
      const b = register("b", "b", "default", { phase: "last" })
      register("c", "c")
      leave(registry, b, cause)
      leave(registry, a, cause)
      const named = (cause: object | undefined) => registry.activeFor(cause).map(({ name }) => name)
      assert.deepStrictEqual(named(cause), ["a", "c", "b"])
      assert.deepStrictEqual(named(other), ["c"])
      assert.deepStrictEqual(named(undefined), ["c"])
    })

    it("unless another of that name has taken over, or the next failure came", () => {
      const { register, registry } = setUp()
      register("a", "a1")
      const a = register("a", "a2", "user")
      const b = register("b", "b")
      leave(registry, a, cause)
      assert.deepStrictEqual(
        registry.activeFor(cause).map(({ name }) => name),
        ["a", "b"]
      )
      leave(registry, b, other)
      assert.deepStrictEqual(
        registry.activeFor(cause).map(({ name }) => name),
        ["a"]
      )
      assert.deepStrictEqual(
        registry.activeFor(other).map(({ name }) => name),
        ["a", "b"]
      )
    })

    it("of failures before the last one nobody is remembered", () => {
      const { register, registry } = setUp()
      leave(registry, register("a", "a"), cause)
      leave(registry, register("b", "b"), other)
      assert.deepStrictEqual(registry.activeFor(cause), [])
      assert.deepStrictEqual(
        registry.activeFor(other).map(({ name }) => name),
        ["b"]
      )
    })

    it("those that have gone before have a say on what others report as they go, at the same end", () => {
      const { register, registry } = setUp()
      const named = (): Array<string> => registry.activeFor(undefined).map(({ name }) => name)
      const [a, b, c] = [register("a", "a"), register("b", "b"), register("c", "c")]
      const seen: Array<Array<string>> = []
      const end = Exit.succeed(1)
      registry.leave(a, end, () => seen.push(named()))
      assert.deepStrictEqual(named(), ["b", "c"])
      registry.leave(b, end, () => seen.push(named()))
      registry.leave(c, Exit.succeed(1), () => seen.push(named()))
      assert.deepStrictEqual(seen, [["a", "b", "c"], ["a", "b", "c"], ["c"]])
    })

    it("and not after the hub has closed", () => {
      const { register, registry } = setUp()
      leave(registry, register("a", "a"), cause)
      registry.close()
      assert.deepStrictEqual(registry.activeFor(cause), [])
    })
  })

  it("at the end runs one onHubClose for each name, a user's rather than a default's, gone or not", () => {
    const { register, registry } = setUp()
    const ran: Array<string> = []
    const closing = (id: string): Hooks => ({ onHubClose: Effect.sync(() => void ran.push(id)) })
    leave(registry, register("a", "a", "default", closing("a default")))
    leave(registry, register("a", "a", "user", closing("a user")))
    leave(registry, register("a", "a", "default", closing("a default again")))
    register("b", "b", "default", closing("b"))
    register("c", "c")
    for (const effect of registry.closing()) Effect.runSync(effect)
    assert.deepStrictEqual(ran.toSorted(), ["a user", "b"])
  })

  const step = fc.oneof(
    fc.record({
      add: fc.constantFrom("a", "b", "c"),
      priority: fc.constantFrom<Priority>("default", "user"),
      phase: fc.constantFrom<Phase | undefined>("enrich", "filter", "last", undefined),
      fails: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) })
    }),
    fc.record({ remove: fc.nat(9) })
  )

  it.prop(
    "whatever comes and goes: one for each name, the right one, activated and taken back in turn",
    [fc.array(step, { maxLength: 20, size: "max" })],
    ([steps]) => {
      const { registry } = setUp()
      const there: Array<{ readonly registration: Registration; readonly fails: boolean }> = []
      const on = new Map<number, number>()
      let count = 0
      for (const action of steps) {
        if ("remove" in action) {
          const [gone] = there.splice(action.remove % Math.max(1, there.length), 1)
          if (gone !== undefined) leave(registry, gone.registration)
        } else {
          const id = count++
          on.set(id, 0)
          const activate = (): (() => void) => {
            if (action.fails) return boom()
            on.set(id, (on.get(id) ?? 0) + 1)
            return () => on.set(id, (on.get(id) ?? 0) - 1)
          }
          const registration = registry.register(action.add, { activate, phase: action.phase }, action.priority)
          there.push({ registration, fails: action.fails })
        }
        const expected = ["a", "b", "c"].flatMap((name) => {
          const named = there.filter(({ registration }) => registration.name === name)
          const winner = named.findLast(({ registration }) => registration.priority === "user") ?? named.at(-1)
          return winner === undefined || winner.fails ? [] : [winner.registration]
        })
        for (const registration of expected) assert.include(registry.active, registration)
        assert.strictEqual(registry.active.length, expected.length)
        assert.strictEqual([...on.values()].filter((times) => times === 1).length, expected.length)
        assert.isTrue([...on.values()].every((times) => times === 0 || times === 1))
        const phases = registry.active.map(({ hooks }) => ["enrich", "filter", "last"].indexOf(hooks.phase ?? "enrich"))
        assert.deepStrictEqual(
          phases,
          phases.toSorted((a, b) => a - b)
        )
      }
      registry.close()
      assert.isTrue([...on.values()].every((times) => times === 0))
    }
  )
})
