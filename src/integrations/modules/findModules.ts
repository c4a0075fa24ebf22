/**
 * The installed packages, as far as they can be found without asking a package manager.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from "node:fs"
import { dirname, join } from "node:path"

/** @internal */
export type Modules = Readonly<Record<string, string>>

/** @internal */
export const MAX_MODULES = 500

/**
 * Reads what npm notes about the tree it installed; without such a note, or where it is too large to be read in passing, the
 * versions of the dependencies that the nearest `package.json` names, in whichever `node_modules` they stand (of a workspace,
 * of the repository around it, or a link of pnpm's).
 *
 * @internal
 */
export const findModules = (from: string): Modules => {
  const modules: Record<string, string> = {}
  const root = nearestPackage(from)
  if (root === undefined) return modules
  const add = (name: string, version: unknown): void => {
    if (typeof version === "string" && version !== "" && !Object.hasOwn(modules, name) && count < MAX_MODULES) {
      modules[name] = version
      count++
    }
  }
  let count = 0
  const manifest = readJson(join(root, "package.json"))
  if (typeof manifest?.["name"] === "string") add(manifest["name"], manifest["version"])
  const folders = nodeModulesAbove(root)
  for (const field of ["dependencies", "peerDependencies", "optionalDependencies", "devDependencies"]) {
    for (const name of Object.keys((manifest?.[field] as object | undefined) ?? {})) add(name, versionOf(name, folders))
  }
  for (const folder of folders) for (const [name, version] of installedIn(folder)) add(name, version)
  return modules
}

const MAX_NOTE_BYTES = 1024 * 1024

type Json = Readonly<Record<string, unknown>>

const installedIn = (folder: string): Iterable<readonly [name: string, version: unknown]> => {
  const note = noted(join(folder, ".package-lock.json"))
  if (note !== undefined) return note
  return namesIn(folder).map((name) => [name, versionOf(name, [folder])])
}

/** npm's own note of a tree: one file instead of one for each package. */
const noted = (path: string): Array<readonly [string, unknown]> | undefined => {
  try {
    if (statSync(path).size > MAX_NOTE_BYTES) return undefined
  } catch {
    return undefined
  }
  const packages = readJson(path)?.["packages"]
  if (typeof packages !== "object" || packages === null) return undefined
  return Object.entries(packages as Record<string, Json>)
    .filter(([place]) => place.startsWith("node_modules/") && !place.slice(1).includes("/node_modules/"))
    .map(([place, entry]) => [place.slice("node_modules/".length), entry["version"]])
}

const namesIn = (folder: string): Array<string> => {
  const names: Array<string> = []
  for (const name of list(folder)) {
    if (names.length >= MAX_MODULES) break
    if (name.startsWith("@")) names.push(...list(join(folder, name)).map((inner) => `${name}/${inner}`))
    else if (!name.startsWith(".")) names.push(name)
  }
  return names
}

const versionOf = (name: string, folders: ReadonlyArray<string>): unknown => {
  for (const folder of folders) {
    const manifest = readJson(join(folder, name, "package.json"))
    if (manifest !== undefined) return manifest["version"]
  }
  return undefined
}

const nearestPackage = (from: string): string | undefined => {
  for (const folder of upwards(from)) if (readJson(join(folder, "package.json")) !== undefined) return folder
  return undefined
}

const nodeModulesAbove = (root: string): Array<string> =>
  [...upwards(root)].map((folder) => join(folder, "node_modules"))

function* upwards(from: string): Iterable<string> {
  let folder = real(from)
  while (true) {
    yield folder
    const above = dirname(folder)
    if (above === folder) return
    folder = above
  }
}

const real = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

const list = (folder: string): Array<string> => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const readJson = (path: string): Json | undefined => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Json
  } catch {
    return undefined
  }
}
