/**
 * The options of a hub, their defaults, and what is said about those that are wrong.
 *
 * @since 0.1.0
 */
import { readFileSync } from "node:fs"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { isClass, type PolicyRule, policyProblem } from "../event/policy.js"
import type { Breadcrumb, BreadcrumbHint } from "../protocol/Breadcrumb.js"
import {
  type Check,
  type Checks,
  checkOptions,
  isCount,
  isDuration,
  isFlag,
  isFunction,
  isListOf,
  isObject,
  isText,
  isTexts
} from "../protocol/checkOptions.js"
import { type Dsn, isDsnProblem, parseDsn } from "../protocol/Dsn.js"
import type { Event } from "../protocol/Event.js"
import type { Log } from "../protocol/Log.js"
import { OptionsError } from "../protocol/OptionsError.js"
import type { EventHint } from "../scope/EventHint.js"
import type { ScopeContext } from "../scope/ScopeData.js"
import { describeError } from "../transport/debug.js"
import { type Profile, profiles } from "../transport/profiles.js"
import { parseProxy } from "../transport/proxy.js"
import type { Spool } from "../transport/Spool.js"
import { SPOTLIGHT_PATIENCE_MILLIS, SPOTLIGHT_URL } from "../transport/spotlight.js"
import type { Transport } from "../transport/Transport.js"
import type { BudgetOptions } from "./budget.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where events go. Without one the hub is inert: everything may be called, nothing leaves. */
  readonly dsn?: string | Redacted.Redacted | undefined
  /** The version of the program, e.g. `shop@1.4.2`. */
  readonly release?: string | undefined
  /** Default: `production`. */
  readonly environment?: string | undefined
  /** The build of a release. */
  readonly dist?: string | undefined
  /** Default: the host's name. `""` leaves it out. */
  readonly serverName?: string | undefined
  /** The share of events that is sent, 0 to 1. Default: 1. */
  readonly sampleRate?: number | undefined
  /** The share of events like this one that is sent, 0 to 1 (`true` is 1, `false` is 0); takes the place of `sampleRate`. */
  readonly errorSampler?: ((event: Event, hint: EventHint) => number | boolean) | undefined
  /** How many breadcrumbs an event shows. Default: 100. */
  readonly maxBreadcrumbs?: number | undefined
  /**
   * The last word on every event: it returns the event, changed or not, or `null` to drop it. If it throws, what leaves is
   * the event without anything that can hold user data.
   */
  readonly beforeSend?: ((event: Event, hint: EventHint) => Event | null) | undefined
  /**
   * Sees every breadcrumb before it is recorded and may change or (`null`) drop it. If it throws, only category, level and
   * time are recorded.
   */
  readonly beforeBreadcrumb?: ((breadcrumb: Breadcrumb, hint: BreadcrumbHint) => Breadcrumb | null) | undefined
  /**
   * Whether structured logs are sent: what `Effect.log` and its siblings write, as far as the integration `Logging` lets it through
   * (`logsLevel`), and what the facade's `logger` does. Default: `false`.
   */
  readonly enableLogs?: boolean | undefined
  /**
   * The last word on every structured log: it returns the log, changed or not, or `null` to drop it. If it throws, what leaves is
   * the log without anything that can hold user data.
   */
  readonly beforeSendLog?: ((log: Log) => Log | null) | undefined
  /**
   * Errors that are not reported: a text that is the error's type (`_tag` or name) or part of its message, a pattern for
   * `type: message`, or a class (with its subclasses).
   */
  readonly ignoreErrors?: ReadonlyArray<string | RegExp | (abstract new (...args: Array<never>) => unknown)> | undefined
  /**
   * What is done with some errors, by their `_tag`, class, HTTP status or a predicate: ignored, or reported with another level,
   * `handled`, fingerprint or tags. Default: `[]`.
   */
  readonly policy?: ReadonlyArray<PolicyRule> | undefined
  /** How long the program may be held up at its end while events are sent. Default: 2 seconds. 0: not at all. */
  readonly shutdownTimeout?: Duration.DurationInput | undefined
  /** Whether personal data that nobody set on purpose may be sent (process arguments, request data). Default: `false`. */
  readonly sendDefaultPii?: boolean | undefined
  /** Whether messages carry the stack of where they were captured. Default: `false`. */
  readonly attachStacktrace?: boolean | undefined
  /** Cuts messages and exception values to this many characters. Default: only what servers would reject is cut. */
  readonly maxValueLength?: number | undefined
  /** Packages or paths (prefixes) whose frames count as the application's. They win over `inAppExclude`. */
  readonly inAppInclude?: ReadonlyArray<string> | undefined
  /** Packages or paths (prefixes) whose frames do not. */
  readonly inAppExclude?: ReadonlyArray<string> | undefined
  /** Lines of source before and after each frame of the application. Default: 5. 0 reads no source. */
  readonly frameContextLines?: number | undefined
  /**
   * Whether frames of generated code are shown where they were written, by the source map beside the file or in it. Files with a debug
   * id are left to the server. Default: `true`.
   */
  readonly sourceMaps?: boolean | undefined
  /** Paths in frames are relative to it. Default: the working directory. */
  readonly projectRoot?: string | undefined
  /** Whether the SDK says on standard error what it does. Default: `false`. */
  readonly debug?: boolean | undefined
  /** `false` leaves out all default integrations, also those that `DefaultIntegrations` would add. Default: `true`. */
  readonly defaultIntegrations?: boolean | undefined
  /** How envelopes leave the process; takes the place of the `Transport` service. */
  readonly transport?: Transport.Service | undefined
  /**
   * Which kind of server it is; only `sentry` is sent more than events. Default: `sentry`, which others can live with: what one
   * refuses it is not sent again.
   */
  readonly profile?: Profile | undefined
  /** Where envelopes outlive the process (`Spool.make`); takes the place of the `Spool` service. Default: nowhere. */
  readonly spool?: Spool.Service | undefined
  /** Scope data that every event of this hub carries: the global scope. */
  readonly initialScope?: ScopeContext | undefined
  /**
   * How many events of one and the same thing are sent, so that a bug in a loop does not use up a quota. What counts as the same is
   * decided by fingerprint, or else by type, top frame and the shape of the message. The next event that is sent tells in
   * `contexts.budget` how many were held back. `false`: all are sent. Default: 10,000 at once, and 30 a minute.
   */
  readonly budget?: boolean | BudgetOptions | undefined
  /**
   * Attributes of spans (`Effect.annotateSpans`, `Effect.withSpan`) that become tags: their names, of which `*` stands for any
   * characters. They are those of the span an error was raised in and of the spans around it, the innermost first. Default: none.
   */
  readonly spanTags?: ReadonlyArray<string> | undefined
  /** The URLs whose requests carry the trace on: a text that is part of the URL, or a pattern. Default: all; `[]`: none. */
  readonly tracePropagationTargets?: ReadonlyArray<string | RegExp> | undefined
  /**
   * Envelopes are posted to this URL instead of the DSN's server, without its key in a header: for a server of your own that passes
   * them on by the `dsn` in the envelope's header.
   */
  readonly tunnel?: string | undefined
  /**
   * The URL of the proxy to go through; `""`: none. Default: what the variables `http_proxy` and `https_proxy` say, unless `no_proxy`
   * exempts the server.
   */
  readonly proxy?: string | Redacted.Redacted | undefined
  /**
   * Certificates (PEM) that are trusted instead of those that Node trusts: each the text itself, or the path of a file. (The variable
   * `NODE_EXTRA_CA_CERTS` adds some to Node's own.)
   */
  readonly caCerts?: string | ReadonlyArray<string> | undefined
  /**
   * Whether Spotlight, on this machine, is shown everything that is sent, and what is not sampled: `true`, or its URL. Without a DSN
   * it alone gets the events, all of them, and with personal data unless `sendDefaultPii` is `false`. Default: `false`.
   */
  readonly spotlight?: boolean | string | undefined
  /** How many envelopes may wait to be sent. Default: 12,000. */
  readonly maxQueueSize?: number | undefined
  /** How many bytes they may take together; a long queue is held packed. Default: 32 MiB. */
  readonly maxQueueBytes?: number | undefined
  /** Larger attachments are left out. Default: 20 MiB. */
  readonly maxAttachmentBytes?: number | undefined
  /** Whether the server is told what was not sent. Default: `true`. */
  readonly sendClientReports?: boolean | undefined
}

