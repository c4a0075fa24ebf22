/**
 * Stacks of compiled code, as Node itself makes them.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type BuildOptions, buildSync, transformSync } from "esbuild"
import { receiver, run } from "./support.js"

const SOURCE = `type Order = { readonly id: number }

export const load = (order: Order): never => {
  throw new RangeError(\`no order \${order.id}\`)
}
`

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "stacks of code "))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

describe("a stack of compiled code", () => {
  const flags: ReadonlyArray<ReadonlyArray<string>> = [[], ["--enable-source-maps"]]
  for (const extension of ["mjs", "cjs"] as const) {
    for (const flag of flags) {
      it.scopedLive(
        `${extension} ${flag.join(" ")}: shows where it was written, and is deeper than V8's ten frames`,
        () =>
          Effect.gen(function* () {
            const root = yield* folder
            const format = extension === "mjs" ? "esm" : "cjs"
            const { code, map } = transformSync(SOURCE, {
              loader: "ts",
              format,
              minifyWhitespace: true,
              sourcemap: "external",
              sourcefile: "order.ts"
            })
            const path = join(root, `order.${extension}`)
            writeFileSync(path, `${code}\n//# sourceMappingURL=order.js.map\n`)
            writeFileSync(join(root, "order.js.map"), map)
            writeFileSync(join(root, "order.ts"), SOURCE)
            const server = yield* receiver()
            const ended = yield* run("stacks.mjs", [pathToFileURL(path).href, root], { to: server, flags: flag })
            assert.strictEqual(ended.code, 0, ended.stderr)
            const [event] = yield* server.events
            const frames = event?.exception?.values.at(-1)?.stacktrace?.frames ?? []
            const last = frames.at(-1)
            if (last === undefined) assert.fail("no frames")
            assert.strictEqual(last.filename, "order.ts")
            assert.strictEqual(last.abs_path, join(root, "order.ts"))
            assert.strictEqual(last.lineno, 4)
            assert.strictEqual(last.context_line, "  throw new RangeError(`no order ${order.id}`)")
            assert.isTrue(last.in_app)
            assert.isAtLeast(frames.filter((frame) => frame.function === "deep").length, 20)
          })
      )
    }
  }
})

const MAIN = `import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { captureException, DefaultIntegrations, Hub } from "effect-faultline"
import { load } from "./orders.js"

const Live = DefaultIntegrations.pipe(Layer.provideMerge(Hub.layer({ dsn: process.env.SENTRY_DSN, projectRoot: process.argv[2] })))
load(7).pipe(
  Effect.withSpan("shop.order"),
  Effect.catchAllDefect((defect) => captureException(defect)),
  Effect.provide(Live),
  Effect.runPromise
)
`

const ORDERS = `import * as Effect from "effect/Effect"

interface Order {
  readonly id: number
}

export const load = (id: number): Effect.Effect<Order> =>
  Effect.gen(function* () {
    yield* Effect.sleep(1)
    throw new RangeError(\`no order \${id}\`)
  })
`

const repository = fileURLToPath(new URL("../../", import.meta.url))

/** A program with the SDK installed as from a registry, in a folder of its own. */
const application = Effect.map(folder, (root) => {
  mkdirSync(join(root, "src"))
  mkdirSync(join(root, "node_modules/effect-faultline"), { recursive: true })
  writeFileSync(join(root, "package.json"), JSON.stringify({ name: "shop" }))
  writeFileSync(join(root, "src/main.ts"), MAIN)
  writeFileSync(join(root, "src/orders.ts"), ORDERS)
  for (const part of ["dist", "package.json"]) {
    cpSync(join(repository, part), join(root, "node_modules/effect-faultline", part), { recursive: true })
  }
  symlinkSync(join(repository, "node_modules/effect"), join(root, "node_modules/effect"))
  return root
})

const bundled = (extension: "mjs" | "cjs", options: BuildOptions, flags: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const root = yield* application
    const path = join(root, `dist/server.${extension}`)
    buildSync({
      absWorkingDir: root,
      entryPoints: ["src/main.ts"],
      outfile: path,
      bundle: true,
      platform: "node",
      format: extension === "mjs" ? "esm" : "cjs",
      logLevel: "error",
      ...options
    })
    const server = yield* receiver()
    const ended = yield* run(pathToFileURL(path).href, [root], { to: server, flags })
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.strictEqual(ended.stderr, "")
    const events = yield* server.events
    assert.strictEqual(events.length, 1)
    return { path, frames: events[0]?.exception?.values.at(-1)?.stacktrace?.frames ?? [] }
  })

describe("a stack of a bundle with the SDK and Effect in it", () => {
  const maps: ReadonlyArray<readonly [name: string, options: BuildOptions, flags?: ReadonlyArray<string>]> = [
    ["minified, its map beside it", { minify: true, sourcemap: "linked" }],
    ["minified, its map in it", { minify: true, sourcemap: "inline" }],
    ["its map beside it, mapped by Node", { sourcemap: "linked" }, ["--enable-source-maps"]]
  ]
  for (const extension of ["mjs", "cjs"] as const) {
    for (const [name, options, flags] of maps) {
      it.scopedLive(`${extension}, ${name}: shows the program as it was written, and nothing of Effect`, () =>
        Effect.gen(function* () {
          const { frames } = yield* bundled(extension, options, flags)
          assert.deepStrictEqual(
            frames.map((frame) => [frame.filename, frame.in_app, frame.context_line]),
            [
              ["src/main.ts", true, '  Effect.withSpan("shop.order"),'],
              ["src/orders.ts", true, "    throw new RangeError(`no order ${id}`)"]
            ]
          )
        })
      )
    }

    it.scopedLive(`${extension}, without a map: shows the bundle's own lines`, () =>
      Effect.gen(function* () {
        const { frames, path } = yield* bundled(extension, {})
        const last = frames.at(-1)
        assert.deepInclude(last, { filename: `dist/server.${extension}`, abs_path: path, in_app: true })
        assert.match(last?.context_line ?? "", /throw new RangeError/)
        assert.isFalse(frames.some((frame) => frame.function?.startsWith("FiberRuntime.")))
      })
    )
  }
})
