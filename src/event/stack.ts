/**
 * V8's stack text as frames of the protocol.
 */
import { readFileSync } from "node:fs"
import { dirname, isAbsolute, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { StackFrame } from "../protocol/Event.js"
import { debugIdOf } from "./debugImages.js"
import { rememberOriginals } from "./encodedFrames.js"
import type { SpanSite } from "./failure.js"
import { functionName, parseLocation, splitCall } from "./location.js"
import { addSourceContext, hasTimeToRead } from "./source.js"
import { originalPosition } from "./sourceMaps.js"

/** What decides how frames look. One object per hub: the frames made for it are remembered with it. @internal */
export class StackParser {
  readonly #frames = new Map<string, StackFrame | undefined>()
  readonly #stacks = new Map<string, Parsed>()
  readonly #spans = new Map<string, StackFrame>()
  /** Told of every exception that is made of an error with frames: whoever knows more of them may add it. */
  onFrames: ((error: unknown, frames: ReadonlyArray<StackFrame>) => void) | undefined

  constructor(
    readonly options: {
      /** Paths below it are shown relative to it. */
      readonly projectRoot: string
      /** Lines of source before and after each frame of the application; 0 for none. */
      readonly contextLines: number
      readonly inAppInclude: ReadonlyArray<string>
      readonly inAppExclude: ReadonlyArray<string>
      /** Whether frames of generated code are shown where they were written. Default: `true`. */
      readonly sourceMaps?: boolean
    }
  ) {}

  /**
   * The frames of an `error.stack`, oldest call first, the newest `MAX_FRAMES` of them. Spans stand where the fiber runs them:
   * between what started it and what it called.
   *
   * @param spans innermost first
   */
  parse(stack: string, header: string, spans: ReadonlyArray<SpanSite> = []): Array<StackFrame> {
    const body = stack.startsWith(header) ? stack.slice(header.length) : stack
    const { fiber, frames, internals } = this.#parsed(body)
    const around = spans.map((site) => this.#spanFrame(site)).filter((frame) => frame !== undefined)
    if (frames.length + around.length === 0) return internals.map(copied).reverse()
    const originals = frames
      .toSpliced(fiber < 0 ? frames.length : fiber, 0, ...around)
      .slice(0, MAX_FRAMES)
      .reverse()
    const copies = originals.map(copied)
    rememberOriginals(copies, originals)
    return copies
  }

  /** The same error of the same call has the same text, of which most is Effect's own. */
  #parsed(body: string): Parsed {
    const known = this.#stacks.get(body)
    if (known !== undefined) return known
    const parsed: Parsed = { frames: [], internals: [], fiber: -1 }
    for (const line of body.split("\n")) {
      if (parsed.frames.length >= MAX_FRAMES) break
      const frame = this.#remembered(line)
      if (frame === undefined) continue
      if (isRunLoop(frame)) {
        parsed.internals.push(frame)
        if (parsed.fiber < 0 && isFiber(frame)) parsed.fiber = parsed.frames.length
      } else parsed.frames.push(frame)
    }
    if (body.length <= MAX_STACK_LENGTH && hasTimeToRead()) {
      if (this.#stacks.size >= MAX_STACKS) this.#stacks.clear()
      this.#stacks.set(body, parsed)
    }
    return parsed
  }

  /** One line of a stack, as a frame that the caller may change; `undefined` if it is no frame. */
  frame(line: string): StackFrame | undefined {
    const frame = this.#remembered(line)
    return frame === undefined ? undefined : copied(frame)
  }

  #remembered(line: string): StackFrame | undefined {
    let frame = this.#frames.get(line)
    if (frame === undefined && !this.#frames.has(line)) {
      frame = this.#make(line)
      // What could not be looked up for want of time may be another time.
      if (frame?.in_app !== true || hasTimeToRead()) {
        if (this.#frames.size >= MAX_REMEMBERED) this.#frames.clear()
        this.#frames.set(line, frame)
      }
    }
    return frame
  }

  #spanFrame(site: SpanSite): StackFrame | undefined {
    const key = `${site.location ?? ""}\n${site.name}`
    const known = this.#spans.get(key)
    if (known !== undefined) return known
    const frame = this.#makeSpanFrame(site)
    if (frame !== undefined && key.length <= MAX_LINE_LENGTH && hasTimeToRead()) {
      if (this.#spans.size >= MAX_SPANS) this.#spans.clear()
      this.#spans.set(key, frame)
    }
    return frame
  }

  #makeSpanFrame({ location, name }: SpanSite): StackFrame | undefined {
    const stable = name.slice(0, 256).replace(VARYING, "<n>")
    const frame = location === undefined ? { filename: "<span>", in_app: false } : this.frame(`    at ${location}`)
    if (frame === undefined) return undefined
    frame.function = stable
    if (stable !== name) frame.raw_function = name.slice(0, 256)
    return frame
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
    const { contextLines, sourceMaps } = this.options
    this.#place(frame, location.path)
    const content = frame.in_app === true && sourceMaps !== false ? this.#original(frame) : undefined
    if (frame.in_app === true && contextLines > 0) addSourceContext(frame, contextLines, content)
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

  /** Moves the frame to where its code was written, and returns the text of that file if the map has it. */
  #original(frame: StackFrame): ReadonlyArray<string> | undefined {
    const { abs_path: path, colno, lineno } = frame
    if (path === undefined || lineno === undefined || colno === undefined || !isAbsolute(path)) return undefined
    // A file with a debug id has its map on the server, which needs the position in what was generated.
    if (debugIdOf(path) !== undefined) return undefined
    const original = originalPosition(path, lineno, colno, this.options.projectRoot)
    if (original === undefined) return undefined
    frame.lineno = original.lineno
    frame.colno = original.colno
    this.#place(frame, original.path)
    return original.content
  }

  #inApp(module: string, filename: string, path: string): boolean {
    const matches = (entry: string): boolean =>
      module === entry || module.startsWith(`${entry}/`) || filename.startsWith(entry) || path.startsWith(entry)
    if (this.options.inAppInclude.some(matches)) return true
    if (this.options.inAppExclude.some(matches)) return false
    return isAbsolute(path) && !/(?:^|[\\/])node_modules[\\/]/.test(path) && !isOwn(path)
  }
}

