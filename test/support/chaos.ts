/**
 * Programs that report over a network and to a server that fail in all ways, and are killed meanwhile; and the account of every
 * event of theirs.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import { parseEnvelope } from "effect-faultline/testing"

/** What the world is like for a while: the share of requests that each thing happens to. */
export interface Phase {
  readonly name: string
  readonly delayMillis?: number
  readonly cut?: number
  readonly status?: Readonly<Record<number, number>>
  readonly limits?: number
  readonly garbage?: number
}

export const PHASES: ReadonlyArray<Phase> = [
  { name: "fair" },
  { name: "slow", delayMillis: 60 },
  { name: "cut", cut: 0.5 },
  { name: "rate limits", limits: 0.2, status: { 429: 0.1 } },
  { name: "server errors", status: { 500: 0.3, 503: 0.2 } },
  { name: "dead", cut: 1 },
  { name: "garbled", garbage: 0.5 },
  {
    name: "all of it",
    delayMillis: 20,
    cut: 0.1,
    limits: 0.05,
    status: { 429: 0.05, 500: 0.1, 413: 0.02 },
    garbage: 0.1
  }
]

export interface ChaosOptions {
  readonly programs: number
  readonly millisPerPhase: number
  readonly phases?: ReadonlyArray<Phase>
  /** How many captures each program makes in a row. */
  readonly captures?: number
  readonly onPhase?: (phase: Phase, balance: Balance) => void
}

export interface Balance {
  readonly programs: Readonly<Record<Ending, number>>
  /** How many captures have returned. */
  captured: number
  /** By the id, each once. */
  delivered: number
  /** The server refused them with a 429: it counts them itself. */
  countedByServer: number
  /** In client reports that the server has. */
  countedInReports: number
  /** Still on disk. */
  spooled: number
  /** Arrived more than once: the program was killed before it knew. */
  repeated: number
  /** What is in no account. */
  unaccounted: number
  /** Ids that a capture has returned, and that are in no account. */
  readonly missing: ReadonlyArray<string>
}

const ENDINGS = ["kill", "exit", "throw", "natural"] as const
type Ending = (typeof ENDINGS)[number]

/** Runs it all, has what is left sent over a network that is up, and adds up. */
export const runChaos = async (options: ChaosOptions): Promise<Balance> => {
  const chaos = new Chaos(options)
  try {
    return await chaos.run()
  } finally {
    await chaos.close()
  }
}

class Chaos {
  readonly #directory = mkdtempSync(join(tmpdir(), "faultline-chaos-"))
  readonly #server = http.createServer((request, response) => this.#receive(request, response))
  readonly #children = new Set<ChildProcess>()
  #phase: Phase = PHASES[0] as Phase
  #isOver = false
  #number = 0
  readonly #programs: Record<Ending, number> = { kill: 0, exit: 0, throw: 0, natural: 0 }
  readonly #ids: Array<string> = []
  #withoutId = 0
  #unsaid = 0
  readonly #delivered = new Set<string>()
  readonly #refused = new Set<string>()
  #repeated = 0
  #countedInReports = 0

  constructor(readonly options: ChaosOptions) {}

