/**
 * The hub for code that is not Effect, under the names that users of `@sentry/node` know. Inside a fiber it is the fiber's own
 * scope that these functions read and write.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { defaultIntegrations, type Overrides } from "./DefaultIntegrations.js"
import { bringsStack } from "./event/failure.js"
import { callSite } from "./event/stack.js"
import { type CaptureContext, eventReport, exceptionReport, messageReport } from "./hub/Capture.js"
import { ForkedScope } from "./hub/ForkedScope.js"
import { carryOn, configuredSpotlight, given, Hub, openHub, withOptions } from "./hub/Hub.js"
import type { IntegrationLayer } from "./hub/Integration.js"
import type { Options as HubOptions } from "./hub/Options.js"
import { attemptCapture, clientOf, placeOf } from "./hub/report.js"
import { superviseAll } from "./hub/supervisor.js"
import type { Breadcrumb, BreadcrumbHint } from "./protocol/Breadcrumb.js"
import { isListOf } from "./protocol/checkOptions.js"
import type { Attachment, Event, EventId, Level, User } from "./protocol/Event.js"
import { OptionsError } from "./protocol/OptionsError.js"
import {
  Cell,
  currentCarrier,
  getProcessCell,
  IsolationCell,
  replaceState,
  runIn,
  setProcessCell,
  stateOf
} from "./scope/carrier.js"
import type { EventProcessor, ScopeContext, TagValue } from "./scope/ScopeData.js"
import * as ScopeData from "./scope/ScopeData.js"
import { unowned } from "./scope/ScopeState.js"
import { ScopeWriter } from "./scope/ScopeWriter.js"
import { traceHeaders } from "./scope/snapshot.js"

export * as logger from "./hub/Logger.js"
export { Spool, type SpoolOptions } from "./transport/Spool.js"

/**
 * The options of a hub, and what becomes of the default integrations.
 *
 * @since 0.1.0
 * @category models
 */
export interface InitOptions extends HubOptions {
  /** `false` to leave a default integration out, a layer to take its place. */
  readonly integrations?: Overrides | undefined
  /** Integrations besides the default ones: `Sessions.layer()`, your own. They must not need to wait for anything. */
  readonly additionalIntegrations?: ReadonlyArray<IntegrationLayer> | undefined
}

/**
 * Opens a hub for the whole process, with the default integrations, at once. What the options do not say is read from the
 * environment (`SENTRY_DSN` and its siblings: see `Hub.layerConfig`). Called again, it takes the place of the hub before it.
 * Throws a `DsnError` or an `OptionsError` when the options cannot be used.
 *
 * @since 0.1.0
 * @category lifecycle
 * @example
 * import * as Faultline from "effect-faultline/facade"
 *
 * Faultline.init({ dsn: "https://key@sentry.example/1", release: "shop@1.4.2" })
 * Faultline.captureException(new Error("no luck"))
 */
export const init = (options: InitOptions = {}): void => {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new OptionsError({ option: "options", reason: "must be an object" })
  const { additionalIntegrations = [], integrations = {}, ...hubOptions } = options
  const problem = isListOf("layers", Layer.isLayer)(additionalIntegrations)
  if (problem !== undefined) throw new OptionsError({ option: "additionalIntegrations", reason: problem })
  const configured = environment()
  const scope = Effect.runSync(Scope.make())
  const opened = Effect.runSyncExit(
    Effect.gen(function* () {
      const hub = yield* openHub(withOptions(configured, hubOptions))
      for (const layer of [defaultIntegrations(integrations), ...additionalIntegrations])
        yield* Layer.buildWithScope(Layer.provide(layer, Layer.succeed(Hub, hub)), scope)
      yield* carryOn(hub)
      return hub
    }).pipe(Scope.extend(scope))
  )
  if (Exit.isFailure(opened)) {
    Effect.runSync(Scope.close(scope, opened))
    throw firstError(opened)
  }
  const before = current
  const { client } = opened.value
  const cell = new Cell(new IsolationCell(client.opened))
  client.settled(cell)
  setProcessCell(cell)
  client.onClose(superviseAll(client))
  current = { hub: opened.value, scope, cell }
  // The hub before this one sends what it still has, in its own time.
  if (before !== undefined) void Effect.runFork(Scope.close(before.scope, Exit.void))
}

/**
 * Whether `init` was called (and `close` was not, since).
 *
 * @since 0.1.0
 * @category lifecycle
 */
export const isInitialized = (): boolean => current !== undefined

