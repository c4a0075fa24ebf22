/**
 * Real child processes, and a server on the loopback interface that they report to.
 */
import { type ChildProcess, spawn } from "node:child_process"
import type { Server } from "node:http"
import { setImmediate, setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Event } from "effect-faultline"
import { type FramedItem, Ingest, type IngestOptions } from "../support/ingest.js"

/** What a server does with a request: answers after so many milliseconds, never, or there is no server at all. */
export type Answering = number | "never" | "refused"

/** A server for programs that end. */
export interface Receiver {
  readonly dsn: string
  /** What has arrived, once every connection is closed: a program that has ended can add nothing any more. */
  readonly items: Effect.Effect<ReadonlyArray<FramedItem>>
  readonly events: Effect.Effect<ReadonlyArray<Event>>
  /** Waits until so many envelopes are here. */
  readonly received: (count: number) => Effect.Effect<void>
}

export const receiver = (
  answering: Answering = 0,
  options: IngestOptions = {}
): Effect.Effect<Receiver, never, Scope.Scope> =>
  Effect.map(Ingest.start(options), (ingest) => {
    if (answering === "never") ingest.answerAll("never")
    else if (typeof answering === "number" && answering > 0) {
      ingest.answerAll({
        get when() {
          return setTimeout(answering)
        }
      })
    }
    const items = Effect.map(settled(ingest.server), () => ingest.envelopes.flatMap(({ framed }) => framed.items))
    return {
      // Nobody listens on port 1.
      dsn: answering === "refused" ? "http://public@127.0.0.1:1/42" : ingest.dsn,
      items,
      events: Effect.map(items, (all) =>
        all.filter(({ headers }) => headers["type"] === "event").map(({ json }) => json as unknown as Event)
      ),
      received: (count) => Effect.asVoid(ingest.receive(count))
    }
  })

const settled = (server: Server): Effect.Effect<void> =>
  Effect.promise(async () => {
    // The system may hold connections that this process has not been told of yet.
    for (let turn = 0; turn < 3; turn++) await setImmediate()
    while ((await connections(server)) > 0) await setImmediate()
  })

const connections = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))))

export interface RunOptions {
  /** Where to report to; without it the fixture runs without the SDK. */
  readonly to?: Receiver | undefined
  /** Options of the hub that are plain data. */
  readonly options?: Readonly<Record<string, unknown>> | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Flags of Node. */
  readonly flags?: ReadonlyArray<string> | undefined
  /** How long it may run altogether, in milliseconds. */
  readonly bound?: number | undefined
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** From the start to the end. */
  readonly millis: number
  /** From when this line was written to the end. */
  readonly millisSince: (line: string) => number
}

export interface Running {
  /** Waits until this line was written, on whichever of the two streams. */
  readonly line: (line: string) => Effect.Effect<void>
  readonly kill: (signal: NodeJS.Signals) => void
  /** Writes a line to its standard input, which stays open. */
  readonly tell: (line: string) => void
  readonly ended: Effect.Effect<Ended>
}

/** What it may cost to start and end a thread and a process, on a machine with other things to do. */
export const MARGIN_MILLIS = 3000

/** Whoever takes longer is stuck, on however slow a machine. */
export const BOUND_MILLIS = 12_000

/** Starts a program of `fixtures/`; what still runs at the end of the scope is killed. */
export const start = (
  fixture: string,
  args: ReadonlyArray<string> = [],
  options: RunOptions = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Child(fixture, args, options)),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Runs a program of `fixtures/` to its end. */
export const run = (
  fixture: string,
  args: ReadonlyArray<string> = [],
  options: RunOptions = {}
): Effect.Effect<Ended> => Effect.scoped(Effect.flatMap(start(fixture, args, options), ({ ended }) => ended))

class Child implements Running {
  readonly #begun = performance.now()
  readonly #process: ChildProcess
  readonly #lines = new Map<string, number>()
  readonly #listeners = new Set<() => void>()
  #stdout = ""
  #stderr = ""
  #result: Ended | undefined