  async run(): Promise<Balance> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve))
    const running = Array.from({ length: this.options.programs }, () => this.#keepRunning())
    for (const phase of this.options.phases ?? PHASES) {
      this.#phase = phase
      await sleep(this.options.millisPerPhase)
      this.options.onPhase?.(phase, this.#balance())
    }
    this.#isOver = true
    this.#phase = { name: "calm" }
    await Promise.all(running)
    // Whatever the programs have left is taken over by one more; it may have more to send than it has time for at its end.
    for (let round = 0; round < MAX_ROUNDS && this.#left.length > 0; round++) await this.#start("natural", 1, 0).ended
    return this.#balance()
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL")
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #keepRunning(): Promise<void> {
    while (!this.#isOver) {
      const ending = ENDINGS[this.#number % ENDINGS.length] as Ending
      this.#programs[ending]++
      const { child, ended, ready } = this.#start(ending, 200 + Math.random() * 800, this.options.captures ?? 5)
      if (ending === "kill") {
        await ready
        await sleep(Math.random() * 1000)
        child.kill("SIGKILL")
      }
      await ended
    }
  }

  #start(ending: Ending, millis: number, captures: number) {
    const { port } = this.#server.address() as AddressInfo
    const name = `program${this.#number++}`
    const child = spawn(process.execPath, [FIXTURE, name, ending, String(millis), String(captures)], {
      env: {
        PATH: process.env["PATH"],
        SENTRY_DSN: `http://public@127.0.0.1:${port}/42`,
        SPOOL_DIRECTORY: this.#directory,
        // What is killed can vouch only for what it has on disk.
        SPOOL_DURABILITY: ending === "kill" ? "sync" : "async"
      },
      stdio: ["ignore", "pipe", "ignore"]
    })
    this.#children.add(child)
    let said = ""
    let isReady = (): void => {}
    const ready = new Promise<void>((resolve) => (isReady = resolve))
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1")
      isReady()
    })
    const ended = new Promise<void>((resolve) =>
      child.on("close", () => {
        isReady()
        this.#children.delete(child)
        for (const line of said.split("\n")) {
          if (/^[0-9a-f]{32}$/.test(line)) this.#ids.push(line)
          else if (line === "-") this.#withoutId++
          else if (line === "?") this.#unsaid++
        }
        resolve()
      })
    )
    return { child, ready, ended }
  }

  #receive(request: http.IncomingMessage, response: http.ServerResponse): void {
    const chunks: Array<Buffer> = []
    request.on("error", () => {})
    response.on("error", () => {})
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const raw = Buffer.concat(chunks)
      const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw
      setTimeout(() => this.#answer(body, response), Math.random() * (this.#phase.delayMillis ?? 0))
    })
  }

  /** What fails has not been read: no answer is lost of what was kept. */
  #answer(body: Buffer, response: http.ServerResponse): void {
    const { cut = 0, garbage = 0, limits = 0, status = {} } = this.#phase
    if (Math.random() < cut) return void response.socket?.resetAndDestroy()
    if (Math.random() < garbage) return void response.socket?.end("garbage\r\n\r\n")
    for (const [code, share] of Object.entries(status)) {
      if (Math.random() >= share) continue
      if (code === "429") this.#refuse(body)
      return void response.writeHead(Number(code), code === "429" ? { "retry-after": "1" } : {}).end("no")
    }
    this.#keep(body)
    response.writeHead(200, Math.random() < limits ? { "x-sentry-rate-limits": "1:error:key" } : {}).end("{}")
  }

  #refuse(body: Buffer): void {
    for (const { headers, payload } of parseEnvelope(body).items)
      if (headers.type === "event") this.#refused.add(String((payload as { event_id?: string }).event_id))
  }

  #keep(body: Buffer): void {
    for (const { headers, payload } of parseEnvelope(body).items) {
      if (headers.type === "event") {
        const id = String((payload as { event_id?: string }).event_id)
        if (this.#delivered.has(id)) this.#repeated++
        this.#delivered.add(id)
      } else if (headers.type === "client_report") {
        const { discarded_events: discarded } = payload as {
          discarded_events: ReadonlyArray<{ category: string; quantity: number }>
        }
        for (const { category, quantity } of discarded) if (category === "error") this.#countedInReports += quantity
      }
    }
  }

  /** The files in the spool: envelopes, and counts that have not been told. */
  get #left(): Array<string> {
    return filesIn(this.#directory).filter((path) => /\.(envelope|json)$/.test(path))
  }

  #balance(): Balance {
    const captured = this.#ids.length + this.#withoutId + this.#unsaid
    const refused = [...this.#refused].filter((id) => !this.#delivered.has(id))
    const spooled = this.#left.filter((path) => path.endsWith(".envelope")).length
    const accounted = this.#delivered.size + refused.length + this.#countedInReports + spooled
    const known = new Set([...this.#delivered, ...refused])
    return {
      programs: this.#programs,
      captured,
      delivered: this.#delivered.size,
      countedByServer: refused.length,
      countedInReports: this.#countedInReports,
      spooled,
      repeated: this.#repeated,
      unaccounted: captured - accounted,
      missing: this.#ids.filter((id) => !known.has(id))
    }
  }
}

/** Folders may go while they are looked into. */
const filesIn = (directory: string): Array<string> => {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? filesIn(join(directory, entry.name)) : [join(directory, entry.name)]
    )
  } catch {
    return []
  }
}

const MAX_ROUNDS = 20

const FIXTURE = fileURLToPath(new URL("../process/fixtures/chaos.mjs", import.meta.url))

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
