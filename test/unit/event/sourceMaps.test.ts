import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { SourceMap } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { buildSync, type TransformOptions, transformSync } from "esbuild"
import { addDebugImages } from "../../../src/event/debugImages.js"
import { beginReading } from "../../../src/event/source.js"
import { originalPosition } from "../../../src/event/sourceMaps.js"
import { StackParser } from "../../../src/event/stack.js"
import type { Event, StackFrame } from "../../../src/protocol/Event.js"
import { quickly } from "../support/clock.js"

const root = mkdtempSync(join(tmpdir(), "source maps "))
afterAll(() => rmSync(root, { recursive: true }))

const written = (name: string, content: string | Uint8Array): string => {
  const path = join(root, name)
  mkdirSync(join(path, ".."), { recursive: true })
  writeFileSync(path, content)
  return path
}

const parserWith = (options: Partial<StackParser["options"]> = {}): StackParser =>
  new StackParser({ projectRoot: root, contextLines: 1, inAppInclude: [], inAppExclude: [], ...options })

const SOURCE = `interface Order {
  readonly id: number
}

type Never = never

export const load = (order: Order): Never => {
  const text: string = \`no order \${order.id}\`
  throw new Error(text)
}
`

let files = 0

/** The source, compiled; and the line of a stack that its \`throw\` is. */
const compiled = (options: TransformOptions, finish: (code: string, map: string) => string | undefined) => {
  const name = `dist/case${files++}.js`
  const { code, map } = transformSync(SOURCE, { loader: "ts", sourcefile: "../src/order.ts", ...options })
  const path = written(name, finish(code, map) ?? code)
  const lines = code.split("\n")
  const lineno = lines.findIndex((line) => line.includes("throw new Error")) + 1
  const colno = String(lines[lineno - 1]).indexOf("new Error") + 1
  return { path, line: `    at load (${path}:${lineno}:${colno})`, lineno }
}

const frame = (line: string, options: Partial<StackParser["options"]> = {}): StackFrame => {
  beginReading()
  return parserWith(options).frame(line) ?? assert.fail("no frame")
}

const ORIGINAL = { filename: "src/order.ts", module: "src/order", lineno: 9, colno: 9, in_app: true }

const assertOriginal = (actual: StackFrame): void => {
  for (const [key, value] of Object.entries(ORIGINAL)) assert.strictEqual(actual[key as keyof StackFrame], value, key)
  assert.strictEqual(actual.abs_path, join(root, "src/order.ts"))
  assert.strictEqual(actual.context_line, "  throw new Error(text)")
  assert.deepStrictEqual(actual.pre_context, ["  const text: string = `no order ${order.id}`"])
  assert.deepStrictEqual(actual.post_context, ["}"])
}

describe("a large map", () => {
  it("of a bundle on one line maps all frames of the first event, whatever time reading it takes", () => {
    const mappings = `AAAA${",CACA".repeat(1_500_000)}`
    const path = written("large/bundle.js", "0\n//# sourceMappingURL=bundle.js.map\n")
    written("large/bundle.js.map", JSON.stringify({ version: 3, sources: ["original.ts"], names: [], mappings }))
    beginReading()
    const parser = parserWith()
    const columns = Array.from({ length: 100 }, (_, index) => ((index * 37) % 100) * 14_990)
    const frames = columns.map((column) => parser.frame(`    at f (${path}:1:${column + 1})`))
    assert.deepStrictEqual(
      frames.map((frame) => [frame?.filename, frame?.lineno, frame?.colno]),
      columns.map((column) => ["large/original.ts", column + 1, 1])
    )
  })
})

