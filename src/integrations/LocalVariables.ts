/**
 * The variables of the functions that an error was thrown in, on its frames. Opt-in.
 *
 * @since 0.1.0
 */
import type { Debugger, Session } from "node:inspector"
import * as Effect from "effect/Effect"
import { describeValue, normalize } from "../event/normalize.js"
import { FILTERED, isSensitiveKey, scrubText } from "../event/scrub.js"
import type { StackParser } from "../event/stack.js"
import * as Integration from "../hub/Integration.js"
import { refCounted } from "../hub/patch.js"
import { checkOptions, isPositive } from "../protocol/checkOptions.js"
import type { StackFrame } from "../protocol/Event.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many frames of the application, from the throw on, show their variables. Default: 5. */
  readonly maxFrames?: number | undefined
  /** How many thrown errors may be looked at in a second; the rest of that second costs nothing. Default: 50. */
  readonly maxPerSecond?: number | undefined
}

/**
 * Adds `vars` to the newest frames of the application: what parameters and variables held when the error was thrown, cut and masked
 * as all data is. An error that is made and never thrown (`Effect.fail(new Declined())`) has no frames to look into, and none.
 *
 * It watches the process with its own debugger, which stops at every `throw`, also of those that are caught: some 0.2 to 0.8 ms each,
 * up to `maxPerSecond` of them, and a few percent on all code. Where another debugger is attached it does nothing.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * import { DefaultIntegrations, Hub, LocalVariables } from "effect-faultline"
 * import { Layer } from "effect"
 *
 * const Live = Layer.mergeAll(DefaultIntegrations, LocalVariables.layer()).pipe(Layer.provideMerge(Hub.layerConfig()))
 */
export const layer = (options: Options = {}): Integration.IntegrationLayer => {
  checkOptions(options, { maxFrames: isPositive, maxPerSecond: isPositive })
  const { maxFrames = 5, maxPerSecond = 50 } = options
  return Integration.make("localVariables", ({ client }) =>
    Effect.succeed({
      activate() {
        if (inspector().url() !== undefined) {
          client.debug("another debugger is attached: local variables are left to it")
          return () => {}
        }
        const recorder = new Recorder(client.parser, maxFrames, maxPerSecond)
        const release = watch()
        recorders.add(recorder)
        client.parser.onFrames = (error, frames) =>
          client.attempt("local variables", () => recorder.show(error, frames))
        return () => {
          recorders.delete(recorder)
          client.parser.onFrames = undefined
          release()
        }
      }
    })
  )
}

/** The variables of one frame, and where it is. */
interface Recorded {
  readonly frame: StackFrame
  readonly vars: Record<string, unknown>
}

class Recorder {
  readonly #recorded = new WeakMap<object, Array<Recorded>>()
  #second = 0
  #seen = 0

  constructor(
    readonly parser: StackParser,
    readonly maxFrames: number,
    readonly maxPerSecond: number
  ) {}

  /** Whether there is still time for one more in this second. */
  takes(): boolean {
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#seen = 0
    }
    return this.#seen++ < this.maxPerSecond
  }

  /** The frames to look into, of those that the debugger has stopped in. */
  chosen(frames: ReadonlyArray<Debugger.CallFrame>): Array<readonly [call: Debugger.CallFrame, frame: StackFrame]> {
    const result: Array<readonly [Debugger.CallFrame, StackFrame]> = []
    for (const call of frames.slice(0, MAX_CALLS)) {
      if (result.length >= this.maxFrames) break
      const { columnNumber = 0, lineNumber } = call.location
      const name = call.functionName === "" ? "<anonymous>" : call.functionName
      const frame = this.parser.frame(
        `    at ${name} (${scripts.get(call.location.scriptId) ?? ""}:${lineNumber + 1}:${columnNumber + 1})`
      )
      if (frame?.in_app === true) result.push([call, frame])
    }
    return result
  }

  has(error: object): boolean {
    return this.#recorded.has(error)
  }

  record(error: object, frame: StackFrame, scope: object): void {
    const recorded = this.#recorded.get(error) ?? []
    this.#recorded.set(error, recorded)
    let entry = recorded.find((other) => other.frame === frame)
    if (entry === undefined) recorded.push((entry = { frame, vars: {} }))
    const { vars } = entry
    for (const key of Object.keys(scope)) {
      if (Object.keys(vars).length >= MAX_VARIABLES) break
      if (key in vars) continue
      const text = textOf(key, (scope as Record<string, unknown>)[key])
      if (text !== undefined) vars[key] = text
    }
  }

  /** From the newest frame on: what was thrown may have been made further in. */
  show(error: unknown, frames: ReadonlyArray<StackFrame>): void {
    const recorded = typeof error === "object" && error !== null ? this.#recorded.get(error) : undefined
    if (recorded === undefined) return
    let next = frames.length - 1
    for (const { frame, vars } of recorded) {
      for (let index = next; index >= 0; index--) {
        const shown = frames[index] as StackFrame
        if (!isSame(shown, frame)) continue
        if (Object.keys(vars).length > 0) shown.vars = vars
        next = index - 1
        break
      }
    }
  }
}

