/**
 * The folder of the spool: what is in it, whose it is, and what becomes of what is not as it should be.
 */
import { execFileSync, spawnSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import type { DiscardedEvents } from "../../../src/transport/Outcomes.js"
import type { Stored } from "../../../src/transport/Store.js"
import { Folder, type FolderConfig } from "../../../src/transport/spool/Folder.js"

let directory = ""
let warnings: Array<string> = []
const opened: Array<Folder> = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "faultline-spool-"))
  warnings = []
})

afterEach(() => {
  for (const folder of opened.splice(0)) folder.close()
  rmSync(directory, { recursive: true, force: true })
})

const open = (config: Partial<FolderConfig> = {}): Folder => {
  const folder = new Folder({
    directory,
    maxBytes: 1_000_000,
    maxCount: 1000,
    maxAgeMillis: 60_000,
    writeDelayMillis: undefined,
    warn: (message) => void warnings.push(message.replaceAll(directory, "<spool>")),
    ...config
  })
  opened.push(folder)
  return folder
}

const files = (): Array<string> =>
  execFileSync("find", [directory, "-type", "f"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line !== "")
    .toSorted()

const contents = (): Array<string> => files().map((file) => readFileSync(file, "utf8"))

const put = (folder: Folder, text: string): Stored => {
  const stored = folder.put(Buffer.from(text))
  if (stored === undefined) throw new Error(`${text} was not stored`)
  return stored
}

const recover = (folder: Folder): { found: Array<string>; counts: Array<DiscardedEvents>; expired: number } => {
  const counts: Array<DiscardedEvents> = []
  let expired = 0
  const found = folder.recover(
    (more) => void counts.push(...more),
    () => void expired++
  )
  return { found: found.map((stored) => String(folder.read(stored))), counts, expired }
}

/** As if the process that wrote it were gone, without a chance to tidy up. */
const abandon = (pid = spawnSync(process.execPath, ["-e", ""]).pid): void => {
  for (const run of readdirSync(directory)) {
    if (!run.startsWith("run-")) continue
    renameSync(join(directory, run), join(directory, run.replace(`-${process.pid}-`, `-${pid}-`)))
  }
}

describe("the spool's folder", () => {
  it("holds what was put until it is removed", () => {
    const folder = open()
    const first = put(folder, "one")
    put(folder, "two")
    assert.deepStrictEqual(contents(), ["one", "two"])
    assert.strictEqual(String(folder.read(first)), "one")
    folder.remove(first)
    folder.remove(first)
    assert.deepStrictEqual(contents(), ["two"])
    assert.strictEqual(folder.count, 1)
  })

  it("what a process that is gone has left comes back oldest first, to whoever asks first, and only once", () => {
    const dead = open()
    for (const text of ["one", "two", "three"]) put(dead, text)
    abandon()
    const [first, second] = [open(), open()]
    assert.deepStrictEqual(recover(first).found, ["one", "two", "three"])
    assert.deepStrictEqual(recover(second).found, [])
    assert.deepStrictEqual(recover(first).found, [])
  })

  it("what a process that lives has put is its own, also within one process", () => {
    put(open(), "mine")
    assert.deepStrictEqual(recover(open()).found, [])
  })

  it("what a hub of this process has left when it closed goes to the next", () => {
    const before = open()
    put(before, "left")
    before.close()
    assert.deepStrictEqual(recover(open()).found, ["left"])
  })

  it("a new process with the number of a dead one does not keep what that one left", () => {
    const dead = open()
    put(dead, "left")
    const [run = ""] = readdirSync(directory)
    renameSync(join(directory, run), join(directory, run.replace(/-\d+-\d+-([0-9a-f]+)$/, "-7-0-$1")))
    assert.deepStrictEqual(recover(open()).found, ["left"])
  })

  it("that of another machine is left to it while it gives signs of life", () => {
    put(open(), "elsewhere")
    const [run = ""] = readdirSync(directory)
    const foreign = join(directory, run.replace(`run-${hostname()}`, "run-another-machine"))
    renameSync(join(directory, run), foreign)
    const folder = open()
    assert.deepStrictEqual(recover(folder).found, [])
    const longAgo = new Date(Date.now() - 3_600_000)
    utimesSync(foreign, longAgo, longAgo)
    assert.deepStrictEqual(recover(folder).found, ["elsewhere"])
  })

  it("what is torn is removed, with a message", () => {
    const folder = open()
    folder.spoiled(put(folder, "torn"))
    assert.deepStrictEqual(contents(), [])
    assert.match(warnings.join(), /^<spool>\/run-\S+\.envelope is torn: it is left out$/)
  })

  it("is tidy when everything was answered", () => {
    const folder = open()
    folder.remove(put(folder, "one"))
    folder.close()
    assert.isFalse(existsSync(directory))
  })

  it("leaves nothing behind where nothing was stored, and clears what others have left empty", () => {
    const dead = open()
    dead.remove(put(dead, "one"))
    abandon()
    assert.lengthOf(readdirSync(directory), 1)
    const folder = open()
    assert.deepStrictEqual(recover(folder).found, [])
    assert.deepStrictEqual(readdirSync(directory), [])
  })

  it("a process that exits leaves no empty folder behind", () => {
    const folder = open()
    const stored = put(folder, "one")
    process.emit("exit", 0)
    assert.deepStrictEqual(contents(), ["one"])
    // What is sent at the exit is sent after that.
    folder.remove(stored)
    assert.isFalse(existsSync(directory))
  })

  it("takes no more than it may hold, in number and in bytes", () => {
    const few = open({ maxCount: 2 })
    const first = put(few, "one")
    put(few, "two")
    assert.isUndefined(few.put(Buffer.from("three")))
    few.remove(first)
    put(few, "four")
    const small = open({ maxBytes: 8 })
    put(small, "12345")
    assert.isUndefined(small.put(Buffer.from("6789")))
    put(small, "678")
  })

  it("what is too old is not sent any more", () => {
    const dead = open()
    put(dead, "old")
    abandon()
    const later = Date.now() + 120_000
    vi.spyOn(Date, "now").mockReturnValue(later)
    try {
      assert.deepStrictEqual(recover(open()), { found: [], counts: [], expired: 1 })
    } finally {
      vi.restoreAllMocks()
    }
  })

  it("stays in order when the clock is set back", () => {
    const dead = open()
    put(dead, "one")
    const earlier = Date.now() - 50_000
    vi.spyOn(Date, "now").mockReturnValue(earlier)
    put(dead, "two")
    vi.restoreAllMocks()
    abandon()
    assert.deepStrictEqual(recover(open()).found, ["one", "two"])
  })

  it("the counts of what was lost survive, and are told once", () => {
    const counts = [{ reason: "before_send", category: "error", quantity: 2 }] as const
    const dead = open()
    dead.saveCounts(counts)
    abandon()
    const folder = open()
    assert.deepStrictEqual(recover(folder).counts, [...counts])
    folder.saveCounts([])
    folder.close()
    assert.isFalse(existsSync(directory))
  })

  it("a file that was not finished is cleared, one of somebody else is left alone, with a message", () => {
    const dead = open()
    put(dead, "whole")
    const [run = ""] = readdirSync(directory)
    writeFileSync(join(directory, run, "000-half.envelope.tmp"), "half")
    writeFileSync(join(directory, run, "notes.txt"), "foreign")
    writeFileSync(join(directory, "README"), "foreign")
    abandon()
    const folder = open()
    assert.deepStrictEqual(recover(folder).found, ["whole"])
    assert.deepStrictEqual(recover(folder).found, [])
    assert.deepStrictEqual(contents().toSorted(), ["foreign", "foreign", "whole"])
    assert.deepStrictEqual(warnings.map((warning) => warning.replace(/run-[^/]+/, "<run>")).toSorted(), [
      "<spool>/<run>/notes.txt is none of its files: it is left alone",
      "<spool>/README is none of its files: it is left alone"
    ])
  })

  it("a folder that cannot be had is said so, once, and nothing is stored", () => {
    const file = join(directory, "file")
    writeFileSync(file, "")
    const folder = open({ directory: file })
    assert.isUndefined(folder.put(Buffer.from("one")))
    assert.isUndefined(folder.put(Buffer.from("two")))
    assert.strictEqual(folder.count, 0)
    assert.deepStrictEqual(recover(folder).found, [])
    assert.deepStrictEqual(warnings, ["<spool>/file cannot be opened: ENOTDIR"])
  })

  it("a folder that somebody clears while it is in use is made anew", () => {
    const folder = open()
    put(folder, "one")
    rmSync(directory, { recursive: true })
    put(folder, "two")
    assert.deepStrictEqual(contents(), ["two"])
    assert.deepStrictEqual(warnings, [])
  })
})

/** How long a busy machine may take to write a few files. */
const SOON = { timeout: 15_000 }

describe("the spool's folder, written in the background", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }))
  afterEach(() => void vi.useRealTimers())

  const background = { writeDelayMillis: 100 }

  it("what is answered in time is never written", () => {
    const folder = open(background)
    const stored = put(folder, "quick")
    assert.strictEqual(String(folder.read(stored)), "quick")
    folder.remove(stored)
    vi.advanceTimersByTime(1000)
    assert.deepStrictEqual(files(), [])
  })

  it("what is not answered is", async () => {
    const folder = open(background)
    const texts = Array.from({ length: 20 }, (_, index) => `slow ${index}`)
    const stored = texts.map((text) => put(folder, text))
    vi.advanceTimersByTime(100)
    // A file is there before its content is.
    await vi.waitFor(() => assert.deepStrictEqual(contents(), texts), SOON)
    assert.deepStrictEqual(
      stored.map((entry) => String(folder.read(entry))),
      texts
    )
  })

  it("what is answered while it is being written does not stay", async () => {
    const folder = open(background)
    const stored = put(folder, "one")
    put(folder, "two")
    vi.advanceTimersByTime(100)
    folder.remove(stored)
    await vi.waitFor(() => assert.deepStrictEqual(contents(), ["two"]), SOON)
  })

  it("a flush in the middle of it writes everything, once", async () => {
    const folder = open(background)
    for (let index = 0; index < 10; index++) put(folder, `text ${index}`)
    vi.advanceTimersByTime(100)
    folder.flush()
    assert.lengthOf(
      contents().filter((text) => text.startsWith("text")),
      10
    )
    await vi.waitFor(() => assert.lengthOf(files(), 10), SOON)
  })

  it("a process that exits has everything written", () => {
    put(open(background), "last words")
    // oxlint-disable-next-line unicorn/no-process-exit -- the event alone
    process.emit("exit", 0)
    assert.deepStrictEqual(contents(), ["last words"])
  })

  it("closing leaves no listener behind", () => {
    const before = process.listenerCount("exit")
    const folder = open(background)
    assert.strictEqual(process.listenerCount("exit"), before + 1)
    folder.close()
    assert.strictEqual(process.listenerCount("exit"), before)
  })

  it("what the disk does not take is not held", async () => {
    const file = join(directory, "file")
    writeFileSync(file, "")
    const folder = open({ ...background, directory: file })
    const [first, second] = [put(folder, "one"), put(folder, "two")]
    assert.isTrue(folder.holds(first))
    vi.advanceTimersByTime(100)
    await vi.waitFor(() => assert.isFalse(folder.holds(first) || folder.holds(second)))
    assert.strictEqual(folder.count, 0)
    const third = put(folder, "three")
    folder.flush()
    assert.isFalse(folder.holds(third))
    assert.strictEqual(folder.count, 0)
  })

  it("nothing is stored once it is closed", () => {
    mkdirSync(directory, { recursive: true })
    const folder = open(background)
    folder.close()
    assert.isUndefined(folder.put(Buffer.from("late")))
  })
})
