import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout as sleep } from "node:timers/promises"
import { startIngest } from "../lib/ingest.mjs"
import { openFaultline, openSentry, overNetwork } from "../lib/sdks.mjs"

const MIB = 1024 * 1024
const ERRORS = 10_000

export const title = `A burst of ${ERRORS} distinct errors, in one go, to a server that is well`

export const samples = {
  faultline: () => measure(openFaultline),
  sentry: () => measure(openSentry)
}

const row = (what, unit, metric, more = {}) => ({
  what,
  unit,
  ours: `faultline.${metric}`,
  peer: `sentry.${metric}`,
  ...more
})

export const rows = [
  row("delivered", "%", "delivered", { atLeast: 99 }),
  row("growth of RSS, at its peak", "MiB", "rss", { atMost: 64 }),
  row("longest block of the event loop, after the program's own", "ms", "block", { atMost: 50 }),
  row("the program's own: all captures", "ms", "captures")
]

/** Errors that no server would take for the same. */
const errorOf = (number) => Object.assign(new Error(`nothing at all: ${number}`), { name: `Error${number}` })

const measure = async (open) => {
  const ingest = await startIngest()
  const sdk = await open({ dsn: ingest.dsn, ...overNetwork })
  sdk.captureException(new Error("the first one pays for what is loaded on demand"))
  await sdk.flush(5000)
  const before = process.memoryUsage.rss()
  let peak = before
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5)
  const start = performance.now()
  for (let number = 0; number < ERRORS; number++) sdk.captureException(errorOf(number))
  const captures = performance.now() - start
  peak = Math.max(peak, process.memoryUsage.rss())
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await sdk.flush(60_000)
  delay.disable()
  clearInterval(watch)
  await sleep(50)
  const { events } = await ingest.received()
  ingest.stop()
  return {
    delivered: ((events - 1) / ERRORS) * 100,
    rss: (peak - before) / MIB,
    block: delay.max / 1e6,
    captures
  }
}
