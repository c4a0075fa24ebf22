import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { median } from "../lib/stats.mjs"

const TIMES = 7

export const title =
  "Exit with an empty queue: from the last line of a program to its end, on top of one that loads Effect"

export const samples = {
  bare: () => measure("none"),
  faultline: () => measure("faultline"),
  sentry: () => measure("sentry")
}

export const rows = [
  { what: "nothing left to do", of: "natural" },
  { what: "process.exit", of: "exit" }
].map(({ of, what }) => ({
  what,
  unit: "ms",
  ours: `faultline.${of}`,
  peer: `sentry.${of}`,
  without: `bare.${of}`,
  atMost: 5
}))

const script = fileURLToPath(new URL("../lib/leave.mjs", import.meta.url))

const measure = async (sdk) => {
  const natural = []
  const exit = []
  for (let time = 0; time < TIMES; time++) {
    natural.push(await leave(sdk, "natural"))
    exit.push(await leave(sdk, "exit"))
  }
  return { natural: median(natural), exit: median(exit) }
}

const leave = async (sdk, how) => {
  const child = spawn(process.execPath, [script, sdk, how], { stdio: ["ignore", "ignore", "inherit", "pipe"] })
  let said = ""
  child.stdio[3].setEncoding("utf8").on("data", (chunk) => (said += chunk))
  await once(child, "exit")
  const end = performance.timeOrigin + performance.now()
  if (child.exitCode !== 0) throw new Error(`a program without anything to do ended with ${child.exitCode}`)
  if (said === "") await once(child, "close")
  return end - Number(said)
}
