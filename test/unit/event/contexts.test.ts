import { assert, describe, it } from "@effect/vitest"
import { machineContexts, runtimeContext } from "../../../src/event/contexts.js"

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

describe("contexts", () => {
  const { app, culture, device, os } = machineContexts(1_000)

  it("have the fields and types of the protocol", () => {
    for (const field of ["name", "version", "kernel_version", "build"]) assert.isString(os?.[field])
    for (const field of ["name", "arch"]) assert.isString(device?.[field])
    for (const field of ["memory_size", "free_memory", "processor_count"]) {
      assert.isTrue(Number.isInteger(device?.[field]), field)
      assert.isAbove(Number(device?.[field]), 0)
    }
    assert.match(String(device?.["boot_time"]), ISO)
    assert.match(String(app?.["app_start_time"]), ISO)
    assert.isBelow(
      Math.abs(Date.parse(String(app?.["app_start_time"])) - (Date.now() - process.uptime() * 1000)),
      60_000
    )
    assert.isTrue(Number.isInteger(app?.["app_memory"]))
    assert.isAbove(Number(app?.["app_memory"]), 1_000_000)
    assert.strictEqual(culture?.["timezone"], Intl.DateTimeFormat().resolvedOptions().timeZone)
    assert.isString(culture?.["locale"])
    assert.deepStrictEqual(runtimeContext(), { name: "node", version: process.version })
  })

  it("are the event's own to change", () => {
    Object.assign(os as object, { name: "changed" })
    delete device?.["arch"]
    assert.notStrictEqual(machineContexts(1_000)["os"]?.["name"], "changed")
    assert.isString(machineContexts(1_000)["device"]?.["arch"])
  })

  it("what changes is read anew after a second, and where the clock was set back", () => {
    const memoryAt = (now: number): unknown => machineContexts(now)["app"]?.["app_memory"]
    const first = memoryAt(50_000)
    const held = Array.from({ length: 200_000 }, () => ({ a: Math.random() }))
    assert.strictEqual(memoryAt(50_999), first)
    assert.notStrictEqual(memoryAt(51_000), first)
    const second = memoryAt(51_000)
    held.push(...Array.from({ length: 100_000 }, () => ({ a: Math.random() })))
    assert.notStrictEqual(memoryAt(10), second)
    assert.isAbove(held.length, 0)
  })
})
