/**
 * The machine and the process an event comes from. What does not change is found out once.
 */
import * as os from "node:os"
import type { Contexts } from "../protocol/Event.js"

/** `os`, `device`, `app` and `culture`; memory figures are at most a second old. @internal */
export const machineContexts = (now: number): Contexts => {
  const known = (fixed ??= fixedContexts())
  if (now - memoryReadAt >= 1000 || now < memoryReadAt) {
    memoryReadAt = now
    freeMemory = os.freemem()
    appMemory = process.memoryUsage.rss()
  }
  return {
    os: { ...known.os },
    device: { ...known.device, free_memory: freeMemory },
    app: { ...known.app, app_memory: appMemory },
    culture: { ...known.culture }
  }
}

/** What runs the program; the `Stdlib` integration adds it, where the user has not. @internal */
export const runtimeContext = (): Record<string, unknown> => ({ name: "node", version: process.version })

let fixed: ReturnType<typeof fixedContexts> | undefined
let memoryReadAt = 0
let freeMemory = 0
let appMemory = 0

const fixedContexts = () => {
  const cpus = os.cpus()
  return {
    os: { name: osName(), version: os.release(), kernel_version: os.release(), build: os.version() },
    device: {
      name: os.hostname(),
      arch: os.arch(),
      memory_size: os.totalmem(),
      boot_time: new Date(Date.now() - os.uptime() * 1000).toISOString(),
      processor_count: cpus.length,
      ...(cpus[0] === undefined ? undefined : { cpu_description: cpus[0].model })
    },
    app: { app_start_time: new Date(Date.now() - process.uptime() * 1000).toISOString() },
    culture: culture()
  }
}

const osName = (): string => {
  const name = os.type()
  if (name === "Darwin") return "macOS"
  return name === "Windows_NT" ? "Windows" : name
}

const culture = (): Record<string, unknown> => {
  const options = Intl.DateTimeFormat().resolvedOptions()
  return { locale: options.locale, timezone: options.timeZone }
}
