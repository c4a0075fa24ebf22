/**
 * Subprocesses, of `spawn`, `exec`, `execFile` and `fork`, and of their synchronous forms.
 */
import childProcess, { type ChildProcess } from "node:child_process"
import { type EventEmitter, errorMonitor } from "node:events"
import { syncBuiltinESMExports } from "node:module"
import { basename } from "node:path"
import { describeValue } from "../../event/normalize.js"
import { scrubText } from "../../event/scrub.js"
import type { Client, Place } from "../../hub/Client.js"
import { installAll, patchMethod, refCounted } from "../../hub/patch.js"
import { clientOf, placeOf } from "../../hub/report.js"
import { currentCarrier, stateOf } from "../../scope/carrier.js"
import { SCOPE_VARIABLE } from "../../scope/inherited.js"
import { takeSnapshot, traceHeaders } from "../../scope/snapshot.js"
import { describeCommand } from "./command.js"
import { settingsOf } from "./settings.js"

/** What Node makes of the arguments of any asynchronous form. */
interface SpawnOptions {
  readonly file: string
  readonly args?: ReadonlyArray<string>
  readonly cwd?: unknown
  readonly envPairs?: ReadonlyArray<string>
}

type Spawning = { spawn: (this: ChildProcess, options: SpawnOptions) => unknown }

/**
 * All asynchronous forms come down to `ChildProcess.prototype.spawn`, whoever called them and how; the synchronous ones have
 * nothing in common but their names.
 *
 * @internal
 */
export const watchSubprocesses = refCounted(() => {
  const unpatch = installAll([
    () => patchMethod(childProcess.ChildProcess.prototype as unknown as Spawning, "spawn", noting),
    () => patchMethod(childProcess, "spawnSync", notingSync),
    () => patchMethod(childProcess, "execFileSync", notingSync),
    () => patchMethod(childProcess, "execSync", notingSync)
  ])
  syncBuiltinESMExports()
  return () => {
    unpatch()
    syncBuiltinESMExports()
  }
})

const noting = (original: Spawning["spawn"], isActive: () => boolean): Spawning["spawn"] =>
  function (this: ChildProcess, options: SpawnOptions) {
    const started = isActive()
      ? Subprocess.start(() => ({ file: options.file, args: (options.args ?? []).slice(1), cwd: options.cwd }))
      : undefined
    if (started === undefined) return original.call(this, options)
    ;(this as EventEmitter).on(errorMonitor, (error: unknown) => {
      // What is running may have other errors; how it ends is still to come.
      if (this.pid === undefined) started.failed(codeOf(error))
    })
    this.on("exit", (code, signal) => started.ended(code, signal, { wanted: this.killed && signal !== null }))
    try {
      return original.call(this, withPairs(options, started))
    } catch (error) {
      started.failed(codeOf(error))
      throw error
    }
  }

const withPairs = (options: SpawnOptions, started: Subprocess): SpawnOptions =>
  started.attempt((variables) => {
    const pairs = options.envPairs ?? []
    const nameOf = (pair: string): string => pair.slice(0, pair.indexOf("="))
    const valueIn = (name: string): string | undefined =>
      pairs.find((pair) => nameOf(pair) === name)?.slice(name.length + 1)
    if (!isWelcome(valueIn, [...pairs, ...(options.args ?? [])])) return options
    // Of two with one name the first would count.
    const others = pairs.filter((pair) => !Object.hasOwn(variables, nameOf(pair)))
    const envPairs = [...others, ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)]
    // Node's options have no prototype, so that nobody can slip in others by way of it.
    return Object.assign(Object.create(Object.getPrototypeOf(options) as object | null), options, { envPairs })
  }) ?? options

type Sync = (...args: Array<never>) => unknown

const notingSync = <F extends Sync>(original: F, isActive: () => boolean): F => {
  const wrapped = function (this: unknown, ...args: Array<unknown>): unknown {
    const call = isActive() ? readCall(args) : undefined
    const started =
      call === undefined
        ? undefined
        : Subprocess.start(() => ({ file: call.file, args: call.args, cwd: call.options["cwd"] }))
    if (call === undefined || started === undefined) return Reflect.apply(original, this, args as Array<never>)
    try {
      const result = Reflect.apply(original, this, withVariables(args, call, started) as Array<never>)
      started.settled((result ?? {}) as Settled)
      return result
    } catch (error) {
      started.settled({ error, ...(error as Settled) })
      throw error
    }
  }
  return Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original)) as unknown as F
}

/** What `spawnSync` returns, and what the others throw. */
interface Settled {
  /** 0 or absent: it did not start. */
  readonly pid?: number
  readonly status?: number | null
  readonly signal?: string | null
  readonly error?: unknown
}

interface Call {
  readonly file: string
  readonly args: ReadonlyArray<unknown>
  readonly options: Readonly<Record<string, unknown>>
  /** Where the options stand, or would stand, among the arguments. */
  readonly optionsAt: number
}

/** `undefined` for what Node is going to reject: it does so in its own words. */
const readCall = (given: ReadonlyArray<unknown>): Call | undefined => {
  const [file, second] = given
  if (typeof file !== "string") return undefined
  const optionsAt = Array.isArray(second) || (second === undefined && given.length > 2) || second === null ? 2 : 1
  const options = given[optionsAt] ?? {}
  if (typeof options !== "object") return undefined
  return { file, args: Array.isArray(second) ? second : [], options: options as Call["options"], optionsAt }
}

