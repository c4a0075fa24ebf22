import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { applyScope, attachmentName, readAttachment, tagsOf } from "../../../src/event/apply.js"
import type { Event } from "../../../src/protocol/Event.js"
import * as ScopeData from "../../../src/scope/ScopeData.js"
import { eventOf } from "../support/event.js"
import { anyRecipe, build, HIDDEN, HIGH, LOW, leaves } from "../support/values.js"

const scopeOf = (context: ScopeData.ScopeContext): ScopeData.ScopeData =>
  ScopeData.applyContext(ScopeData.empty, context)

const applied = (fields: Partial<Event>, context: ScopeData.ScopeContext): Event => {
  const event = eventOf(fields)
  applyScope(event, scopeOf(context))
  return event
}

describe("applyScope", () => {
  it("writes everything a scope knows", () => {
    const event = applied(
      {},
      {
        tags: { a: 1 },
        extra: { b: 2 },
        contexts: { c: { d: 3 } },
        user: { id: 4 },
        level: "warning",
        fingerprint: ["{{ default }}", "x"],
        transactionName: "t"
      }
    )
    assert.deepStrictEqual(event, {
      ...eventOf(),
      tags: { a: "1" },
      extra: { b: 2 },
      contexts: { c: { d: 3 } },
      user: { id: 4 },
      level: "warning",
      fingerprint: ["{{ default }}", "x"],
      transaction: "t"
    })
  })

  it("what is on the event wins, key by key; but the level of the scope", () => {
    const event = applied(
      {
        tags: { a: "event" },
        extra: { a: "event" },
        contexts: { a: { x: "event" } },
        user: { id: "event" },
        level: "error",
        fingerprint: ["event"],
        transaction: "event"
      },
      {
        tags: { a: "scope", b: "scope" },
        extra: { a: "scope", b: "scope" },
        contexts: { a: { y: "scope" }, b: { y: "scope" } },
        user: { id: "scope", email: "scope" },
        level: "fatal",
        fingerprint: ["scope"],
        transactionName: "scope"
      }
    )
    assert.deepStrictEqual(event.tags, { a: "event", b: "scope" })
    assert.deepStrictEqual(event.extra, { a: "event", b: "scope" })
    assert.deepStrictEqual(event.contexts, { a: { x: "event" }, b: { y: "scope" } })
    assert.deepStrictEqual(event.user, { id: "event", email: "scope" })
    assert.strictEqual(event.level, "fatal")
    assert.deepStrictEqual(event.fingerprint, ["event"])
    assert.strictEqual(event.transaction, "event")
  })

  it("adds nothing of an empty scope, and nothing that was removed", () => {
    assert.deepStrictEqual(applied({}, {}), { ...eventOf(), contexts: {} })
    const event = applied(
      {},
      {
        tags: { a: undefined, b: null },
        contexts: { a: null, b: undefined },
        user: null,
        fingerprint: [],
        extra: { a: undefined }
      }
    )
    assert.deepStrictEqual(event, { ...eventOf(), contexts: {} })
  })

  it("the lists of the scope are not the event's to change", () => {
    const scope = scopeOf({ fingerprint: ["a"], tags: { a: "b" } })
    const event = eventOf()
    applyScope(event, scope)
    event.fingerprint?.push("b")
    Object.assign(event.tags as object, { c: "d" })
    assert.deepStrictEqual(scope.fingerprint, ["a"])
    assert.deepStrictEqual(scope.tags, { a: "b" })
  })

  it("tags that were given with the event are tags, too: texts under keys that servers take", () => {
    const given = { n: 5, "a b": true, gone: undefined } as unknown as Record<string, string>
    assert.deepStrictEqual(applied({ tags: given }, {}).tags, { n: "5", "a-b": "true" })
  })
})

