/**
 * Envelopes on disk: one file each, in a folder of this process's own within the folder that all share.
 */
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import type { DiscardedEvents } from "../Outcomes.js"
import type { Store, Stored } from "../Store.js"
import { acquireRun, isInUse, isRun, releaseRun, SIGN_OF_LIFE_MILLIS } from "./runs.js"

/** @internal */
export interface FolderConfig {
  readonly directory: string
  readonly maxBytes: number
  readonly maxCount: number
  readonly maxAgeMillis: number
  /** `async`: written only if not answered within this time. `undefined`: at once. */
  readonly writeDelayMillis: number | undefined
  /** Told of what a person should know, once for each kind of trouble. */
  readonly warn: (message: string) => void
}

/** @internal */
export class Folder implements Store {
  readonly #run = acquireRun()
  readonly #runs = [this.#run]
  readonly #waiting = new Set<Entry>()
  readonly #troubles = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  readonly #signsOfLife: NodeJS.Timeout
  #bytes = 0
  #count = 0
  #lastTime = 0
  #sequence = 0
  #counts: ReadonlyArray<DiscardedEvents> = []
  #hasCounts = false
  #closed = false
  /** Nothing is left for later. */
  #isImmediate: boolean
  #isExiting = false

  constructor(readonly config: FolderConfig) {
    // Not yet the folder of this run: most have nothing to leave in it.
    this.#attempt("be opened", () => fs.mkdirSync(config.directory, { recursive: true, mode: 0o700 }))
    this.#signsOfLife = setInterval(() => this.#signOfLife(), SIGN_OF_LIFE_MILLIS).unref()
    this.#isImmediate = config.writeDelayMillis === undefined
    process.on("exit", this.#onExit)
  }

  get count(): number {
    return this.#count
  }

  put(bytes: Uint8Array): Stored | undefined {
    const size = bytes.byteLength
    if (this.#closed || this.#count >= this.config.maxCount || this.#bytes + size > this.config.maxBytes)
      return undefined
    const entry = new Entry(size, bytes)
    if (this.#isImmediate) {
      if (!this.#write(entry)) return undefined
    } else {
      this.#waiting.add(entry)
      this.#timer ??= setTimeout(() => this.#writeWaiting(), this.config.writeDelayMillis).unref()
    }
    this.#count++
    this.#bytes += size
    return entry
  }

  read(stored: Stored): Uint8Array | undefined {
    const entry = stored as Entry
    if (entry.bytes !== undefined) return entry.bytes
    const { path } = entry
    return path === undefined ? undefined : this.#attempt("be read", () => fs.readFileSync(path))
  }

  remove(stored: Stored): void {
    const entry = stored as Entry
    if (!this.holds(entry)) return
    const { path, state } = entry
    entry.state = "removed"
    entry.bytes = undefined
    this.#waiting.delete(entry)
    this.#count--
    this.#bytes -= entry.size
    if (path !== undefined && state === "written") this.#unlink(path)
    if (this.#isExiting && this.#count === 0) this.#removeEmpty()
  }

  holds(stored: Stored): boolean {
    const { state } = stored as Entry
    return state !== "failed" && state !== "removed"
  }

  spoiled(stored: Stored): void {
    const { path } = stored as Entry
    this.#warn(`spoiled ${path}`, `${path} is torn: it is left out`)
    this.remove(stored)
  }

  readonly flush = (): void => {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writeCounts()
    for (const entry of this.#waiting) if (entry.state !== "removed") this.#write(entry)
    this.#waiting.clear()
  }

  saveCounts(counts: ReadonlyArray<DiscardedEvents>): void {
    this.#counts = counts
    if (this.#isImmediate) this.#writeCounts()
  }

  /**
   * What processes that are gone have left, oldest first, now this one's own. Of several that ask at once only one gets it.
   */
  recover(
    onCounts: (counts: ReadonlyArray<DiscardedEvents>) => void,
    onExpired: (stored: Stored) => void
  ): ReadonlyArray<Stored> {
    const found: Array<{ readonly name: string; readonly entry: Entry }> = []
    for (const run of this.#claimAbandoned()) {
      const path = join(this.config.directory, run)
      for (const name of this.#attempt("be read", () => fs.readdirSync(path)) ?? []) {
        const file = join(path, name)
        const match = FILE.exec(name)
        if (match !== null) {
          const entry = new Entry(Number(match[2]), undefined, file)
          this.#count++
          this.#bytes += entry.size
          if (Date.now() - Number(match[1]) >= this.config.maxAgeMillis) onExpired(entry)
          else found.push({ name, entry })
        } else if (name === COUNTS) this.#recoverCounts(file, onCounts)
        else if (name.endsWith(TEMPORARY)) this.#unlink(file)
        else this.#warn(`foreign ${run}/${name}`, `${file} is none of its files: it is left alone`)
      }
    }
    return found.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(({ entry }) => entry)
  }

  /** What is left stays on disk. */
  close(): void {
    if (this.#closed) return
    this.flush()
    this.#closed = true
    clearInterval(this.#signsOfLife)
    process.off("exit", this.#onExit)
    this.#removeEmpty()
    for (const run of this.#runs) releaseRun(run)
  }

  /** From here on no timer fires any more. */
  readonly #onExit = (): void => {
    this.#isImmediate = true
    this.#isExiting = true
    this.flush()
    if (this.#count === 0) this.#removeEmpty()
  }

  #removeEmpty(): void {
    for (const run of this.#runs) removeIfEmpty(join(this.config.directory, run))
    removeIfEmpty(this.config.directory)
  }

  #claimAbandoned(): ReadonlyArray<string> {
    const { directory } = this.config
    const claimed: Array<string> = []
    for (const name of this.#attempt("be read", () => fs.readdirSync(directory)) ?? []) {
      const path = join(directory, name)
      if (!isRun(name)) {
        this.#warn(`foreign ${name}`, `${path} is none of its files: it is left alone`)
        continue
      }
      try {
        if (isInUse(name, path) || removeIfEmpty(path)) continue
        const own = acquireRun()
        // All or nothing: whoever renames it first has it.
        fs.renameSync(path, join(directory, own))
        this.#runs.push(own)
        claimed.push(own)
      } catch (error) {
        if (!isGone(error)) this.#trouble("take over what another process has left", error)
      }
    }
    return claimed
  }

  #write(entry: Entry): boolean {
    const { bytes } = entry
    if (bytes === undefined) return false
    const path = (entry.path ??= this.#newPath(entry.size))
    const written = this.#attempt("be written to", () => {
      replaceFile(path, bytes)
      return true
    })
    if (written === true) entry.written()
    else this.#giveUp(entry)
    return written === true
  }

  /** In the background, a few at a time. */
  #writeWaiting(): void {
    this.#timer = undefined
    this.#writeCounts()
    const entries = [...this.#waiting]
    const next = (): void => {
      const entry = entries.shift()
      if (entry?.state === "waiting") this.#writeLater(entry, next)
      else if (entry !== undefined) next()
    }
    for (let writers = 0; writers < WRITERS; writers++) next()
  }

  #writeLater(entry: Entry, done: () => void): void {
    const path = (entry.path ??= this.#newPath(entry.size))
    const settle = (error: unknown): void => {
      if (error !== null) this.#trouble("be written to", error)
      // It may have been answered meanwhile, or been written in a hurry.
      if (entry.state === "writing" && error === null) entry.written()
      else if (entry.state === "writing") this.#giveUp(entry)
      else if (entry.state === "removed") this.#unlink(path)
      this.#waiting.delete(entry)
      done()
    }
    entry.state = "writing"
    fs.mkdir(dirname(path), { recursive: true, mode: 0o700 }, () =>
      fs.writeFile(path + TEMPORARY, entry.bytes ?? "", { mode: 0o600 }, (error) => {
        if (error === null && entry.state === "writing") fs.rename(path + TEMPORARY, path, settle)
        else fs.unlink(path + TEMPORARY, () => settle(error))
      })
    )
  }

  /** The disk does not take it: it is in memory alone, as without a spool. */
  #giveUp(entry: Entry): void {
    entry.state = "failed"
    // One that is to be written at once was not counted yet.
    if (!this.#waiting.delete(entry)) return
    this.#count--
    this.#bytes -= entry.size
  }

  /** In the order of their names they are in the order of their coming, also where the clock is set back. */
  #newPath(size: number): string {
    this.#lastTime = Math.max(this.#lastTime, Date.now())
    const number = String(this.#sequence++).padStart(10, "0")
    return join(
      this.config.directory,
      this.#run,
      `${String(this.#lastTime).padStart(15, "0")}-${number}-${size}.envelope`
    )
  }

  #writeCounts(): void {
    if (this.#counts.length === 0 && !this.#hasCounts) return
    const path = join(this.config.directory, this.#run, COUNTS)
    this.#attempt("be written to", () => {
      if (this.#counts.length === 0) fs.rmSync(path, { force: true })
      else replaceFile(path, JSON.stringify(this.#counts))
      this.#hasCounts = this.#counts.length > 0
    })
  }

  #recoverCounts(file: string, onCounts: (counts: ReadonlyArray<DiscardedEvents>) => void): void {
    try {
      const counts = JSON.parse(fs.readFileSync(file, "utf8")) as unknown
      if (Array.isArray(counts)) onCounts(counts as ReadonlyArray<DiscardedEvents>)
    } catch (error) {
      this.#trouble("be read", error)
    }
    this.#unlink(file)
  }

  #signOfLife(): void {
    const now = new Date()
    for (const run of this.#runs) {
      try {
        fs.utimesSync(join(this.config.directory, run), now, now)
      } catch (error) {
        if (!isGone(error)) this.#trouble("be written to", error)
      }
    }
  }

  #unlink(path: string): void {
    try {
      fs.unlinkSync(path)
    } catch (error) {
      if (!isGone(error)) this.#trouble("be cleared", error)
    }
  }

  #attempt<A>(what: string, action: () => A): A | undefined {
    try {
      return action()
    } catch (error) {
      this.#trouble(what, error)
      return undefined
    }
  }

  #trouble(what: string, error: unknown): void {
    const found = (error as NodeJS.ErrnoException | undefined)?.code ?? String(error)
    // So Node calls a file where a folder is to be made.
    const code = found === "EEXIST" ? "ENOTDIR" : found
    this.#warn(code, `${this.config.directory} cannot ${what}: ${code}`)
  }

  #warn(kind: string, message: string): void {
    if (this.#troubles.has(kind) || this.#troubles.size >= MAX_TROUBLES) return
    this.#troubles.add(kind)
    this.config.warn(message)
  }
}

/** An envelope, in memory until it is written. */
class Entry implements Stored {
  state: "waiting" | "writing" | "written" | "failed" | "removed"

  constructor(
    readonly size: number,
    public bytes: Uint8Array | undefined,
    public path?: string
  ) {
    this.state = path === undefined ? "waiting" : "written"
  }

  written(): void {
    this.state = "written"
    this.bytes = undefined
  }
}

/** Whether it was. */
const removeIfEmpty = (path: string): boolean => {
  try {
    fs.rmdirSync(path)
    return true
  } catch {
    // Something is left in it, for whoever comes next.
    return false
  }
}

/** Under its own name a file is whole, or not there. */
const replaceFile = (path: string, content: string | Uint8Array): void => {
  const temporary = `${path}.now${TEMPORARY}`
  try {
    fs.writeFileSync(temporary, content, { mode: 0o600 })
  } catch (error) {
    // Somebody may have cleared the folder.
    if (!isGone(error)) throw error
    fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    fs.writeFileSync(temporary, content, { mode: 0o600 })
  }
  fs.renameSync(temporary, path)
}

const FILE = /^(\d{15})-\d{10}-(\d+)\.envelope$/
const TEMPORARY = ".tmp"
const COUNTS = "discarded.json"
const WRITERS = 4
const MAX_TROUBLES = 32

const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT"