const withVariables = (given: ReadonlyArray<unknown>, call: Call, started: Subprocess): ReadonlyArray<unknown> =>
  started.attempt((variables) => {
    const env: NodeJS.ProcessEnv = {}
    const own = (call.options["env"] || process.env) as NodeJS.ProcessEnv
    // As Node does: what the environment inherits from its prototype belongs to it.
    // oxlint-disable-next-line guard-for-in
    for (const name in own) env[name] = own[name]
    const texts = Object.entries(env).flat()
    if (!isWelcome((name) => env[name], [...texts, ...call.args])) return given
    const args = [...given]
    while (args.length < call.optionsAt) args.push([])
    args[call.optionsAt] = { ...call.options, env: Object.assign(env, variables) }
    return args
  }) ?? given

/** Whether our variables may be added: not to a trace that the program has put there, nor where a system might find them too much. */
const isWelcome = (valueOf: (name: string) => string | undefined, texts: ReadonlyArray<unknown>): boolean => {
  const given = valueOf("SENTRY_TRACE")
  if (given !== undefined && given !== process.env["SENTRY_TRACE"]) return false
  return texts.reduce<number>((sum, text) => sum + (typeof text === "string" ? text.length : 0), 0) < MAX_BLOCK_LENGTH
}

/** Systems take between one and several MB of arguments and variables. */
const MAX_BLOCK_LENGTH = 256 * 1024

type Variables = Readonly<Record<string, string>>

interface Starting {
  readonly file: string
  readonly args: ReadonlyArray<unknown>
  readonly cwd: unknown
}

class Subprocess {
  private constructor(
    readonly client: Client,
    readonly place: Place,
    readonly name: string,
    readonly file: string
  ) {}

  /** Says that it is about to start: also one that then does not. `undefined` where nobody records it. */
  static start(starting: () => Starting): Subprocess | undefined {
    const carrier = currentCarrier()
    if (carrier === undefined) return undefined
    const state = stateOf(carrier)
    const client = clientOf(state)
    const settings = client === undefined ? undefined : settingsOf(client)
    if (client === undefined || settings === undefined || client.isInCallback) return undefined
    return client.attempt("the note of a subprocess", () => {
      const { args, cwd, file } = starting()
      const command = describeCommand(file, args, settings.includeArguments)
      const subprocess = new Subprocess(client, placeOf(carrier, state), command.name, file)
      subprocess.#record(command.text, undefined, cwdOf(cwd))
      return subprocess
    })
  }

  /** For the environment of the child: one that runs an SDK continues the trace, and one that runs this one the scope. */
  attempt<A>(use: (variables: Variables) => A): A | undefined {
    return this.client.attempt("the variables of a subprocess", () =>
      use(variablesFor(this.file, this.client, this.place))
    )
  }

  failed(code: string): void {
    this.#record(`${this.name} could not be run: ${code}`, "error", { code })
  }

  /** @param wanted by the program, which has sent the signal itself */
  ended(
    code: number | null,
    signal: string | null,
    { error, wanted = false }: { readonly error?: string | undefined; readonly wanted?: boolean } = {}
  ): void {
    if (code === 0 && error === undefined) return
    const how = code === null ? `was ended by ${signal ?? "a signal"}` : `exited with code ${code}`
    const why = error === undefined ? "" : ` (${error})`
    this.#record(`${this.name} ${how}${why}`, wanted ? undefined : "warning", {
      ...(code === null ? { signal } : { exit_code: code }),
      ...(error === undefined ? undefined : { code: error })
    })
  }

  settled({ error, pid, signal, status }: Settled): void {
    if (status === undefined && error === undefined) return
    const code = error === undefined ? undefined : readCode(error)
    if (error !== undefined && (pid === undefined || pid === 0)) this.failed(code ?? codeOf(error))
    else this.ended(status ?? null, signal ?? null, { error: code })
  }

  #record(message: string, level: "warning" | "error" | undefined, data: Record<string, unknown>): void {
    this.client.addBreadcrumb(
      { type: "subprocess", category: "subprocess", message, ...(level === undefined ? undefined : { level }), data },
      {},
      { ...this.place, now: Date.now() }
    )
  }
}

const readCode = (error: unknown): string | undefined => {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return typeof code === "string" ? code : undefined
}

const codeOf = (error: unknown): string => readCode(error) ?? (error instanceof Error ? error.name : "failed")

const variablesFor = (file: string, client: Client, { branch, span, state }: Place): Variables => {
  const trace = traceHeaders(state, span, (traceId) => client.samplingContext(traceId))
  const variables: Record<string, string> = {
    SENTRY_TRACE: trace.sentryTrace,
    SENTRY_BAGGAGE: trace.baggage,
    SUBPROCESS_SENTRY_TRACE: trace.sentryTrace,
    SUBPROCESS_BAGGAGE: trace.baggage
  }
  // What a scope says is nobody's business but ours: other programs get no more than the trace.
  if (isNode(file) && client.propagateScope) {
    variables[SCOPE_VARIABLE] = JSON.stringify(takeSnapshot(state, branch, trace, MAX_VARIABLE_LENGTH))
  }
  return variables
}

const isNode = (file: string): boolean => file === process.execPath || /^node(?:\.exe)?$/i.test(basename(file))

/** Well below what systems allow for one variable. In UTF-8 a character may take three bytes. */
const MAX_VARIABLE_LENGTH = 32 * 1024

const cwdOf = (cwd: unknown): Record<string, unknown> =>
  cwd === undefined || cwd === null ? {} : { "subprocess.cwd": scrubText(describeValue(cwd)) }
