import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"

const ROOT = join(import.meta.dirname, "../..")

describe("the table before and after", () => {
  it("is right in every row of ours, and is what the README shows", { timeout: 120_000 }, async () => {
    const script = join(ROOT, "examples/before-after.ts")
    // Rejects if it ends with another code than 0: then one of our rows is wrong.
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", script], { cwd: ROOT })
    assert.lengthOf(stdout.trim().split("\n"), 17)
    assert.include(readFileSync(join(ROOT, "README.md"), "utf8"), stdout.trim())
  })
})
