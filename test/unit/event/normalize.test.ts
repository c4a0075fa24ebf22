import { assert, describe, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as List from "effect/List"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SortedMap from "effect/SortedMap"
import * as SortedSet from "effect/SortedSet"
import { describeValue, MAX_BREADTH, MAX_DEPTH, normalize, truncate } from "../../../src/event/normalize.js"
import { quickly } from "../support/clock.js"
import { anyRecipe, build, HIDDEN, HIGH, illFormed, LOW, leaves, MASKED, treeRecipe, walk } from "../support/values.js"

const json = (value: unknown, depth?: number, breadth?: number): string =>
  JSON.stringify(normalize(value, depth, breadth)) ?? "undefined"

const assertNothingLeaks = (text: string): void => {
  assert.notInclude(text, HIDDEN)
  assert.notInclude(text, MASKED)
}

class Point extends Data.Class<{ readonly x: number; readonly secret: string }> {}

class Account extends Schema.Class<Account>("Account")({
  name: Schema.String,
  pass: Schema.Redacted(Schema.String),
  iban: Schema.Redacted(Schema.String)
}) {}

class NotFound extends Data.TaggedError("NotFound")<{ readonly id: number; readonly at: Option.Option<string> }> {}

describe("normalize", () => {
  describe("any value", () => {
    for (const [name, make] of Object.entries(leaves)) {
      it(`${name} alone and inside`, () => {
        for (const value of [
          make(),
          { a: make() },
          [make()],
          new Map([["a", make()]]),
          new Set([make()]),
          Option.some(make())
        ]) {
          const text = json(value)
          if (text !== "undefined") assert.deepStrictEqual(illFormed(text), [])
          assertNothingLeaks(text)
        }
      })
    }

    it.prop(
      "never throws, and what it makes is JSON that servers accept, without what is hidden",
      [anyRecipe],
      ([recipe]) => {
        const text = json(build(recipe))
        if (text === "undefined") return
        assert.deepStrictEqual(illFormed(text), [])
        assertNothingLeaks(text)
      },
      { fastCheck: { numRuns: 1000 } }
    )

    it.prop(
      "keeps within the depth and breadth it is given",
      [anyRecipe, fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 4 })],
      ([recipe, depth, breadth]) => {
        const text = json(build(recipe), depth, breadth)
        if (text === "undefined") return
        for (const { depth: at, value } of walk(JSON.parse(text))) {
          // What stands for a level that is wrapped (an Option) is a level of JSON, but none of the value.
          assert.isAtMost(at, 2 * depth + 6)
          if (typeof value === "object" && value !== null) assert.isAtMost(Object.keys(value).length, breadth + 1)
        }
      }
    )

    it.prop(
      "what is no cycle is never called one",
      [treeRecipe, fc.array(treeRecipe, { maxLength: 3 })],
      ([recipe, more]) => {
        const shared = build(recipe)
        const parts = more.map((part) => build(part))
        assert.notInclude(
          json([shared, { a: shared, b: [shared, ...parts] }, ...parts, new Map([["k", shared]])]),
          "[Circular"
        )
      }
    )

    it.prop(
      "the original is not changed, and what happens to it later is not seen",
      [fc.object({ maxDepth: 4 })],
      ([value]) => {
        const before = structuredClone(value)
        const result = normalize(value)
        const text = JSON.stringify(result)
        assert.deepStrictEqual(value, before)
        destroy(value)
        assert.strictEqual(JSON.stringify(result), text)
      }
    )

    it.prop(
      "plain data within the bounds is kept as it is",
      [fc.dictionary(fc.constantFrom("a", "b", "c"), fc.jsonValue({ maxDepth: 3 }))],
      ([value]) => {
        const special = [...walk(value)].some(
          ({ key }) => key === "__proto__" || (key !== undefined && json({ [key]: 1 }).includes("[Filtered]"))
        )
        if (special || illFormed(JSON.stringify(value)).length > 0) return
        assert.strictEqual(json(value, 10, 1000), JSON.stringify(value))
      }
    )

    it("frozen values are read all the same", () => {
      assert.strictEqual(json(Object.freeze({ a: Object.freeze([1]) })), '{"a":[1]}')
    })
  })

  describe("readable", () => {
    const shown: ReadonlyArray<readonly [what: string, value: unknown, expected: unknown]> = [
      ["a text", "a", "a"],
      ["a number", 1.5, 1.5],
      ["-0", -0, -0],
      ["NaN", Number.NaN, "[NaN]"],
      ["Infinity", [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], ["[Infinity]", "[-Infinity]"]],
      ["a BigInt", 12345678901234567890n, "[BigInt: 12345678901234567890]"],
      ["a symbol", Symbol("s"), "[Symbol(s)]"],
      ["a function", function go() {}, "[Function: go]"],
      [
        "a function without a name",
        (
          () => () =>
            1
        )(),
        "[Function: anonymous]"
      ],
      ["a class", Point, "[Function: Point]"],
      ["null and undefined", [null, undefined], [null, undefined]],
      ["undefined as a field", { a: undefined, b: 1 }, { b: 1 }],
      ["half a surrogate pair", `${HIGH}a`, "\ufffda"],
      ["a whole pair", `${HIGH}${LOW}`, `${HIGH}${LOW}`],
      ["a Date", new Date(0), "1970-01-01T00:00:00.000Z"],
      ["an invalid Date", new Date(Number.NaN), "[Invalid Date]"],
      ["a RegExp", /a/gi, "/a/gi"],
      ["a URL", new URL("https://example.com/a?b=c"), "https://example.com/a?b=c"],
      [
        "bytes",
        [Buffer.from("abc"), new Uint16Array(2), new ArrayBuffer(5)],
        ["[Buffer: 3 bytes]", "[Uint16Array: 4 bytes]", "[ArrayBuffer: 5 bytes]"]
      ],
      ["a Promise", Promise.resolve(1), "[Promise]"],
      ["a WeakMap", new WeakMap(), "[WeakMap]"],
      [
        "a Map",
        new Map<unknown, unknown>([
          ["a", 1],
          [2, { b: 3 }],
          [{ c: 4 }, 5]
        ]),
        { a: 1, 2: { b: 3 }, '{"c":4}': 5 }
      ],
      ["a Set", new Set([1, { a: 2 }]), [1, { a: 2 }]],
      ["an instance", new Point({ x: 1, secret: "s" }), { x: 1, secret: "[Filtered]" }],
      ["no prototype", Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
      [
        "an Error",
        Object.assign(new TypeError("no", { cause: new Error("why") }), { code: "E1" }),
        { name: "TypeError", message: "no", code: "E1", cause: { name: "Error", message: "why" } }
      ],
      [
        "a tagged error",
        new NotFound({ id: 7, at: Option.some("x") }),
        { name: "NotFound", message: "", _tag: "NotFound", id: 7, at: { _tag: "Some", value: "x" } }
      ],
      ["toJSON", { toJSON: () => ({ a: new Date(0) }) }, { a: "1970-01-01T00:00:00.000Z" }],
      [
        "toJSON that returns itself",
        {
          a: 1,
          toJSON() {
            return this
          }
        },
        { a: 1, toJSON: "[Function: toJSON]" }
      ],
      [
        "toJSON that throws",
        {
          a: {
            toJSON() {
              throw new Error("no")
            }
          },
          b: 1
        },
        { a: "[Throws: no]", b: 1 }
      ],
      [
        "a getter that throws",
        {
          get a() {
            throw new Error("no")
          },
          b: 1
        },
        { a: "[Throws: no]", b: 1 }
      ],
      [
        "keys that look like a prototype",
        JSON.parse('{"constructor":1,"toString":2}'),
        { constructor: 1, toString: 2 }
      ],
      ["Some", Option.some({ a: 1 }), { _tag: "Some", value: { a: 1 } }],
      ["None", Option.none(), { _tag: "None" }],
      ["Right", Either.right(1), { _tag: "Right", right: 1 }],
      ["Left", Either.left("no"), { _tag: "Left", left: "no" }],
      ["Chunk", Chunk.make(1, Option.none()), [1, { _tag: "None" }]],
      ["a concatenated Chunk", Chunk.appendAll(Chunk.make(1), Chunk.drop(Chunk.make(2, 3), 1)), [1, 3]],
      ["List", List.make(1, 2), [1, 2]],
      ["HashSet", HashSet.make("a"), ["a"]],
      ["SortedSet", SortedSet.make(Order.number)(2, 1), [1, 2]],
      ["HashMap", HashMap.make(["a", { b: 1 }]), { a: { b: 1 } }],
      ["SortedMap", SortedMap.make(Order.string)(["b", 1], ["a", 2]), { a: 2, b: 1 }],
      ["MutableHashMap", MutableHashMap.make(["a", 1]), { a: 1 }],
      ["empty ones", [Chunk.empty(), List.empty(), HashMap.empty(), HashSet.empty()], [[], [], {}, []]],
      [
        "Duration",
        [Duration.seconds(90), Duration.infinity, Duration.nanos(5n), Duration.zero],
        ["1m 30s", "Infinity", "5ns", "0"]
      ],
      ["DateTime", DateTime.unsafeMake(0), "1970-01-01T00:00:00.000Z"],
      ["a zoned DateTime", DateTime.unsafeMakeZoned(0, { timeZone: 3_600_000 }), "1970-01-01T00:00:00.000Z"],
      ["BigDecimal", BigDecimal.unsafeFromString("1.50"), "1.5"],
      ["Redacted", Redacted.make("s"), "<redacted>"],
      [
        "a Cause",
        Cause.sequential(Cause.fail("a"), Cause.die(new Error("b"))),
        {
          _id: "Cause",
          _tag: "Sequential",
          left: { _id: "Cause", _tag: "Fail", error: "a" },
          right: { _id: "Cause", _tag: "Die", defect: { name: "Error", message: "b" } }
        }
      ],
      [
        "an interruption",
        Cause.interrupt(FiberId.none),
        { _id: "Cause", _tag: "Interrupt", fiberId: { _id: "FiberId", _tag: "None" } }
      ],
      [
        "an Exit",
        [Exit.succeed(1), Exit.fail("a")],
        [
          { _id: "Exit", _tag: "Success", value: 1 },
          { _id: "Exit", _tag: "Failure", cause: { _id: "Cause", _tag: "Fail", error: "a" } }
        ]
      ],
      [
        "a Schema class",
        new Account({ name: "n", pass: Redacted.make("p"), iban: Redacted.make("i") }),
        { name: "n", pass: "[Filtered]", iban: "<redacted>" }
      ]
    ]
    for (const [what, value, expected] of shown) {
      it(what, () => assert.deepStrictEqual(normalize(value, 8), expected))
    }

    it("an Option costs no level: what it holds stays as readable as without it", () => {
      assert.strictEqual(json({ a: Option.some({ b: { c: 1 } }) }, 2), '{"a":{"_tag":"Some","value":{"b":"[Object]"}}}')
      assert.strictEqual(json({ a: { b: { c: 1 } } }, 2), '{"a":{"b":"[Object]"}}')
    })
  })

  describe("hidden", () => {
    const places: ReadonlyArray<readonly [where: string, place: (hidden: Redacted.Redacted) => unknown]> = [
      ["alone", (hidden) => hidden],
      ["a field", (hidden) => ({ a: hidden })],
      ["deep", (hidden) => ({ a: { a: { a: { a: { a: { a: hidden } } } } } })],
      ["a key of a Map", (hidden) => new Map([[hidden, 1]])],
      ["a key of a HashMap", (hidden) => HashMap.make([hidden, 1])],
      ["Option, Either, Chunk", (hidden) => [Option.some(hidden), Either.left(hidden), Chunk.make(hidden)]],
      ["Cause and Exit", (hidden) => [Cause.fail(hidden), Exit.die({ a: hidden }), Exit.succeed([hidden])]],
      ["an error", (hidden) => Object.assign(new Error("x", { cause: hidden }), { hidden })],
      ["toJSON", (hidden) => ({ toJSON: () => hidden })],
      ["Redacted of Redacted", (hidden) => Redacted.make(hidden)]
    ]
    for (const [where, place] of places) {
      it(`Redacted: ${where}`, () => {
        assert.notInclude(json(place(Redacted.make(HIDDEN)), 9), HIDDEN)
        assert.notInclude(describeValue(place(Redacted.make(HIDDEN))), HIDDEN)
      })
    }

    it("under sensitive keys of whatever holds them", () => {
      const of = (key: string): ReadonlyArray<unknown> => [
        { [key]: HIDDEN },
        new Map([[key, HIDDEN]]),
        HashMap.make([key, HIDDEN]),
        Object.assign(new Error("x"), { [key]: HIDDEN }),
        { a: [{ [key]: { b: HIDDEN } }] },
        { toJSON: () => ({ [key]: HIDDEN }) },
        Cause.fail({ [key]: HIDDEN })
      ]
      for (const key of ["password", "apiKey", "x-auth", "SESSION_ID", "Cookie"]) {
        for (const value of of(key)) {
          const text = json(value, 9)
          assert.notInclude(text, HIDDEN)
          assert.include(text, `"${key}":"[Filtered]"`)
        }
      }
    })

    it("what is not there is not masked", () =>
      assert.strictEqual(json({ password: null, token: undefined }), '{"password":null}'))
  })

  describe("bounds", () => {
    it("what is too deep is named", () => {
      const deep = {
        a: { b: { c: {} } },
        l: [[[]]],
        m: new Map([["x", new Map()]]),
        d: new Date(0),
        e: [new RangeError("x")]
      }
      assert.deepStrictEqual(normalize(deep, 2), {
        a: { b: "[Object]" },
        l: ["[Array]"],
        m: { x: "[Object]" },
        d: "1970-01-01T00:00:00.000Z",
        e: ["[RangeError]"]
      })
      assert.deepStrictEqual(normalize({}, 0), "[Object]")
      assert.deepStrictEqual(normalize(new Point({ x: 1, secret: "" }), 0), "[Point]")
      assert.deepStrictEqual(normalize([], 0), "[Array]")
      assert.strictEqual(normalize("x", 0), "x")
    })

    it("what is too broad ends in a mark", () => {
      const numbers = Array.from({ length: 5 }, (_, index) => index)
      const entries = numbers.map((n) => [`k${n}`, n] as const)
      const record = { k0: 0, k1: 1, k2: 2, "...": "[MaxProperties ~]" }
      assert.deepStrictEqual(normalize(numbers, 5, 3), [0, 1, 2, "[MaxProperties ~]"])
      assert.deepStrictEqual(normalize(new Set(numbers), 5, 3), [0, 1, 2, "[MaxProperties ~]"])
      assert.deepStrictEqual(normalize(Chunk.fromIterable(numbers), 5, 3), [0, 1, 2, "[MaxProperties ~]"])
      assert.deepStrictEqual(normalize(Object.fromEntries(entries), 5, 3), record)
      assert.deepStrictEqual(normalize(new Map(entries), 5, 3), record)
      assert.deepStrictEqual(normalize([1, 2, 3], 5, 3), [1, 2, 3])
    })

    it("by default", () => {
      let deep: unknown = 1
      for (let level = 0; level < 20; level++) deep = { a: deep }
      assert.strictEqual(Math.max(...[...walk(normalize(deep))].map(({ depth }) => depth)), MAX_DEPTH + 1 - 1)
      assert.strictEqual((normalize(Array.from({ length: 10_000 }, () => 0)) as Array<unknown>).length, MAX_BREADTH + 1)
    })

    it("no value makes JSON that is nested deeper than a server reads", () => {
      let wrapped: unknown = 1
      for (let level = 0; level < 500; level++) wrapped = level % 2 === 0 ? Option.some(wrapped) : Either.right(wrapped)
      assert.isAtMost(Math.max(...[...walk(normalize(wrapped))].map(({ depth }) => depth)), 100)
    })

    const large: ReadonlyArray<readonly [what: string, make: () => unknown]> = [
      ["a long chain", () => chain(100_000, (inner) => ({ inner }))],
      ["a long chain of lists", () => chain(100_000, (inner) => [inner])],
      ["a long chain of Options", () => chain(20_000, Option.some)],
      [
        "a deep Cause",
        () => chain(100_000, (inner) => Cause.sequential(inner as Cause.Cause<unknown>, Cause.fail(1)), Cause.empty)
      ],
      ["a long List", () => List.fromIterable(Array.from({ length: 100_000 }, () => 1))],
      ["errors that cause each other", () => chain(100_000, (cause) => new Error("x", { cause }))],
      ["much of everything", () => wide(wide(wide(wide(1))))],
      ["a million items", () => Array.from({ length: 1e6 }, (_, a) => ({ a }))],
      ["a sparse list of billions", () => sparse(4e9)],
      ["a large BigInt key", () => new Map([[2n ** 4096n, 1]])],
      ["a proxy without end", endlessProxy]
    ]
    for (const [what, make] of large) {
      it(`${what} is done in no time`, () => {
        const value = make()
        assert.isBelow(quickly(2_000, () => json(value)).length, 20_000_000)
      })
    }
  })

  describe("cycles", () => {
    it("are named where they close", () => {
      const self: Record<string, unknown> = { b: 1 }
      self["a"] = { self }
      assert.deepStrictEqual(normalize(self), { b: 1, a: { self: "[Circular ~]" } })
      const list: Array<unknown> = []
      list.push(list)
      assert.deepStrictEqual(normalize(list), ["[Circular ~]"])
      const map = new Map<string, unknown>()
      map.set("a", new Set([map]))
      assert.deepStrictEqual(normalize(map), { a: ["[Circular ~]"] })
      const error = new Error("x")
      error.cause = error
      assert.deepStrictEqual(normalize(error), { name: "Error", message: "x", cause: "[Circular ~]" })
      const json: Record<string, unknown> = { toJSON: () => ({ json }) }
      assert.deepStrictEqual(normalize(json), { json: "[Circular ~]" })
    })

    it("through the keys of a Map: what they hold is not gone through again and again", () => {
      const graph = { nodes: new Map<object, number>() }
      let reads = 0
      for (let i = 0; i < 5; i++) {
        // Gives up after a while, for what follows it for ever.
        graph.nodes.set(
          {
            get graph() {
              return ++reads > 20_000 ? undefined : graph
            }
          },
          i
        )
      }
      const text = json(graph)
      assert.isBelow(reads, 1_000)
      assert.isBelow(text.length, 10_000)
      assert.include(text, '"nodes":{')
    })

    it("what occurs twice is no cycle, not even below itself", () => {
      const shared = { a: [1], toJSON: () => ({ a: 1 }) }
      assert.deepStrictEqual(normalize([shared, { shared }, new Map([["m", shared]])]), [
        { a: 1 },
        { shared: { a: 1 } },
        { m: { a: 1 } }
      ])
      const failing = {
        toJSON() {
          throw new Error("no")
        }
      }
      assert.deepStrictEqual(normalize([failing, failing]), ["[Throws: no]", "[Throws: no]"])
    })

    it("the mark of a user is no mark of ours", () => {
      assert.deepStrictEqual(normalize({ a: "[Circular ~]", b: "[Filtered]" }), { a: "[Circular ~]", b: "[Filtered]" })
    })
  })
})

