/**
 * The signals that end a process at once, where nothing listens to them.
 */
import { isMainThread } from "node:worker_threads"

/**
 * Calls `drain` when one of these signals is about to end the process, which it then does as if nobody had listened. Where
 * anything else in the program listens to that signal, it is the program's own business from then on. The function this returns
 * ends it.
 *
 * @internal
 */
export const beforeSignals = (signals: ReadonlyArray<NodeJS.Signals>, drain: () => void): (() => void) => {
  // A container's first process is not ended by a signal it does not listen to.
  if (!isMainThread || process.pid === 1) return () => {}
  const watched = signals.filter((signal) => !settled.has(signal))
  for (const signal of watched) {
    const drains = drainsOf.get(signal) ?? new Set()
    // The first to be called: whoever counts the listeners of a signal, to see whether to end the process, must not find this one.
    if (drains.size === 0) process.prependListener(signal, onSignal)
    drainsOf.set(signal, drains.add(drain))
  }
  return () => {
    for (const signal of watched) {
      const drains = drainsOf.get(signal)
      if (drains?.delete(drain) === true && drains.size === 0) process.off(signal, onSignal)
    }
  }
}

/** Those that end a process, and that it can listen to. @internal */
export const FATAL = ["SIGBREAK", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR2"] as const

const drainsOf = new Map<NodeJS.Signals, Set<() => void>>()

/** Those that the program has dealt with itself. */
const settled = new Set<NodeJS.Signals>()

const onSignal = (signal: NodeJS.Signals): void => {
  const drains = [...(drainsOf.get(signal) ?? [])]
  forget(signal)
  if (process.listenerCount(signal) > 0) {
    settled.add(signal)
    return
  }
  // While this thread waits, another one ends the process at once.
  for (const other of drainsOf.keys()) forget(other)
  for (const drain of drains) drain()
  process.kill(process.pid, signal)
}

const forget = (signal: NodeJS.Signals): void => {
  process.off(signal, onSignal)
  drainsOf.delete(signal)
}
