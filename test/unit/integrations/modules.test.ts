import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { installedModules, placesToLook } from "../../../src/integrations/modules/installedModules.js"
import { MAX_MODULES, ModuleList } from "../../../src/integrations/modules/ModuleList.js"
import { type Files, folderWith, linkTo } from "../support/folder.js"

const manifest = (name: string, version: string, more: object = {}) => ({ name, version, ...more })

/** Packages in one `node_modules`, each with a manifest of its own. */
const installed = (versions: Readonly<Record<string, string>>, folder = "node_modules"): Files =>
  Object.fromEntries(
    Object.entries(versions).map(([name, version]) => [`${folder}/${name}/package.json`, manifest(name, version)])
  )

/** What npm notes about a tree, as it writes it. */
const note = (packages: object): string =>
  JSON.stringify({ name: "app", lockfileVersion: 3, requires: true, packages }, undefined, 2)

/** All of them, in the order in which they are found. */
const modulesOf = (...places: ReadonlyArray<string>): Array<readonly [string, string]> => {
  const list = new ModuleList(places)
  list.advance(Infinity)
  assert.isTrue(list.isComplete)
  return Object.entries(JSON.parse(list.json) as Record<string, string>)
}

const modulesIn = (files: Files, at = "") => Effect.map(folderWith(files), (root) => modulesOf(join(root, at)))

