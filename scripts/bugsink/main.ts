/**
 * `npm run test:bugsink`: the examples report to a real Bugsink, and what it makes of them is read back, as a user sees it.
 */
import { bold, dim, green, plural, red, say, sum } from "../demo/print.js"
import { runAll } from "../demo/run.js"
import { type Issue, NotHere, startBugsink } from "./server.js"

/** What a person should find there: of each type exactly one issue, with its newest event. */
interface Expectation {
  readonly type: string
  readonly events: number
  /** Where the newest frame is. */
  readonly file?: string
  /** A part of its source line. */
  readonly line?: string
  readonly tags?: Readonly<Record<string, string>>
}

const EXPECTED: ReadonlyArray<Expectation> = [
  { type: "OutOfStock", events: 1, file: "examples/smallest.ts", line: "new OutOfStock", tags: { handled: "false" } },
  { type: "BuildFailed", events: 1, file: "examples/cli.ts", line: "new BuildFailed", tags: { command: "publish" } },
  // Three customers, three messages, one failure.
  { type: "CardDeclined", events: 3, file: "examples/http-server.ts", line: "new CardDeclined" },
  { type: "CacheExpired", events: 1, file: "examples/worker-pool.ts", tags: { album: "holidays", handled: "false" } },
  { type: "RangeError", events: 1, file: "examples/worker-pool.worker.js", tags: { album: "holidays" } },
  { type: "FormatUnknown", events: 1, file: "examples/worker-pool.worker.js", tags: { album: "holidays" } },
  { type: "Log Message", events: 1, tags: { service: "billing", step: "archive" } },
  { type: "TypeError", events: 1, file: "examples/facade.ts", tags: { "user.id": "grace" } },
  { type: "PoolWarning", events: 1, file: "examples/integration.ts" }
]

const check = async (): Promise<void> => {
  say(bold("The examples of effect-faultline report to a Bugsink"))
  const bugsink = await startBugsink()
  try {
    const runs = await runAll(bugsink.dsn)
    const sent = sum(runs, (run) => run.sent.length)
    const issues = await bugsink.issues()
    for (const issue of issues) print(issue)
    const kept = sum(issues, ({ events }) => events)
    const missing = [
      ...runs
        .filter(({ example, exitCode }) => exitCode !== example.exitCode)
        .map(({ example, output }) => `${example.name} ended otherwise:\n${output}`),
      ...runs.flatMap(({ example, failed }) => failed.map((line) => `${example.name}: ${line}`)),
      ...(kept === sent ? [] : [`${plural(sent, "event")} sent, ${kept} kept`]),
      ...EXPECTED.flatMap((expected) => shortcomings(expected, issues))
    ]
    say()
    say(`  ${plural(sent, "event")} sent, ${kept} kept in ${plural(issues.length, "issue")}`)
    if (missing.length === 0) return say(green("Everything is there."))
    for (const line of missing) say(red(`  ${line}`))
    process.exitCode = 1
  } finally {
    await bugsink.stop()
  }
}

const print = ({ events, frames, tags, transaction, type, value }: Issue): void => {
  const last = frames.at(-1)
  say()
  say(`  ${bold(`${type}: ${value}`)} ${dim(plural(events, "event"))}`)
  if (transaction !== "") say(`    ${dim("transaction")} ${transaction}`)
  if (last !== undefined)
    say(`    ${dim("frame")} ${last.function ?? "?"} in ${last.filename ?? "?"}: ${last.context_line?.trim() ?? ""}`)
  say(
    `    ${dim("tags")} ${Object.entries(tags)
      .map(([key, tag]) => `${key}=${tag}`)
      .join(" ")}`
  )
}

const shortcomings = (
  { events, file, line, tags = {}, type }: Expectation,
  issues: ReadonlyArray<Issue>
): Array<string> => {
  const found = issues.filter((issue) => issue.type === type)
  const [issue] = found
  if (issue === undefined || found.length > 1) return [`${plural(found.length, "issue")} of the type ${type}, not 1`]
  const frame = issue.frames.at(-1)
  const claims: ReadonlyArray<readonly [holds: boolean, otherwise: string]> = [
    [issue.events === events, `${plural(issue.events, "event")}, not ${events}`],
    [
      file === undefined || frame?.filename === file,
      `its newest frame in ${frame?.filename ?? "no file"}, not ${file}`
    ],
    [line === undefined || frame?.context_line?.includes(line) === true, `no "${line}" in its newest frame`],
    ...Object.entries(tags).map(
      ([key, tag]) => [issue.tags[key] === tag, `the tag ${key}=${issue.tags[key] ?? ""}, not ${tag}`] as const
    )
  ]
  return claims.flatMap(([holds, otherwise]) => (holds ? [] : [`${type} has ${otherwise}`]))
}

try {
  await check()
} catch (error) {
  if (!(error instanceof NotHere)) throw error
  say(red(`Not tested: ${error.message}.`))
  process.exitCode = 2
}