/**
 * Whether events leave from here: there is a hub with a DSN, and it is not closed.
 *
 * @since 0.1.0
 * @category lifecycle
 */
export const isEnabled = (): boolean => clientHere()?.delivery !== undefined

/**
 * Waits until everything captured so far was answered; `false` if that took longer than `timeout` milliseconds (default: the
 * option `shutdownTimeout`).
 *
 * @since 0.1.0
 * @category lifecycle
 */
export const flush = (timeout?: number): Promise<boolean> => {
  const client = clientHere()
  if (client === undefined) return Promise.resolve(true)
  return new Promise((resolve) => void client.flush(timeout ?? client.options.shutdownTimeoutMillis, resolve))
}

/**
 * Flushes within `timeout` milliseconds and takes back everything that `init` installed.
 *
 * @since 0.1.0
 * @category lifecycle
 */
export const close = async (timeout?: number): Promise<boolean> => {
  const closing = current
  if (closing === undefined) return true
  current = undefined
  const drained = await Effect.runPromise(closing.hub.close(timeout))
  await Effect.runPromise(Scope.close(closing.scope, Exit.void))
  if (getProcessCell() === closing.cell) setProcessCell(undefined)
  return drained
}

/**
 * Reports an error, or anything else that was thrown (a `FiberFailure` or a Cause is taken apart). Returns the id of the event:
 * none when it was dropped, the first id when the error was reported before.
 *
 * @since 0.1.0
 * @category capture
 */
export const captureException = (error: unknown, context?: CaptureContext): EventId | undefined => {
  const stack = bringsStack(error) ? undefined : callSite(captureException)
  return attemptCapture(currentCarrier(), () => exceptionReport(error, context, stack))
}

/**
 * Reports a message, at level `info` unless another is given.
 *
 * @since 0.1.0
 * @category capture
 */
export const captureMessage = (message: string, context?: Level | CaptureContext): EventId | undefined => {
  const stack = callSite(captureMessage)
  return attemptCapture(currentCarrier(), () => messageReport(message, context, stack))
}

/**
 * Reports an event as it is given; what it does not say is filled in from the scope and the options.
 *
 * @since 0.1.0
 * @category capture
 */
export const captureEvent = (event: Partial<Event>, context?: CaptureContext): EventId | undefined =>
  attemptCapture(currentCarrier(), () => eventReport(event, context))

/**
 * The id of the last event that was sent from this scope.
 *
 * @since 0.1.0
 * @category capture
 */
export const lastEventId = (): EventId | undefined => {
  const carrier = currentCarrier()
  return carrier === undefined ? undefined : stateOf(carrier).isolation.lastEventId
}

/**
 * Records one step on the way to whatever may happen.
 *
 * @since 0.1.0
 * @category scope
 */
export const addBreadcrumb = (breadcrumb: Breadcrumb, hint: BreadcrumbHint = {}): void => {
  const carrier = currentCarrier()
  if (carrier === undefined) return
  // A breadcrumb has no need of what the scope says, which only the state itself tells.
  const state = carrier instanceof Cell ? carrier.home.origin.opened : stateOf(carrier)
  clientOf(state)?.addBreadcrumb(breadcrumb, hint, placeOf(carrier, state))
}

/**
 * @since 0.1.0
 * @category scope
 */
export const setTag = (key: string, value: TagValue): void => {
  const carrier = currentCarrier()
  if (carrier instanceof Cell && carrier.home.origin.owner?.isOpen === true && typeof key === "string") {
    carrier.home.setTag(key, value)
  } else writer.setTag(key, value)
}

/**
 * @since 0.1.0
 * @category scope
 */
export const setTags = (tags: Readonly<Record<string, TagValue>>): void => writer.setTags(tags)

/**
 * Whom what follows happens to; `null` for nobody.
 *
 * @since 0.1.0
 * @category scope
 */
export const setUser = (user: User | null): void => writer.setUser(user)

/**
 * A named group of values; `null` removes it.
 *
 * @since 0.1.0
 * @category scope
 */
export const setContext = (key: string, context: Readonly<Record<string, unknown>> | null): void =>
  writer.setContext(key, context)

/**
 * @since 0.1.0
 * @category scope
 */
export const setExtra = (key: string, value: unknown): void => writer.setExtra(key, value)

/**
 * @since 0.1.0
 * @category scope
 */
export const setExtras = (extra: Readonly<Record<string, unknown>>): void => writer.setExtras(extra)