const MAX_CALLS = 50
const MAX_VARIABLES = 30

const isSame = (shown: StackFrame, recorded: StackFrame): boolean =>
  shown.abs_path === recorded.abs_path &&
  (shown.lineno === recorded.lineno || bare(shown.function) === bare(recorded.function))

const bare = (name: string | undefined): string => (name ?? "").slice((name ?? "").lastIndexOf(".") + 1)

/** As text or as an object: one server throws the whole stack away for anything else. */
const textOf = (key: string, value: unknown): unknown => {
  if (typeof value === "function") return undefined
  if (value !== undefined && isSensitiveKey(key)) return FILTERED
  if (typeof value !== "object" || value === null || Array.isArray(value)) return scrubText(describeValue(value, 256))
  const normal = normalize(value, 2, 20)
  return typeof normal === "object" && normal !== null
    ? JSON.parse(scrubbed(normal))
    : scrubText(describeValue(normal, 256))
}

const scrubbed = (value: object): string =>
  JSON.stringify(value, (_, item: unknown) =>
    typeof item === "string" ? scrubText(item.length > 256 ? `${item.slice(0, 253)}...` : item) : item
  )

const recorders = new Set<Recorder>()

/** Where the debugger's scripts come from. */
const scripts = new Map<string, string>()

/** Loaded no sooner than it is asked for. */
const inspector = () => process.getBuiltinModule("node:inspector")

/** One debugger for all hubs. It speaks to us on the thread that it stops, and at once. */
const watch = refCounted(() => {
  const session = new (inspector().Session)()
  session.connect()
  let idle: NodeJS.Timeout | undefined
  session.on("Debugger.paused", ({ params }) => {
    try {
      const taking = [...recorders].filter((recorder) => recorder.takes())
      if (taking.length === 0) idle ??= rest(session, () => (idle = undefined))
      else look(session, params, taking)
    } catch {
      // What a program throws is the last that a fault of ours may get in the way of.
    } finally {
      session.post("Debugger.resume")
    }
  })
  session.on("Debugger.scriptParsed", ({ params }) => {
    if (params.url !== "" && !params.url.startsWith("node:")) scripts.set(params.scriptId, params.url)
  })
  session.post("Debugger.enable")
  session.post("Debugger.setPauseOnExceptions", { state: "all" })
  return () => {
    clearTimeout(idle)
    session.post("Debugger.disable")
    session.disconnect()
    scripts.clear()
  }
})

/** Stops at nothing for as long as nothing may be looked at. */
const rest = (session: Session, over: () => void): NodeJS.Timeout => {
  session.post("Debugger.setPauseOnExceptions", { state: "none" })
  return setTimeout(() => {
    over()
    session.post("Debugger.setPauseOnExceptions", { state: "all" })
  }, 1000).unref()
}

/** Where what runs in the stopped program finds us. Only while it is stopped. */
const HOOK = "effect-faultline/localVariables"

const look = (session: Session, params: Debugger.PausedEventDataType, taking: ReadonlyArray<Recorder>): void => {
  const thrown: { readonly objectId?: string; readonly subtype?: string } | undefined = params.data
  if (thrown?.objectId === undefined || thrown.subtype !== "error") return
  const { objectId } = thrown
  const globals = globalThis as { [key: symbol]: unknown }
  for (const recorder of taking) {
    let isKnown = false
    const call = (target: string, code: string): void =>
      session.post("Runtime.callFunctionOn", {
        objectId: target,
        functionDeclaration: `function (error) { globalThis[Symbol.for("${HOOK}")]?.(${code}) }`,
        arguments: [{ objectId }],
        silent: true
      })
    try {
      globals[Symbol.for(HOOK)] = (error: object) => (isKnown = recorder.has(error))
      call(objectId, "error")
      // Thrown again, it would show where it was caught.
      if (isKnown) continue
      for (const [{ scopeChain }, frame] of recorder.chosen(params.callFrames)) {
        globals[Symbol.for(HOOK)] = (error: object, scope: object) => recorder.record(error, frame, scope)
        for (const { object, type } of scopeChain) {
          // What is further out is not the function's own.
          if (type !== "block" && type !== "local" && type !== "catch") break
          if (object.objectId !== undefined) call(object.objectId, "error, this")
          if (type === "local") break
        }
      }
    } finally {
      delete globals[Symbol.for(HOOK)]
    }
  }
}
