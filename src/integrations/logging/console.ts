/**
 * What is written to the console by something other than Effect's loggers: other libraries, code that is not Effect, and
 * Effect's own `Console`.
 */
import { stripVTControlCharacters } from "node:util"
import * as LogLevel from "effect/LogLevel"
import { callSite } from "../../event/stack.js"
import { formatted } from "../../event/text.js"
import type { Client } from "../../hub/Client.js"
import { isLogging } from "../../hub/logHook.js"
import { patchMethod, refCounted } from "../../hub/patch.js"
import { clientOf } from "../../hub/report.js"
import { type Carrier, currentCarrier, stateOf } from "../../scope/carrier.js"
import { Line } from "./Line.js"

/** @internal */
export type OnLine = (level: LogLevel.LogLevel, line: () => Line, carrier: Carrier) => void

/** Tells of the lines that are written in a scope of this hub, after they were. @internal */
export const watchConsole = (client: Client, onLine: OnLine): (() => void) => {
  listeners.set(client, onLine)
  const release = watch()
  return () => {
    listeners.delete(client)
    release()
  }
}

const listeners = new WeakMap<Client, OnLine>()

const METHODS = {
  debug: LogLevel.Debug,
  log: LogLevel.Info,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  error: LogLevel.Error,
  trace: LogLevel.Debug,
  assert: LogLevel.Error
} satisfies Readonly<Record<string, LogLevel.LogLevel>>

const watch = refCounted(() => {
  const target = globalThis.console as unknown as Record<string, Write>
  const unpatch = Object.entries(METHODS).flatMap(([name, level]) => {
    try {
      return [patchMethod(target, name, (original, isActive) => noting(original, isActive, name, level))]
    } catch {
      // A console that is frozen is left as it is.
      return []
    }
  })
  return () => {
    for (const takeBack of unpatch) takeBack()
  }
})

type Write = (...args: Array<unknown>) => void

/** A proxy: whoever looks at the method (a test with a spy, say) finds what was there. */
const noting = (original: Write, isActive: () => boolean, name: string, level: LogLevel.LogLevel): Write => {
  const apply = (target: Write, self: unknown, args: Array<unknown>): unknown => {
    // Some methods of the console call others.
    if (writing || !isActive()) return Reflect.apply(target, self, args)
    writing = true
    try {
      return Reflect.apply(target, self, args)
    } finally {
      writing = false
      if (!isLogging() && (name !== "assert" || !args[0])) note(name, level, args, apply)
    }
  }
  return new Proxy(original, { apply })
}

let writing = false

const note = (name: string, level: LogLevel.LogLevel, args: ReadonlyArray<unknown>, below: AnyFunction): void => {
  const carrier = currentCarrier()
  const client = carrier === undefined ? undefined : clientOf(stateOf(carrier))
  if (carrier === undefined || client === undefined || client.isInCallback) return
  const onLine = listeners.get(client)
  if (onLine === undefined) return
  client.attempt("a line on the console", () => onLine(level, () => lineOf(name, level, args, below), carrier))
}

type AnyFunction = (...args: Array<never>) => unknown

const lineOf = (name: string, level: LogLevel.LogLevel, args: ReadonlyArray<unknown>, below: AnyFunction): Line => {
  const parts = (name === "assert" ? assertion(args.slice(1)) : args).map(withoutColours)
  return new Line({
    source: "console",
    logger: "console",
    level,
    parts,
    text: formatted(parts),
    annotations: {},
    record: { method: name, arguments: args },
    get stack() {
      return callSite(below).stack
    }
  })
}

/** In the console's own words. */
const assertion = (parts: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
  const [first, ...rest] = parts
  if (parts.length === 0) return ["Assertion failed"]
  return typeof first === "string" ? [`Assertion failed: ${first}`, ...rest] : ["Assertion failed:", ...parts]
}

const withoutColours = (part: unknown): unknown =>
  typeof part === "string" && part.includes("\u001b") ? stripVTControlCharacters(part) : part
