import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as ScopeData from "../../../src/scope/ScopeData.js"
import { anyRecipe, build, HIDDEN, hostileProxy } from "../support/values.js"

const scopeOf = (context: ScopeData.ScopeContext): ScopeData.ScopeData =>
  ScopeData.applyContext(ScopeData.empty, context)

/** As the properties below see a scope: undefined entries count, the order of keys does not. */
const seen = ({ attachments, contexts, extra, processors, tags, ...rest }: ScopeData.ScopeData) => ({
  ...rest,
  attachments: [...attachments],
  processors: [...processors],
  tags: Object.entries(tags).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  extra: Object.entries(extra).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  contexts: Object.entries(contexts).toSorted(([a], [b]) => (a < b ? -1 : 1))
})

const key = fc.constantFrom("a", "b", "c", "d")
const attachments = ["a", "b", "c"].map((filename) => ({ filename, data: "" }))
const processors: ReadonlyArray<ScopeData.EventProcessor> = [(event) => event, (event) => ({ ...event }), () => null]

type Write = (scope: ScopeData.ScopeData) => ScopeData.ScopeData

/** Something that is said on a scope, and which part of it that changes. */
interface Saying {
  readonly part: string | undefined
  readonly write: Write
}

const saying = <A>(
  values: fc.Arbitrary<A>,
  part: (value: A) => string | undefined,
  write: (scope: ScopeData.ScopeData, value: A) => ScopeData.ScopeData
): fc.Arbitrary<Saying> => values.map((value) => ({ part: part(value), write: (scope) => write(scope, value) }))

const anySaying: fc.Arbitrary<Saying> = fc.oneof(
  saying(
    fc.tuple(key, fc.constantFrom<ScopeData.TagValue>("x", 1, true, null, undefined)),
    ([key]) => `tags.${key}`,
    (scope, [key, value]) => ScopeData.setTag(scope, key, value)
  ),
  saying(
    fc.tuple(key, fc.nat(3)),
    ([key]) => `extra.${key}`,
    (scope, [key, value]) => ScopeData.setExtras(scope, { [key]: value })
  ),
  saying(
    fc.tuple(key, fc.option(fc.nat(3))),
    ([key]) => `contexts.${key}`,
    (scope, [key, value]) => ScopeData.setContext(scope, key, value === null ? null : { value })
  ),
  saying(fc.constantFrom({ id: 1 }, { id: 2 }, null), () => "user", ScopeData.setUser),
  saying(
    fc.constantFrom<"fatal" | "info">("fatal", "info"),
    () => "level",
    (scope, level) => ScopeData.change(scope, { level })
  ),
  saying(
    fc.constantFrom(["x"], ["y"]),
    () => "fingerprint",
    (scope, fingerprint) => ScopeData.change(scope, { fingerprint })
  ),
  saying(
    fc.constantFrom("t", "u"),
    () => "transactionName",
    (scope, transactionName) => ScopeData.change(scope, { transactionName })
  ),
  saying(fc.constantFrom(...attachments), () => undefined, ScopeData.addAttachment),
  saying(fc.constantFrom(...processors), () => undefined, ScopeData.addProcessor)
)

const sayings = fc.array(anySaying, { maxLength: 8, size: "max" })

const after = (scope: ScopeData.ScopeData, sayings: ReadonlyArray<Saying>): ScopeData.ScopeData =>
  sayings.reduce((scope, { write }) => write(scope), scope)

const part = (scope: ScopeData.ScopeData, path: string): unknown => {
  const [field, key] = path.split(".") as [keyof ScopeData.ScopeData, string | undefined]
  return key === undefined ? scope[field] : (scope[field] as Record<string, unknown>)[key]
}

const PARTS = ["tags", "extra", "contexts"]
  .flatMap((field) => ["a", "b", "c", "d"].map((key) => `${field}.${key}`))
  .concat("user", "level", "fingerprint", "transactionName")

