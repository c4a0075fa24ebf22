import { setImmediate as nextTurn } from "node:timers/promises"
import { median } from "./stats.mjs"

/** Microseconds of CPU, user and system, that this process has used since `start`. */
export const cpuSince = (start) => {
  const { system, user } = process.cpuUsage(start)
  return user + system
}

const VALUES = Array.from({ length: 1024 }, (_, index) => `value ${index}`)

/** Another text for each of a thousand numbers, at no cost to whoever is measured. */
export const valueOf = (number) => VALUES[number & 1023]

/**
 * Nanoseconds of CPU per call.
 *
 * @param loop makes `count` calls, with the numbers from `first` on
 */
export const nsPerCall = async (loop, { batches = 7, size = 20_000, warmup = 60_000 } = {}) => {
  let first = 0
  const run = async (count) => {
    // Programs have turns of the event loop, in which what ended with the last one is let go.
    await nextTurn()
    const start = process.cpuUsage()
    await loop(first, count)
    first += count
    return (cpuSince(start) * 1000) / count
  }
  await run(warmup)
  const costs = []
  for (let batch = 0; batch < batches; batch++) costs.push(await run(size))
  return median(costs)
}