describe("a frame of generated code is shown where it was written", () => {
  it("by a map beside the file", () => {
    const { line } = compiled({ sourcemap: "external" }, (code, map) => {
      written("dist/beside.js.map", map)
      return `${code}\n//# sourceMappingURL=beside.js.map\n`
    })
    assertOriginal(frame(line))
  })

  it("by a map in the file", () => assertOriginal(frame(compiled({ sourcemap: "inline" }, () => undefined).line)))

  it("by a map that is a URL, with text that is encoded", () => {
    const { line } = compiled(
      { sourcemap: "external" },
      (code, map) => `${code}//# sourceMappingURL=data:application/json,${encodeURIComponent(map)}`
    )
    assertOriginal(frame(line))
  })

  it("in minified code, all on one line", () => {
    const { line } = compiled({ sourcemap: "inline", minify: true }, () => undefined)
    const actual = frame(line)
    assert.strictEqual(actual.lineno, 9)
    assert.strictEqual(actual.context_line, "  throw new Error(text)")
  })

  it("with the lines from disk, where the map has none", () => {
    written("src/order.ts", SOURCE)
    assertOriginal(frame(compiled({ sourcemap: "inline", sourcesContent: false }, () => undefined).line))
  })

  it("below a sourceRoot, by a file URL, or by the name that a bundler gives it", () => {
    const cases: ReadonlyArray<readonly [sourceRoot: string | undefined, source: string]> = [
      ["../src", "order.ts"],
      ["../src/", "order.ts"],
      [undefined, pathToFileURL(join(root, "src/order.ts")).href],
      [undefined, "webpack://shop/./src/order.ts"],
      [undefined, "webpack:///src/order.ts?a1b2"]
    ]
    for (const [sourceRoot, source] of cases) {
      const { line } = compiled({ sourcemap: "external" }, (code, map) => {
        const json = {
          ...(JSON.parse(map) as object),
          sources: [source],
          ...(sourceRoot === undefined ? {} : { sourceRoot })
        }
        return `${code}//# sourceMappingURL=data:application/json,${encodeURIComponent(JSON.stringify(json))}`
      })
      assertOriginal(frame(line))
    }
  })

  it("by a map of several maps", () => {
    const { line } = compiled({ sourcemap: "external" }, (code, map) => {
      const sections = [
        { offset: { line: 0, column: 0 }, map: { version: 3, sources: [], mappings: "" } },
        { offset: { line: 2, column: 0 }, map: JSON.parse(map) as object }
      ]
      const json = encodeURIComponent(JSON.stringify({ version: 3, sections }))
      return `// a\n// b\n${code}//# sourceMappingURL=data:application/json,${json}`
    })
    const [, at] = /:(\d+):\d+\)$/.exec(line) ?? []
    assertOriginal(frame(line.replace(/:\d+(:\d+\))$/, `:${Number(at) + 2}$1`)))
  })

  it("of a package in a bundle, it is not the application's", () => {
    const { line } = compiled({ sourcemap: "inline", sourcefile: "../node_modules/lib/order.ts" }, () => undefined)
    const actual = frame(line)
    assert.strictEqual(actual.module, "lib/order")
    assert.isFalse(actual.in_app)
    assert.notProperty(actual, "context_line")
    assert.isTrue(frame(line, { inAppInclude: ["lib"] }).in_app)
  })

  it("in a real stack, of a path with spaces, as a module and as a script", async () => {
    for (const format of ["esm", "cjs"] as const) {
      const { code } = transformSync(SOURCE, {
        loader: "ts",
        format,
        sourcemap: "inline",
        sourcefile: "../src/order.ts"
      })
      const path = written(`dist/real.${format === "esm" ? "mjs" : "cjs"}`, code)
      const { load } = (await import(/* @vite-ignore */ path)) as { load: (order: object) => never }
      try {
        load({ id: 1 })
        assert.fail("did not throw")
      } catch (error) {
        beginReading()
        assertOriginal(
          parserWith()
            .parse(String((error as Error).stack), "Error: no order 1")
            .at(-1) as StackFrame
        )
      }
    }
  })
})

describe("a frame stays where it is", () => {
  const stays = (line: string, options: Partial<StackParser["options"]> = {}): void => {
    const actual = frame(line, options)
    assert.match(String(actual.filename), /^dist\/case\d+\.js$/)
    assert.isTrue(actual.in_app)
  }

  it("where maps are not asked for", () =>
    stays(compiled({ sourcemap: "inline" }, () => undefined).line, { sourceMaps: false }))

  const useless: ReadonlyArray<readonly [what: string, comment: string]> = [
    ["there is none", ""],
    ["it is not there", "//# sourceMappingURL=missing.js.map"],
    ["it is somewhere else", "//# sourceMappingURL=https://example.com/a.js.map"],
    ["it is a folder", "//# sourceMappingURL=../src"],
    ["it is no JSON", "//# sourceMappingURL=data:application/json,{"],
    ["it is empty", "//# sourceMappingURL=data:application/json,{}"],
    ["it is null", "//# sourceMappingURL=data:application/json,null"],
    ["it has no such source", '//# sourceMappingURL=data:application/json,{"mappings":"AAAA;AAAA;AAAA;AAAA;AAAA"}'],
    ["it makes no sense", '//# sourceMappingURL=data:application/json,{"sources":["a"],"mappings":"%%%%%%%"}'],
    ["it is text of the program", "const url = 'sourceMappingURL=a.js.map'"]
  ]
  for (const [what, comment] of useless) {
    it(`where ${what}`, () => stays(compiled({ sourcemap: false }, (code) => `${code.trimEnd()}\n${comment}\n`).line))
  }

  it("where a map is too large to be read in passing", () => {
    written("dist/large.js.map", `{"pad":"${"x".repeat(9_000_000)}"}`)
    const { line } = compiled({ sourcemap: false }, (code) => `${code}//# sourceMappingURL=large.js.map`)
    quickly(500, () => stays(line))
  })
})

