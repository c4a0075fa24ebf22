/**
 * Subprocesses, of `spawn`, `exec`, `execFile` and `fork`, and of their synchronous forms.
 */
import childProcess, { type ChildProcess } from "node:child_process"
import { type EventEmitter, errorMonitor } from "node:events"
import { syncBuiltinESMExports } from "node:module"
import { basename } from "node:path"
import { describeValue } from "../../event/normalize.js"
import { FILTERED, scrubArguments, scrubText } from "../../event/scrub.js"
import type { Client, Place } from "../../hub/Client.js"
import { patchMethod, refCounted } from "../../hub/patch.js"
import { clientOf, placeOf } from "../../hub/report.js"
import { currentCarrier, stateOf } from "../../scope/carrier.js"
import { SCOPE_VARIABLE } from "../../scope/inherited.js"
import { takeSnapshot, traceHeaders } from "../../scope/snapshot.js"

/** @param includeArguments whether this hub's breadcrumbs show arguments @internal */
export const watchSubprocesses = (client: Client, includeArguments: boolean): (() => void) => {
  settings.set(client, { includeArguments })
  const release = watch()
  return () => {
    settings.delete(client)
    release()
  }
}

const settings = new WeakMap<Client, { readonly includeArguments: boolean }>()

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
 */
const watch = refCounted(() => {
  const unpatch = [
    patchMethod(childProcess.ChildProcess.prototype as unknown as Spawning, "spawn", noting),
    patchMethod(childProcess, "spawnSync", notingSync),
    patchMethod(childProcess, "execFileSync", notingSync),
    patchMethod(childProcess, "execSync", notingSync)
  ]
  syncBuiltinESMExports()
  return () => {
    for (const takeBack of unpatch) takeBack()
    syncBuiltinESMExports()
  }
})

const noting = (original: Spawning["spawn"], isActive: () => boolean): Spawning["spawn"] =>
  function (this: ChildProcess, options: SpawnOptions) {
    const started = isActive() ? Subprocess.start(options.file, (options.args ?? []).slice(1), options.cwd) : undefined
    if (started === undefined) return original.call(this, options)
    ;(this as EventEmitter).on(errorMonitor, (error: NodeJS.ErrnoException) =>
      started.failed(error.code ?? error.message)
    )
    this.on("exit", (code, signal) => started.ended(code, signal))
    return original.call(this, { ...options, envPairs: withPairs(options.envPairs ?? [], started.variables) })
  }

/** Of two with one name the first would count. */
const withPairs = (pairs: ReadonlyArray<string>, variables: Variables): Array<string> => [
  ...pairs.filter((pair) => !Object.hasOwn(variables, pair.slice(0, pair.indexOf("=")))),
  ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)
]

type Sync = (...args: Array<never>) => unknown

const notingSync = <F extends Sync>(original: F, isActive: () => boolean): F => {
  const wrapped = function (this: unknown, ...args: Array<unknown>): unknown {
    const call = isActive() ? readCall(args) : undefined
    const started = call === undefined ? undefined : Subprocess.start(call.file, call.args, call.options["cwd"])
    if (call === undefined || started === undefined) return Reflect.apply(original, this, args as Array<never>)
    try {
      const result = Reflect.apply(original, this, withVariables(args, call, started.variables) as Array<never>)
      const { error, signal, status } = (result ?? {}) as {
        status?: number | null
        signal?: string
        error?: { code?: string }
      }
      if (error?.code !== undefined) started.failed(error.code)
      else if (status !== undefined) started.ended(status, signal ?? null)
      return result
    } catch (error) {
      const { code, signal, status } = error as { status?: number | null; signal?: string; code?: string }
      if (code !== undefined) started.failed(code)
      else started.ended(status ?? null, signal ?? null)
      throw error
    }
  }
  Object.defineProperties(wrapped, Object.getOwnPropertyDescriptors(original))
  return wrapped as unknown as F
}

interface Call {
  readonly file: string
  readonly args: ReadonlyArray<string>
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
  return { file, args: Array.isArray(second) ? second.map(String) : [], options: options as Call["options"], optionsAt }
}

const withVariables = (given: ReadonlyArray<unknown>, call: Call, variables: Variables): Array<unknown> => {
  const env = { ...((call.options["env"] as NodeJS.ProcessEnv | undefined) ?? process.env), ...variables }
  const args = [...given]
  while (args.length < call.optionsAt) args.push([])
  args[call.optionsAt] = { ...call.options, env }
  return args
}

