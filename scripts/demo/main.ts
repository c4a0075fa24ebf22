/**
 * `npm run demo`: runs the examples against a server that we did not write, and shows what arrives there.
 *
 *     npm run demo                    Spotlight, started for the occasion
 *     npm run demo -- --open          the same, and its page stays up until Ctrl-C
 *     npm run demo -- --dsn <dsn>     a server of yours
 */
import { once } from "node:events"
import { parseArgs } from "node:util"
import { Arrivals } from "./arrivals.js"
import { bold, dim, green, plural, red, say, sum } from "./print.js"
import { examples, type Run, runAll } from "./run.js"
import { type Section, sectionsOf } from "./sections.js"
import { type Spotlight, startSpotlight } from "./spotlight.js"

const readOptions = (): { readonly open?: boolean; readonly dsn?: string } => {
  try {
    return parseArgs({ options: { open: { type: "boolean" }, dsn: { type: "string" } } }).values
  } catch (error) {
    say(red(error instanceof Error ? error.message : String(error)))
    say("Usage: npm run demo [-- --open | --dsn <dsn>]")
    return process.exit(2)
  }
}

const options = readOptions()

/** What is wrong, in words. */
type Missing = Array<string>

const againstSpotlight = async (): Promise<void> => {
  const spotlight = await startSpotlight()
  try {
    say(bold("The examples of effect-faultline report to Spotlight"))
    say()
    field("receiver", `Spotlight ${spotlight.version} at ${spotlight.url}`)
    const runs = await runExamples(spotlight.dsn)
    const arrivals = new Arrivals(runs, await spotlight.envelopes())
    const missing = [...(await checkTelemetry(spotlight)), ...exitCodes(runs)]
    for (const section of sectionsOf(arrivals)) missing.push(...printSection(section))
    missing.push(...printBalance(arrivals))
    printVerdict(missing)
    if (options.open === true) await stayOpen(spotlight)
  } finally {
    spotlight.stop()
  }
}

const againstServer = async (dsn: string): Promise<void> => {
  say(bold("The examples of effect-faultline report to your server"))
  say()
  const runs = await runExamples(dsn)
  say()
  for (const { example, failed, sent } of runs) {
    say(`  ${example.name.padEnd(18)} ${plural(sent.length, "event")}`)
    for (const id of sent) say(dim(`    ${id}`))
    for (const line of failed) say(red(`    ${line}`))
  }
  const count = sum(runs, ({ sent }) => sent.length)
  say()
  say(`  ${plural(count, "event")} sent: look for the environment "demo".`)
  say("  Whether they look right is for your eyes: a server's answer does not say what it has kept.")
  const silent = runs.filter(({ example, sent }) => sent.length === 0 && example.isTest !== true)
  printVerdict([
    ...exitCodes(runs),
    ...runs.flatMap(({ example, failed }) => failed.map((line) => `${example.name}: ${line}`)),
    ...silent.map(({ example }) => `${example.name}: no event was sent`)
  ])
}

const runExamples = async (dsn: string): Promise<ReadonlyArray<Run>> => {
  field("examples", examples.map(({ name }) => name).join(", "))
  const begun = performance.now()
  const runs = await runAll(dsn)
  field("", `have ended, after ${((performance.now() - begun) / 1000).toFixed(1)} s`)
  return runs
}

const checkTelemetry = async (spotlight: Spotlight): Promise<Missing> => {
  const { beyond, hasTelemetry } = await spotlight.telemetry()
  const isOff = !hasTelemetry && beyond.length === 0
  field(
    "telemetry",
    isOff ? "Spotlight's own is off: no client, and nothing tried to leave this machine" : red("Spotlight's own is on")
  )
  return isOff ? [] : [`receiver: Spotlight's own telemetry is on (${beyond.join(", ")})`]
}

const exitCodes = (runs: ReadonlyArray<Run>): Missing =>
  runs
    .filter(({ example, exitCode }) => exitCode !== example.exitCode)
    .map(({ example, exitCode, output }) => {
      const said = output.trim().split("\n").slice(-20)
      const problem = `${example.name}: exit code ${String(exitCode)} in place of ${example.exitCode}`
      return [problem, ...said.map((line) => `  | ${line}`)].join("\n  ")
    })

const printSection = ({ about, claims, did, title }: Section): Missing => {
  say()
  say(`${bold(title)} ${dim("·")} ${about}`)
  field("app", did)
  const width = Math.max(...claims.map(({ label }) => label.length))
  claims.forEach(({ holds, label, text }, index) => {
    const line = `${holds ? green("✓") : red("✗")} ${label.padEnd(width)}  ${holds ? text : red(text)}`
    field(index === 0 ? "shows" : "", line)
  })
  return claims.filter(({ holds }) => !holds).map(({ label, text }) => `${title}: ${label} shows ${text}`)
}

const printBalance = ({ envelopes, events, reports, runs }: Arrivals): Missing => {
  const sent = runs.flatMap((run) => run.sent)
  const sentReports = sum(runs, (run) => run.sentReports)
  const dropped = sum(runs, (run) => run.dropped.length)
  const received = new Set(events.map(({ event_id }) => event_id))
  const missing = [
    ...runs.flatMap(({ example, failed }) => failed.map((line) => `${example.name}: ${line}`)),
    ...sent.filter((id) => !received.has(id)).map((id) => `the event ${id} was sent and did not arrive`),
    ...[...received].filter((id) => !sent.includes(id)).map((id) => `the event ${id} arrived, and nobody sent it`)
  ]
  if (events.length !== received.size) missing.push(`${events.length - received.size} events arrived twice`)
  if (reports.length !== sentReports) missing.push(`${reports.length} of ${sentReports} client reports arrived`)
  const kilobytes = Math.round(sum(envelopes, ({ raw }) => Buffer.byteLength(raw)) / 1024)
  say()
  say(bold("balance"))
  field("sent", `${plural(sent.length, "event")}, ${plural(sentReports, "client report")} (says the SDK)`)
  field(
    "received",
    `${plural(received.size, "event")}, ${plural(reports.length, "client report")}, ${kilobytes} kB (says Spotlight)`
  )
  field("dropped", plural(dropped, "repeat"))
  field("lost", missing.length === 0 ? green("none") : red(missing.join("; ")))
  return missing.map((line) => `balance: ${line}`)
}

const stayOpen = async (spotlight: Spotlight): Promise<void> => {
  say()
  say(`${bold("Spotlight's page:")} http://localhost:${spotlight.port}  ${dim("(Ctrl-C ends it)")}`)
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")])
}

const field = (name: string, text: string): void => say(`  ${dim(name.padEnd(9))} ${text}`)

/** The exit code says the same. */
const printVerdict = (missing: Missing): void => {
  say()
  if (missing.length === 0) return say(green("Everything is there."))
  say(red(`Missing: ${missing.length}`))
  for (const line of missing) say(red(`  ${line}`))
  process.exitCode = 1
}

await (options.dsn === undefined ? againstSpotlight() : againstServer(options.dsn)).catch((error: unknown) =>
  printVerdict([`the demo itself: ${String(error)}`])
)
