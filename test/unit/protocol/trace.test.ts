import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { makeEventId, makeSpanId } from "../../../src/protocol/Ids.js"
import {
  continueTrace,
  formatBaggage,
  formatSentryTrace,
  PropagationContext,
  parseBaggage,
  parseSentryTrace
} from "../../../src/protocol/Trace.js"

const TRACE = "771a43a4192642f0b136d5159a501700"
const SPAN = "7c51afd529da4a2a"

const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`))

describe("Ids", () => {
  it("event ids are UUIDs of version 4 without dashes, span ids half as long, never the same", () => {
    const ids = Array.from({ length: 1000 }, makeEventId)
    for (const id of ids) assert.match(id, /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    assert.strictEqual(new Set(ids).size, ids.length)
    const spans = Array.from({ length: 1000 }, makeSpanId)
    for (const id of spans) assert.match(id, /^[0-9a-f]{16}$/)
    assert.strictEqual(new Set(spans).size, spans.length)
  })
})

describe("sentry-trace", () => {
  const parsed = { traceId: TRACE, parentSpanId: SPAN }
  const known: ReadonlyArray<readonly [header: string, sampled: boolean | undefined]> = [
    [`${TRACE}-${SPAN}`, undefined],
    [`${TRACE}-${SPAN}-1`, true],
    [`${TRACE}-${SPAN}-0`, false],
    [` ${TRACE}-${SPAN}-1\t`, true]
  ]
  for (const [header, sampled] of known) {
    it(JSON.stringify(header), () => assert.deepStrictEqual(parseSentryTrace(header), { ...parsed, sampled }))
  }

  const ignored = [
    "",
    "1",
    "-1",
    "-0",
    TRACE,
    `${TRACE}-`,
    "771a43a4-7c51afd529da4a2a-1",
    `${TRACE}-${SPAN.slice(1)}-1`,
    `${TRACE}0-${SPAN}-1`,
    `${TRACE}-${SPAN}0-1`,
    `${TRACE}-${SPAN}-2`,
    `${TRACE}-${SPAN}-`,
    `${TRACE}-${SPAN}-1-`,
    `${TRACE}-${SPAN}-11`,
    `${TRACE}-${SPAN}-1 garbage`,
    `${TRACE}-${SPAN}-1\n`,
    `x${TRACE}-${SPAN}`,
    `${"0".repeat(32)}-${SPAN}-1`,
    `${TRACE}-${"0".repeat(16)}-1`,
    `${TRACE.toUpperCase()}-${SPAN}-1`,
    `${TRACE}-${SPAN.toUpperCase()}-1`,
    `${TRACE}-${SPAN}-1, ${TRACE}-${SPAN}-1`
  ]
  for (const header of ignored) {
    it(`${JSON.stringify(header)} is none`, () => {
      assert.isUndefined(parseSentryTrace(header))
      const context = continueTrace(header, "sentry-release=1")
      assert.notStrictEqual(context.traceId, TRACE)
      assert.match(context.traceId, /^[0-9a-f]{32}$/)
      assert.isUndefined(context.parentSpanId)
      assert.isUndefined(context.sampled)
      assert.isUndefined(context.incoming, "baggage without a trace is ignored")
    })
  }

  it.prop(
    "what is formatted is read back",
    [hex(32), hex(16), fc.constantFrom(true, false, undefined)],
    ([traceId, parentSpanId, sampled]) => {
      const header = formatSentryTrace(traceId, parentSpanId, sampled)
      assert.deepStrictEqual(parseSentryTrace(header), { traceId, parentSpanId, sampled })
    }
  )
})

describe("continueTrace", () => {
  it("keeps trace, parent, decision and baggage, and is a span of its own", () => {
    const context = continueTrace(`${TRACE}-${SPAN}-0`, "other=1,sentry-release=a%20b")
    assert.strictEqual(context.traceId, TRACE)
    assert.strictEqual(context.parentSpanId, SPAN)
    assert.strictEqual(context.sampled, false)
    assert.deepStrictEqual(context.incoming, { release: "a b" })
    assert.match(context.spanId, /^[0-9a-f]{16}$/)
    assert.notStrictEqual(context.spanId, SPAN)
  })

  it("without baggage the sampling context is empty and frozen: none is sent on", () => {
    const { incoming } = continueTrace(`${TRACE}-${SPAN}`, undefined)
    assert.deepStrictEqual(incoming, {})
    assert.strictEqual(formatBaggage(incoming ?? { release: "x" }), "")
  })

  it("a trace that begins here has ids that stay", () => {
    const context = new PropagationContext()
    assert.strictEqual(context.traceId, context.traceId)
    assert.strictEqual(context.spanId, context.spanId)
    assert.isUndefined(context.incoming)
    assert.notStrictEqual(context.traceId, new PropagationContext().traceId)
  })
})

describe("baggage", () => {
  const values = fc.oneof(
    fc.fullUnicodeString({ minLength: 1 }),
    fc.constantFrom("a,b;c=d", "%", "ä é", " a ", '"', "\\")
  )

  it.prop(
    "what is formatted is read back",
    [fc.dictionary(fc.stringMatching(/^[a-z][a-z_]{0,11}$/), values, { maxKeys: 8 })],
    ([context]) => {
      const header = formatBaggage(context)
      assert.match(header, /^[\x21-\x7e]*$/, "a header holds printable ASCII")
      assert.deepStrictEqual(parseBaggage(header), { ...context })
    }
  )

  it.prop(
    "a context that came in goes out as it came",
    [
      fc.dictionary(
        fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`|~-]{0,11}$/),
        fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/)
      )
    ],
    ([members]) => {
      const header = Object.entries(members)
        .map(([key, value]) => `sentry-${key}=${value}`)
        .join(",")
      assert.strictEqual(formatBaggage(parseBaggage(header)), header)
    }
  )

  const read: ReadonlyArray<readonly [header: string, members: Record<string, string>]> = [
    ["", {}],
    [",,;=", {}],
    ["sentry-release=1", { release: "1" }],
    [" sentry-release = 1 ; prop=x , other=2 ", { release: "1" }],
    ["sentry-release=a%20b%2Cc", { release: "a b,c" }],
    ["sentry-a=%,sentry-b=%E0%A4,sentry-c=1", { c: "1" }],
    ["sentry-a=1=2", { a: "1=2" }],
    ["sentry-a", {}],
    ["Sentry-a=1,xsentry-b=2,sentry_c=3", {}],
    ["sentry-a=1,sentry-a=2", { a: "2" }],
    ["sentry-a=1;ttl=5;x", { a: "1" }]
  ]
  for (const [header, members] of read) {
    it(`reads ${JSON.stringify(header)}`, () => assert.deepStrictEqual(parseBaggage(header), members))
  }

  it("no member reaches a prototype", () => {
    const members = parseBaggage("sentry-__proto__=x,sentry-constructor=y,sentry-toString=z")
    assert.strictEqual(Object.getPrototypeOf(members), Object.prototype)
    assert.strictEqual(typeof {}.toString, "function")
    assert.strictEqual(members["constructor"], "y")
  })

  it("foreign members are kept as they are, our old ones replaced, empty ones left out", () => {
    assert.strictEqual(
      formatBaggage(
        { release: "2", environment: "", trace_id: TRACE },
        " a=1;p=2 , sentry-release=1,sentry-old=x ,, b=%zz,B=ä"
      ),
      `a=1;p=2,b=%zz,B=ä,sentry-release=2,sentry-trace_id=${TRACE}`
    )
    assert.strictEqual(formatBaggage({}, "a=1"), "a=1")
    assert.strictEqual(formatBaggage({}, ""), "")
    assert.strictEqual(formatBaggage({}), "")
  })

  it("a text that cannot be encoded does not throw", () => {
    for (const release of ["\ud800", "a\udc00b"]) {
      const header = formatBaggage({ release, trace_id: TRACE })
      assert.include(header, `sentry-trace_id=${TRACE}`)
      assert.strictEqual(parseBaggage(header)["release"], release.toWellFormed())
    }
  })

  it.prop(
    "no longer than 8192 bytes by our members; what fits is there",
    [fc.array(fc.nat(9000), { maxLength: 6 }), fc.nat(8300)],
    ([lengths, foreign]) => {
      const context = Object.fromEntries(lengths.map((length, index) => [`k${index}`, "x".repeat(length)]))
      const existing = foreign === 0 ? "" : `a=${"y".repeat(foreign)}`
      const header = formatBaggage(context, existing)
      assert.isTrue(header.startsWith(existing))
      assert.isAtMost(Buffer.byteLength(header), Math.max(8192, existing.length))
      let length = existing.length
      for (const [key, value] of Object.entries(context)) {
        if (value === "") continue
        const member = `sentry-${key}=${value}`
        const fits = length + member.length + (length === 0 ? 0 : 1) <= 8192
        assert.strictEqual(Object.hasOwn(parseBaggage(header), key), fits)
        if (fits) length += member.length + (length === 0 ? 0 : 1)
      }
    }
  )

  it("exactly 8192 bytes are allowed", () => {
    const room = 8192 - "sentry-k=".length
    assert.strictEqual(formatBaggage({ k: "x".repeat(room) }).length, 8192)
    assert.strictEqual(formatBaggage({ k: "x".repeat(room + 1) }), "")
    assert.strictEqual(formatBaggage({ k: "x".repeat(room + 1), l: "1" }), "sentry-l=1")
  })
})
