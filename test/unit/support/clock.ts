import { assert, vi } from "@effect/vitest"

/** Replaces the monotonic clock until the test is over; `advance` is how time passes. */
export const monotonicClock = (): { readonly advance: (millis: number) => void } => {
  let now = 1_000_000
  vi.spyOn(performance, "now").mockImplementation(() => now)
  return { advance: (millis) => void (now += millis) }
}

/**
 * Runs `work` and fails if that took more than `millis` of this process' own CPU time: how busy the machine is does not count.
 */
export const quickly = <A>(millis: number, work: () => A): A => {
  const before = process.cpuUsage()
  const result = work()
  const { system, user } = process.cpuUsage(before)
  assert.isBelow((user + system) / 1000, millis, "milliseconds of CPU time")
  return result
}
