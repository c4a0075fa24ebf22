import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { type Category, categoryOf, type ItemType } from "../../../src/protocol/Category.js"
import {
  activeLimits,
  isItemLimited,
  type LimitingResponse,
  limitedUntil,
  noLimits,
  type RateLimits,
  updateLimits
} from "../../../src/transport/rateLimits.js"

const NOW = 5_000
const WALL = Date.UTC(2026, 7, 1, 12, 0, 0)

const categories: ReadonlyArray<Category> = [
  "default",
  "error",
  "transaction",
  "security",
  "session",
  "attachment",
  "attachment_item",
  "monitor",
  "metric_bucket",
  "internal",
  "log_item",
  "log_byte"
]

const answer = (status: number, rateLimits?: string, retryAfter?: string): LimitingResponse => ({
  status,
  rateLimits,
  retryAfter
})

const after = (response: LimitingResponse, limits: RateLimits = noLimits, now = NOW): RateLimits =>
  updateLimits(limits, response, now, WALL)

/** For how many more seconds each category is off; `undefined` for those that are not. */
const seconds = (limits: RateLimits, now = NOW): Partial<Record<Category, number>> =>
  Object.fromEntries(
    categories.flatMap((category) => {
      const until = limitedUntil(limits, category, now)
      return until === undefined ? [] : [[category, (until - now) / 1000]]
    })
  )

const every = (length: number): Partial<Record<Category, number>> =>
  Object.fromEntries(categories.map((category) => [category, length]))