type Variables = Readonly<Record<string, string>>

class Subprocess {
  private constructor(
    readonly client: Client,
    readonly place: Place,
    readonly name: string,
    readonly file: string
  ) {}

  /** For the environment of the child: one that runs an SDK continues the trace, and one that runs this one the scope. */
  get variables(): Variables {
    return (
      this.client.attempt("the variables of a subprocess", () => variablesFor(this.file, this.client, this.place)) ?? {}
    )
  }

  /** Says that it is about to start: also one that then does not. `undefined` where nobody records it. */
  static start(file: string, args: ReadonlyArray<string>, cwd: unknown): Subprocess | undefined {
    const carrier = currentCarrier()
    if (carrier === undefined) return undefined
    const state = stateOf(carrier)
    const client = clientOf(state)
    const configured = client === undefined ? undefined : settings.get(client)
    if (client === undefined || configured === undefined) return undefined
    return client.attempt("the note of a subprocess", () => {
      const place = placeOf(carrier, state)
      const [program = file, ...rest] = commandOf(file, args)
      const name = basename(program)
      const subprocess = new Subprocess(client, place, name, file)
      const shown = configured.includeArguments ? scrubArguments(rest) : rest.map(maskArgument)
      subprocess.#record([name, ...shown].join(" "), undefined, cwdOf(cwd))
      return subprocess
    })
  }

  failed(code: string): void {
    this.#record(`${this.name} could not be run: ${code}`, "error", { code })
  }

  ended(code: number | null, signal: string | null): void {
    if (code === 0) return
    const how = code === null ? `was ended by ${signal ?? "a signal"}` : `exited with code ${code}`
    this.#record(`${this.name} ${how}`, "warning", code === null ? { signal } : { exit_code: code })
  }

  #record(message: string, level: "warning" | "error" | undefined, data: Record<string, unknown>): void {
    this.client.addBreadcrumb(
      { type: "subprocess", category: "subprocess", message, ...(level === undefined ? undefined : { level }), data },
      {},
      { ...this.place, now: Date.now() }
    )
  }
}

const variablesFor = (file: string, client: Client, { branch, span, state }: Place): Variables => {
  const trace = traceHeaders(state, span, (traceId) => client.samplingContext(traceId))
  const variables: Record<string, string> = {
    SENTRY_TRACE: trace.sentryTrace,
    SENTRY_BAGGAGE: trace.baggage,
    SUBPROCESS_SENTRY_TRACE: trace.sentryTrace,
    SUBPROCESS_BAGGAGE: trace.baggage
  }
  // What a scope says is nobody's business but ours: other programs get no more than the trace.
  if (file === process.execPath && client.propagateScope) {
    variables[SCOPE_VARIABLE] = JSON.stringify(takeSnapshot(state, branch, trace, MAX_VARIABLE_LENGTH))
  }
  return variables
}

/** Well below what systems allow for one variable. In UTF-8 a character may take three bytes. */
const MAX_VARIABLE_LENGTH = 32 * 1024

const cwdOf = (cwd: unknown): Record<string, unknown> =>
  cwd === undefined || cwd === null ? {} : { "subprocess.cwd": scrubText(describeValue(cwd)) }

/** The words of a command, also of one that is handed to a shell as one text. */
const commandOf = (file: string, args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const last = args.at(-1)
  if (last !== undefined && args.length > 1 && /^(?:.*[\\/])?(?:(?:ba|da|z|k)?sh|cmd\.exe)$/i.test(file))
    return words(last)
  return args.length === 0 ? words(file) : [file, ...args]
}

const words = (command: string): ReadonlyArray<string> =>
  (command.match(/(?:[^\s"']|"[^"]*"|'[^']*')+|["']/g) ?? []).map((word) => word.replace(/^(["'])(.*)\1$/s, "$2"))

/** The names of flags say what is done; everything else may be anybody's secret. */
const maskArgument = (argument: string): string => {
  const flag = /^(--[A-Za-z][\w-]*|-[A-Za-z])(?:(=).*)?$/s.exec(argument)
  if (flag === null) return FILTERED
  return flag[2] === "=" ? `${flag[1]}=${FILTERED}` : argument
}
