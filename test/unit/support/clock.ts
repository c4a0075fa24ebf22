import { assert, vi } from "@effect/vitest"

/** Replaces the monotonic clock until the test is over; `advance` is how time passes. */
export const monotonicClock = (): { readonly advance: (millis: number) => void } => {
  let now = 1_000_000
  vi.spyOn(performance, "now").mockImplementation(() => now)
  return { advance: (millis) => void (now += millis) }
}

/**
 * Runs `work` and fails if that took more than `millis` of this process' own CPU time: how long it had to wait for its turn does not
 * count. Where the machine is slower right now than it should be (others use the same core, its caches, its memory), more is allowed.
 */
export const quickly = <A>(millis: number, work: () => A): A => {
  const before = process.cpuUsage()
  const result = work()
  const took = millisSince(before)
  if (took >= millis) assert.isBelow(took, millis * slowness(), "milliseconds of CPU time")
  return result
}

const millisSince = (before: NodeJS.CpuUsage): number => {
  const { system, user } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** How many times longer something takes now than on a machine of its own; never less than 1. */
const slowness = (): number => {
  const before = process.cpuUsage()
  const texts = Array.from({ length: 50_000 }, (_, index) => ({ index, text: `text ${index}`.split(" ") }))
  for (let round = 0; round < 5; round++) JSON.parse(JSON.stringify(texts))
  return Math.max(1, millisSince(before) / PROBE_MILLIS)
}

const PROBE_MILLIS = 200