/** @internal */
export interface ResolvedOptions {
  readonly dsn: Dsn | undefined
  readonly release: string | undefined
  readonly environment: string
  readonly dist: string | undefined
  readonly serverName: string | undefined
  readonly sampleRate: number
  readonly errorSampler: Options["errorSampler"]
  readonly maxBreadcrumbs: number
  readonly beforeSend: Options["beforeSend"]
  readonly beforeBreadcrumb: Options["beforeBreadcrumb"]
  readonly enableLogs: boolean
  readonly beforeSendLog: Options["beforeSendLog"]
  readonly ignoreErrors: NonNullable<Options["ignoreErrors"]>
  readonly policy: ReadonlyArray<PolicyRule>
  readonly shutdownTimeoutMillis: number
  readonly sendDefaultPii: boolean
  readonly attachStacktrace: boolean
  readonly maxValueLength: number | undefined
  readonly inAppInclude: ReadonlyArray<string>
  readonly inAppExclude: ReadonlyArray<string>
  readonly frameContextLines: number
  readonly sourceMaps: boolean
  readonly projectRoot: string
  readonly debug: boolean
  readonly defaultIntegrations: boolean
  readonly transport: Transport.Service | undefined
  readonly profile: Profile
  readonly spool: Spool.Service | undefined
  readonly initialScope: ScopeContext
  readonly budget: { readonly burst: number; readonly perMinute: number } | undefined
  readonly spanTags: ReadonlyArray<string>
  readonly tracePropagationTargets: ReadonlyArray<string | RegExp> | undefined
  readonly tunnel: string | undefined
  readonly proxy: Redacted.Redacted | undefined
  readonly caCerts: ReadonlyArray<string> | undefined
  /** Its URL. */
  readonly spotlight: string | undefined
  readonly maxQueueSize: number
  readonly maxQueueBytes: number
  readonly maxAttachmentBytes: number
  readonly sendClientReports: boolean
}