describe("the installed packages", () => {
  it.scopedLive("npm: direct dependencies first, what they need by npm's note, what is for development last", () =>
    Effect.gen(function* () {
      const modules = yield* modulesIn({
        "package.json": manifest("app", "1.0.0", {
          dependencies: { "@scope/z": "^1" },
          devDependencies: { tool: "^4" }
        }),
        ...installed({ "@scope/z": "1.2.3", tool: "4.0.0" }),
        "node_modules/.package-lock.json": note({
          "node_modules/@scope/z": { version: "1.2.3", dependencies: { deep: "^2" } },
          "node_modules/a-tool-of-tool": { version: "9.0.0", resolved: "", dev: true },
          "node_modules/also-optional": { version: "8.0.0", devOptional: true },
          "node_modules/deep": { version: "2.0.0", peerDependenciesMeta: { dev: { optional: true } } },
          "node_modules/deep/node_modules/hidden": { version: "0.1.0" },
          "node_modules/renamed": { name: "original", version: "5.0.0" },
          "node_modules/tool": { version: "4.0.0", dev: true }
        })
      })
      assert.deepStrictEqual(modules, [
        ["app", "1.0.0"],
        ["@scope/z", "1.2.3"],
        ["tool", "4.0.0"],
        ["deep", "2.0.0"],
        ["renamed", "5.0.0"],
        ["a-tool-of-tool", "9.0.0"],
        ["also-optional", "8.0.0"]
      ])
    })
  )

  it.scopedLive("npm: a note of any size, in which an entry may lie across two pieces", () =>
    Effect.gen(function* () {
      const packages = Object.fromEntries(
        Array.from({ length: 400 }, (_, index) => [
          `node_modules/p${index}`,
          { version: `${index}.0.0`, resolved: `https://registry.example/${"x".repeat(index % 613)}`, license: "MIT" }
        ])
      )
      const modules = yield* modulesIn({
        "package.json": manifest("app", "1.0.0"),
        "node_modules/.package-lock.json": note(packages)
      })
      assert.deepStrictEqual(modules, [
        ["app", "1.0.0"],
        ...Object.keys(packages).map((_, index) => [`p${index}`, `${index}.0.0`] as const)
      ])
    })
  )

  it.scopedLive("npm: a note written on Windows", () =>
    Effect.gen(function* () {
      const text = note({ "node_modules/a": { version: "1.0.0" }, "node_modules/b": { version: "2.0.0" } })
      const modules = yield* modulesIn({
        "package.json": manifest("app", "1.0.0"),
        "node_modules/.package-lock.json": text.replaceAll("\n", "\r\n").replaceAll("  ", "\t")
      })
      assert.deepStrictEqual(modules.slice(1), [
        ["a", "1.0.0"],
        ["b", "2.0.0"]
      ])
    })
  )

  it.scopedLive("a workspace: its own dependencies first, also those that stand in the repository around it", () =>
    Effect.gen(function* () {
      const modules = yield* modulesIn(
        {
          "package.json": manifest("repository", "0.0.0", {
            workspaces: ["packages/*"],
            devDependencies: { tool: "1" }
          }),
          "packages/app/package.json": manifest("app", "1.0.0", {
            dependencies: { hoisted: "1", nested: "2", sibling: "*" }
          }),
          "packages/sibling/package.json": manifest("sibling", "3.0.0"),
          ...installed({ nested: "2.0.0" }, "packages/app/node_modules"),
          ...installed({ hoisted: "1.0.0", nested: "1.0.0", tool: "1.0.0" }),
          "node_modules/sibling": linkTo("packages/sibling"),
          "node_modules/.package-lock.json": note({
            "node_modules/hoisted": { version: "1.0.0" },
            "node_modules/nested": { version: "1.0.0" },
            "node_modules/sibling": { resolved: "packages/sibling", link: true },
            "node_modules/tool": { version: "1.0.0", dev: true },
            "node_modules/unused": { version: "7.0.0" },
            "packages/sibling": { version: "3.0.0" }
          })
        },
        "packages/app"
      )
      assert.deepStrictEqual(modules, [
        ["app", "1.0.0"],
        ["hoisted", "1.0.0"],
        ["nested", "2.0.0"],
        ["sibling", "3.0.0"],
        ["unused", "7.0.0"],
        ["tool", "1.0.0"]
      ])
    })
  )

  it.scopedLive("a linked workspace that nothing names", () =>
    Effect.gen(function* () {
      const modules = yield* modulesIn({
        "package.json": manifest("repository", "0.0.0", { workspaces: ["packages/*"] }),
        "packages/sibling/package.json": manifest("sibling", "3.0.0"),
        "node_modules/sibling": linkTo("packages/sibling"),
        "node_modules/.package-lock.json": note({
          "node_modules/sibling": { resolved: "packages/sibling", link: true }
        })
      })
      assert.deepStrictEqual(modules, [
        ["repository", "0.0.0"],
        ["sibling", "3.0.0"]
      ])
    })
  )

  it.scopedLive.each([".pnpm", ".bun"])("%s: links to what is in the store, and by the names of its folders", (store) =>
    Effect.gen(function* () {
      const stored = (folder: string, name: string, version: string): Files => ({
        [`node_modules/${store}/${folder}/node_modules/${name}/package.json`]: manifest(name, version)
      })
      const modules = yield* modulesIn(
        {
          "package.json": manifest("repository", "0.0.0"),
          "packages/app/package.json": manifest("app", "1.0.0", { dependencies: { direct: "1" } }),
          "packages/app/node_modules/direct": linkTo(`node_modules/${store}/direct@1.0.0/node_modules/direct`),
          ...stored("direct@1.0.0", "direct", "1.0.0"),
          ...stored("@scope+deep@2.1.0-rc.1_peer@1.0.0", "@scope/deep", "2.1.0-rc.1"),
          ...stored("other@3.0.0(peer@1.0.0)", "other", "3.0.0"),
          ...stored("app@file+packages+app", "app", "1.0.0"),
          [`node_modules/${store}/lock.yaml`]: "lockfileVersion: '9.0'",
          [`node_modules/${store}/node_modules/deep`]: "a link"
        },
        "packages/app"
      )
      assert.deepStrictEqual(modules, [
        ["app", "1.0.0"],
        ["direct", "1.0.0"],
        ["@scope/deep", "2.1.0-rc.1"],
        ["other", "3.0.0"]
      ])
    })
  )

  it.scopedLive("without a note: by the folders there are", () =>
    Effect.gen(function* () {
      const modules = yield* modulesIn({
        "package.json": manifest("app", "1.0.0", { dependencies: { zebra: "1" } }),
        ...installed({ zebra: "1.0.0", ant: "2.0.0", "@scope/bee": "3.0.0" }),
        "node_modules/.bin/ant": "#!/bin/sh",
        "node_modules/no-package/readme.md": ""
      })
      assert.deepStrictEqual(modules, [
        ["app", "1.0.0"],
        ["zebra", "1.0.0"],
        ["@scope/bee", "3.0.0"],
        ["ant", "2.0.0"]
      ])
    })
  )

  it.scopedLive("without a package.json: the packages alone", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* modulesIn({ "dist/main.js": "", ...installed({ a: "1.0.0" }) }, "dist"), [
        ["a", "1.0.0"]
      ])
    })
  )

  it.scopedLive("what cannot be read is passed over", () =>
    Effect.gen(function* () {
      const root = yield* folderWith({
        "package.json": manifest("app", "1.0.0", {
          dependencies: { broken: "1", "no-text": "1", long: "1", list: "1", pipe: "1", missing: "1", "../..": "1" }
        }),
        "node_modules/broken/package.json": "{",
        "node_modules/no-text/package.json": { name: "no-text", version: { major: 1 } },
        "node_modules/long/package.json": manifest("long", "1".repeat(257)),
        "node_modules/list/package.json": "[]",
        "node_modules/pipe/other": "",
        "node_modules/__proto__/package.json": manifest("__proto__", "1.0.0"),
        "node_modules/.package-lock.json": note({}),
        ...installed({ fine: "1.0.0" })
      })
      execFileSync("mkfifo", [join(root, "node_modules/pipe/package.json")])
      assert.deepStrictEqual(modulesOf(root), [
        ["app", "1.0.0"],
        ["fine", "1.0.0"]
      ])
    })
  )

  it.scopedLive("a dependency field that is no record is passed over", () =>
    Effect.gen(function* () {
      for (const dependencies of [null, 1, "text", ["list"]]) {
        const files = { "package.json": manifest("app", "1.0.0", { dependencies }), ...installed({ fine: "1.0.0" }) }
        assert.deepStrictEqual(yield* modulesIn(files), [
          ["app", "1.0.0"],
          ["fine", "1.0.0"]
        ])
      }
    })
  )

  it.scopedLive("a note that is none of npm's is passed over", () =>
    Effect.gen(function* () {
      const foreign = `\n  "node_modules/x": {${" ".repeat(3 * 1024 * 1024)}`
      for (const text of ["", "null", "[]", foreign, note({}).replaceAll("\n", "")]) {
        const files = {
          "package.json": manifest("app", "1.0.0"),
          ...installed({ fine: "1.0.0" }),
          "node_modules/.package-lock.json": text
        }
        assert.deepStrictEqual(yield* modulesIn(files), [
          ["app", "1.0.0"],
          ["fine", "1.0.0"]
        ])
      }
    })
  )
})