/** `new Error` with a stack that begins at the caller of `below`. @internal */
export const callSite = (below: (...args: Array<never>) => unknown): Error => {
  const error = new Error()
  Error.captureStackTrace(error, below)
  return error
}

interface Parsed {
  /** Newest first, both. */
  readonly frames: Array<StackFrame>
  readonly internals: Array<StackFrame>
  /** How many frames are newer than the fiber that runs them; -1 where there is none. */
  fiber: number
}

const copied = (frame: StackFrame): StackFrame => {
  const copy = { ...frame }
  if (frame.pre_context !== undefined) copy.pre_context = frame.pre_context.slice()
  if (frame.post_context !== undefined) copy.post_context = frame.post_context.slice()
  return copy
}

const MAX_FRAMES = 200
const MAX_STACKS = 256
const MAX_STACK_LENGTH = 16_384
const MAX_REMEMBERED = 4096
const MAX_SPANS = 1024
const MAX_LINE_LENGTH = 1024

/** Of this SDK: where it runs from source or from a link it is not below a `node_modules`. */
const isOwn = (path: string): boolean => {
  ownFolder ??= findOwnFolder()
  return ownFolder !== "" && path.startsWith(ownFolder)
}

let ownFolder: string | undefined

/** In a bundle this file is the program's: it lies in a folder of the program, or (as CommonJS) does not know where it lies. */
const findOwnFolder = (): string => {
  try {
    // Not `new URL("..", import.meta.url)`, which bundlers take for a file to bring along.
    const folder = dirname(dirname(fileURLToPath(import.meta.url)))
    const { name } = JSON.parse(readFileSync(join(dirname(folder), "package.json"), "utf8")) as { name?: unknown }
    return name === "effect-faultline" ? folder + sep : ""
  } catch {
    return ""
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
    ? frame.in_app === false
      ? INTERNAL.test(frame.module)
      : isBundledFiber(frame)
    : /^(?:Generator\.next|Iterator\.next)$/.test(frame.function ?? "")

const isFiber = (frame: StackFrame): boolean => FIBER.test(frame.module ?? "") || isBundledFiber(frame)

/** In a bundle without a source map nothing is left of Effect but names, of which only the fiber's are like no other. */
const isBundledFiber = ({ abs_path: path, function: name }: StackFrame): boolean =>
  name !== undefined && BUNDLED.test(name) && path?.includes("node_modules") === false

/** `src` where Node maps Effect's own files. */
const INTERNAL = /^effect\/(?:src\/)?(?:internal\/|Effectable|Utils|Scheduler|Micro)/
const FIBER = /^effect\/(?:src\/)?internal\/fiberRuntime$/
const BUNDLED = /^_?FiberRuntime\.|\.(?:drainQueueOnCurrentThread|evaluateMessageWhileSuspended|evaluateEffect)$/

/** What makes one span of a kind another name than the next, and with it another stack: ids and numbers. */
const VARYING = /\b(?:\d+|(?=[\w-]*\d)[\da-f]{8,}(?:-[\da-f]{4,})*|(?=\w*\d)(?=\w*[A-Za-z])\w{16,})\b/gi
