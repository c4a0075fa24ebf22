import { setTimeout as sleep } from "node:timers/promises"
import { cpuSince } from "../lib/measure.mjs"
import { loadFaultline, openFaultline, openSentry, overNetwork } from "../lib/sdks.mjs"

const MIB = 1024 * 1024

export const title = "Import and init, on top of effect"

export const samples = {
  facade: () => onTopOfEffect(() => openFaultline(overNetwork)),
  layers: () =>
    onTopOfEffect(async ({ Effect, ManagedRuntime }) => {
      const { layer } = await loadFaultline(overNetwork)
      await ManagedRuntime.make(layer).runPromise(Effect.void)
    }),
  sentry: () => onTopOfEffect(() => openSentry(overNetwork))
}

export const rows = ["facade", "layers"].flatMap((ours) => [
  row(ours, "wall", "ms"),
  row(ours, "cpu", "ms"),
  row(ours, "rss", "MiB")
])

function row(ours, metric, unit) {
  return { what: `${ours}: ${metric}`, unit, ours: `${ours}.${metric}`, peer: `sentry.${metric}`, target: 1 / 10 }
}

/**
 * What `load` adds to a process that has `effect` already. Before and after are of one process: the difference of two would
 * drown the few milliseconds at stake in the noise of importing `effect`.
 */
const onTopOfEffect = async (load) => {
  const effect = await import("effect")
  await effect.ManagedRuntime.make(effect.Layer.empty).runPromise(effect.Effect.void)
  await settle()
  const rss = process.memoryUsage.rss()
  const cpu = process.cpuUsage()
  const wall = performance.now()
  await load(effect)
  const loaded = performance.now()
  await settle()
  return {
    wall: loaded - wall,
    cpu: cpuSince(cpu) / 1000,
    rss: (process.memoryUsage.rss() - rss) / MIB
  }
}

/** For what was put off to the next turns of the event loop. */
const settle = () => sleep(100)