  constructor(
    readonly fixture: string,
    readonly args: ReadonlyArray<string>,
    readonly options: RunOptions
  ) {
    this.#process = spawn(process.execPath, [...(options.flags ?? []), ...pathOf(fixture), ...args], {
      cwd: fileURLToPath(FIXTURES),
      env: environmentOf(options),
      stdio: "pipe"
    })
    let millis = 0
    this.#process.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      this.#stdout = this.#note(this.#stdout, chunk)
    })
    this.#process.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.#stderr = this.#note(this.#stderr, chunk)
    })
    this.#process.on("exit", () => (millis = performance.now()))
    this.#process.on("close", (code, signal) => {
      this.#result = {
        code,
        signal,
        stdout: this.#stdout,
        stderr: this.#stderr,
        millis: millis - this.#begun,
        millisSince: (line) => millis - (this.#lines.get(line) ?? Number.NaN)
      }
      this.#notify()
    })
    this.#process.stdin?.on("error", () => {})
  }

  line(line: string): Effect.Effect<void> {
    return this.#until(
      () => (this.#lines.has(line) ? true : this.#result === undefined ? undefined : false),
      `write "${line}"`
    ).pipe(
      Effect.flatMap((found) =>
        found ? Effect.void : Effect.dieMessage(`${this.#name} ended without "${line}"${this.#said}`)
      )
    )
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#result === undefined) this.#process.kill(signal)
  }

  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`)
  }

  get ended(): Effect.Effect<Ended> {
    return this.#until(() => this.#result, "end")
  }

  #until<A>(ask: () => A | undefined, what: string): Effect.Effect<A> {
    return Effect.async<A>((resume) => {
      const check = (): void => {
        const answer = ask()
        if (answer === undefined) return
        this.#listeners.delete(check)
        resume(Effect.succeed(answer))
      }
      this.#listeners.add(check)
      check()
      return Effect.sync(() => this.#listeners.delete(check))
    }).pipe(
      Effect.timeout(this.options.bound ?? BOUND_MILLIS),
      Effect.catchAll(() => {
        this.kill("SIGKILL")
        return Effect.dieMessage(`${this.#name} did not ${what} in time${this.#said}`)
      })
    )
  }

  get #name(): string {
    return [this.fixture, ...this.args].join(" ")
  }

  get #said(): string {
    return `\nstdout: ${this.#stdout}\nstderr: ${this.#stderr}`
  }

  #note(before: string, chunk: string): string {
    const all = before + chunk
    for (const line of all.split("\n").slice(0, -1))
      if (!this.#lines.has(line)) this.#lines.set(line, performance.now())
    this.#notify()
    return all
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }
}

const FIXTURES = new URL("./fixtures/", import.meta.url)

const pathOf = (fixture: string): Array<string> => (fixture === "" ? [] : [fileURLToPath(new URL(fixture, FIXTURES))])

/** Nothing of the test's own environment but what a program needs to be found. */
const environmentOf = ({ env, options, to }: RunOptions): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  ...(to === undefined ? undefined : { SENTRY_DSN: to.dsn }),
  ...(options === undefined ? undefined : { FIXTURE_OPTIONS: JSON.stringify(options) }),
  ...env
})

/** What a fixture says it has captured: lines `id <event id>`. */
export const idsIn = ({ stdout }: Ended): Array<string> =>
  Array.from(stdout.matchAll(/^id ([0-9a-f]{32})$/gm), ([, id]) => id as string)

/** How an event is called in the tests: its message, or the type of its error. */
export const labelOf = (event: Event): string =>
  event.exception?.values.at(-1)?.type ?? event.logentry?.formatted ?? event.message ?? "?"

export const labelsOf = (events: ReadonlyArray<Event>): Array<string> => events.map(labelOf).toSorted()

/** Every event arrived once, without a word about how it was sent, and exactly those with these labels, among them all that the program knows the ids of. */
export const assertEvents = (ended: Ended, events: ReadonlyArray<Event>, labels: ReadonlyArray<string>): void => {
  assert.deepStrictEqual(labelsOf(events), labels.toSorted())
  const ids = events.map((event) => event.event_id)
  assert.strictEqual(new Set(ids).size, ids.length, "an event arrived twice")
  assert.deepStrictEqual(
    idsIn(ended).filter((id) => !ids.includes(id)),
    [],
    "a captured event did not arrive"
  )
  for (const { breadcrumbs } of events) assert.notInclude(JSON.stringify(breadcrumbs ?? null), "/envelope/")
}

/** What both the program and the SDK may say differently from run to run is left out. */
export const comparable = ({ code, signal, stderr, stdout }: Ended) => ({
  code,
  signal,
  stderr: withoutTimes(stderr.replaceAll(WAITING, "").replaceAll(TRAMPOLINE, "").replaceAll(GUARD, "")),
  stdout: withoutTimes(stdout).replaceAll(/^id .*\n/gm, "")
})

/** On a busy machine any end may take longer than a moment. */
const WAITING =
  /^Sentry is attempting to send \d+ pending events\nWaiting up to [\d.]+ seconds\nPress Ctrl-C to quit\n/gm

/** Node shows one frame more of its own while anybody in the process follows the asynchronous context. */
const TRAMPOLINE = /^ +at \w+\.callbackTrampoline \(node:internal\/async_hooks:.*\n/gm

/** As is ours, where a listener for uncaught exceptions has thrown. */
const GUARD = /^ +at process\.guarded \(.*\n/gm

const withoutTimes = (text: string): string =>
  text.replaceAll(/\[\d\d:\d\d:\d\d\.\d\d\d\]/g, "[time]").replaceAll(/\(node:\d+\)/g, "(node)")

/** The words of Sentry's SDKs for a wait at the end. */
export const waitingLines = (pending: number, seconds: number): string =>
  `Sentry is attempting to send ${pending} pending events\nWaiting up to ${seconds} seconds\nPress Ctrl-C to quit\n`
