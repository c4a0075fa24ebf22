import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import {
  type EncodedItem,
  type EnvelopeHeaders,
  encodeHeaders,
  encodeItem,
  parseEnvelope
} from "../../../src/protocol/Envelope.js"

const encode = (headers: EnvelopeHeaders, items: ReadonlyArray<EncodedItem>): Buffer =>
  Buffer.concat([encodeHeaders(headers), ...items.map(encodeItem)])

const parse = (text: string) => parseEnvelope(Buffer.from(text))

const bytesOf = (payload: string | Uint8Array): Buffer => Buffer.from(payload as Uint8Array)

/** Bytes as they stand in an envelope: with line breaks, and without any. */
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc
    .constantFrom("", "\n", "\r\n", "\n\n", "a\r\nb\n", "\r", '{"type":"event","length":0}\n', "é\n", "\u{1f600}", "\0")
    .map((text) => Buffer.from(text)),
  fc.fullUnicodeString().map((text) => Buffer.from(text))
)

const attachment = fc.record({
  headers: fc.record({
    type: fc.constant("attachment" as const),
    filename: fc.string(),
    content_type: fc.option(fc.string(), { nil: undefined })
  }),
  payload: payloads
})

const json = fc.record({
  headers: fc.record({ type: fc.constantFrom("event" as const, "client_report" as const, "session" as const) }),
  payload: fc.json()
})

const headers = fc.record(
  {
    event_id: fc.stringMatching(/^[0-9a-f]{32}$/),
    sent_at: fc.string(),
    trace: fc.dictionary(fc.string(), fc.string())
  },
  { requiredKeys: [] }
)

