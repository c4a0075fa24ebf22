/**
 * Whose a folder of the spool is: each process (each hub of it) writes into one of its own, whose name says who that is.
 */
import { randomBytes } from "node:crypto"
import { readFileSync, readlinkSync, statSync } from "node:fs"
import { hostname } from "node:os"
import { threadId } from "node:worker_threads"

/** The name for a new folder of this process; it counts as in use until `releaseRun`. @internal */
export const acquireRun = (): string => {
  const name = `run-${host()}-${process.pid}-${startOf(process.pid) ?? 0}-${threadId}-${randomBytes(4).toString("hex")}`
  open.add(name)
  return name
}

/** @internal */
export const releaseRun = (name: string): void => {
  open.delete(name)
}

/** @internal */
export const isRun = (name: string): boolean => RUN.test(name)

/**
 * Whether whoever made the folder may still be writing into it: a process of this machine that is there no more is not; one of
 * another machine is not once it has given no sign of life for a while.
 *
 * @internal
 */
export const isInUse = (name: string, path: string): boolean => {
  const match = RUN.exec(name)
  if (match === null) return true
  const [, machine, pid, start, thread] = match
  if (machine !== host()) return Date.now() - statSync(path).mtimeMs < SILENCE_MILLIS
  if (Number(pid) !== process.pid) return isAlive(Number(pid), Number(start))
  if (Number(start) !== (startOf(process.pid) ?? 0)) return false
  // Another thread's hubs are not known here, but die with the process.
  return Number(thread) !== threadId || open.has(name)
}

/** How often a folder is touched, as a sign of life. @internal */
export const SIGN_OF_LIFE_MILLIS = 60_000

const SILENCE_MILLIS = 5 * SIGN_OF_LIFE_MILLIS

const RUN = /^run-(.+)-(\d+)-(\d+)-(\d+)-[0-9a-f]{8}$/

/** Those of this thread. */
const open = new Set<string>()

/** A container has numbers of its own for its processes, but may share the name of its host. */
const host = (): string =>
  (machine ??= `${hostname()}${processNumbers()}`.replace(/[^A-Za-z0-9.-]/g, "_").slice(-96) || "localhost")

let machine: string | undefined

const processNumbers = (): string => {
  try {
    return `.${/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? ""}`
  } catch {
    return ""
  }
}

const isAlive = (pid: number, start: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
  // A process that was killed and a new one may share a number.
  const now = startOf(pid)
  return now === undefined || start === 0 || now === start
}

/** When the process was started, in a unit of the system's own; `undefined` where there is no telling, or it is a zombie. */
const startOf = (pid: number): number | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    const [state, ...rest] = fields.slice(fields.lastIndexOf(")") + 2).split(" ")
    return state === "Z" ? -1 : Number(rest[18])
  } catch {
    return undefined
  }
}