/**
 * The DSN cannot be used. The message does not repeat its keys.
 *
 * @since 0.1.0
 * @category errors
 */
export class DsnError extends Data.TaggedError("DsnError")<{ readonly reason: string }> {
  override get message(): string {
    return `The DSN is malformed: ${this.reason}.`
  }
}

/** Checks everything and fills in defaults; throws a `DsnError` or an `OptionsError`. @internal */
export const resolveOptions = (options: Options, hostname: string): ResolvedOptions => {
  checkOptions(options, checks)
  const dsn = resolveDsn(options.dsn)
  const spotlight = options.spotlight === true ? SPOTLIGHT_URL : options.spotlight || undefined
  const isLocal = dsn === undefined && spotlight !== undefined
  const patience = isLocal ? SPOTLIGHT_PATIENCE_MILLIS : Number.POSITIVE_INFINITY
  return {
    dsn,
    spotlight,
    release: text(options.release),
    environment: text(options.environment) ?? "production",
    dist: text(options.dist),
    serverName: text(options.serverName ?? hostname),
    sampleRate: isLocal ? 1 : (options.sampleRate ?? 1),
    errorSampler: isLocal ? undefined : options.errorSampler,
    maxBreadcrumbs: options.maxBreadcrumbs ?? 100,
    beforeSend: options.beforeSend,
    beforeBreadcrumb: options.beforeBreadcrumb,
    enableLogs: options.enableLogs ?? false,
    beforeSendLog: options.beforeSendLog,
    ignoreErrors: options.ignoreErrors ?? [],
    policy: options.policy ?? [],
    shutdownTimeoutMillis: Math.min(patience, timerMillis(options.shutdownTimeout ?? "2 seconds")),
    sendDefaultPii: options.sendDefaultPii ?? isLocal,
    attachStacktrace: options.attachStacktrace ?? false,
    maxValueLength: options.maxValueLength,
    inAppInclude: options.inAppInclude ?? [],
    inAppExclude: options.inAppExclude ?? [],
    frameContextLines: options.frameContextLines ?? 5,
    sourceMaps: options.sourceMaps ?? true,
    projectRoot: options.projectRoot ?? process.cwd(),
    debug: options.debug ?? false,
    defaultIntegrations: options.defaultIntegrations ?? true,
    transport: options.transport,
    profile: options.profile ?? "sentry",
    spool: options.spool,
    initialScope: options.initialScope ?? {},
    budget: resolveBudget(options.budget ?? true),
    spanTags: options.spanTags ?? [],
    tracePropagationTargets: options.tracePropagationTargets,
    tunnel: text(options.tunnel),
    proxy: redacted(options.proxy),
    caCerts: resolveCertificates(options.caCerts),
    maxQueueSize: options.maxQueueSize ?? 12_000,
    maxQueueBytes: options.maxQueueBytes ?? 32 * 1024 * 1024,
    maxAttachmentBytes: options.maxAttachmentBytes ?? 20 * 1024 * 1024,
    sendClientReports: options.sendClientReports ?? true
  }
}