describe("rateLimits", () => {
  const vectors: ReadonlyArray<readonly [response: LimitingResponse, expected: Partial<Record<Category, number>>]> = [
    [answer(200, "60:transaction:key"), { transaction: 60 }],
    [answer(429, ""), every(60)],
    [answer(429, " , "), every(60)],
    [answer(429, "", "7"), every(7)],
    [answer(200, ""), {}],
    [
      answer(429, "2700:default;error;security:organization, 60:error:key"),
      { error: 2700, default: 2700, security: 2700 }
    ],
    [
      answer(429, "60:error:key, 2700:default;error;security:organization"),
      { error: 2700, default: 2700, security: 2700 }
    ],
    [answer(200, "60::organization"), every(60)],
    [answer(200, "60:unknown_thing:key"), {}],
    [answer(429, "60:unknown_thing:key"), {}],
    [answer(429, "60:unknown;more_unknown:key"), {}],
    [answer(200, "60:unknown;error:key"), { error: 60 }],
    [answer(200, "2.5:session:org:quota:ns:future"), { session: 2.5 }],
    [answer(200, " 10 : error ; transaction : key , 20 : : org "), every(20)],
    [answer(200, "\t10\t:\terror\t;\ttransaction"), { error: 10, transaction: 10 }],
    [answer(429, undefined, "17"), every(17)],
    [answer(429, undefined, " 17 "), every(17)],
    [answer(429, undefined, "1.5"), every(1.5)],
    [answer(429, undefined, new Date(WALL + 30_000).toUTCString()), every(30)],
    [answer(429, undefined, new Date(WALL - 30_000).toUTCString()), {}],
    [answer(429, undefined, "0"), {}],
    [answer(429), every(60)],
    [answer(429, undefined, ""), every(60)],
    [answer(429, undefined, "soon"), every(60)],
    // Neither seconds nor an HTTP date.
    [answer(429, undefined, "-5"), every(60)],
    [answer(429, undefined, "5 seconds"), every(60)],
    [answer(429, undefined, "in 5"), every(60)],
    [answer(429, "1:session:key", "99"), { session: 1 }],
    [answer(200, undefined, "99"), {}],
    [answer(503, undefined, "99"), {}],
    [answer(413, "60:error:key"), { error: 60 }],
    [answer(500, "60:error:key"), { error: 60 }],
    [answer(200, "60:metric_bucket:org:x:custom"), { metric_bucket: 60 }],
    [answer(200, "60:metric_bucket:org:x:"), { metric_bucket: 60 }],
    [answer(200, "60:metric_bucket:org"), { metric_bucket: 60 }],
    [answer(200, "60:metric_bucket:org:x: spans ; custom "), { metric_bucket: 60 }],
    [answer(200, "60:metric_bucket:org:x:transactions"), {}],
    [answer(200, "60:metric_bucket;error:org:x:transactions"), { error: 60 }],
    [answer(200, "60:error:org:x:transactions"), { error: 60 }],
    // A delay that cannot be read counts as a minute.
    [answer(200, "soon:error:key"), { error: 60 }],
    [answer(200, "-1:error:key"), { error: 60 }],
    [answer(200, "NaN:error:key"), { error: 60 }],
    [answer(200, ":error:key"), { error: 60 }],
    [answer(200, "0:error:key"), {}],
    [answer(200, ",, 60:error:key ,"), { error: 60 }],
    [answer(200, ""), {}],
    [answer(200, "60:Error;ERROR:key"), {}],
    [answer(200, "60:constructor;__proto__;all:key"), {}]
  ]
  for (const [response, expected] of vectors) {
    it(JSON.stringify(response), () => assert.deepStrictEqual(seconds(after(response)), expected))
  }

  it("a shorter limit does not shorten a longer one, per category and for all", () => {
    const longer = after(answer(200, "100:error:key"))
    assert.deepStrictEqual(seconds(after(answer(200, "1:error:key"), longer, NOW + 50_000), NOW + 50_000), {
      error: 50
    })
    const all = after(answer(429, undefined, "100"))
    assert.deepStrictEqual(seconds(after(answer(429, undefined, "1"), all)), every(100))
    assert.deepStrictEqual(seconds(after(answer(200), all)), every(100))
  })

  it("an expired limit of a category does not hide an active one for all, nor the other way round", () => {
    const limits = after(answer(200, "1:error:key, 100::key"))
    assert.deepStrictEqual(seconds(limits, NOW + 2_000), every(98))
    const other = after(answer(200, "100:error:key, 1::key"))
    assert.deepStrictEqual(seconds(other, NOW + 2_000), { error: 98 })
  })

  it("limits end", () => {
    const limits = after(answer(200, "10:error:key"))
    assert.strictEqual(limitedUntil(limits, "error", NOW + 9_999), NOW + 10_000)
    assert.isUndefined(limitedUntil(limits, "error", NOW + 10_000))
    assert.isUndefined(limitedUntil(noLimits, "error", NOW))
  })

  describe("an item is off", () => {
    const types: ReadonlyArray<readonly [type: ItemType, limitedBy: ReadonlyArray<Category | "all">]> = [
      ["event", ["error", "all"]],
      ["attachment", ["attachment", "attachment_item", "all"]],
      ["session", ["session", "all"]],
      ["sessions", ["session", "all"]],
      ["log", ["log_item", "log_byte", "all"]],
      ["check_in", ["monitor", "all"]],
      ["client_report", ["internal", "all"]]
    ]
    it.each(types)("%s: while one of %j is, and no other", (type, limitedBy) => {
      for (const category of [...categories, "all"] as const) {
        const limits = after(answer(200, `10:${category === "all" ? "" : category}:key`))
        const isOff = (now: number) => isItemLimited(limits, type, categoryOf(type), now)
        assert.strictEqual(isOff(NOW), limitedBy.includes(category), category)
        assert.isFalse(isOff(NOW + 10_000), `${category}, later`)
      }
    })
  })

  it("what is still off can be seen, with the time by the clock on the wall", () => {
    const limits = after(answer(200, "10:error;session:key, 20::key"), after(answer(200, "1:monitor:key")))
    assert.deepStrictEqual(activeLimits(limits, NOW + 5000, WALL), [
      { category: "error", until: new Date(WALL + 5000) },
      { category: "session", until: new Date(WALL + 5000) },
      { category: "all", until: new Date(WALL + 15_000) }
    ])
  })

  it("the table is a value: an answer makes another one", () => {
    const before = after(answer(200, "10:error:key"))
    const copy = new Map(before)
    after(answer(429, "20:error;session:key"), before)
    assert.deepStrictEqual(new Map(before), copy)
    assert.strictEqual(noLimits.size, 0)
  })

  const delay = fc.oneof(fc.nat(5000).map(String), fc.constantFrom("2.5", "x", "", "-3", " 7 "))
  const names = fc.array(fc.constantFrom(...categories, "unknown", "", " error "), { maxLength: 3 })
  const limit = fc.tuple(delay, names).map(([delay, names]) => `${delay}:${names.join(";")}:org`)
  const response = fc.record({
    status: fc.constantFrom(200, 400, 413, 429, 500),
    rateLimits: fc.option(
      fc.array(limit, { maxLength: 4 }).map((limits) => limits.join(", ")),
      { nil: undefined }
    ),
    retryAfter: fc.option(fc.oneof(delay, fc.string()), { nil: undefined })
  })

  it.prop(
    "no sequence of answers ever shortens a deadline",
    [fc.array(fc.tuple(response, fc.nat(100_000)), { maxLength: 12 })],
    ([answers]) => {
      let limits = noLimits
      let now = NOW
      for (const [response, passed] of answers) {
        now += passed
        const next = updateLimits(limits, response, now, WALL)
        for (const category of categories) {
          const before = limitedUntil(limits, category, now) ?? 0
          assert.isAtLeast(
            limitedUntil(next, category, now) ?? 0,
            before,
            `${category} after ${JSON.stringify(response)}`
          )
        }
        limits = next
      }
    }
  )

  it.prop(
    "what holds is the later of the category's own deadline and that of all",
    [fc.nat(99), fc.nat(99)],
    ([own, all]) => {
      const limits = after(answer(200, `${own}:error:key, ${all}::key`))
      assert.deepStrictEqual(seconds(limits)["error"], Math.max(own, all) || undefined)
      assert.deepStrictEqual(seconds(limits)["session"], all || undefined)
    }
  )

  it.prop(
    "unknown categories alone have no effect",
    [fc.array(fc.stringMatching(/^[a-z_]{1,9}x$/), { minLength: 1 })],
    ([names]) => {
      assert.strictEqual(after(answer(429, `60:${names.join(";")}:key`)).size, 0)
    }
  )

  it.prop(
    "never throws, and never limits anything to a time that is none",
    [fc.string(), fc.string()],
    ([header, retryAfter]) => {
      for (const response of [
        answer(429, header),
        answer(429, undefined, retryAfter),
        answer(200, `${header}:error`)
      ]) {
        for (const until of after(response).values()) assert.isFalse(Number.isNaN(until))
      }
    }
  )
})
