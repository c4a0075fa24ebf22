/**
 * The hub: what a program reports to, what integrations hook into, and what is drained when the program ends.
 *
 * @since 0.1.0
 */
import { hostname } from "node:os"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { normalize } from "../event/normalize.js"
import type { EventId } from "../protocol/Event.js"
import { OptionsError } from "../protocol/OptionsError.js"
import { currentCarrier, HUB, stateOf } from "../scope/carrier.js"
import { inheritedScope } from "../scope/inherited.js"
import type { ScopeContext } from "../scope/ScopeData.js"
import { scopeRef } from "../scope/ScopeState.js"
import type { DeliveryStats } from "../transport/Delivery.js"
import { writeLine } from "../transport/debug.js"
import { Spool } from "../transport/Spool.js"
import { readSpotlight } from "../transport/spotlight.js"
import { Transport } from "../transport/Transport.js"
import { carryIntoAsync } from "./asyncContext.js"
import { Client } from "./Client.js"
import { drain, drainAndClose } from "./drain.js"
import { type DsnError, isPlainUrl, type Options, type ResolvedOptions, resolveOptions } from "./Options.js"
import { captureAt, clientOf, reportOf } from "./report.js"
import { installSupervisor, uninstallSupervisor } from "./supervisor.js"

/**
 * The service that integrations require. Programs rarely need it: `captureException` and its siblings find the hub by
 * themselves.
 *
 * @since 0.1.0
 * @category tags
 * @example
 * import { DefaultIntegrations, Hub } from "effect-faultline"
 * import { NodeRuntime } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 *
 * const Faultline = DefaultIntegrations.pipe(Layer.provideMerge(Hub.layerConfig()))
 *
 * Effect.fail("no luck").pipe(Effect.provide(Faultline), NodeRuntime.runMain)
 */
export class Hub extends Context.Tag(HUB)<Hub, Hub.Service>() {
  /**
   * A hub with these options and nothing else: nothing is read from the environment. A malformed DSN or a wrong option is a
   * failure of the layer; no DSN at all makes a hub that is inert.
   *
   * @since 0.1.0
   * @category layers
   */
  static layer(options: Options = {}): Layer.Layer<Hub, DsnError | OptionsError> {
    return Layer.scopedContext(Effect.map(Effect.tap(openHub(options), carryOn), (hub) => Context.make(Hub, hub)))
  }

  /**
   * A hub configured from the environment (Effect's `Config`): `SENTRY_DSN`, `SENTRY_RELEASE`, `SENTRY_ENVIRONMENT`,
   * `SENTRY_DIST`, `SENTRY_NAME` (the server's name), `SENTRY_SAMPLE_RATE`, `SENTRY_DEBUG`, `SENTRY_SPOTLIGHT`. Options given here win; an empty
   * variable counts as absent.
   *
   * @since 0.1.0
   * @category layers
   */
  static layerConfig(options: Options = {}): Layer.Layer<Hub, DsnError | OptionsError | ConfigError.ConfigError> {
    return Layer.unwrapEffect(Effect.map(environment, (configured) => Hub.layer(withOptions(configured, options))))
  }
}

/**
 * @since 0.1.0
 */