const resolveBudget = (budget: boolean | BudgetOptions): ResolvedOptions["budget"] => {
  if (budget === false) return undefined
  const { burst = 10_000, perMinute = 30 } = budget === true ? {} : budget
  return { burst, perMinute }
}

/** Within what a timer can wait: it takes a longer time for none. */
const timerMillis = (duration: Duration.DurationInput): number =>
  Math.min(Math.max(0, Duration.toMillis(duration)), 2 ** 31 - 1)

const isRate: Check = (value) =>
  typeof value === "number" && value >= 0 && value <= 1 ? undefined : "must be a number from 0 to 1"
const isBudget = (value: unknown): boolean =>
  isObject(value) === undefined &&
  Object.entries(value as object).every(
    ([key, count]) =>
      count === undefined ||
      (key === "burst" && Number.isInteger(count) && count >= 1) ||
      (key === "perMinute" && Number.isFinite(count) && count >= 0)
  )
const isTransport: Check = (value) =>
  isFunction((value as { open?: unknown } | null)?.open) === undefined
    ? undefined
    : "must be a transport (an object with `open`)"

const isSpool: Check = (value) =>
  isFunction((value as { open?: unknown } | null)?.open) === undefined ? undefined : "must be made by `Spool.make`"

/** @internal */
export const isPlainUrl = (value: string): boolean => {
  if (!URL.canParse(value)) return false
  const { password, protocol, username } = new URL(value)
  return (protocol === "http:" || protocol === "https:") && username === "" && password === ""
}
// What is wrong is not quoted: it may hold a password.
const isProxy: Check = (value) => {
  const written = Redacted.isRedacted(value) ? Redacted.value(value) : value
  return typeof written === "string" && (written.trim() === "" || parseProxy(written.trim()) !== undefined)
    ? undefined
    : "must be the http or https URL of a proxy"
}
const checks: Checks<Options> = {
  dsn: (value) =>
    typeof (Redacted.isRedacted(value) ? Redacted.value(value) : value) === "string"
      ? undefined
      : "must be a string or Redacted",
  release: isText,
  environment: isText,
  dist: isText,
  serverName: isText,
  sampleRate: isRate,
  errorSampler: isFunction,
  maxBreadcrumbs: isCount,
  beforeSend: isFunction,
  beforeBreadcrumb: isFunction,
  enableLogs: isFlag,
  beforeSendLog: isFunction,
  ignoreErrors: isListOf(
    "texts, patterns and classes",
    (item) => typeof item === "string" || item instanceof RegExp || isClass(item)
  ),
  policy: policyProblem,
  shutdownTimeout: isDuration,
  sendDefaultPii: isFlag,
  attachStacktrace: isFlag,
  maxValueLength: isCount,
  inAppInclude: isTexts,
  inAppExclude: isTexts,
  frameContextLines: isCount,
  sourceMaps: isFlag,
  projectRoot: isText,
  debug: isFlag,
  defaultIntegrations: isFlag,
  transport: isTransport,
  profile: (value) =>
    typeof value === "string" && Object.hasOwn(profiles, value)
      ? undefined
      : `must be one of ${Object.keys(profiles).join(", ")}`,
  spool: isSpool,
  initialScope: isObject,
  budget: (value) =>
    typeof value === "boolean" || isBudget(value) ? undefined : "must be true, false or { burst, perMinute }",
  spanTags: isTexts,
  tracePropagationTargets: isListOf("texts and patterns", (item) => typeof item === "string" || item instanceof RegExp),
  tunnel: (value) =>
    isText(value) ??
    (value === "" || isPlainUrl(value as string) ? undefined : "must be an http or https URL, without a user"),
  proxy: isProxy,
  caCerts: (value) => (typeof value === "string" ? undefined : isTexts(value)),
  spotlight: (value) =>
    typeof value === "boolean" || value === "" || (typeof value === "string" && isPlainUrl(value))
      ? undefined
      : "must be true, false, or an http or https URL, without a user",
  maxQueueSize: isCount,
  maxQueueBytes: isCount,
  maxAttachmentBytes: isCount,
  sendClientReports: isFlag
}

