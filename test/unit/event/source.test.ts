import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { addSourceContext, beginReading } from "../../../src/event/source.js"
import type { StackFrame } from "../../../src/protocol/Event.js"
import { illFormed } from "../support/values.js"

const folder = mkdtempSync(join(tmpdir(), "source-"))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0

const written = (content: string | Buffer): string => {
  const path = join(folder, `f${files++}.ts`)
  writeFileSync(path, content)
  return path
}

const context = (abs_path: string, lineno: number | undefined, lines = 2, colno?: number): StackFrame => {
  const frame: StackFrame = { abs_path, lineno, colno }
  beginReading()
  addSourceContext(frame, lines)
  return frame
}

const shown = (frame: StackFrame) => [frame.pre_context, frame.context_line, frame.post_context]

const none = [undefined, undefined, undefined]

describe("addSourceContext", () => {
  const five = ["one", "two", "three", "four", "five"]

  it("shows the lines around, as many as there are", () => {
    const path = written(five.join("\n"))
    assert.deepStrictEqual(shown(context(path, 3)), [["one", "two"], "three", ["four", "five"]])
    assert.deepStrictEqual(shown(context(path, 1)), [[], "one", ["two", "three"]])
    assert.deepStrictEqual(shown(context(path, 2)), [["one"], "two", ["three", "four"]])
    assert.deepStrictEqual(shown(context(path, 5)), [["three", "four"], "five", []])
    assert.deepStrictEqual(shown(context(path, 3, 9)), [["one", "two"], "three", ["four", "five"]])
  })

  it("CRLF belongs to no line", () => {
    assert.deepStrictEqual(shown(context(written(five.join("\r\n")), 3)), [["one", "two"], "three", ["four", "five"]])
  })

  it("keeps indentation and empty lines", () => {
    assert.deepStrictEqual(shown(context(written("\n  a\n\t\n"), 2)), [[""], "  a", ["\t", ""]])
  })

  it("nothing for a line that is not there, a file that cannot be read, or what is no file", () => {
    const path = written(five.join("\n"))
    mkdirSync(join(folder, "directory"))
    const cases: ReadonlyArray<readonly [path: string, lineno: number | undefined]> = [
      [path, 6],
      [path, 0],
      [path, -1],
      [path, undefined],
      [join(folder, "missing.ts"), 1],
      [join(folder, "directory"), 1],
      [join(folder, "a\u0000b"), 1],
      ["relative.ts", 1],
      ["node:fs", 1],
      ["https://example.com/a.js", 1]
    ]
    for (const [path, lineno] of cases) assert.deepStrictEqual(shown(context(path, lineno)), none, `${path}:${lineno}`)
  })

  it("a file is read once", () => {
    const path = written("before")
    assert.strictEqual(context(path, 1).context_line, "before")
    writeFileSync(path, "after")
    assert.strictEqual(context(path, 1).context_line, "before")
  })

  it("a file that could not be read is not tried again", () => {
    const path = join(folder, "late.ts")
    assert.deepStrictEqual(shown(context(path, 1)), none)
    writeFileSync(path, "late")
    assert.deepStrictEqual(shown(context(path, 1)), none)
  })

  it("files beyond a megabyte are not read", () => {
    assert.deepStrictEqual(shown(context(written("a\n".repeat(600_000)), 1)), none)
    assert.strictEqual(context(written("a\n".repeat(500_000)), 1).context_line, "a")
  })

  it("secrets in lines are masked", () => {
    const path = written('const a = 1\nconst password = "hunter2"\nfetch("https://u:p@host")\n')
    const text = JSON.stringify(shown(context(path, 2)))
    assert.notInclude(text, "hunter2")
    assert.notInclude(text, "u:p@")
    assert.include(text, "const a = 1")
  })

  it("of a long line the part around the column is shown", () => {
    const minified = Array.from({ length: 1000 }, (_, index) => `f${index}();`).join("")
    const path = written(`${minified}\n${minified}\n${minified}`)
    const column = minified.indexOf("f500()") + 1
    const { context_line, post_context, pre_context } = context(path, 2, 1, column)
    assert.include(context_line, "f500()")
    assert.isTrue(context_line?.startsWith("{snip} "))
    assert.isTrue(context_line?.endsWith(" {snip}"))
    assert.isAtMost(String(context_line).length, 220)
    for (const line of [pre_context?.[0], post_context?.[0]]) {
      assert.isTrue(line?.startsWith("f0()"))
      assert.isAtMost(String(line).length, 220)
    }
    assert.isTrue(context(path, 2, 0, minified.length).context_line?.endsWith("f999();"))
    assert.include(context(path, 2, 0, 1_000_000).context_line, "f999();")
    assert.isTrue(context(path, 2, 0).context_line?.startsWith("f0();"))
  })

  it("no character is cut in two", () => {
    const path = written(
      Array.from({ length: 3 }, (_, index) => `${"x".repeat(index)}${"\u{1f600}".repeat(300)}`).join("\n")
    )
    for (let column = 0; column < 620; column += 7) {
      for (const line of [1, 2, 3])
        assert.deepStrictEqual(illFormed(JSON.stringify(shown(context(path, line, 2, column)))), [])
    }
  })

  it("bytes that are no UTF-8 are replaced", () => {
    const line = context(written(Buffer.from([0x61, 0xff, 0x62])), 1).context_line
    assert.strictEqual(line, "a\ufffdb")
  })

  it.skipIf(process.platform === "win32")("what is no regular file is not waited for", () => {
    const pipe = join(folder, "pipe")
    spawnSync("mkfifo", [pipe])
    // Lets a reader go on after a while, so that one that waits fails instead of hanging.
    const writer = spawn("sh", ["-c", `sleep 8; echo "const a = 1" > "${pipe}"`], { stdio: "ignore" })
    try {
      const start = performance.now()
      assert.deepStrictEqual(shown(context(pipe, 1)), none)
      assert.isBelow(performance.now() - start, 5000)
    } finally {
      writer.kill("SIGKILL")
    }
  })
})
