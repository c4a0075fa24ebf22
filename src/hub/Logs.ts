/**
 * The way of a structured log: attributes of the scope and of the hub, `beforeSendLog`, the buffer.
 */
import type * as Tracer from "effect/Tracer"
import { encodeAttributes, encodeLog, reduceLog } from "../event/encodeLog.js"
import type { User } from "../protocol/Event.js"
import type { Log, LogSeverity } from "../protocol/Log.js"
import { SDK_NAME, SDK_VERSION } from "../protocol/Sdk.js"
import type { ScopeData } from "../scope/ScopeData.js"
import type { ScopeState } from "../scope/ScopeState.js"
import type { CountedItem, Delivery } from "../transport/Delivery.js"
import type { Debug } from "../transport/debug.js"
import { LogBuffer } from "../transport/LogBuffer.js"
import type { Outcomes } from "../transport/Outcomes.js"
import type { ResolvedOptions } from "./Options.js"

/** The hub that the logs are of. @internal */
export interface LogsOwner {
  readonly options: ResolvedOptions
  readonly outcomes: Outcomes
  readonly delivery: Delivery | undefined
  readonly debug: Debug
  readonly globalScope: ScopeData
  readonly isOpen: boolean
  readonly isInCallback: boolean
  /** Whether the server takes such items. */
  readonly accepts: (type: "log") => boolean
  readonly offer: (item: CountedItem) => boolean
  readonly attempt: (name: string, call: () => void) => void
}

/** Where and when something is logged. */
interface Place {
  readonly state: ScopeState
  readonly now: number
  readonly span: Tracer.AnySpan | undefined
}

/** What is to be logged. @internal */
export interface LogInput {
  readonly level: LogSeverity
  readonly message: string
  /** The message with places for `params`. */
  readonly template?: string | undefined
  readonly params?: ReadonlyArray<unknown> | undefined
  /** What wrote it, if that was not the program's own call. */
  readonly origin?: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Calls user code with the SDK closed to it; returns `FAILED` where it throws. */
type Guarded = <A>(name: string, call: () => A) => A | typeof FAILED

/** @internal */
export const FAILED: unique symbol = Symbol("failed")

/** @internal */
export class Logs {
  readonly #buffer: LogBuffer
  readonly #defaults: Readonly<Record<string, unknown>>
  readonly #encodedDefaults: string
  readonly #encodedUsers = new WeakMap<User, string>()
  /** Tells logs of one millisecond apart, which a clock that stands still may give to all. */
  #millis = 0
  #sequence = 0

