/**
 * How envelopes leave the process. The default is a thin sender over `node:http(s)`; a Layer, or the `transport` option, puts
 * another in its place.
 *
 * @since 0.1.0
 */

import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import type { Dsn } from "../protocol/Dsn.js"
import { silent, silently } from "../scope/carrier.js"
import { scopeRef } from "../scope/ScopeState.js"
import { makeHttpSender } from "./httpSender.js"

/**
 * Where to send, and how to say who is sending.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target extends Endpoint {
  readonly dsn: Dsn
}

/**
 * Where envelopes are posted to, and how to get there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Endpoint {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** The URL of a proxy, from the options or the environment. It may hold a password. */
  readonly proxy?: Redacted.Redacted | undefined
  /** Certificates (PEM) to be trusted, instead of those that Node trusts. */
  readonly ca?: ReadonlyArray<string> | undefined
}

/**
 * What became of an envelope: the server's answer, or the reason there was none.
 *
 * @since 0.1.0
 * @category models
 */
export type SendResult =
  | {
      readonly _tag: "Answered"
      readonly status: number
      readonly rateLimits?: string | undefined
      readonly retryAfter?: string | undefined
      readonly detail?: string | undefined
    }
  | { readonly _tag: "Failed"; readonly reason: string }

/**
 * An envelope on its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sending {
  /**
   * Whether every byte was given to the operating system. When the process exits, nothing asynchronous runs any more: what was not
   * handed over is cut off and sent by `sendSync`; for the answer to what was, `poll` is asked.
   */
  readonly handedOver: boolean
  /**
   * Looks, without waiting, whether the answer has come, and calls `done` if so. `false`: it cannot be known that way, or the
   * connection is lost, and the envelope has to be sent again. Without `poll`, what was handed over is taken to arrive even if the
   * process ends now.
   */
  readonly poll?: (() => boolean) | undefined
  readonly abort: () => void
}

/**
 * A connection to one server. `send` must call `done` exactly once and must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sender {
  /**
   * `false`: once `done` was called, nothing looks at the bytes of the envelope any more, and they may be used for the next one.
   * Default: `true`.
   */
  readonly keepsEnvelope?: boolean | undefined
  readonly send: (envelope: Uint8Array, done: (result: SendResult) => void) => Sending
  /**
   * Sends while the process is exiting and nothing asynchronous runs any more; answers within `timeoutMillis`, and calls
   * `onWaiting` if it takes longer than a moment.
   */
  readonly sendSync?: (
    envelopes: ReadonlyArray<Uint8Array>,
    timeoutMillis: number,
    onWaiting: () => void
  ) => ReadonlyArray<SendResult | undefined>
  readonly close: () => void
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Transport extends Context.Reference<Transport>()("effect-faultline/Transport", {
  defaultValue: (): Transport.Service => ({ open: makeHttpSender })
}) {
  /**
   * A transport that sends each envelope with an Effect: it succeeds with the server's answer, or fails with whatever kept it
   * from getting one. It runs untraced and is interrupted when the hub closes. It cannot send during a hard exit
   * (`process.exit`, an uncaught exception), where nothing asynchronous runs.
   *
   * @since 0.1.0
   * @example
   * import { Hub, Transport } from "effect-faultline"
   * import { Effect, Layer } from "effect"
   *
   * const Printing = Transport.layer((envelope) =>
   *   Effect.sync(() => {
   *     console.log(Buffer.from(envelope).toString())
   *     return { status: 200 }
   *   })
   * )
   * const HubLive = Hub.layer({ dsn: "https://key@sentry.example/1" }).pipe(Layer.provide(Printing))
   */
  static layer<R = never>(
    send: (
      envelope: Uint8Array,
      target: Target
    ) => Effect.Effect<{ status: number; rateLimits?: string; retryAfter?: string }, unknown, R>
  ): Layer.Layer<Transport, never, R> {
    return Layer.effect(
      Transport,
      Effect.map(Effect.runtime<R>(), (runtime) => ({ open: (target: Target) => effectSender(runtime, send, target) }))
    )
  }
}

/**
 * @since 0.1.0
 */
export declare namespace Transport {
  /**
   * @since 0.1.0
   * @category models
   */
  interface Service {
    readonly open: (target: Target) => Sender
  }
}

/**
 * What someone else's sender asks of the world is no doing of the program in whose midst it is asked to send. (Ours knows its
 * own requests, at less cost.)
 *
 * @internal
 */
export const openSilently = (transport: Transport.Service, target: Target): Sender => {
  const sender = transport.open(target)
  if (transport.open === makeHttpSender) return sender
  const { sendSync } = sender
  return {
    ...(sender.keepsEnvelope === undefined ? undefined : { keepsEnvelope: sender.keepsEnvelope }),
    send: (envelope, done) => silently(() => sender.send(envelope, done)),
    ...(sendSync === undefined ? undefined : { sendSync: (...args) => silently(() => sendSync.apply(sender, args)) }),
    close: () => sender.close()
  }
}

const effectSender = <R>(
  runtime: Runtime.Runtime<R>,
  send: (
    envelope: Uint8Array,
    target: Target
  ) => Effect.Effect<{ status: number; rateLimits?: string; retryAfter?: string }, unknown, R>,
  target: Target
): Sender => {
  const running = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  const fork = Runtime.runFork(runtime)
  return {
    send(envelope, done) {
      const fiber = fork(
        Effect.suspend(() => send(envelope, target)).pipe(
          Effect.locally(scopeRef, silent),
          Effect.withTracerEnabled(false),
          Effect.withUnhandledErrorLogLevel(Option.none())
        )
      )
      running.add(fiber)
      fiber.addObserver((exit) => {
        running.delete(fiber)
        done(
          Exit.isSuccess(exit)
            ? { _tag: "Answered", ...exit.value }
            : { _tag: "Failed", reason: String(Cause.squash(exit.cause)) }
        )
      })
      return {
        handedOver: false,
        abort: () => fiber.unsafeInterruptAsFork(fiber.id())
      }
    },
    close() {
      for (const fiber of running) fiber.unsafeInterruptAsFork(fiber.id())
    }
  }
}