describe("Envelope", () => {
  afterEach(() => vi.restoreAllMocks())

  it("is framed as the protocol says", () => {
    const bytes = encode({ event_id: "e".repeat(32) }, [
      { headers: { type: "event" }, payload: '{"message":"é"}' },
      { headers: { type: "attachment", filename: "a" }, payload: Buffer.from("é\n") }
    ])
    assert.strictEqual(
      bytes.toString("utf8"),
      `{"event_id":"${"e".repeat(32)}"}\n` +
        '{"type":"event","length":16}\n{"message":"é"}\n' +
        '{"type":"attachment","filename":"a","length":3}\né\n\n'
    )
  })

  it("length counts bytes, whatever an item says of itself", () => {
    const texts = ["", "a", "é", "\u{1f600}", "a\nb", "\r\n"]
    for (const payload of texts) {
      for (const given of [payload, Buffer.from(payload)]) {
        const item = encodeItem({ headers: { type: "attachment", length: 99 }, payload: given }).toString("utf8")
        assert.strictEqual(item, `{"type":"attachment","length":${Buffer.byteLength(payload)}}\n${payload}\n`)
      }
    }
  })

  it("a view into a larger buffer is framed as what it shows", () => {
    const large = Buffer.from("xxabcxx")
    const view = new Uint8Array(large.buffer, large.byteOffset + 2, 3)
    assert.strictEqual(
      encodeItem({ headers: { type: "attachment" }, payload: view }).toString(),
      '{"type":"attachment","length":3}\nabc\n'
    )
    const inside = Buffer.concat([Buffer.from("xx"), encode({}, []), Buffer.from("yy")])
    assert.deepStrictEqual(parseEnvelope(inside.subarray(2, -2)), { headers: {}, items: [] })
  })

  it("every header is one line", () => {
    const [header, item] = encode({ sent_at: "a\nb\u2028" }, [
      { headers: { type: "attachment", filename: "a\r\nb" }, payload: "x" }
    ])
      .toString()
      .split("\n")
    assert.deepStrictEqual(JSON.parse(String(header)), { sent_at: "a\nb\u2028" })
    assert.strictEqual((JSON.parse(String(item)) as { filename: string }).filename, "a\r\nb")
  })

  it.prop("what is encoded is read back", [headers, fc.array(fc.oneof(attachment, json))], ([given, items]) => {
    const envelope = parseEnvelope(encode(given, items))
    assert.deepStrictEqual(envelope.headers, JSON.parse(JSON.stringify(given)))
    assert.strictEqual(envelope.items.length, items.length)
    envelope.items.forEach(({ headers, payload }, index) => {
      const item = items[index] as EncodedItem
      const bytes = bytesOf(item.payload)
      assert.deepStrictEqual(headers, {
        ...(JSON.parse(JSON.stringify(item.headers)) as typeof item.headers),
        length: bytes.byteLength
      })
      if (item.headers.type === "attachment") assert.isTrue(bytes.equals(payload as Buffer))
      else assert.deepStrictEqual(payload, JSON.parse(String(item.payload)))
    })
  })

  describe("reading what others wrote", () => {
    const accepted: ReadonlyArray<readonly [what: string, text: string, payloads: ReadonlyArray<unknown>]> = [
      ["no items", "{}", []],
      ["no items, final LF", "{}\n", []],
      ["missing final LF", '{}\n{"type":"event","length":2}\n{}', [{}]],
      ["missing length", '{}\n{"type":"event"}\n{"a":1}\n{"type":"session"}\n{"b":2}\n', [{ a: 1 }, { b: 2 }]],
      ["missing length and final LF", '{}\n{"type":"event"}\n{"a":1}', [{ a: 1 }]],
      ["missing length, empty", '{}\n{"type":"attachment"}\n\n', [Buffer.alloc(0)]],
      ["missing length and payload", '{}\n{"type":"attachment"}', [Buffer.alloc(0)]],
      ["length 0", '{}\n{"type":"attachment","length":0}\n\n{"type":"event","length":2}\n{}\n', [Buffer.alloc(0), {}]],
      ["length 0 at the end", '{}\n{"type":"attachment","length":0}\n', [Buffer.alloc(0)]],
      ["unknown type", '{}\n{"type":"telepathy","length":7}\n{"a":1}\n', [{ a: 1 }]],
      ["no JSON in it", '{}\n{"type":"telepathy","length":3}\na\nb\n', [Buffer.from("a\nb")]],
      ["CR is data", '{}\n{"type":"attachment"}\na\r\n', [Buffer.from("a\r")]],
      ["blank lines at the end", '{}\n{"type":"event","length":2}\n{}\n\n\n', [{}]]
    ]
    for (const [what, text, expected] of accepted) {
      it(what, () =>
        assert.deepStrictEqual(
          parse(text).items.map((item) => item.payload),
          [...expected]
        )
      )
    }

    it("unknown headers are kept", () => {
      const { headers, items } = parse('{"future":{"a":1}}\n{"type":"event","length":2,"more":[1]}\n{}\n')
      assert.deepStrictEqual(headers, { future: { a: 1 } })
      assert.deepStrictEqual(items[0]?.headers, { type: "event", length: 2, more: [1] })
    })

    const rejected: ReadonlyArray<readonly [what: string, text: string]> = [
      ["length past the end", '{}\n{"type":"event","length":3}\n{}'],
      [
        "length past the end, after a good item",
        '{}\n{"type":"event","length":2}\n{}\n{"type":"event","length":9}\n{}\n'
      ],
      ["endless length", '{}\n{"type":"event","length":1e999}\n{}\n'],
      ["a payload longer than its length", '{}\n{"type":"event","length":2}\n{}garbage\n'],
      ["an item right behind a payload", '{}\n{"type":"event","length":2}\n{}{"type":"event"}\n{}\n'],
      ["nothing", ""],
      ["no JSON header", "garbage\n"],
      ["a cut item header", '{}\n{"type":"ev']
    ]
    for (const [what, text] of rejected) it(`not ${what}`, () => assert.throws(() => parse(text)))

    const backTo = (start: string): string => {
      const lengthOf = (length: number): number => `${start}{"type":"attachment","length":${length}}\n`.length
      return `${start}{"type":"attachment","length":${-lengthOf(-10) + start.length}}\nabc\n`
    }
    const noLengths: ReadonlyArray<readonly [what: string, text: string]> = [
      ["back to its own header", backTo("{}\n")],
      ["-1", '{}\n{"type":"attachment","length":-1}\n{}\n'],
      ["1.5", '{}\n{"type":"attachment","length":1.5}\nab\n']
    ]
    for (const [what, text] of noLengths) {
      it(`not a length that is none: ${what}`, () => {
        // A reader that goes back would never end.
        let reads = 0
        vi.spyOn(Buffer.prototype, "indexOf").mockImplementation(function (this: Buffer, value, from) {
          if (++reads > 100) throw new Error("ENDLESS")
          return Uint8Array.prototype.indexOf.call(this, value as number, from as number)
        })
        assert.throws(() => parse(text), /^(?!ENDLESS)/)
      })
    }

    it.prop(
      "a cut envelope is read up to the cut, or rejected, but never hangs",
      [fc.array(attachment), fc.nat()],
      ([items, at]) => {
        const bytes = encode({}, items)
        const cut = bytes.subarray(0, at % (bytes.length + 1))
        try {
          assert.isAtMost(parseEnvelope(cut).items.length, items.length)
        } catch (error) {
          assert.instanceOf(error, Error)
        }
      }
    )
  })
})
