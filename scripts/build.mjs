// dist/: one file for each entry point of package.json, with what they share in chunks/, and the declarations. Loading seventy
// small modules costs several times what running them does.
import { execFileSync } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const sources = Object.values(exports)
  .map((entry) => entry.default)
  .filter((path) => path !== undefined)
  .map((path) => path.replace(/^\.\/dist\/(.*)\.js$/, "src/$1.ts"))

rmSync(join(root, "dist"), { recursive: true, force: true })

await build({
  absWorkingDir: root,
  entryPoints: sources,
  outbase: "src",
  outdir: "dist",
  // One folder below dist/, as every folder of src/ is below src/: from there the SDK finds out what its own folder is.
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  packages: "external",
  format: "esm",
  platform: "node",
  target: "node20.19",
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning"
})

const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"))
execFileSync(process.execPath, [join(typescript, "bin", "tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit"
})
