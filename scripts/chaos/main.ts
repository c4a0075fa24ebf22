/**
 * `npm run chaos [-- --seconds 120 --programs 4]`: an hour of trouble in a few minutes, and the account of every event.
 */
import { parseArgs } from "node:util"
import { type Balance, PHASES, runChaos } from "../../test/support/chaos.js"
import { bold, dim, green, red, say, sum } from "../demo/print.js"

const { programs, seconds } = parseArgs({
  options: { seconds: { type: "string", default: "120" }, programs: { type: "string", default: "4" } }
}).values

const row = (label: string, count: number | string): void => say(`  ${label.padEnd(34)} ${String(count).padStart(8)}`)

const print = (balance: Balance): void => {
  const { kill, exit, natural, throw: thrown } = balance.programs
  say()
  say(bold("balance"))
  row(
    `programs (${kill} killed, ${exit} exit, ${thrown} throw)`,
    sum([kill, exit, natural, thrown], (count) => count)
  )
  row("captures that have returned", balance.captured)
  row("= delivered", balance.delivered)
  row("+ counted by the server (429)", balance.countedByServer)
  row("+ counted in client reports", balance.countedInReports)
  row("+ still in the spool", balance.spooled)
  row("  (arrived again after a kill)", balance.repeated)
  say()
  if (balance.unaccounted > 0) {
    say(red(`${balance.unaccounted} events are in no account.`))
    process.exitCode = 1
  } else
    say(
      green(
        balance.unaccounted === 0
          ? "Every event is accounted for, once."
          : `Every event is accounted for; ${-balance.unaccounted} twice: a count was told, or an event was, and then the program was killed.`
      )
    )
}

say(bold(`Chaos: ${programs} programs at a time, ${seconds} s`))
const begun = performance.now()
const balance = await runChaos({
  programs: Number(programs),
  millisPerPhase: (Number(seconds) * 1000) / PHASES.length,
  captures: 20,
  onPhase: ({ name }, { captured, delivered }) =>
    say(
      dim(
        `  ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${name.padEnd(14)} ${captured} captured, ${delivered} delivered`
      )
    )
})
print(balance)