/**
 * The level of every event that follows, whatever it had.
 *
 * @since 0.1.0
 * @category scope
 */
export const setLevel = (level: Level): void => writer.setLevel(level)

/**
 * What the server groups events by; `{{ default }}` stands for its own grouping.
 *
 * @since 0.1.0
 * @category scope
 */
export const setFingerprint = (fingerprint: ReadonlyArray<string>): void => writer.setFingerprint(fingerprint)

/**
 * The name of what is being done: a route, a job, a command.
 *
 * @since 0.1.0
 * @category scope
 */
export const setTransactionName = (name: string): void => writer.setTransactionName(name)

/**
 * A file that travels with every event that follows.
 *
 * @since 0.1.0
 * @category scope
 */
export const addAttachment = (attachment: Attachment): void => writer.addAttachment(attachment)

/**
 * A function that sees every event that follows: it returns the event, changed or not, or `null` to drop it.
 *
 * @since 0.1.0
 * @category scope
 */
export const addEventProcessor = (processor: EventProcessor): void => writer.addEventProcessor(processor)

/**
 * Several of the above at once.
 *
 * @since 0.1.0
 * @category scope
 */
export const configureScope = (context: ScopeContext): void => writer.configureScope(context)

/**
 * What a block of `withScope` can change of its own scope: everything that has a setter in this module.
 *
 * @since 0.1.0
 * @category models
 */
export type BlockScope = Pick<ScopeWriter<void>, keyof ScopeWriter<void>>

/**
 * Calls `body` with a scope for it alone: what is set there is on the events captured inside, also later in what `body` has
 * started, and nowhere else. The setters of this module go on writing the isolation scope, and outlast the block.
 *
 * @since 0.1.0
 * @category scope
 * @example
 * import * as Faultline from "effect-faultline/facade"
 *
 * Faultline.withScope((scope) => {
 *   scope.setTag("step", "import")
 *   Faultline.captureMessage("row skipped")
 * })
 */
export const withScope: {
  <A>(body: (scope: BlockScope) => A): A
  <A>(context: ScopeContext, body: (scope: BlockScope) => A): A
} = <A>(contextOrBody: ScopeContext | ((scope: BlockScope) => A), bodyWithContext?: (scope: BlockScope) => A): A => {
  const context = typeof contextOrBody === "function" ? undefined : contextOrBody
  const body = (typeof contextOrBody === "function" ? contextOrBody : bodyWithContext) as (scope: BlockScope) => A
  const carrier = currentCarrier()
  if (carrier === undefined) return body(new BlockWriter(undefined))
  const state = stateOf(carrier)
  const inner =
    clientOf(state)?.attempt("a scope", () => ScopeData.applyContext(state.current, context ?? {})) ?? state.current
  if (carrier instanceof Cell) {
    const cell = new Cell(carrier.home, inner)
    return runIn(cell, () => body(new BlockWriter(cell)))
  }
  const cell = new Cell(new IsolationCell(state), inner)
  try {
    return runIn(cell, () => body(new BlockWriter(cell)))
  } finally {
    replaceState(carrier, stateOf(carrier).withIsolation(cell.home.isolation))
  }
}

/**
 * Calls `body` with an isolation scope of its own (for a request, a job): it begins with what is known here, and nothing it
 * sets or records is seen outside.
 *
 * @since 0.1.0
 * @category scope
 * @example
 * import * as Faultline from "effect-faultline/facade"
 * import { createServer } from "node:http"
 *
 * createServer((request, response) =>
 *   Faultline.withIsolationScope(() => {
 *     Faultline.setTag("path", request.url)
 *     response.end("ok")
 *   })
 * )
 */
export const withIsolationScope = <A>(body: () => A): A => {
  const carrier = currentCarrier()
  if (carrier === undefined) return body()
  const { branch, state } = placeOf(carrier)
  return runIn(new Cell(new IsolationCell(state.isolate(branch))), body)
}

export type { ForkedScope } from "./hub/ForkedScope.js"

/**
 * The scope as it is here and now, to be handed over to code that would otherwise not have it (the consumer of a queue).
 *
 * @since 0.1.0
 * @category scope
 */
export const forkScope = (): ForkedScope => {
  const carrier = currentCarrier()
  if (carrier === undefined) return new ForkedScope(unowned)
  const { branch, state } = placeOf(carrier)
  return new ForkedScope(state.isolate(branch))
}

/**
 * Calls `body` in a scope that was handed over, in place of its own: it begins with what that one knew, and nothing it does is seen
 * anywhere else.
 *
 * @since 0.1.0
 * @category scope
 */