describe("ScopeData", () => {
  describe("writes", () => {
    it.prop("make a new value: what was there before is not changed", [sayings, sayings], ([first, second]) => {
      const scope = after(ScopeData.empty, first)
      const before = structuredClone({ ...seen(scope), processors: [] })
      after(scope, second)
      assert.deepStrictEqual({ ...seen(scope), processors: [] }, before)
      assert.deepStrictEqual(seen(ScopeData.empty).tags, [])
    })

    it("the last one counts; setting what is set already changes nothing", () => {
      const scope = ScopeData.setTag(ScopeData.setTag(ScopeData.empty, "a", 1), "a", 2)
      assert.deepStrictEqual(scope.tags, { a: 2 })
      assert.strictEqual(ScopeData.setTag(scope, "a", 2), scope)
      assert.deepStrictEqual(ScopeData.setTags(scope, { b: 1, a: undefined }).tags, { a: undefined, b: 1 })
      assert.deepStrictEqual(ScopeData.setTag(ScopeData.empty, "toString", "x").tags, { toString: "x" })
    })

    it("what is written later to what was given is not seen", () => {
      const given = {
        user: { id: 1, more: { a: 1 } },
        contexts: { c: { a: [1] } },
        extra: { e: { a: 1 } },
        fingerprint: ["f"],
        tags: { t: 1 },
        attachments: [attachments[0]!]
      }
      const scopes = [
        scopeOf(given),
        ScopeData.setExtras(
          ScopeData.setContext(ScopeData.setUser(ScopeData.empty, given.user), "c", given.contexts.c),
          given.extra
        )
      ]
      given.user.more.a = 2
      given.contexts.c.a.push(2)
      given.extra.e.a = 2
      given.fingerprint.push("g")
      given.tags.t = 2
      given.attachments.pop()
      for (const scope of scopes) {
        assert.deepStrictEqual(scope.user, { id: 1, more: { a: 1 } })
        assert.deepStrictEqual(scope.contexts, { c: { a: [1] } })
        assert.deepStrictEqual(scope.extra, { e: { a: 1 } })
      }
      assert.deepStrictEqual(scopes[0]?.fingerprint, ["f"])
      assert.deepStrictEqual(scopes[0]?.tags, { t: 1 })
      assert.strictEqual(scopes[0]?.attachments.length, 1)
    })

    it("null removes", () => {
      const scope = scopeOf({ user: { id: 1 }, contexts: { a: { b: 1 } } })
      assert.isNull(ScopeData.setUser(scope, null).user)
      assert.isUndefined(ScopeData.setContext(scope, "a", null).contexts["a"])
      assert.deepStrictEqual(seen(ScopeData.applyContext(scope, {})), seen(scope))
      assert.isNull(ScopeData.applyContext(scope, { user: null }).user)
    })

    it("clearing keeps the processors, and nothing else", () => {
      const scope = after(scopeOf({ tags: { a: 1 }, user: { id: 1 }, level: "fatal", attachments }), [])
      const cleared = ScopeData.clear(ScopeData.addProcessor(scope, processors[0]!))
      assert.deepStrictEqual(seen(cleared), { ...seen(ScopeData.empty), processors: [processors[0]] })
    })

    it.prop("never throw, whatever is written; records stay records", [anyRecipe], ([recipe]) => {
      const value = build(recipe) as never
      const scope = ScopeData.setExtras(
        ScopeData.setContext(ScopeData.setUser(ScopeData.setTag(ScopeData.empty, "t", value), { id: 1, value }), "c", {
          value
        }),
        { value }
      )
      assert.notInclude(JSON.stringify([scope.user, scope.extra, scope.contexts]), HIDDEN)
      assert.deepStrictEqual(
        Object.keys(scope.extra).filter((key) => key !== "value"),
        []
      )
    })

    it("what cannot be read as a record leaves none of its letters behind", () => {
      for (const value of ["text", hostileProxy(), [1, 2], new Date(0), 5] as ReadonlyArray<unknown>) {
        const scopes = [
          ScopeData.setExtras(ScopeData.empty, value as Record<string, unknown>),
          ScopeData.setUser(ScopeData.empty, value as Record<string, unknown>),
          ScopeData.setContext(ScopeData.empty, "c", value as Record<string, unknown>),
          scopeOf({
            extra: value as Record<string, unknown>,
            user: value as Record<string, unknown>,
            contexts: { c: value as Record<string, unknown> }
          })
        ]
        for (const { contexts, extra, user } of scopes) {
          for (const record of [extra, user, contexts["c"]]) {
            if (record === undefined || record === null) continue
            assert.isFalse(typeof record === "string" || Array.isArray(record), JSON.stringify(record))
            assert.notProperty(record, "0")
          }
        }
      }
    })
  })

  describe("merge", () => {
    it.prop(
      "the inner scope wins, key by key; lists are joined, the outer first",
      [sayings, sayings],
      ([first, second]) => {
        const outer = after(ScopeData.empty, first)
        const inner = after(ScopeData.empty, second)
        const merged = ScopeData.merge(outer, inner)
        for (const path of PARTS) {
          const [field, key] = path.split(".") as [keyof ScopeData.ScopeData, string | undefined]
          const has = key === undefined ? inner[field] !== undefined : Object.hasOwn(inner[field] as object, key)
          assert.deepStrictEqual(part(merged, path), part(has ? inner : outer, path), path)
        }
        assert.deepStrictEqual([...merged.attachments], [...outer.attachments, ...inner.attachments])
        assert.deepStrictEqual([...merged.processors], [...outer.processors, ...inner.processors])
      }
    )

    it.prop("is associative, and empty is nothing", [sayings, sayings, sayings], ([a, b, c]) => {
      const [x, y, z] = [a, b, c].map((said) => after(ScopeData.empty, said)) as [
        ScopeData.ScopeData,
        ScopeData.ScopeData,
        ScopeData.ScopeData
      ]
      assert.deepStrictEqual(
        seen(ScopeData.merge(ScopeData.merge(x, y), z)),
        seen(ScopeData.merge(x, ScopeData.merge(y, z)))
      )
      assert.deepStrictEqual(seen(ScopeData.merge(x, ScopeData.empty)), seen(x))
      assert.deepStrictEqual(seen(ScopeData.merge(ScopeData.empty, x)), seen(x))
    })

    it("a removal in the inner scope hides what the outer one says", () => {
      const merged = ScopeData.merge(
        scopeOf({ tags: { a: 1, b: 2 }, user: { id: 1 }, contexts: { a: { b: 1 } } }),
        scopeOf({ tags: { a: undefined }, user: null, contexts: { a: null } })
      )
      assert.deepStrictEqual(merged.tags, { a: undefined, b: 2 })
      assert.isNull(merged.user)
      assert.isUndefined(merged.contexts["a"])
    })
  })

  describe("rebase", () => {
    it.prop("without a change nothing changes", [sayings, sayings], ([a, x]) => {
      const from = after(ScopeData.empty, a)
      const onto = after(ScopeData.empty, x)
      assert.strictEqual(ScopeData.rebase(from, from, onto), onto)
      assert.deepStrictEqual(seen(ScopeData.rebase(from, { ...from }, onto)), seen(onto))
    })

    it.prop("onto where it began, it is where it led", [sayings, sayings], ([a, b]) => {
      const from = after(ScopeData.empty, a)
      const to = after(from, b)
      assert.strictEqual(ScopeData.rebase(from, to, from), to)
      const copy = { ...from }
      assert.deepStrictEqual(withoutLists(ScopeData.rebase(from, to, copy)), withoutLists(to))
    })

    it.prop(
      "what the one changed is taken from it, all else is left to the other",
      [sayings, sayings, sayings],
      ([a, child, parent]) => {
        const from = after(ScopeData.empty, a)
        const to = after(from, child)
        const onto = after(from, parent)
        const result = ScopeData.rebase(from, to, onto)
        const touched = new Set(child.map(({ part }) => part))
        for (const path of PARTS) {
          const changed = touched.has(path) && part(from, path) !== part(to, path)
          if (changed) assert.deepStrictEqual(part(result, path), part(to, path), `${path}, by the child`)
          else if (!touched.has(path))
            assert.deepStrictEqual(part(result, path), part(onto, path), `${path}, by the parent`)
        }
        for (const list of ["attachments", "processors"] as const) {
          const added = to[list].slice(from[list].length) as ReadonlyArray<unknown>
          for (const item of onto[list]) assert.include(result[list] as ReadonlyArray<unknown>, item)
          for (const item of added) assert.include(result[list] as ReadonlyArray<unknown>, item)
        }
      }
    )

    it.prop(
      "two that changed different keys, joined in any order, leave both changes",
      [fc.nat(9), fc.nat(9)],
      ([x, y]) => {
        const from = scopeOf({ tags: { a: "0", b: "0", c: "0" } })
        const left = ScopeData.setTag(from, "a", x)
        const right = ScopeData.setTag(from, "b", y)
        const expected = { a: x, b: y, c: "0" }
        assert.deepStrictEqual(ScopeData.rebase(from, right, ScopeData.rebase(from, left, from)).tags, expected)
        assert.deepStrictEqual(ScopeData.rebase(from, left, ScopeData.rebase(from, right, from)).tags, expected)
      }
    )

    it("on a key that both changed the one that joins last wins", () => {
      const from = scopeOf({ tags: { a: "0" } })
      const result = ScopeData.rebase(from, ScopeData.setTag(from, "a", "child"), ScopeData.setTag(from, "a", "parent"))
      assert.deepStrictEqual(result.tags, { a: "child" })
    })

    it("a key set back to what it was is no change", () => {
      const from = scopeOf({ tags: { a: "0" } })
      const to = ScopeData.setTag(ScopeData.setTag(from, "a", "1"), "a", "0")
      assert.deepStrictEqual(ScopeData.rebase(from, to, ScopeData.setTag(from, "a", "parent")).tags, { a: "parent" })
    })

    it("removals are changes: of a value, of a key, of an item", () => {
      const from = scopeOf({ tags: { a: "0", b: "0" }, user: { id: 1 }, attachments })
      const onto = ScopeData.setTag(from, "c", "parent")
      const removed = ScopeData.setUser(ScopeData.setTag(from, "a", undefined), null)
      const result = ScopeData.rebase(from, removed, onto)
      assert.deepStrictEqual(result.tags, { a: undefined, b: "0", c: "parent" })
      assert.isNull(result.user)
      const cleared = ScopeData.rebase(from, ScopeData.clear(from), onto)
      assert.deepStrictEqual(cleared.tags, { c: "parent" })
      assert.isUndefined(cleared.user)
      assert.deepStrictEqual([...cleared.attachments], [])
    })

    it("a tag that is not there is not one that is undefined", () => {
      const from = ScopeData.empty
      const to = ScopeData.setTag(from, "a", undefined)
      const result = ScopeData.rebase(from, to, scopeOf({ tags: { a: "parent" } }))
      assert.isTrue(Object.hasOwn(result.tags, "a"))
      assert.isUndefined(result.tags["a"])
    })
  })
})

const withoutLists = (scope: ScopeData.ScopeData) => ({ ...seen(scope), attachments: [], processors: [] })
