/**
 * The examples as child processes: how each is run, and what the SDK in it said that it sent.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"

export interface Example {
  readonly name: string
  readonly arguments: ReadonlyArray<string>
  /** What it is to end with. */
  readonly exitCode: number
  readonly isTest?: boolean
}

/** Has no business in any event. */
export const SECRET = "hunter2-correct-horse"

export const examples = [
  { name: "smallest.ts", arguments: [], exitCode: 1 },
  { name: "cli.ts", arguments: ["publish", "./site", "--token", SECRET], exitCode: 1 },
  { name: "http-server.ts", arguments: [], exitCode: 0 },
  { name: "worker-pool.ts", arguments: [], exitCode: 0 },
  { name: "facade.ts", arguments: [], exitCode: 1 },
  { name: "integration.ts", arguments: [], exitCode: 0 },
  { name: "swapping.test.ts", arguments: [], exitCode: 0, isTest: true }
] as const satisfies ReadonlyArray<Example>

export type ExampleName = (typeof examples)[number]["name"]

/** An example that has ended. */
export interface Run {
  readonly example: Example & { readonly name: ExampleName }
  /** `null`: it did not end by itself. */
  readonly exitCode: number | null
  readonly output: string
  /** The ids of the events that were sent, in the words of the SDK. */
  readonly sent: ReadonlyArray<string>
  readonly sentReports: number
  /** Dropped on purpose: duplicates, filters. */
  readonly dropped: ReadonlyArray<string>
  /** What should have been sent and was not. */
  readonly failed: ReadonlyArray<string>
}

/** Takes a second or two each: who is not done by then never will be. */
const TIME_LIMIT_MILLIS = 60_000

export const root = fileURLToPath(new URL("../..", import.meta.url))

/** Runs them with this DSN, as many at a time as there are processors. */
export const runAll = async (dsn: string): Promise<ReadonlyArray<Run>> => {
  const runs: Array<Run> = []
  const waiting = [...examples.entries()]
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, example] = next
      runs[index] = await run(example, dsn)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return runs
}

const run = async (example: Run["example"], dsn: string): Promise<Run> => {
  const command = example.isTest
    ? ["node_modules/vitest/vitest.mjs", "run", `examples/${example.name}`]
    : ["--import", "tsx", `examples/${example.name}`, ...example.arguments]
  const child = spawn(process.execPath, command, {
    cwd: root,
    env: cleanEnvironment({
      SENTRY_DSN: dsn,
      SENTRY_RELEASE: "effect-faultline-examples@1.0.0",
      SENTRY_ENVIRONMENT: "demo",
      SENTRY_NAME: example.name,
      SENTRY_DEBUG: "true",
      // Without the `paths` of our own tsconfig: the examples run with the package as it is published.
      TSX_TSCONFIG_PATH: "tsconfig.base.json"
    }),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIME_LIMIT_MILLIS,
    killSignal: "SIGKILL"
  })
  let output = ""
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()))
  const [exitCode] = (await once(child, "close")) as [number | null]
  const said = output.split("\n").flatMap((line) => /^\[faultline\] (.*)$/.exec(line)?.[1] ?? [])
  const having = (pattern: RegExp): Array<string> => said.filter((line) => pattern.test(line))
  return {
    example,
    exitCode,
    output,
    sent: said.flatMap((line) => /^sent .*event ([0-9a-f]{32})/.exec(line)?.[1] ?? []),
    sentReports: having(/^sent .*client_report/).length,
    dropped: having(/^dropped/),
    failed: having(/^(not sent|refused|held back|closed with)/)
  }
}

/** What a program needs of our environment, and no more: no proxies, no settings of other SDKs, no NODE_OPTIONS. */
export const cleanEnvironment = (more: Record<string, string>): NodeJS.ProcessEnv => {
  const kept = ["PATH", "HOME", "TMPDIR", "TEMP", "TMP", "LANG", "TZ", "SystemRoot", "NODE_EXTRA_CA_CERTS"]
  return {
    ...Object.fromEntries(kept.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : []))),
    ...more
  }
}
