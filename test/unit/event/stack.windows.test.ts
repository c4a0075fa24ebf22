import type * as Path from "node:path"
import type * as Url from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import { StackParser } from "../../../src/event/stack.js"
import type { StackFrame } from "../../../src/protocol/Event.js"

vi.mock("node:path", async (original) => {
  const { win32 } = await original<typeof Path>()
  return { ...win32, default: win32 }
})

vi.mock("node:url", async (original) => ({
  ...(await original<typeof Url>()),
  fileURLToPath: (url: string | URL) => decodeURIComponent(new URL(url).pathname.slice(1)).replaceAll("/", "\\")
}))

describe("StackParser on Windows", () => {
  const parser = new StackParser({ projectRoot: "C:\\code\\app", contextLines: 0, inAppInclude: [], inAppExclude: [] })

  const lines: ReadonlyArray<readonly [line: string, expected: StackFrame]> = [
    [
      "load (C:\\code\\app\\src\\a.ts:10:5)",
      {
        function: "load",
        filename: "src/a.ts",
        abs_path: "C:\\code\\app\\src\\a.ts",
        module: "src/a",
        lineno: 10,
        colno: 5,
        in_app: true
      }
    ],
    ["C:\\code\\app\\src\\a.ts:10:5", { filename: "src/a.ts", lineno: 10, in_app: true }],
    ["load (file:///C:/code/app/src/with%20space.ts:1:2)", { filename: "src/with space.ts", in_app: true }],
    ["load (D:\\other\\a.ts:1:2)", { filename: "D:/other/a.ts", in_app: true }],
    ["load (C:\\code\\apple\\a.ts:1:2)", { filename: "C:/code/apple/a.ts" }],
    [
      "run (C:\\code\\app\\node_modules\\effect\\dist\\esm\\internal\\core.js:1:2)",
      { module: "effect/internal/core", in_app: false }
    ],
    ["load (node:fs:1:2)", { filename: "node:fs", in_app: false }],
    [
      "eval (eval at run (C:\\code\\app\\a.ts:10:5), <anonymous>:1:2)",
      { function: "eval", filename: "a.ts", lineno: 10, colno: 5 }
    ]
  ]
  for (const [line, expected] of lines) {
    it(line, () => {
      const actual = parser.frame(`    at ${line}`)
      for (const key of Object.keys(expected) as Array<keyof StackFrame>) {
        assert.strictEqual(actual?.[key], expected[key], `${key} of ${JSON.stringify(actual)}`)
      }
    })
  }
})
