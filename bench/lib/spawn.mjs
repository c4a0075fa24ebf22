import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("./sample.mjs", import.meta.url))

// What an event says of the program (its modules, its paths) depends on where the program was started.
const cwd = fileURLToPath(new URL("..", import.meta.url))

// What configures Sentry SDKs, or Node itself, from outside would make runs incomparable.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("SENTRY_") && name !== "NODE_OPTIONS")
)

/** Runs one sample in a fresh process and returns what it measured. */
export const takeSample = (caseName, sampleName, nodeFlags = []) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeFlags, script, caseName, sampleName], {
      cwd,
      env,
      stdio: ["ignore", "ignore", "inherit", "pipe"]
    })
    let text = ""
    child.stdio[3].setEncoding("utf8").on("data", (chunk) => (text += chunk))
    child.once("error", reject)
    child.once("close", (code, signal) => {
      if (code === 0 && text !== "") resolve(JSON.parse(text))
      else reject(new Error(`the sample ${caseName}/${sampleName} ended with ${signal ?? code}`))
    })
  })