describe("originalPosition", () => {
  it("finds what Node finds, anywhere in a bundle", () => {
    written(
      "src/a.ts",
      `import { b } from "./b"\nexport const a = (x: number) => {\n  return b(x)\n    .map((y) => y + 1)\n}\n`
    )
    written(
      "src/b.ts",
      `export class B { constructor(readonly x: number) {} }\nexport const b = (x: number) => [new B(x).x]\n`
    )
    for (const minify of [false, true]) {
      const { outputFiles } = buildSync({
        absWorkingDir: root,
        entryPoints: ["src/a.ts"],
        bundle: true,
        minify,
        sourcemap: "linked",
        outdir: `out${minify}`,
        write: false
      })
      const [map, code] = outputFiles
      for (const file of outputFiles) written(file.path.slice(root.length + 1), file.contents)
      const payload = JSON.parse(String(map?.text)) as ConstructorParameters<typeof SourceMap>[0]
      const oracle = new SourceMap(payload)
      let found = 0
      for (const [lineno, line] of String(code?.text).split("\n").entries()) {
        for (let colno = 0; colno < line.length; colno++) {
          beginReading()
          const expected = oracle.findEntry(lineno, colno) as {
            originalLine?: number
            originalColumn?: number
            originalSource?: string
          }
          const actual = originalPosition(String(code?.path), lineno + 1, colno + 1, root)
          // Node looks on in earlier lines for what is before all of a line's own.
          if (actual === undefined) continue
          found++
          assert.strictEqual(actual.lineno, Number(expected.originalLine) + 1)
          assert.strictEqual(actual.colno, Number(expected.originalColumn) + 1)
          assert.isTrue(actual.path.endsWith(String(expected.originalSource).replace("..", "")))
        }
      }
      assert.isAbove(found, 50)
    }
  })

  it("takes little time in a large map, also the first time", () => {
    const source = Array.from({ length: 20_000 }, (_, index) => `export const f${index} = (x: number) => x + ${index}`)
    const { code, map } = transformSync(source.join("\n"), { loader: "ts", sourcemap: "external", sourcefile: "f.ts" })
    written("dist/big.js.map", map)
    const path = written("dist/big.js", `${code}//# sourceMappingURL=big.js.map`)
    const lines = code.split("\n")
    const lineno = lines.findIndex((line) => line.includes("f19999")) + 1
    beginReading()
    const found = quickly(2000, () => originalPosition(path, lineno, 14, root))
    assert.strictEqual(found?.lineno, 20_000)
  })
})

describe("debug ids", () => {
  it("leave frames where they are, and become images of the event", () => {
    const { line, path } = compiled({ sourcemap: "inline" }, () => undefined)
    const other = compiled({ sourcemap: "inline" }, () => undefined)
    const globals = globalThis as { _sentryDebugIds?: object; _debugIds?: object }
    try {
      globals._sentryDebugIds = { [`Error\n    at ${pathToFileURL(path).href}:1:2\n    at main (/x.js:1:1)`]: "id-1" }
      globals._debugIds = { "Error\n    at f (/srv/other.js:1:2)": "id-2", "no stack": "id-3", "": 5 }
      assert.strictEqual(frame(line).abs_path, path)
      assertOriginal(frame(other.line))
      const event: Event = {
        event_id: "0".repeat(32),
        timestamp: 0,
        platform: "node",
        debug_meta: { images: [{ type: "own" }] },
        exception: {
          values: [
            { type: "A", stacktrace: { frames: [{ abs_path: path }, { abs_path: "/srv/nothing.js" }, {}] } },
            { type: "B", stacktrace: { frames: [{ abs_path: "/srv/other.js" }, { abs_path: path }] } },
            { type: "C" }
          ]
        }
      }
      addDebugImages(event)
      assert.deepStrictEqual(event.debug_meta, {
        images: [
          { type: "own" },
          { type: "sourcemap", code_file: path, debug_id: "id-1" },
          { type: "sourcemap", code_file: "/srv/other.js", debug_id: "id-2" }
        ]
      })
      // A file that is loaded later.
      Object.assign(globals._debugIds, { [`Error\n    at ${other.path}:1:2`]: "id-4" })
      assert.strictEqual(frame(other.line).abs_path, other.path)
    } finally {
      delete globals._sentryDebugIds
      delete globals._debugIds
    }
    const event: Event = { event_id: "0".repeat(32), timestamp: 0, platform: "node", exception: { values: [{}] } }
    addDebugImages(event)
    assert.notProperty(event, "debug_meta")
  })
})
