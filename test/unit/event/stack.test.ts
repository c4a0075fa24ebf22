import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { callSite, StackParser } from "../../../src/event/stack.js"
import type { StackFrame } from "../../../src/protocol/Event.js"
import { quickly } from "../support/clock.js"

const ROOT = "/srv/app"

const parserWith = (options: Partial<StackParser["options"]> = {}): StackParser =>
  new StackParser({ projectRoot: ROOT, contextLines: 0, inAppInclude: [], inAppExclude: [], ...options })

const parser = parserWith()

const frame = (line: string): StackFrame | undefined => parser.frame(`    at ${line}`)

const stackOf = (...lines: ReadonlyArray<string>): string =>
  ["Error: x", ...lines.map((line) => `    at ${line}`)].join("\n")

describe("StackParser", () => {
  describe("one line", () => {
    const lines: ReadonlyArray<readonly [line: string, expected: StackFrame]> = [
      [
        "load (/srv/app/src/a.ts:10:5)",
        {
          function: "load",
          filename: "src/a.ts",
          abs_path: "/srv/app/src/a.ts",
          module: "src/a",
          lineno: 10,
          colno: 5,
          in_app: true
        }
      ],
      ["/srv/app/src/a.ts:10:5", { function: "?", filename: "src/a.ts", lineno: 10, colno: 5, in_app: true }],
      ["async load (/srv/app/a.ts:1:2)", { function: "load", filename: "a.ts" }],
      ["async /srv/app/a.ts:1:2", { function: "?", filename: "a.ts", lineno: 1, colno: 2 }],
      ["async file:///srv/app/a.ts:1:2", { function: "?", filename: "a.ts", abs_path: "/srv/app/a.ts" }],
      ["new Thing (/srv/app/a.ts:1:2)", { function: "Thing" }],
      ["async new Thing (/srv/app/a.ts:1:2)", { function: "Thing" }],
      ["Thing.go (/srv/app/a.ts:1:2)", { function: "Thing.go" }],
      ["Thing.inner [as go] (/srv/app/a.ts:1:2)", { function: "Thing.inner" }],
      ["get Thing.go [as go] (/srv/app/a.ts:1:2)", { function: "get Thing.go" }],
      ["Object.<anonymous> (/srv/app/a.ts:1:2)", { function: "?" }],
      ["<anonymous> (/srv/app/a.ts:1:2)", { function: "?" }],
      ["Object.[Symbol.iterator] (/srv/app/a.ts:1:2)", { function: "Object.[Symbol.iterator]" }],
      ["EffectPrimitive.effect_instruction_i0 (/srv/app/a.ts:1:2)", { function: "?", in_app: true }],
      ["EffectPrimitive.load [as effect_instruction_i1] (/srv/app/a.ts:1:2)", { function: "load" }],
      ["Module.<anonymous> (/srv/app/a.ts:1:2)", { function: "?" }],
      ["#secret (/srv/app/a.ts:1:2)", { function: "#secret" }],
      ["newThing (/srv/app/a.ts:1:2)", { function: "newThing" }],
      ["asyncThing (/srv/app/a.ts:1:2)", { function: "asyncThing" }],
      ["async Promise.all (index 0)", { function: "Promise.all", filename: "<anonymous>", in_app: false }],
      ["Array.map (<anonymous>)", { function: "Array.map", filename: "<anonymous>", in_app: false }],
      ["new Promise (<anonymous>)", { function: "Promise", filename: "<anonymous>", in_app: false }],
      ["Array.map (native)", { function: "Array.map", filename: "<anonymous>", in_app: false }],
      [
        "eval (eval at run (/srv/app/a.ts:10:5), <anonymous>:1:2)",
        { function: "eval", filename: "a.ts", lineno: 10, colno: 5, in_app: true }
      ],
      [
        "eval (eval at inner (eval at outer (/srv/app/a.ts:10:5)), <anonymous>:1:2)",
        { function: "eval", filename: "a.ts", lineno: 10, colno: 5 }
      ],
      [
        "new Function (eval at run (file:///srv/app/a.ts:10:5), <anonymous>:1:2)",
        { function: "Function", filename: "a.ts", lineno: 10 }
      ],
      [
        "Module._compile (node:internal/modules/cjs/loader:1358:14)",
        { function: "Module._compile", filename: "node:internal/modules/cjs/loader", lineno: 1358, in_app: false }
      ],
      [
        "node:internal/main/run_main_module:28:49",
        { function: "?", filename: "node:internal/main/run_main_module", in_app: false }
      ],
      ["emit (internal/process:1:2)", { in_app: false }],
      [
        "load (file:///srv/app/with%20space/%C3%A4.ts:1:2)",
        { filename: "with space/ä.ts", abs_path: "/srv/app/with space/ä.ts", in_app: true }
      ],
      ["load (file:///srv/app/%zz.ts:1:2)", { abs_path: "/srv/app/%zz.ts", lineno: 1 }],
      ["load (/srv/app/with space/a.ts:1:2)", { filename: "with space/a.ts" }],
      ["load (/srv/app/(group)/a.ts:1:2)", { function: "load", filename: "(group)/a.ts", lineno: 1 }],
      ["/srv/app/(group)/a.ts:1:2", { function: "?", filename: "(group)/a.ts", lineno: 1 }],
      ["load (/srv/app/copy (2)/a.ts:1:2)", { function: "load", filename: "copy (2)/a.ts", lineno: 1, colno: 2 }],
      ["load (/srv/app/a:b.ts:1:2)", { filename: "a:b.ts", lineno: 1, colno: 2 }],
      ["load (/srv/app/a.ts:7)", { filename: "a.ts", lineno: 7 }],
      [
        "load (https://cdn.example.com:8443/a.js:3:4)",
        { filename: "https://cdn.example.com:8443/a.js", lineno: 3, colno: 4, in_app: false }
      ],
      ["load (/other/place/a.ts:1:2)", { filename: "/other/place/a.ts", in_app: true }],
      ["load (/srv/application/a.ts:1:2)", { filename: "/srv/application/a.ts", in_app: true }],
      ["load (data:text/javascript,throw%20new%20Error:1:7)", { filename: "<data>", in_app: false }],
      ["wasm (wasm://wasm/00ab:wasm-function[1]:0x2b)", { function: "wasm", in_app: false }],
      [
        "run (/srv/app/node_modules/effect/dist/esm/internal/core.js:1:2)",
        { module: "effect/internal/core", filename: "node_modules/effect/dist/esm/internal/core.js", in_app: false }
      ],
      ["run (/srv/app/node_modules/@scope/pkg/lib/cjs/a.cjs:1:2)", { module: "@scope/pkg/a", in_app: false }],
      [
        "run (/srv/app/node_modules/.pnpm/effect@3.22.4/node_modules/effect/dist/esm/internal/core.js:1:2)",
        { module: "effect/internal/core", in_app: false }
      ],
      ["run (/srv/app/packages/a/node_modules/b/index.mjs:1:2)", { module: "b/index", in_app: false }],
      ["run (/usr/lib/node_modules/npm/bin/npm-cli.js:1:2)", { module: "npm/bin/npm-cli", in_app: false }],
      ["run (/srv/app/src/node_modules_mirror/a.ts:1:2)", { filename: "src/node_modules_mirror/a.ts", in_app: true }],
      ["run (/srv/app/dist/esm/a.mts:1:2)", { module: "dist/esm/a" }],
      ["load (/srv/app/a.test.ts:1:2)", { module: "a.test" }]
    ]
    for (const [line, expected] of lines) {
      it(line, () => {
        const actual = frame(line)
        for (const key of Object.keys(expected) as Array<keyof StackFrame>) {
          assert.deepStrictEqual(actual?.[key], expected[key], `${key} of ${JSON.stringify(actual)}`)
        }
      })
    }

    // Spans become lines of a stack under their own names.
    for (const name of ["load (cached)", "GET /users/:id (retry 2)", "f(x)", "a)b", "(a"]) {
      it(`the name of a span: ${name}`, () => {
        const actual = frame(`${name} (/srv/app/a.ts:1:2)`)
        assert.strictEqual(actual?.abs_path, "/srv/app/a.ts")
        assert.strictEqual(actual?.lineno, 1)
        assert.include(actual?.function, name.slice(0, 1))
      })
    }

    for (const line of ["<anonymous>", "native", "index 0", ""]) {
      it(`no place and no name is no frame: ${JSON.stringify(line)}`, () => assert.isUndefined(frame(line)))
    }

    for (const text of [
      "",
      "Error: at x",
      "at foo (/a.ts:1:2)",
      "    foo (/a.ts:1:2)",
      "    attack (/a.ts:1:2)",
      "  [cause]: Error: x {"
    ]) {
      it(`${JSON.stringify(text)} is no frame`, () => assert.isUndefined(parser.frame(text)))
    }

    it("a position that is none is left out", () => {
      const actual = frame("load (/srv/app/a.ts:0:0)")
      assert.strictEqual(actual?.filename, "a.ts")
      assert.notProperty(actual, "lineno")
      assert.notProperty(actual, "colno")
    })

    it("each frame is the caller's own to change", () => {
      const first = frame("load (/srv/app/own.ts:1:2)") as StackFrame
      first.function = "changed"
      first.in_app = false
      assert.strictEqual(frame("load (/srv/app/own.ts:1:2)")?.function, "load")
      assert.strictEqual(frame("load (/srv/app/own.ts:1:2)")?.in_app, true)
    })

    it.prop(
      "whatever the line, every frame has a function or a file, positions from 1, and a word on in_app",
      [fc.oneof(fc.string(), fc.fullUnicodeString(), fc.stringMatching(/^[a-z:/().<>[\] 0-9]{0,40}$/))],
      ([text]) => {
        for (const line of [
          text,
          `    at ${text}`,
          `    at f (${text})`,
          `    at ${text} (/a.ts:1:2)`,
          `    at ${text}:0:7`
        ]) {
          const actual = parser.frame(line)
          if (actual === undefined) continue
          assert.isString(actual.function)
          assert.isString(actual.filename)
          assert.isBoolean(actual.in_app)
          for (const position of [actual.lineno, actual.colno]) if (position !== undefined) assert.isAbove(position, 0)
        }
      }
    )
  })

  describe("in_app", () => {
    const cases: ReadonlyArray<readonly [options: Partial<StackParser["options"]>, line: string, inApp: boolean]> = [
      [{}, "f (/srv/app/src/a.ts:1:2)", true],
      [{ inAppExclude: ["src/gen"] }, "f (/srv/app/src/gen/a.ts:1:2)", false],
      [{ inAppExclude: ["/srv/app/src/gen"] }, "f (/srv/app/src/gen/a.ts:1:2)", false],
      [{ inAppExclude: ["src/gen"] }, "f (/srv/app/src/a.ts:1:2)", true],
      [{ inAppInclude: ["@acme/lib"] }, "f (/srv/app/node_modules/@acme/lib/dist/esm/a.js:1:2)", true],
      [{ inAppInclude: ["@acme/lib"] }, "f (/srv/app/node_modules/@acme/library/a.js:1:2)", false],
      [{ inAppInclude: ["@acme"] }, "f (/srv/app/node_modules/@acme/lib/a.js:1:2)", true],
      [{ inAppInclude: ["acme"] }, "f (/srv/app/node_modules/.pnpm/acme@1/node_modules/acme/a.js:1:2)", true],
      [{ inAppExclude: ["acme"] }, "f (/srv/app/src/acme/a.ts:1:2)", true],
      [{ inAppInclude: ["src/gen"], inAppExclude: ["src"] }, "f (/srv/app/src/gen/a.ts:1:2)", true],
      [{ inAppInclude: ["src/gen"], inAppExclude: ["src"] }, "f (/srv/app/src/a.ts:1:2)", false],
      [{ inAppInclude: ["node:"] }, "f (node:fs:1:2)", true],
      [{}, "f (/srv/app/src/node_modules/a.ts:1:2)", false]
    ]
    for (const [options, line, inApp] of cases) {
      it(`${JSON.stringify(options)} ${line}`, () =>
        assert.strictEqual(parserWith(options).frame(`    at ${line}`)?.in_app, inApp))
    }

    it("the SDK's own frames are never the application's", () => {
      const { stack = "" } = new Error("x")
      const here = parser.parse(stack, "").at(-1)
      assert.include(here?.abs_path, "stack.test.ts")
      assert.isTrue(here?.in_app)
      const sdk = new URL("../../../src/event/build.ts", import.meta.url).pathname
      assert.isFalse(parser.frame(`    at f (${sdk}:1:2)`)?.in_app)
    })
  })

  describe("a whole stack", () => {
    it("comes oldest first: the frame that threw is the last one", () => {
      const frames = parser.parse(
        stackOf("c (/srv/app/c.ts:3:1)", "b (/srv/app/b.ts:2:1)", "a (/srv/app/a.ts:1:1)"),
        "Error: x"
      )
      assert.deepStrictEqual(
        frames.map((frame) => frame.function),
        ["a", "b", "c"]
      )
    })

    it("a real one", () => {
      const thrower = (): Error => new Error("x")
      const { stack = "" } = thrower()
      const frames = parserWith({ projectRoot: process.cwd() }).parse(stack, "Error: x")
      assert.strictEqual(frames.at(-1)?.function, "thrower")
      assert.match(String(frames.at(-1)?.filename), /^test\/unit\/event\/stack\.test\.ts$/)
      assert.isTrue(frames.some((frame) => frame.in_app === false))
    })

    it("lines of the message are no frames, whatever they look like", () => {
      const message = "x\n    at fake (/srv/app/fake.ts:1:1)\n    at other (/srv/app/fake.ts:2:1)"
      const stack = `Error: ${message}\n    at real (/srv/app/a.ts:1:1)`
      assert.deepStrictEqual(
        parser.parse(stack, `Error: ${message}`).map((frame) => frame.function),
        ["real"]
      )
    })

    it("a header that is not there is none", () => {
      assert.strictEqual(parser.parse(stackOf("a (/srv/app/a.ts:1:1)"), "TypeError: y").length, 1)
    })

    it("keeps the newest 200 frames", () => {
      const frames = parser.parse(
        stackOf(...Array.from({ length: 1000 }, (_, index) => `f${index} (/srv/app/a.ts:${index + 1}:1)`)),
        ""
      )
      assert.strictEqual(frames.length, 200)
      assert.strictEqual(frames.at(-1)?.function, "f0")
      assert.strictEqual(frames[0]?.function, "f199")
    })

    const effect = "/srv/app/node_modules/effect/dist/esm"

    it("the fiber's run loop is left out, where there is anything else", () => {
      const loop = [`FiberRuntime.runLoop (${effect}/internal/fiberRuntime.js:1:1)`, "Generator.next (<anonymous>)"]
      const own = ["program (/srv/app/a.ts:1:1)", `pipe (${effect}/Pipeable.js:1:1)`, "Array.map (<anonymous>)"]
      assert.deepStrictEqual(
        parser.parse(stackOf(...own, ...loop), "").map((frame) => frame.function),
        ["Array.map", "pipe", "program"]
      )
      assert.deepStrictEqual(
        parser.parse(stackOf(...loop), "").map((frame) => frame.function),
        ["Generator.next", "FiberRuntime.runLoop"]
      )
      assert.deepStrictEqual(
        parserWith({ inAppInclude: ["effect"] })
          .parse(stackOf(...own, ...loop.slice(0, 1)), "")
          .map((frame) => frame.function),
        ["FiberRuntime.runLoop", "Array.map", "pipe", "program"]
      )
    })

    it("also where Node's source maps show where Effect was written", () => {
      const source = "/srv/app/node_modules/effect/src"
      const loop = [`runLoop (${source}/internal/fiberRuntime.ts:1:1)`, `body (${source}/Utils.ts:1:1)`]
      assert.deepStrictEqual(
        parser.parse(stackOf("program (/srv/app/a.ts:1:1)", ...loop), "").map((frame) => frame.function),
        ["program"]
      )
    })

    describe("spans stand where the fiber runs them", () => {
      const site = (name: string, location?: string) => ({ name, location })
      const run = `FiberRuntime.runLoop (${effect}/internal/fiberRuntime.js:1:1)`
      const names = (stack: string, ...spans: ReadonlyArray<ReturnType<typeof site>>) =>
        parser.parse(stack, "", spans).map((frame) => frame.function)

      it("between what has started it and what it has called", () => {
        const stack = stackOf(
          "inner (/srv/app/a.ts:1:1)",
          "Generator.next (<anonymous>)",
          run,
          "main (/srv/app/m.ts:1:1)"
        )
        assert.deepStrictEqual(names(stack, site("near", "/srv/app/b.ts:1:1"), site("far", "/srv/app/c.ts:1:1")), [
          "main",
          "far",
          "near",
          "inner"
        ])
      })

      it("of several fibers within each other, the innermost", () => {
        const stack = stackOf(
          "inner (/srv/app/a.ts:1:1)",
          run,
          "middle (/srv/app/a.ts:2:1)",
          run,
          "main (/srv/app/m.ts:1:1)"
        )
        assert.deepStrictEqual(names(stack, site("span", "/srv/app/b.ts:1:1")), ["main", "middle", "span", "inner"])
      })

      it("before all frames, where no fiber is in sight", () => {
        assert.deepStrictEqual(names(stackOf("a (/srv/app/a.ts:1:1)"), site("span", "/srv/app/b.ts:1:1")), [
          "span",
          "a"
        ])
      })

      it("in place of a stack that has nothing but Effect in it", () => {
        assert.deepStrictEqual(names(stackOf(run), site("span", "/srv/app/b.ts:1:1")), ["span"])
      })

      it("those whose place is not known by their name alone", () => {
        assert.deepStrictEqual(parser.parse("", "", [site("http.client GET")]), [
          { function: "http.client GET", filename: "<span>", in_app: false }
        ])
      })

      it("without what varies in their names, which would make another issue of every stack", () => {
        const stable: ReadonlyArray<readonly [name: string, shown: string]> = [
          ["load user 42", "load user <n>"],
          ["GET /users/42/orders/7", "GET /users/<n>/orders/<n>"],
          ["job 7b0c7ae8-6a2f-4a53-a0a5-0a9f6c2ab0a7", "job <n>"],
          ["GET /users/:id", "GET /users/:id"],
          ["s3.put v2", "s3.put v2"]
        ]
        for (const [name, shown] of stable) {
          const [frame] = parser.parse("", "", [site(name, "/srv/app/a.ts:1:1")])
          assert.strictEqual(frame?.function, shown)
          assert.strictEqual(frame?.raw_function, shown === name ? undefined : name)
          assert.strictEqual(frame?.in_app, true)
        }
      })
    })

    it("its frames are the caller's own to change, also when the same stack comes again", () => {
      const stack = stackOf("own (/srv/app/again.ts:1:1)")
      const [first] = parser.parse(stack, "")
      Object.assign(first as object, { function: "changed", vars: { a: "1" } })
      assert.deepStrictEqual(
        parser.parse(stack, "").map(({ function: name, vars }) => [name, vars]),
        [["own", undefined]]
      )
      assert.lengthOf(parser.parse(stack, "", [{ name: "span", location: undefined }]), 2)
      assert.lengthOf(parser.parse(stack, ""), 1)
    })

    it("no lines, no frames", () => {
      for (const stack of ["", "Error: x", "\n\n", "Error: x\nnothing\nto see"])
        assert.deepStrictEqual(parser.parse(stack, ""), [])
    })

    const large: ReadonlyArray<readonly [what: string, stack: string]> = [
      ["a line of megabytes", stackOf(`${"a".repeat(5_000_000)} (/srv/app/a.ts:1:1)`, "b (/srv/app/b.ts:1:1)")],
      ["many parentheses", stackOf("(".repeat(1000), "b (/srv/app/b.ts:1:1)")],
      ["many blanks", stackOf(`a${" ".repeat(1000)}x`, `${" ".repeat(1010)}(`, "b (/srv/app/b.ts:1:1)")],
      ["many colons", stackOf(`a (${":1".repeat(500)}`, `a (${":".repeat(1000)})`, "b (/srv/app/b.ts:1:1)")],
      [
        "many evals",
        stackOf(`a (${"eval at (".repeat(100)}`, `a (${"(eval at (:1:1".repeat(70)})`, "b (/srv/app/b.ts:1:1)")
      ],
      ["a hundred thousand lines that are none", `Error: ${"x\n".repeat(100_000)}\n    at b (/srv/app/b.ts:1:1)`]
    ]
    for (const [what, stack] of large) {
      it(`${what} is done in no time`, () => {
        const frames = quickly(500, () => parser.parse(stack, ""))
        assert.isTrue(frames.some((frame) => frame.function === "b"))
      })
    }

    it.prop(
      "never throws",
      [
        fc.array(
          fc.oneof(
            fc.fullUnicodeString(),
            fc.constantFrom("    at a (/srv/app/a.ts:1:1)", "    at ", "\r", "    at eval (eval at")
          )
        )
      ],
      ([lines]) => {
        assert.isAtMost(parser.parse(lines.join("\n"), lines[0] ?? "").length, lines.length)
      }
    )
  })

  it("callSite is where the function below was called", () => {
    const below = (): Error => callSite(below)
    const caller = (): Error => below()
    assert.strictEqual(parser.parse(String(caller().stack), "").at(-1)?.function, "caller")
  })
})
