/**
 * V8's stack text as frames of the protocol.
 */
import { isAbsolute, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { StackFrame } from "../protocol/Event.js"
import { addSourceContext } from "./source.js"

/** What decides how frames look. One object per hub: the frames made for it are remembered with it. @internal */
export class StackParser {
  readonly #frames = new Map<string, StackFrame | undefined>()

  constructor(
    readonly options: {
      /** Paths below it are shown relative to it. */
      readonly projectRoot: string
      /** Lines of source before and after each frame of the application; 0 for none. */
      readonly contextLines: number
      readonly inAppInclude: ReadonlyArray<string>
      readonly inAppExclude: ReadonlyArray<string>
    }
  ) {}

  /** The frames of an `error.stack`, oldest call first, the newest `MAX_FRAMES` of them. */
  parse(stack: string, header: string): Array<StackFrame> {
    const frames: Array<StackFrame> = []
    const internals: Array<StackFrame> = []
    const body = stack.startsWith(header) ? stack.slice(header.length) : stack
    for (const line of body.split("\n")) {
      if (frames.length >= MAX_FRAMES) break
      const frame = this.frame(line)
      if (frame === undefined) continue
      if (isRunLoop(frame)) internals.push(frame)
      else frames.push(frame)
    }
    return (frames.length === 0 ? internals : frames).reverse()
  }

  /** One line of a stack, as a frame that the caller may change; `undefined` if it is no frame. */
  frame(line: string): StackFrame | undefined {
    let frame = this.#frames.get(line)
    if (frame === undefined && !this.#frames.has(line)) {
      frame = this.#make(line)
      if (this.#frames.size >= MAX_REMEMBERED) this.#frames.clear()
      this.#frames.set(line, frame)
    }
    if (frame === undefined) return undefined
    const copy = { ...frame }
    if (frame.pre_context !== undefined) copy.pre_context = frame.pre_context.slice()
    if (frame.post_context !== undefined) copy.post_context = frame.post_context.slice()
    return copy
  }

  #make(line: string): StackFrame | undefined {
    if (line.length > MAX_LINE_LENGTH) return undefined
    const call = /^\s+at (.*)$/.exec(line)?.[1]
    if (call === undefined) return undefined
    const { name, place } = splitCall(call)
    const location = parseLocation(place)
    const frame: StackFrame = { function: functionName(name) }
    if (location.path === undefined) {
      if (name === undefined) return undefined
      frame.filename = "<anonymous>"
      frame.in_app = false
      return frame
    }
    if (location.lineno !== undefined) frame.lineno = location.lineno
    if (location.colno !== undefined) frame.colno = location.colno
    this.#place(frame, location.path)
    if (frame.in_app === true && this.options.contextLines > 0) addSourceContext(frame, this.options.contextLines)
    return frame
  }

  #place(frame: StackFrame, path: string): void {
    frame.abs_path = path
    const inside = isAbsolute(path) ? relative(this.options.projectRoot, path) : path
    const filename = (inside.startsWith("..") || isAbsolute(inside) ? path : inside).replaceAll(sep, "/")
    frame.filename = filename
    frame.module = moduleName(filename)
    frame.in_app = this.#inApp(frame.module, filename, path)
  }

  #inApp(module: string, filename: string, path: string): boolean {
    const matches = (entry: string): boolean =>
      module === entry || module.startsWith(`${entry}/`) || filename.startsWith(entry) || path.startsWith(entry)
    if (this.options.inAppInclude.some(matches)) return true
    if (this.options.inAppExclude.some(matches)) return false
    return (
      isAbsolute(path) &&
      !/(?:^|[\\/])node_modules[\\/]/.test(path) &&
      !ownFolders.some((folder) => path.startsWith(folder))
    )
  }
}

/** `new Error` with a stack that begins at the caller of `below`. @internal */
export const callSite = (below: (...args: Array<never>) => unknown): Error => {
  const error = new Error()
  Error.captureStackTrace(error, below)
  return error
}

const MAX_FRAMES = 200
const MAX_REMEMBERED = 4096
const MAX_LINE_LENGTH = 1024

/** This SDK's own folder: where it runs from source or from a link it is not below a `node_modules`. */
const ownFolders = [fileURLToPath(new URL("../", import.meta.url))]

/** `name (place)`, or a place alone. Both the name (of a span) and the place may have parentheses of their own. */
const splitCall = (call: string): { readonly name: string | undefined; readonly place: string } => {
  if (call.endsWith(")")) {
    for (let open = call.lastIndexOf("("); open >= 0; open = call.lastIndexOf("(", open - 1)) {
      const place = call.slice(open + 1, -1)
      if (PLACE.test(place) && !call.slice(0, open).includes("(eval at "))
        return { name: call.slice(0, open).trimEnd(), place }
      if (open === 0) break
    }
    const open = call.indexOf("(")
    return { name: call.slice(0, open).trimEnd(), place: call.slice(open + 1, -1) }
  }
  return { name: undefined, place: call.replace(/^async /, "") }
}

const PLACE = /^(?:[a-z][a-z+.-]*:|[\\/]|[A-Za-z]:[\\/]|<anonymous>|native\b|eval at |index \d)/

const functionName = (name: string | undefined): string => {
  const bare = (name ?? "").replace(/^(?:async |new )+/, "").replace(/ \[as .*\]$/, "")
  return bare === "" || bare === "<anonymous>" || bare === "Object.<anonymous>" ? "?" : bare
}

interface Location {
  readonly path: string | undefined
  readonly lineno?: number | undefined
  readonly colno?: number | undefined
}

const parseLocation = (text: string): Location => {
  const evaluated = /\((?:eval at .*\()?([^()]*:\d+:\d+)\)/.exec(text)
  const match = /^(.*?):(\d+)(?::(\d+))?$/.exec(evaluated?.[1] ?? text)
  if (match === null) return { path: undefined }
  const path = toPath(match[1] as string)
  return path === "<anonymous>" || path === "native" || path === ""
    ? { path: undefined }
    : { path, lineno: positive(match[2]), colno: positive(match[3]) }
}

const positive = (digits: string | undefined): number | undefined => {
  const number = Number(digits)
  return number > 0 ? number : undefined
}

const toPath = (location: string): string => {
  if (location.startsWith("data:")) return "<data>"
  if (!location.startsWith("file:")) return location
  try {
    return fileURLToPath(location)
  } catch {
    return location.slice("file://".length)
  }
}

/** `src/users/repo` for a file of the application, `effect/internal/core` for one of a package. */
const moduleName = (filename: string): string => {
  const dependency = filename.lastIndexOf("node_modules/")
  const path = dependency < 0 ? filename : filename.slice(dependency + "node_modules/".length)
  return path.replace(/\/(?:dist|lib)\/(?:esm|cjs)\//, "/").replace(/\.[cm]?[jt]sx?$/, "")
}

/** The fiber's run loop and the combinators' plumbing, which say nothing about the program. */
const isRunLoop = (frame: StackFrame): boolean =>
  frame.module !== undefined
    ? frame.in_app === false && /^effect\/(?:internal\/|Effectable|Utils|Scheduler|Micro)/.test(frame.module)
    : /^(?:Generator\.next|Iterator\.next)$/.test(frame.function ?? "")
