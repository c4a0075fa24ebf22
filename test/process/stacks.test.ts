/**
 * Stacks of compiled code, as Node itself makes them.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { transformSync } from "esbuild"
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
