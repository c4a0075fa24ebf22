import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Client } from "./Client.js"

/** Waits by the real clock, also under a test's, which would stand still. @internal */
export const drain = (client: Client, timeoutMillis: number, isLast = false): Effect.Effect<boolean> =>
  Effect.async<boolean>((resume) => {
    const giveUp = client.flush(timeoutMillis, (drained) => resume(Effect.succeed(drained)), isLast)
    return Effect.sync(giveUp)
  })

/** Drains within the timeout (by default that of the options) and closes. @internal */
export const drainAndClose = (client: Client, timeout?: Duration.DurationInput): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const timeoutMillis = timeout === undefined ? client.options.shutdownTimeoutMillis : Duration.toMillis(timeout)
    const deadline = performance.now() + timeoutMillis
    for (const conclude of client.beforeClose) client.attempt("the end of an integration", conclude)
    const mirrored = Effect.async<void>((resume) =>
      client.settleMirror(() => resume(Effect.void), deadline - performance.now())
    )
    return Effect.zipLeft(drain(client, timeoutMillis, true), mirrored)
  }).pipe(Effect.tap(() => Effect.sync(() => client.close())))
