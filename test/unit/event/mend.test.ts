import { assert, describe, it } from "@effect/vitest"
import { mendEvent } from "../../../src/event/mend.js"
import type { Event } from "../../../src/protocol/Event.js"

const mended = (
  fields: Record<string, unknown>
): { readonly event: Event; readonly complaints: ReadonlyArray<string> } => {
  const complaints: Array<string> = []
  const event = { event_id: "0".repeat(32), timestamp: 1, platform: "node", ...fields } as Event
  mendEvent(event, 5000, (what) => complaints.push(what))
  return { event, complaints }
}

describe("mendEvent", () => {
  it("leaves alone what is right", () => {
    for (const fields of [
      { level: "fatal", transaction: "t", fingerprint: ["a"], timestamp: "2026-01-01T00:00:00Z" },
      { message: "", fingerprint: [] },
      {}
    ]) {
      const { complaints, event } = mended(fields)
      assert.deepStrictEqual(complaints, [])
      assert.deepStrictEqual<unknown>(
        { ...event },
        { event_id: "0".repeat(32), timestamp: 1, platform: "node", ...fields }
      )
    }
  })

  it("a level that is none becomes that of what it is", () => {
    assert.strictEqual(mended({ level: "bogus" }).event.level, "info")
    assert.strictEqual(mended({ level: 5, exception: { values: [] } }).event.level, "error")
    assert.deepStrictEqual(mended({ level: "bogus" }).complaints, ["the level bogus is none"])
  })

  it("a time that is none becomes now", () => {
    for (const timestamp of ["x", Number.NaN, null, {}]) assert.strictEqual(mended({ timestamp }).event.timestamp, 5)
  })

  it("texts become texts, a fingerprint a list of them", () => {
    const { event } = mended({ transaction: 5, server_name: { a: 1 }, fingerprint: "x" })
    assert.strictEqual(event.transaction, "5")
    assert.strictEqual(event.server_name, '{"a":1}')
    assert.deepStrictEqual(event.fingerprint, ["x"])
    assert.deepStrictEqual(mended({ fingerprint: [1, "a"] }).event.fingerprint, ["1", "a"])
  })
})