export declare namespace Hub {
  /**
   * @since 0.1.0
   * @category models
   */
  interface Service {
    /** The options with their defaults, without the DSN. */
    readonly options: Omit<ResolvedOptions, "dsn">
    /** Whether events leave: there is a DSN, and the hub is not closed. */
    readonly isEnabled: () => boolean
    /** Closes with the hub. Finalizers added to it run while events can still be sent. */
    readonly scope: Scope.Scope
    /** The names of the active integrations, sorted. */
    readonly integrations: () => ReadonlyArray<string>
    /** Waits until everything captured so far was answered; `false` if that took longer than `timeout`. */
    readonly flush: (timeout: Duration.DurationInput) => Effect.Effect<boolean>
    /** Flushes within `timeout` (default: `shutdownTimeout`) and stops reporting for good. */
    readonly close: (timeout?: Duration.DurationInput) => Effect.Effect<boolean>
    /** What is queued, on its way, sent, and lost for what reason. */
    readonly stats: Effect.Effect<DeliveryStats>
    /**
     * Reports from code that is no Effect (listeners, hooks): for integrations. The scope is that of `fiber`, by default of
     * the one running. Never throws; none if the event was dropped.
     */
    readonly unsafeCapture: (error: unknown, options?: UnsafeCaptureOptions) => Option.Option<EventId>
    /** @internal */
    readonly client: Client
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface UnsafeCaptureOptions {
  /** How it was caught. Default: `generic`. */
  readonly mechanism?: string | undefined
  /** Nothing in the program dealt with it. Default: `false`. */
  readonly escaped?: boolean | undefined
  readonly integration?: string | undefined
  readonly fiber?: Fiber.RuntimeFiber<unknown, unknown> | undefined
  readonly context?: ScopeContext | undefined
}

/** A hub that is current for the fiber that opens it, until `Scope` closes. @internal */
export const openHub = (options: Options): Effect.Effect<Hub.Service, DsnError | OptionsError, Scope.Scope> =>
  Effect.gen(function* () {
    const resolved = yield* Effect.try({
      try: () => resolveOptions(options, hostname()),
      catch: (error) => error as DsnError | OptionsError
    })
    const transport = resolved.transport ?? (yield* Transport)
    const spool = resolved.spool ?? (yield* Spool)
    const scope = yield* Effect.scope
    const before = yield* FiberRef.get(scopeRef)
    const client = yield* Effect.suspend(() => Effect.succeed(new Client(resolved, transport, spool))).pipe(
      Effect.catchSomeDefect((defect) =>
        defect instanceof OptionsError ? Option.some(Effect.fail(defect)) : Option.none()
      )
    )
    const hub = makeHub(client, scope)
    // Not `addFinalizer` of Effect: it would undo what the finalizer does to the FiberRefs.
    yield* Scope.addFinalizer(
      scope,
      Effect.suspend(() => Effect.all(client.registry.closing(), { discard: true })).pipe(
        Effect.ensuring(Effect.sync(() => client.close())),
        Effect.ensuring(uninstallSupervisor(client)),
        Effect.ensuring(leaveScope(client))
      )
    )
    yield* installSupervisor(client)
    const opened = inheritedScope(client).withOuter(before.opened)
    yield* FiberRef.set(scopeRef, opened)
    client.opened = opened
    yield* Effect.withFiberRuntime<void>((fiber) => {
      client.settled(fiber)
      return Effect.void
    })
    return hub
  })

/** Not before everything is set up: a process in which nothing of the program is asynchronous has no need of it. @internal */
export const carryOn = ({ client }: Hub.Service): Effect.Effect<void> =>
  Effect.withFiberRuntime<void>((fiber) => {
    if (client.delivery !== undefined) client.onClose(carryIntoAsync(fiber))
    return Effect.void
  })

const makeHub = (client: Client, scope: Scope.Scope): Hub.Service => {
  const { dsn: _, ...options } = client.options
  const hub: Hub.Service = {
    options,
    scope,
    client,
    isEnabled: () => client.isOpen && client.delivery !== undefined,
    integrations: () => client.registry.active.map(({ name }) => name).toSorted(),
    flush: (timeout) => Effect.suspend(() => drain(client, Duration.toMillis(timeout))),
    close: (timeout) => Effect.suspend(() => drainAndClose(client, timeout)),
    stats: Effect.sync(() => client.stats),
    unsafeCapture: (error, captureOptions = {}) => Option.fromNullable(unsafeCapture(client, error, captureOptions))
  }
  // What a logger makes of a hub is text: in circles it could not be written, and of a client it would say too much.
  Object.defineProperty(hub, "toJSON", { value: () => shownHub(hub) })
  return hub
}

const shownHub = (hub: Hub.Service): object => {
  const { spool: _, transport: __, ...options } = hub.options
  return { options: normalize(options, 4, 100), isEnabled: hub.isEnabled(), integrations: hub.integrations() }
}

const unsafeCapture = (client: Client, error: unknown, options: UnsafeCaptureOptions): EventId | undefined => {
  const report = reportOf(error, {
    mechanism: { type: options.mechanism ?? "generic", handled: options.escaped !== true },
    escaped: options.escaped,
    integration: options.integration,
    context: options.context
  })
  if (report === undefined) return undefined
  const carrier = options.fiber ?? currentCarrier()
  if (carrier !== undefined && clientOf(stateOf(carrier)) === client) return captureAt(carrier, report)
  return client.capture(report, client.mainPlace())
}

/** Back to the hub outside this one, or to none. */
const leaveScope = (client: Client): Effect.Effect<void> =>
  FiberRef.update(scopeRef, (state) => (state.owner === client ? state.outside : state))

const environment: Config.Config<Options> = Config.map(
  Config.all({
    dsn: Config.option(Config.redacted("SENTRY_DSN")),
    release: Config.option(Config.string("SENTRY_RELEASE")),
    environment: Config.option(Config.string("SENTRY_ENVIRONMENT")),
    dist: Config.option(Config.string("SENTRY_DIST")),
    serverName: Config.option(Config.nonEmptyString("SENTRY_NAME")),
    sampleRate: Config.option(Config.number("SENTRY_SAMPLE_RATE")),
    debug: Config.option(Config.boolean("SENTRY_DEBUG")),
    spotlight: Config.option(Config.string("SENTRY_SPOTLIGHT"))
  }),
  (found): Options => {
    const options: Record<string, unknown> = {}
    for (const [key, value] of Object.entries<Option.Option<unknown>>(found)) {
      if (Option.isSome(value))
        options[key] = key === "spotlight" ? configuredSpotlight(value.value as string) : value.value
    }
    return options
  }
)

/** A tool for developers is no reason for a program not to start. @internal */
export const configuredSpotlight = (text: string | undefined): boolean | string | undefined => {
  const spotlight = readSpotlight(text ?? "")
  if (typeof spotlight !== "string" || isPlainUrl(spotlight)) return spotlight
  writeLine("[faultline] SENTRY_SPOTLIGHT is neither a word for yes or no, nor an http or https URL: it is ignored")
  return undefined
}

/** What is configured, unless the options say something else. @internal */
export const withOptions = (configured: Options, options: Options): Options => {
  const [wanted, address] = [options.spotlight, configured.spotlight]
  const merged = { ...configured, ...given(options) }
  if (typeof address !== "string") return merged
  // `true` says that it is wanted, the variable says where it is.
  if (wanted === true) return { ...merged, spotlight: address }
  if (typeof wanted === "string" && wanted !== address)
    writeLine(`[faultline] Spotlight is looked for at ${wanted}, as the options say, not where SENTRY_SPOTLIGHT says`)
  return merged
}

/** Without the keys whose value is `undefined`: they do not hide what the environment says. @internal */
export const given = (options: Options): Options =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
