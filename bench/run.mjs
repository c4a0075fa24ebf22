import { createRequire } from "node:module"
import { parseArgs } from "node:util"
import { takeSample } from "./lib/spawn.mjs"
import { compare } from "./lib/stats.mjs"
import { table } from "./lib/table.mjs"

const CASES = ["import", "facade", "fiber", "errors", "fork", "heap", "server", "log", "exit", "burst"]

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
    strict: { type: "boolean", default: false }
  }
})

const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds takes a whole number, 1 or more")
if (options.only !== undefined && !CASES.includes(options.only)) throw new Error(`--only takes ${CASES.join(", ")}`)

const ownRequire = createRequire(import.meta.url)
const sdkRequire = createRequire(new URL("../dist/index.js", import.meta.url))
if (ownRequire.resolve("effect") !== sdkRequire.resolve("effect")) {
  throw new Error("the SDK and its benchmarks must share one effect: there is a second one in bench/node_modules")
}

/** All samples of a measurement in turn, then all of them again: what slows the machine down slows both sides. */
const measure = async ({ nodeFlags, samples }, name) => {
  const names = Object.keys(samples)
  const taken = []
  for (let round = 0; round < rounds; round++) {
    const measured = {}
    // Every other round backwards, so that nobody always comes first.
    for (const sample of round % 2 === 0 ? names : names.toReversed()) {
      measured[sample] = await takeSample(name, sample, nodeFlags)
    }
    taken.push(measured)
    console.error(`${name}: round ${round + 1} of ${rounds}`)
  }
  return taken
}

const versions = Object.fromEntries(
  ["effect", "@sentry/node"].map((name) => [name, ownRequire(`${name}/package.json`).version])
)
const say = options.json ? () => {} : console.log
say(`Node ${process.version}, effect ${versions.effect}, @sentry/node ${versions["@sentry/node"]}, ${rounds} rounds`)

const results = []
for (const name of options.only === undefined ? CASES : [options.only]) {
  const subject = await import(`./cases/${name}.mjs`)
  const taken = await measure(subject, name)
  const rows = subject.rows.map((row) => compare(row, taken))
  results.push(...rows.map((row) => ({ case: name, ...row })))
  say(`\n${subject.title}\n\n${table(rows)}`)
}

if (options.json) console.log(JSON.stringify({ node: process.version, versions, rounds, results }, undefined, 2))
const missed = results.filter(({ ok }) => ok === false)
if (missed.length > 0) say(`\nmissed: ${missed.map((row) => `${row.case} (${row.what})`).join(", ")}`)
if (options.strict && missed.length > 0) process.exitCode = 1