describe("tagsOf", () => {
  const cases: ReadonlyArray<readonly [key: string, value: unknown, expected: Record<string, string>]> = [
    ["a", "b", { a: "b" }],
    ["a", 1.5, { a: "1.5" }],
    ["a", true, { a: "true" }],
    ["a", 5n, { a: "5" }],
    ["a", Number.NaN, { a: "NaN" }],
    ["a", 0, { a: "0" }],
    ["a", false, { a: "false" }],
    ["a", "", {}],
    ["a", "  ", {}],
    ["a", "\n", {}],
    ["a", null, {}],
    ["a", undefined, {}],
    ["a", " b\r\nc\n", { a: "b c" }],
    ["a", "x".repeat(300), { a: "x".repeat(200) }],
    ["a", { b: 1, password: "p" }, { a: '{"b":1,"password":"[Filtered]"}' }],
    ["a", Symbol("s"), { a: "Symbol(s)" }],
    ["a", HIGH, { a: "\ufffd" }],
    ["a", `${"x".repeat(199)}${HIGH}${LOW}`, { a: "x".repeat(199) }],
    ["a.b:c-d_E9", "x", { "a.b:c-d_E9": "x" }],
    ["a b", "x", { "a-b": "x" }],
    ["ä/ö", "x", { "-": "x" }],
    ["", "x", {}],
    ["k".repeat(300), "x", { ["k".repeat(200)]: "x" }],
    ["constructor", "x", { constructor: "x" }]
  ]
  for (const [key, value, expected] of cases) {
    it(`${JSON.stringify(key.slice(0, 20))}: ${String(JSON.stringify(String(value))).slice(0, 40)}`, () =>
      assert.deepStrictEqual(tagsOf({ [key]: value as ScopeData.TagValue }), expected))
  }

  for (const [name, make] of Object.entries(leaves)) {
    it(`of ${name}`, () => assert.doesNotThrow(() => tagsOf({ a: make() as ScopeData.TagValue })))
  }

  it.prop("always makes what servers take", [fc.string16bits(), anyRecipe], ([key, recipe]) => {
    const tags = tagsOf({ [key]: build(recipe) as ScopeData.TagValue })
    for (const [name, value] of Object.entries(tags)) {
      assert.match(name, /^[A-Za-z0-9_.:-]{1,200}$/)
      assert.isString(value)
      assert.match(value, /^[^\n\r]{1,200}$/)
      assert.strictEqual(value, value.trim())
      assert.isTrue(value.isWellFormed())
      assert.notInclude(value, HIDDEN)
    }
  })

  it("no key reaches a prototype", () => {
    const tags = tagsOf(JSON.parse('{"__proto__":"x","a":"b"}') as Record<string, string>)
    assert.strictEqual(Object.getPrototypeOf(tags), Object.prototype)
    assert.strictEqual(tags["a"], "b")
  })
})

describe("attachments", () => {
  const folder = mkdtempSync(join(tmpdir(), "attachments-"))
  afterAll(() => rmSync(folder, { recursive: true }))

  it("are bytes, a text as UTF-8, or a file", () => {
    const path = join(folder, "a.bin")
    writeFileSync(path, Buffer.from([0, 10, 255]))
    const read = (attachment: object) => readAttachment({ filename: "f", ...attachment } as never, 10)
    assert.deepStrictEqual(Buffer.from(read({ data: "é\n" }) ?? []), Buffer.from("é\n"))
    assert.deepStrictEqual(read({ data: new Uint8Array([1]) }), new Uint8Array([1]))
    assert.deepStrictEqual(Buffer.from(read({ path }) ?? []), Buffer.from([0, 10, 255]))
    assert.strictEqual(read({ data: "" })?.byteLength, 0)
  })

  it("that are too large, or cannot be read, are none", () => {
    const read = (attachment: object, max = 3) => readAttachment({ filename: "f", ...attachment } as never, max)
    assert.strictEqual(read({ data: "éa" })?.byteLength, 3)
    for (const attachment of [{ data: "éab" }, { path: join(folder, "missing") }, { path: folder }, {}, { path: 5 }]) {
      assert.isUndefined(read(attachment), JSON.stringify(attachment))
    }
  })

  it("that are neither text nor bytes do not get into an envelope as they are", () => {
    for (const data of [5, null, {}, [1], new ArrayBuffer(2), true]) {
      const bytes = readAttachment({ filename: "f", data } as never, 10)
      if (bytes !== undefined) assert.instanceOf(bytes, Uint8Array)
    }
  })

  it("have a name without folders or line breaks", () => {
    const names: ReadonlyArray<readonly [filename: string, name: string]> = [
      ["a.txt", "a.txt"],
      ["/var/log/a.txt", "a.txt"],
      ["../../a.txt", "a.txt"],
      ["a\r\nb.txt", "a b.txt"],
      ["", "attachment"],
      ["/", "attachment"]
    ]
    for (const [filename, name] of names) assert.strictEqual(attachmentName({ filename, data: "" }), name)
  })
})