export const withForkedScope = <A>(scope: ForkedScope, body: () => A): A => {
  const carrier = currentCarrier()
  if (carrier === undefined) return body()
  if (stateOf(carrier).owner !== scope.state.owner) return withIsolationScope(body)
  return runIn(new Cell(new IsolationCell(scope.state.isolate(scope.state.trail.root))), body)
}

/**
 * The same function, reporting whatever it throws (or rejects with) before it goes on its way to the caller.
 *
 * @since 0.1.0
 * @category capture
 */
export const wrap = <Args extends ReadonlyArray<unknown>, A>(
  body: (...args: Args) => A,
  context?: CaptureContext
): ((...args: Args) => A) => {
  const report = (error: unknown): never => {
    captureException(error, context)
    throw error
  }
  return function (this: unknown, ...args: Args): A {
    try {
      const result = Reflect.apply(body, this, args)
      if (!(result instanceof Promise)) return result
      return result.catch(report) as A
    } catch (error) {
      return report(error)
    }
  }
}

/**
 * The headers that carry the trace on to whoever is asked next.
 *
 * @since 0.1.0
 * @category tracing
 */
export const getTraceData = (): { readonly "sentry-trace"?: string; readonly baggage?: string } => {
  const carrier = currentCarrier()
  const client = clientHere()
  if (carrier === undefined || client === undefined) return {}
  const { span, state } = placeOf(carrier)
  const headers = traceHeaders(state, span, (traceId) => client.samplingContext(traceId))
  return { "sentry-trace": headers.sentryTrace, baggage: headers.baggage }
}

/** What `Hub.layerConfig` reads, without the machinery of Config: at the start of a process every millisecond counts. */
const environment = (): HubOptions => {
  const read = (name: string): string | undefined => process.env[name] || undefined
  const sampleRate = number("SENTRY_SAMPLE_RATE", read)
  const debug = flag("SENTRY_DEBUG", read)
  return given({
    dsn: read("SENTRY_DSN"),
    release: read("SENTRY_RELEASE"),
    environment: read("SENTRY_ENVIRONMENT"),
    dist: read("SENTRY_DIST"),
    serverName: read("SENTRY_NAME"),
    sampleRate,
    debug,
    spotlight: configuredSpotlight(read("SENTRY_SPOTLIGHT"))
  })
}

type Read = (name: string) => string | undefined

const number = (name: string, read: Read): number | undefined => {
  const text = read(name)
  if (text === undefined) return undefined
  const value = Number(text)
  if (value >= 0 && value <= 1) return value
  throw new OptionsError({ option: name, reason: "must be a number from 0 to 1" })
}

const flag = (name: string, read: Read): boolean | undefined => {
  const text = read(name)?.toLowerCase()
  if (text === undefined) return undefined
  if (YES.has(text)) return true
  if (NO.has(text)) return false
  throw new OptionsError({ option: name, reason: "must be true or false" })
}

/** The words that `Config.boolean` knows. */
const YES = new Set(["true", "yes", "on", "1"])
const NO = new Set(["false", "no", "off", "0"])

interface Initialized {
  readonly hub: Hub.Service
  readonly scope: Scope.CloseableScope
  readonly cell: Cell
}

let current: Initialized | undefined

const clientHere = () => {
  const carrier = currentCarrier()
  return carrier === undefined ? undefined : clientOf(stateOf(carrier))
}

/** Writes the isolation scope of the code that is running. */
class CurrentWriter extends ScopeWriter<void> {
  protected change(change: (scope: ScopeData.ScopeData) => ScopeData.ScopeData): void {
    const carrier = currentCarrier()
    if (carrier === undefined) return
    const state = stateOf(carrier)
    clientOf(state)?.attempt("a scope", () => {
      if (carrier instanceof Cell) carrier.home.isolation = change(carrier.home.isolation)
      else replaceState(carrier, state.withIsolation(change(state.isolation)))
    })
  }
}

/** Writes the scope of one block. */
class BlockWriter extends ScopeWriter<void> {
  constructor(readonly cell: Cell | undefined) {
    super()
  }

  protected change(change: (scope: ScopeData.ScopeData) => ScopeData.ScopeData): void {
    const { cell } = this
    if (cell === undefined) return
    clientOf(stateOf(cell))?.attempt("a scope", () => {
      cell.current = change(cell.current)
    })
  }
}

const writer = new CurrentWriter()

const firstError = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