describe("truncate", () => {
  it("marks what it cuts", () => {
    assert.strictEqual(truncate("abcdef", 6), "abcdef")
    assert.strictEqual(truncate("abcdefg", 6), "abc...")
  })

  it.prop(
    "is never too long, never cuts a pair in two, and keeps what is short",
    [fc.fullUnicodeString(), fc.nat(20)],
    ([text, length]) => {
      const result = truncate(text, length)
      assert.isTrue(result.isWellFormed())
      assert.isAtMost(result.length, length)
      if (text.length <= length) assert.strictEqual(result, text)
      else if (length >= 3) {
        assert.isTrue(result.endsWith("..."))
        assert.isTrue(text.startsWith(result.slice(0, -3)))
        assert.isAtLeast(result.length, length - 1)
      }
    }
  )

  it("at a pair that lies across the cut", () => {
    assert.strictEqual(truncate(`ab${HIGH}${LOW}cdef`, 6), "ab...")
    assert.strictEqual(truncate(`a${HIGH}${LOW}cdefg`, 6), `a${HIGH}${LOW}...`)
  })
})

describe("describeValue", () => {
  it.prop(
    "is a text of at most that length, whatever it is given",
    [anyRecipe, fc.integer({ min: 3, max: 100 })],
    ([recipe, length]) => {
      const text = describeValue(build(recipe), length)
      assert.strictEqual(typeof text, "string")
      assert.isAtMost(text.length, length)
      assert.notInclude(text, HIDDEN)
    }
  )

  for (const [name, make] of Object.entries(leaves)) {
    it(`of ${name}`, () => assert.strictEqual(typeof describeValue(make()), "string"))
  }

  it("shows texts as they are and objects as JSON", () => {
    assert.strictEqual(describeValue("a b"), "a b")
    assert.strictEqual(describeValue({ a: 1, password: "x" }), '{"a":1,"password":"[Filtered]"}')
    assert.strictEqual(describeValue(undefined), "undefined")
    assert.strictEqual(describeValue(null), "null")
    assert.strictEqual(describeValue(5n), "[BigInt: 5]")
  })
})

const chain = (length: number, wrap: (inner: unknown) => unknown, innermost: unknown = {}): unknown => {
  let value = innermost
  for (let level = 0; level < length; level++) value = wrap(value)
  return value
}

const sparse = (length: number): ReadonlyArray<unknown> => Object.assign([], { length })

const wide = (value: unknown): unknown =>
  Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, value]))

const endlessProxy = (): object =>
  new Proxy(
    {},
    {
      get: (_, key) => (typeof key === "symbol" || key === "toJSON" ? undefined : endlessProxy()),
      ownKeys: () => Array.from({ length: 100 }, (_, index) => `k${index}`),
      getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true, value: 1 }),
      has: () => false
    }
  )

/** Overwrites everything in it. */
const destroy = (value: unknown): void => {
  if (typeof value !== "object" || value === null) return
  for (const [key, part] of Object.entries(value)) {
    destroy(part)
    ;(value as Record<string, unknown>)[key] = "changed"
  }
}
