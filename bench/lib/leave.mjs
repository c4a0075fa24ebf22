// A program that has nothing left to do: says when it has come to its end, in milliseconds since the epoch.
import { writeSync } from "node:fs"
import { openFaultline, openSentry, overNetwork } from "./sdks.mjs"

const [sdk, how] = process.argv.slice(2)
// What both need of Effect is taken down at the exit of any program of Effect.
if (sdk !== "sentry")
  await Promise.all(["Effect", "Layer", "Logger", "Runtime"].map((name) => import(`effect/${name}`)))
if (sdk === "faultline") await openFaultline(overNetwork)
if (sdk === "sentry") await openSentry(overNetwork)

setTimeout(() => {
  writeSync(3, String(performance.timeOrigin + performance.now()))
  if (how === "exit") process.exit(0)
}, 50)