const text = (value: string | undefined): string | undefined =>
  value === undefined || value === "" ? undefined : value.toWellFormed()

const resolveDsn = (dsn: Options["dsn"]): Dsn | undefined => {
  const written = Redacted.isRedacted(dsn) ? Redacted.value(dsn) : dsn
  if (written === undefined || written.trim() === "") return undefined
  const parsed = parseDsn(written)
  if (isDsnProblem(parsed)) throw new DsnError({ reason: parsed.reason })
  return parsed
}

const redacted = (value: string | Redacted.Redacted | undefined): Redacted.Redacted | undefined =>
  typeof value === "string" ? Redacted.make(value.trim()) : value

const resolveCertificates = (given: Options["caCerts"]): ReadonlyArray<string> | undefined => {
  const certificates = typeof given === "string" ? [given] : given
  if (certificates === undefined || certificates.length === 0) return undefined
  return certificates.map((certificate) => {
    if (certificate.includes("-----BEGIN")) return checkedCertificates(certificate, "the text")
    let text: string
    try {
      text = readFileSync(certificate, "utf8")
    } catch (error) {
      throw new OptionsError({ option: "caCerts", reason: `names a file that cannot be read: ${describeError(error)}` })
    }
    return checkedCertificates(text, `the file ${certificate}`)
  })
}

/** One that cannot be read, TLS would pass over: nothing would be trusted, and nothing sent. */
const checkedCertificates = (pem: string, where: string): string => {
  const { X509Certificate } = process.getBuiltinModule("node:crypto")
  const blocks = pem.match(/-----BEGIN ([A-Z0-9 ]*CERTIFICATE)-----[^-]*-----END \1-----/g) ?? []
  const isRead = (block: string): boolean => {
    try {
      return Boolean(new X509Certificate(block))
    } catch {
      return false
    }
  }
  if (blocks.length > 0 && blocks.every(isRead)) return pem
  // What is in the file is not quoted: it may be a key.
  throw new OptionsError({
    option: "caCerts",
    reason: `must be certificates (PEM), and ${where} holds ${blocks.length === 0 ? "none" : "one that cannot be read"}`
  })
}