  constructor(
    readonly client: LogsOwner,
    readonly guarded: Guarded
  ) {
    const { environment, release, serverName } = client.options
    this.#defaults = {
      "sentry.environment": environment,
      ...(release === undefined ? undefined : { "sentry.release": release }),
      "sentry.sdk.name": SDK_NAME,
      "sentry.sdk.version": SDK_VERSION,
      ...(serverName === undefined ? undefined : { "server.address": serverName })
    }
    this.#encodedDefaults = encodeAttributes(this.#defaults)
    this.#buffer = new LogBuffer({
      outcomes: client.outcomes,
      debug: client.debug,
      isExiting: () => client.delivery?.isExiting === true,
      offer: (item, settled) => {
        if (client.offer(item)) client.delivery?.whenSettled(settled, false)
        else settled()
      }
    })
  }

  add(input: LogInput, place: Place): void {
    const { client } = this
    if (!client.isOpen || client.isInCallback || !client.accepts("log")) return
    client.attempt("a log", () => {
      if (input.origin === undefined) client.debug(`log ${input.level}: ${input.message}`)
      const json = this.#encoded(input, place)
      if (json !== undefined) this.#buffer.add(json)
    })
  }

  /** What there is goes into the queue. */
  flush(): void {
    this.client.attempt("the logs", () => this.#buffer.flush())
  }

  close(): void {
    this.#buffer.close()
  }

  /** As JSON; `undefined` if it is not to be sent. */
  #encoded(input: LogInput, place: Place): string | undefined {
    const { span, state } = place
    const log: Log = {
      timestamp: place.now / 1000,
      level: input.level,
      message: input.message,
      attributes: input.attributes
    }
    const { beforeSendLog } = this.client.options
    // Nobody looks at it, and nothing hides what we add.
    if (beforeSendLog === undefined && !Object.keys(input.attributes).some(isOurs)) {
      const known = this.#encodedDefaults + this.#encodedUser(state)
      return encodeLog(log, span, state.propagation, encodeAttributes(this.#added(input, place.now), known))
    }
    log.attributes = {
      ...this.#defaults,
      ...userAttributes(this.#userOf(state)),
      ...this.#added(input, place.now),
      ...input.attributes
    }
    if (beforeSendLog === undefined) return encodeLog(log, span, state.propagation)
    const encode = (sent: Log): string | undefined => encodeLog(sent, span, state.propagation)
    const result: unknown = this.guarded("beforeSendLog", () => beforeSendLog(log))
    if (result === null) return this.#drop(encode(log), "beforeSendLog returned null")
    if (typeof result === "object" && !(result instanceof Promise)) {
      return encode(result as Log) ?? this.#drop(undefined, "beforeSendLog returned what is no log")
    }
    this.client.debug("beforeSendLog failed: the log is sent without anything that can hold user data")
    return encodeLog(
      reduceLog({ ...log, level: input.level, timestamp: place.now / 1000 }),
      span,
      state.propagation,
      this.#encodedDefaults
    )
  }

  /** What is known besides what the log itself says. */
  #added({ origin, params, template }: LogInput, now: number): Record<string, unknown> {
    const added: Record<string, unknown> = { "sentry.timestamp.sequence": this.#nextInSequence(now) }
    if (origin !== undefined) added["sentry.origin"] = origin
    // A template without parameters would be the message over again.
    if (template !== undefined && params !== undefined && params.length > 0) {
      added["sentry.message.template"] = template
      for (let index = 0; index < params.length; index++) added[`sentry.message.parameter.${index}`] = params[index]
    }
    return added
  }

  #userOf(state: ScopeState): User | null | undefined {
    const { current, isolation } = state
    if (current.user !== undefined) return current.user
    return isolation.user === undefined ? this.client.globalScope.user : isolation.user
  }

  /** A user is the same for many logs. */
  #encodedUser(state: ScopeState): string {
    const user = this.#userOf(state)
    if (user === undefined || user === null) return ""
    let encoded = this.#encodedUsers.get(user)
    if (encoded === undefined) {
      const members = encodeAttributes(userAttributes(user))
      encoded = members === "" ? "" : `,${members}`
      this.#encodedUsers.set(user, encoded)
    }
    return encoded
  }

  #nextInSequence(now: number): number {
    const millis = Math.floor(now)
    if (millis !== this.#millis) this.#sequence = 0
    this.#millis = millis
    return this.#sequence++
  }

  #drop(json: string | undefined, why: string): undefined {
    const { debug, outcomes } = this.client
    outcomes.record("before_send", "log_item")
    outcomes.record("before_send", "log_byte", Buffer.byteLength(json ?? ""))
    debug(`a log was dropped: ${why}`)
  }
}

const userAttributes = (user: User | null | undefined): Record<string, unknown> => {
  const attributes: Record<string, unknown> = {}
  if (user?.id !== undefined) attributes["user.id"] = String(user.id)
  if (user?.username !== undefined) attributes["user.name"] = user.username
  if (user?.email !== undefined) attributes["user.email"] = user.email
  return attributes
}

const isOurs = (name: string): boolean => name.startsWith("sentry.") || OURS.has(name)

const OURS = new Set(["server.address", "user.id", "user.name", "user.email"])
