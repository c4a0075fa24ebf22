import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { type EncodedItem, encodeItem } from "../../../src/protocol/Envelope.js"
import { type Held, lengthOf, Packed, Packer, writeHeld } from "../../../src/transport/pack.js"

const written = (held: Held): Buffer => {
  const target = Buffer.alloc(lengthOf(held) + 10)
  assert.strictEqual(writeHeld(held, target, 5), target.byteLength - 5)
  return target.subarray(5, -5)
}

const eventLike = (n: number): EncodedItem => ({
  headers: { type: "event" },
  payload: JSON.stringify({
    event_id: String(n).padStart(32, "0"),
    frames: Array.from({ length: 20 }, (_, line) => ({ line, text: `ligne nº ${line}: ${"x".repeat(200)}` })),
    contexts: { device: { memory: 1000 + Math.floor(n / 10) }, last: {} }
  })
})

describe("pack", () => {
  const piece = fc.oneof(
    fc.constantFrom('{"a":1},', "x".repeat(50), "},", '{"b":{"c":2}},', "é", "\u{1d4b3}"),
    fc.string({ unit: "grapheme" })
  )
  const item: fc.Arbitrary<EncodedItem> = fc.oneof(
    fc
      .array(piece, { maxLength: 20 })
      .map((pieces) => ({ headers: { type: "event" as const }, payload: pieces.join("").toWellFormed() })),
    fc.uint8Array().map((payload) => ({ headers: { type: "attachment" as const, filename: "ä" }, payload }))
  )

  it.prop(
    "what is packed is written as it would have been unpacked",
    [fc.array(item, { maxLength: 20 })],
    ([items]) => {
      const packer = new Packer()
      const held = items.map((one) => packer.pack(one))
      items.forEach((one, index) => assert.deepStrictEqual(written(held[index] as Held), encodeItem(one)))
    }
  )

  it("a thousand alike need a fraction of the space, also where what they share changes on the way", () => {
    const packer = new Packer()
    const items = Array.from({ length: 1000 }, (_, n) => eventLike(n))
    const held = items.map((one) => packer.pack(one))
    const bytes = held.reduce((sum, { byteLength }) => sum + byteLength, 0)
    assert.isBelow(
      bytes * 7,
      items.reduce((sum, one) => sum + encodeItem(one).byteLength, 0)
    )
    items.forEach((one, index) => assert.deepStrictEqual(written(held[index] as Held), encodeItem(one)))
  })

  it("what has nothing in common is held as it is", () => {
    const packer = new Packer()
    for (let n = 0; n < 50; n++) {
      const payload = JSON.stringify({ text: String(n).repeat(500) })
      assert.notInstanceOf(packer.pack({ headers: { type: "event" }, payload }), Packed)
    }
  })
})
