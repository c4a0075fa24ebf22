/**
 * The installed packages, as far as they can be found without asking a package manager.
 */
import { closeSync, opendirSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs"
import { basename, dirname, join, sep } from "node:path"

/** A package that was found; `undefined` for a step on the way to one. @internal */
export type Step = readonly [name: string, version: string] | undefined

/**
 * Finds packages in small steps (each reads at most one small file, or a piece of a large one), so that the caller can pause
 * between any two. A package may come up again.
 *
 * What matters comes first: the program's own package, then the dependencies its `package.json` names, in whichever
 * `node_modules` they stand (of a workspace, of the repository around it, or a link of pnpm's); then what they need in turn, by
 * what the package manager notes about the tree it installed, or by the folders in it; what is only there for development last.
 *
 * @param places the folders to begin in; the nearest `package.json` at or above each is that of the program
 * @internal
 */
export function* installedModules(places: ReadonlyArray<string>): Generator<Step> {
  const roots = new Set(places.map((place) => nearestPackage(place) ?? real(place)))
  for (const root of roots) yield* direct(root)
  const forDevelopment: Array<Step> = []
  const folders = new Set([...roots].flatMap((root) => nodeModulesAbove(root)))
  for (const folder of folders) yield* installedIn(folder, forDevelopment)
  yield* forDevelopment
}

/**
 * Where to look for the program's packages: in the folder of its main script (unless that is itself a package's, as that of a
 * test runner is) and in the project's, where that is around the former; if `projectRoot` was set to somewhere else, only there.
 *
 * @internal
 */
export const placesToLook = (projectRoot: string, cwd = process.cwd(), script = process.argv[1]): Array<string> => {
  const folder = script === undefined ? undefined : real(dirname(script))
  if (folder === undefined || projectRoot !== cwd || /(?:^|[\\/])node_modules(?:[\\/]|$)/.test(folder))
    return [projectRoot]
  const own = nearestPackage(folder)
  if (own === undefined) return [projectRoot]
  return own === real(projectRoot) || !own.startsWith(withSeparator(real(projectRoot))) ? [own] : [own, projectRoot]
}

function* direct(root: string): Generator<Step> {
  const manifest = readManifest(root)
  yield found(manifest?.["name"], manifest?.["version"])
  const folders = nodeModulesAbove(root)
  for (const field of ["dependencies", "optionalDependencies", "peerDependencies", "devDependencies"]) {
    for (const name of Object.keys((manifest?.[field] as object | undefined) ?? {})) yield* versionIn(folders, name)
  }
}

function* versionIn(folders: ReadonlyArray<string>, name: string): Generator<Step> {
  for (const folder of folders) {
    const manifest = readManifest(join(folder, name))
    yield found(name, manifest?.["version"])
    if (manifest !== undefined) return
  }
}

function* installedIn(folder: string, forDevelopment: Array<Step>): Generator<Step> {
  if (yield* notedByNpm(folder, forDevelopment)) return
  if (yield* storedIn(join(folder, ".pnpm"))) return
  if (yield* storedIn(join(folder, ".bun"))) return
  for (const name of yield* entriesOf(folder)) {
    if (name.startsWith(".")) continue
    if (!name.startsWith("@")) yield* versionIn([folder], name)
    else for (const inner of yield* entriesOf(join(folder, name))) yield* versionIn([folder], `${name}/${inner}`)
  }
}

/**
 * npm's own note of a tree: one file instead of one for each package. It has megabytes where there are thousands of them: it is
 * read in pieces, and no more is understood of it than is asked for.
 */
function* notedByNpm(folder: string, forDevelopment: Array<Step>): Generator<Step, boolean> {
  const path = join(folder, ".package-lock.json")
  if (!isFileWithin(MAX_NOTE_BYTES, path)) return false
  let any = false
  let rest = ""
  for (const piece of piecesOf(path)) {
    const text = rest + piece
    let end = 0
    for (const entry of text.matchAll(NOTE)) {
      end = entry.index + entry[0].length
      const { body = "", name = "" } = entry.groups ?? {}
      any = true
      if (name.includes("/node_modules/")) continue
      if (body.includes('"link": true')) yield* versionIn([folder], name)
      else {
        const step = found(name, VERSION.exec(body)?.[1])
        if (!DEVELOPMENT.test(body)) yield step
        else if (forDevelopment.length < MAX_SEEN) forDevelopment.push(step)
      }
    }
    rest = text.slice(end)
    // No entry is as long as that: it is not npm's, or not as npm writes it.
    if (rest.length > MAX_ENTRY_LENGTH) return any
    yield undefined
  }
  return any
}

const MAX_NOTE_BYTES = 64 * 1024 * 1024
const MAX_ENTRY_LENGTH = 1024 * 1024

/** `"node_modules/<name>": { <body> }`; the brace that closes it stands as far in as the name does. */
const NOTE = /\n(?<indent>[ \t]+)"node_modules\/(?<name>[^"]+)": \{(?<body>[^]*?)\n\k<indent>\}/g
const VERSION = /^\s*(?:"name": "[^"]*",\s*)?"version": "([^"]+)"/
const DEVELOPMENT = /"dev(?:Optional)?": true/

/** Where pnpm (and bun) keep packages, the folders are named `<name>@<version>`, with `+` for the slash of a scope. */
function* storedIn(store: string): Generator<Step, boolean> {
  const entries = yield* entriesOf(store)
  for (const entry of entries) {
    const [, scope, name, version] = STORED.exec(entry) ?? []
    yield found(scope === undefined ? name : `${scope}/${name}`, version)
  }
  return entries.length > 0
}

const STORED = /^(?:(@[^+@]+)\+)?([^+@]+)@(\d+\.\d+\.\d+[0-9A-Za-z.+-]*)/

/** Sorted, so that every machine comes to the same list. */
function* entriesOf(folder: string): Generator<Step, Array<string>> {
  const names: Array<string> = []
  try {
    const directory = opendirSync(folder)
    try {
      for (let entry = directory.readSync(); entry !== null && names.length < MAX_SEEN; entry = directory.readSync()) {
        names.push(entry.name)
        if (names.length % 100 === 0) yield undefined
      }
    } finally {
      directory.closeSync()
    }
  } catch {}
  return names.toSorted()
}

/** More packages than this are not even looked at, in any one folder. */
const MAX_SEEN = 20_000

const found = (name: unknown, version: unknown): Step =>
  isShortText(name) && isShortText(version) ? [name, version] : undefined

const isShortText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= 256

const nearestPackage = (from: string): string | undefined => {
  for (const folder of upwards(from)) if (readManifest(folder) !== undefined) return folder
  return undefined
}

const nodeModulesAbove = (root: string): Array<string> =>
  [...upwards(root)]
    .filter((folder) => basename(folder) !== "node_modules")
    .map((folder) => join(folder, "node_modules"))

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

const withSeparator = (path: string): string => (path.endsWith(sep) ? path : path + sep)

type Manifest = Readonly<Record<string, unknown>>

const readManifest = (folder: string): Manifest | undefined => {
  const path = join(folder, "package.json")
  if (!isFileWithin(MAX_MANIFEST_BYTES, path)) return undefined
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, "utf8"))
    return typeof manifest === "object" && manifest !== null ? (manifest as Manifest) : undefined
  } catch {
    return undefined
  }
}

const MAX_MANIFEST_BYTES = 1024 * 1024

/** What is no plain file may never come to an end. */
const isFileWithin = (maxBytes: number, path: string): boolean => {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    return stat?.isFile() === true && stat.size <= maxBytes
  } catch {
    return false
  }
}

function* piecesOf(path: string): Generator<string> {
  let file: number | undefined
  try {
    file = openSync(path, "r")
    const buffer = Buffer.allocUnsafe(PIECE_BYTES)
    for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer)) {
      // Names and versions are ASCII, and a piece may begin in the midst of what is not.
      yield buffer.toString("latin1", 0, length)
    }
  } catch {
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

const PIECE_BYTES = 64 * 1024
