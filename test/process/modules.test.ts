import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Event } from "effect-faultline"
import { type Files, folderWith, linkTo } from "../unit/support/folder.js"
import { receiver, run } from "./support.js"

const manifest = (name: string, version: string, more: object = {}) => ({ name, version, ...more })

describe("the packages of a program", () => {
  const app = (type: string) => manifest("app", "1.2.3", { type, dependencies: { direct: "1" } })

  const layouts: Readonly<Record<string, Files>> = {
    npm: {
      "app/node_modules/direct/package.json": manifest("direct", "1.0.0"),
      "app/node_modules/deep/package.json": manifest("deep", "2.0.0")
    },
    pnpm: {
      "app/node_modules/direct": linkTo("app/node_modules/.pnpm/direct@1.0.0/node_modules/direct"),
      "app/node_modules/.pnpm/direct@1.0.0/node_modules/direct/package.json": manifest("direct", "1.0.0"),
      "app/node_modules/.pnpm/deep@2.0.0/node_modules/deep/package.json": manifest("deep", "2.0.0")
    },
    workspaces: {
      "node_modules/direct/package.json": manifest("direct", "1.0.0"),
      "node_modules/deep/package.json": manifest("deep", "2.0.0")
    }
  }

  const cases = Object.keys(layouts).flatMap((layout) => [
    { layout, type: "module" },
    { layout, type: "commonjs" }
  ])

  it.scopedLive.each(cases)("$layout, $type", ({ layout, type }) =>
    Effect.gen(function* () {
      const root = yield* folderWith({
        "app/package.json": app(type),
        "app/main.js": 'throw new RangeError("no luck")',
        ...layouts[layout]
      })
      const server = yield* receiver()
      const ended = yield* run(pathToFileURL(join(root, "app/main.js")).href, [], {
        to: server,
        flags: ["--import", "effect-faultline/register"]
      })
      assert.strictEqual(ended.code, 1)
      const modules = (yield* server.events).map((event: Event) => event.modules)
      assert.deepStrictEqual(modules, [{ app: "1.2.3", direct: "1.0.0", deep: "2.0.0" }])
    })
  )
})

describe("ten thousand packages", () => {
  it.scopedLive("neither hold up the first event nor the program", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 10_000 }, (_, index) => `p${index}`)
      const root = yield* folderWith({
        "package.json": manifest("app", "1.0.0", { dependencies: { p7: "1" }, devDependencies: { p8: "1" } }),
        ...Object.fromEntries(names.map((name) => [`node_modules/${name}/package.json`, manifest(name, "1.0.0")])),
        "node_modules/.package-lock.json": JSON.stringify(
          {
            packages: Object.fromEntries(
              names.map((name, index) => [
                `node_modules/${name}`,
                { version: "1.0.0", integrity: "x".repeat(300), ...(index % 100 === 0 ? undefined : { dev: true }) }
              ])
            )
          },
          undefined,
          2
        )
      })
      const server = yield* receiver()
      const ended = yield* run("modules.mjs", [], { to: server, options: { projectRoot: root } })
      assert.strictEqual(ended.code, 0, ended.stderr)
      const said = (what: string): number => Number(new RegExp(`^${what} (.*)$`, "m").exec(ended.stdout)?.[1])
      const events = yield* server.events
      const [first] = events
      const last = Object.keys(events.at(-1)?.modules ?? {})
      assert.deepStrictEqual(Object.keys(first?.modules ?? {}).slice(0, 3), ["app", "p7", "p8"])
      assert.deepStrictEqual([last.length, ...last.slice(0, 5)], [500, "app", "p7", "p8", "p0", "p100"])
      // To read ten thousand files takes a second.
      assert.isBelow(said("found"), 500)
      assert.isBelow(said("first"), 250)
      assert.isBelow(said("longest"), 150)
    })
  )
})
