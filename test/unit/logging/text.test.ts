import { format, inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { describe as describeOne, formatted, joined } from "../../../src/event/text.js"
import { matching } from "../../../src/integrations/logging/names.js"
import { quickly } from "../support/clock.js"

describe("a line as text", () => {
  it("of Effect: its values, one after the other", () => {
    assert.strictEqual(joined([]), "")
    assert.strictEqual(joined(["a"]), "a")
    assert.strictEqual(joined(["%s", 1, { a: [1] }, null, undefined, 2n]), '%s 1 {"a":[1]} null undefined [BigInt: 2]')
  })

  it("errors by type and message", () => {
    assert.strictEqual(describeOne(new TypeError("no")), "TypeError: no")
    assert.strictEqual(describeOne(new Error("")), "Error")
    assert.strictEqual(describeOne(Object.assign(new Error("m"), { _tag: "Declined" })), "Declined: m")
  })

  const lines: ReadonlyArray<readonly [args: ReadonlyArray<unknown>, text: string]> = [
    [["100%", "of", 5], "100% of 5"],
    [["%s"], "%s"],
    [["%s %s", "a"], "a %s"],
    [["%s", "a", "b", { c: 1 }], 'a b {"c":1}'],
    [["%d %i %f", "1.5", 2.7, "3.5px"], "1.5 2 3.5"],
    [["%d", "x"], "NaN"],
    [["%d", 10n], "10n"],
    [["%j %o %O", { a: 1 }, [1], "x"], '{"a":1} [1] x'],
    [["%cstyled%c", "color: red", ""], "styled"],
    [["%x %", 1], "%x % 1"],
    [["%%", 1], "% 1"],
    [[{ a: 1 }, "%s", 2], '{"a":1} %s 2']
  ]
  it.each([...lines])("of the console, with places: %#", (args, text) => assert.strictEqual(formatted([...args]), text))

  it("of the console is what Node writes, wherever that is one line of plain values", () => {
    const plain = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.constantFrom("%s", "%d", "%i", "%f", "%%", "a %s b %d", "%c", "50% off")
    )
    fc.assert(
      fc.property(fc.array(plain, { minLength: 1, maxLength: 5 }), (args) => {
        fc.pre(args.every((arg) => typeof arg !== "number" || !Object.is(arg, -0)))
        assert.strictEqual(formatted(args), format(...args))
      })
    )
  })

  it("of the console calls nothing of what is logged", () => {
    let called = 0
    const value = {
      [inspect.custom]: () => called++,
      toString: () => `${called++}`
    }
    formatted(["%s %o %j", value, value, value, value])
    assert.strictEqual(called, 0)
  })
})

describe("names of loggers", () => {
  const cases: ReadonlyArray<readonly [pattern: string, name: string, matches: boolean]> = [
    ["a", "a", true],
    ["a", "ab", false],
    ["a.*", "a.b.c", true],
    ["a.*", "a", false],
    ["a.*", "aXb", false],
    ["*", "", true],
    ["*", "a\nb", true],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    [" a ", "a", true],
    ["[a]", "[a]", true],
    ["a|b", "a", false],
    ["(a+)$", "(a+)$", true]
  ]
  it.each([...cases])("%j and %j: %s", (pattern, name, matches) => {
    const isMatch = matching(["other", pattern])
    assert.strictEqual(isMatch(name), matches)
    assert.strictEqual(isMatch(name), matches, "also when it is asked again")
  })

  it("without patterns match nothing", () => assert.isFalse(matching([])("")))

  it("are compared in no time, whatever they are", () => {
    const isMatch = matching(["*a*a*a*b"])
    quickly(500, () => assert.isFalse(isMatch("a".repeat(200))))
  })
})