describe("of many packages", () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `p${String(index).padStart(5, "0")}`)

  it.scopedLive("the first 500 are named, and no more is read", () =>
    Effect.gen(function* () {
      const names = many(1000)
      const root = yield* folderWith({
        "package.json": manifest("app", "1.0.0", { dependencies: { p00900: "1" } }),
        ...installed(Object.fromEntries(names.map((name) => [name, "1.0.0"])))
      })
      const modules = modulesOf(root)
      assert.deepStrictEqual(
        modules.map(([name]) => name),
        ["app", "p00900", ...names.slice(0, MAX_MODULES - 2)]
      )
    })
  )

  it.scopedLive("those for development give way, wherever they stand in npm's note", () =>
    Effect.gen(function* () {
      const packages = many(10_000).map((name, index) => [
        `node_modules/${name}`,
        { version: "1.0.0", resolved: `https://registry.example/${name}.tgz`, ...(index < 9900 ? { dev: true } : {}) }
      ])
      const modules = yield* modulesIn({
        "package.json": manifest("app", "1.0.0"),
        "node_modules/.package-lock.json": note(Object.fromEntries(packages))
      })
      assert.deepStrictEqual(
        modules.map(([name]) => name),
        ["app", ...many(10_000).slice(9900), ...many(10_000).slice(0, MAX_MODULES - 101)]
      )
    })
  )

  it.scopedLive("each step is a small one", () =>
    Effect.gen(function* () {
      const root = yield* folderWith({
        "package.json": manifest("app", "1.0.0"),
        ...Object.fromEntries(many(2000).map((name) => [`node_modules/${name}/index.js`, ""]))
      })
      // 2000 folders without a package: as many steps as folders, and some for their names.
      const steps = [...installedModules([root])]
      assert.isAtLeast(steps.length, 2000)
    })
  )

  it.scopedLive("a list goes on where it was paused", () =>
    Effect.gen(function* () {
      const root = yield* folderWith({
        "package.json": manifest("app", "1.0.0", { dependencies: { a: "1", b: "1" } }),
        ...installed({ a: "1.0.0", b: "2.0.0" })
      })
      const list = new ModuleList([root])
      const seen = [list.json]
      while (!list.isComplete) {
        list.advance(0)
        if (list.json !== seen.at(-1)) seen.push(list.json)
      }
      assert.deepStrictEqual(seen, [
        "{}",
        '{"app":"1.0.0"}',
        '{"app":"1.0.0","a":"1.0.0"}',
        '{"app":"1.0.0","a":"1.0.0","b":"2.0.0"}'
      ])
    })
  )
})

describe("where packages are looked for", () => {
  const files = {
    "package.json": manifest("repository", "0.0.0"),
    "packages/app/package.json": manifest("app", "1.0.0"),
    "packages/app/dist/main.js": "",
    "packages/other/package.json": manifest("other", "1.0.0"),
    "node_modules/runner/package.json": manifest("runner", "1.0.0"),
    "node_modules/runner/bin.js": ""
  }

  const cases = [
    {
      title: "the package of the main script",
      cwd: "packages/app",
      script: "packages/app/dist/main.js",
      places: ["packages/app"]
    },
    {
      title: "and the repository it was started in",
      cwd: "",
      script: "packages/app/dist/main.js",
      places: ["packages/app", ""]
    },
    {
      title: "not where it merely was started",
      cwd: "packages/other",
      script: "packages/app/dist/main.js",
      places: ["packages/app"]
    },
    {
      title: "the working directory under a test runner",
      cwd: "packages/app",
      script: "node_modules/runner/bin.js",
      places: ["packages/app"]
    },
    {
      title: "the working directory without a script",
      cwd: "packages/app",
      script: undefined,
      places: ["packages/app"]
    },
    {
      title: "projectRoot alone, if it is set",
      projectRoot: "packages/other",
      cwd: "packages/app",
      script: "packages/app/dist/main.js",
      places: ["packages/other"]
    }
  ]

  it.scopedLive.each(cases)("$title", ({ cwd, places, projectRoot, script }) =>
    Effect.gen(function* () {
      const root = yield* folderWith(files)
      const at = (path: string): string => join(root, path).replace(/\/$/, "")
      const given = script === undefined ? undefined : at(script)
      assert.deepStrictEqual(placesToLook(at(projectRoot ?? cwd), at(cwd), given), places.map(at))
    })
  )
})
