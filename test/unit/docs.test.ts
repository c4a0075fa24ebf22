/**
 * What the documentation of the integrations says is proved by a test has that test.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const root = new URL("../../", import.meta.url)
const pathOf = (path: string): string => fileURLToPath(new URL(path, root))
const read = (path: string): string => readFileSync(pathOf(path), "utf8")

const folder = "docs/integrations/"
const pages = [
  "docs/integrations.md",
  ...(existsSync(pathOf(folder)) ? readdirSync(pathOf(folder)).map((name) => `${folder}${name}`) : [])
].filter((name) => name.endsWith(".md"))

/** The rows of all tables, without their heads. */
const rowsOf = (page: string): ReadonlyArray<string> =>
  read(page)
    .split("\n")
    .filter((line, index, lines) => line.startsWith("|") && !isRule(line) && !isRule(lines[index + 1]))

const isRule = (line: string | undefined): boolean => line !== undefined && /^\|[\s|:-]+\|$/.test(line)

interface Citation {
  readonly file: string
  readonly names: ReadonlyArray<string>
}

/** `wire/a.test.ts`: group › name; other name; `unit/b.test.ts`: *name*, *other name* */
const citationsIn = (row: string): ReadonlyArray<Citation> =>
  Array.from(
    row.matchAll(/`(?:test\/)?([\w/-]+\.test\.ts)`(?::([^|]*?))?(?=;? `(?:test\/)?[\w/-]+\.test\.ts`| *\|)/g)
  ).map(([, file, names]) => ({
    file: (file as string).startsWith("examples/") ? (file as string) : `test/${file}`,
    names: namesIn(names ?? "")
  }))

const namesIn = (text: string): ReadonlyArray<string> => {
  const marked = Array.from(text.matchAll(/\*([^*]+)\*/g), ([, name]) => name as string)
  if (marked.length > 0) return marked
  const names = text.split(";").map((name) => name.trim())
  return names.filter((name) => name !== "")
}

/** What is written in a file between quotes: what is not there is no test's name. */
const textsOf = (file: string): ReadonlyArray<string> => {
  const known = texts.get(file)
  if (known !== undefined) return known
  const source = read(file)
  const found = [...source.matchAll(/"((?:[^"\\\n]|\\.)*)"/g), ...source.matchAll(/`([^`\n]*)`/g)].map(([, text]) =>
    (text as string).replace(/\\(.)/g, "$1")
  )
  texts.set(file, found)
  return found
}

const texts = new Map<string, ReadonlyArray<string>>()

const ANY = "\u0000"
const patternOf = (text: string): RegExp =>
  new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll(ANY, ".+")}`, "s")

const LEAST = 4

const lettersIn = (text: string): number => text.replace(/[^a-z]/gi, "").length

/** As it is written, or a part of it; `…` in the documentation and what is filled in in the test stand for anything. */
const isWritten = (name: string, file: string): boolean => {
  const cited = patternOf(name.replaceAll(/ ?… ?/g, ANY)).source.slice(lettersIn(name) > LEAST ? 1 : 0)
  // The keys of an object need no quotes.
  if (/^\w+$/.test(name) && new RegExp(`\\b${name}:`).test(read(file))) return true
  return textsOf(file).some((text) => {
    if (text.startsWith(name) || new RegExp(cited, "s").test(text)) return true
    const filled = text.replace(/\$\{.*?\}|%[sjdo]|\$\w+/g, ANY)
    if (filled === text) return false
    return [filled, filled.split(": ").at(-1) as string].some(
      (part) => lettersIn(part) >= LEAST && new RegExp(`${patternOf(part).source}$`, "s").test(name)
    )
  })
}

/** The names that no test has. A name may itself have a semicolon in it. */
const missing = ({ file, names }: Citation): ReadonlyArray<string> => {
  const unknown: Array<string> = []
  for (let index = 0; index < names.length; index++) {
    const found = [names.length, ...names.keys()]
      .filter((end) => end > index)
      .toSorted((a, b) => b - a)
      .find((end) => isProved(names.slice(index, end).join("; "), file))
    if (found === undefined) unknown.push(names[index] as string)
    else index = found - 1
  }
  return unknown
}

const isProved = (name: string, file: string): boolean =>
  name.split(" › ").every((part) => isOne(part, file) || part.split(/,(?: |$)/).every((one) => isOne(one, file)))

const isOne = (name: string, file: string): boolean =>
  /^(\(?(as above|the same|all)\)?|…)$/.test(name) || isWritten(name.replace(/ \(as above\)$/, ""), file)

describe("the documentation of the integrations", () => {
  for (const page of pages) {
    it(`${page} cites tests that exist`, () => {
      const problems = rowsOf(page).flatMap((row) =>
        citationsIn(row).flatMap((citation) => {
          if (!existsSync(pathOf(citation.file))) return [`${citation.file} does not exist`]
          return missing(citation).map((name) => `${citation.file} has no test "${name}"`)
        })
      )
      assert.deepStrictEqual(problems, [])
    })
  }

  it("has every one of the hundred behaviours of the Python SDK, each with a test", () => {
    const numbered = rowsOf("docs/integrations.md").filter((row) => /^\| \d+ \|/.test(row))
    const numbers = numbered.map((row) => Number(/\d+/.exec(row)?.[0])).toSorted((a, b) => a - b)
    assert.deepStrictEqual(
      numbers,
      Array.from({ length: 100 }, (_, index) => index + 1)
    )
    assert.deepStrictEqual(
      numbered.filter((row) => !citationsIn(row).some(({ names }) => names.length > 0)),
      []
    )
  })

  it("has a section for each integration", () => {
    const text = read("docs/integrations.md")
    for (const name of ["Argv", "Atexit", "Dedupe", "Excepthook", "Logging", "Modules", "Stdlib", "Threading"]) {
      assert.include(text, `\n## ${name}\n`)
    }
  })
})
