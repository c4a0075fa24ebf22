/**
 * Subprocesses, of `spawn`, `exec`, `execFile` and `fork`, and of their synchronous forms.
 */
import childProcess, { type ChildProcess } from "node:child_process"
import { type EventEmitter, errorMonitor } from "node:events"
import { syncBuiltinESMExports } from "node:module"
import { basename } from "node:path"
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
    return original.call(this, {
      ...options,
      envPairs: [...(options.envPairs ?? []), ...started.variables(options.file)]
    })
  }

type Sync = (...args: Array<never>) => unknown

const notingSync = <F extends Sync>(original: F, isActive: () => boolean): F => {
  const wrapped = function (this: unknown, ...args: Array<unknown>): unknown {
    const call = isActive() ? readCall(args) : undefined
    const started = call === undefined ? undefined : Subprocess.start(call.file, call.args, call.options["cwd"])
    if (call === undefined || started === undefined) return Reflect.apply(original, this, args as Array<never>)
    try {
      const result = Reflect.apply(original, this, withVariables(args, call, started) as Array<never>)
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

const withVariables = (given: ReadonlyArray<unknown>, call: Call, started: Subprocess): Array<unknown> => {
  const env: Record<string, unknown> = { ...((call.options["env"] as NodeJS.ProcessEnv | undefined) ?? process.env) }
  for (const pair of started.variables(call.file)) {
    const equals = pair.indexOf("=")
    env[pair.slice(0, equals)] = pair.slice(equals + 1)
  }
  const args = [...given]
  while (args.length < call.optionsAt) args.push([])
  args[call.optionsAt] = { ...call.options, env }
  return args
}

class Subprocess {
  private constructor(
    readonly client: Client,
    readonly place: Place,
    readonly name: string
  ) {}

  /** Says that it is about to start: also one that then does not. `undefined` where nobody records it. */
  static start(file: string, args: ReadonlyArray<string>, cwd: unknown): Subprocess | undefined {
    const carrier = currentCarrier()
    if (carrier === undefined) return undefined
    const state = stateOf(carrier)
    const client = clientOf(state)
    const configured = client === undefined ? undefined : settings.get(client)
    if (client === undefined || configured === undefined) return undefined
    const command = /[\s]/.test(file) && args.length === 0 ? file.split(/\s+/) : [file, ...args]
    const [program = file, ...rest] = command
    const subprocess = new Subprocess(client, placeOf(carrier, state), basename(program))
    const shown = configured.includeArguments ? scrubArguments(rest) : rest.map(maskArgument)
    subprocess.#record(
      [basename(program), ...shown].join(" "),
      undefined,
      cwd === undefined || cwd === null ? {} : { "subprocess.cwd": scrubText(String(cwd)) }
    )
    return subprocess
  }

  /** For the environment of the child: a child that runs an SDK continues the trace, and one that runs this one the scope. */
  variables(file: string): Array<string> {
    const { branch, span, state } = this.place
    const trace = traceHeaders(state, span, (traceId) => this.client.samplingContext(traceId))
    const variables = [
      `SENTRY_TRACE=${trace.sentryTrace}`,
      `SENTRY_BAGGAGE=${trace.baggage}`,
      `SUBPROCESS_SENTRY_TRACE=${trace.sentryTrace}`,
      `SUBPROCESS_BAGGAGE=${trace.baggage}`
    ]
    // What a scope says is nobody's business but ours: other programs get no more than the trace.
    if (file === process.execPath && this.client.propagateScope) {
      variables.push(`${SCOPE_VARIABLE}=${JSON.stringify(takeSnapshot(state, branch, trace))}`)
    }
    return variables
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

/** The names of flags say what is done; everything else may be anybody's secret. */
const maskArgument = (argument: string): string => {
  const flag = /^(--[A-Za-z][\w-]*|-[A-Za-z])(?:(=).*)?$/s.exec(argument)
  if (flag === null) return FILTERED
  return flag[2] === "=" ? `${flag[1]}=${FILTERED}` : argument
}
