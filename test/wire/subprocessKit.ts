/**
 * What the tests of subprocesses share.
 */
import type * as childProcess from "node:child_process"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import { crumbsIn, flushed, hubAt, settle } from "./kit.js"

export type Environment = Readonly<Record<string, string>>
/** The output of a child, once it is gone for good. */
export const outputOf = (start: () => childProcess.ChildProcess): Effect.Effect<string, unknown> =>
  Effect.async((resume) => {
    const child = start()
    let output = ""
    child.stdout?.on("data", (chunk) => (output += String(chunk)))
    child.on("error", (error) => resume(Effect.fail(error)))
    child.on("close", () => resume(Effect.succeed(output)))
  })

export const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"]

/** Runs the effect with `Stdlib` on: the breadcrumbs of an event afterwards, and the trace it is of. */
export const running = <A, E>(
  effect: Effect.Effect<A, E, Scope.Scope>,
  options: Faultline.Options = {},
  integrations: Layer.Layer<never, never, Faultline.Hub> = Faultline.Stdlib.layer()
) =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    const result = yield* Effect.zipLeft(effect, Effect.zipRight(Faultline.captureMessage("after"), flushed)).pipe(
      Effect.provide(integrations.pipe(Layer.provideMerge(hubAt(ingest, options))))
    )
    const event = yield* ingest.event()
    const trace = (event["contexts"] as Record<string, Json>)["trace"] as Json
    return {
      result,
      crumbs: crumbsIn(settle(event)),
      sentryTrace: `${String(trace["trace_id"])}-${String(trace["span_id"])}`
    }
  })

export const crumb = (message: string, own: Json = {}): Json => ({
  timestamp: "<timestamp>",
  type: "subprocess",
  category: "subprocess",
  message,
  ...own
})

/** What of an environment is ours, and what is not. */
export function split(environment: Environment) {
  const isOurs = ([name]: readonly [string, string]): boolean => /^(?:SENTRY|SUBPROCESS|FAULTLINE)_/.test(name)
  const entries = Object.entries(environment)
  return {
    added: Object.fromEntries(entries.filter(isOurs)) as Record<string, string>,
    others: Object.fromEntries(entries.filter((entry) => !isOurs(entry)))
  }
}

/** Without what shells and `fork` put into an environment. */
export function without(environment: Environment): Environment {
  const {
    NODE_CHANNEL_FD: _,
    NODE_CHANNEL_SERIALIZATION_MODE: __,
    OLDPWD: ___,
    PWD: ____,
    SHLVL: _____,
    _: ______,
    ...rest
  } = environment
  return rest
}

export function baggage(sentryTrace: string): string {
  return `sentry-trace_id=${sentryTrace.slice(0, 32)},sentry-public_key=public,sentry-environment=production`
}

export function variables(sentryTrace: string): Environment {
  return {
    SENTRY_TRACE: sentryTrace,
    SENTRY_BAGGAGE: baggage(sentryTrace),
    SUBPROCESS_SENTRY_TRACE: sentryTrace,
    SUBPROCESS_BAGGAGE: baggage(sentryTrace)
  }
}
