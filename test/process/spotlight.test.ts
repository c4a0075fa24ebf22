/**
 * Spotlight at the end of a program: it is shown the last event, too, and holds nobody up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Ingest } from "../support/ingest.js"
import { assertEvents, MARGIN_MILLIS, receiver, run } from "./support.js"

const spotlightAt = (origin: string) => `${origin}/spotlight/envelope`

describe("Spotlight at the end of a program", () => {
  for (const [way, code] of [
    ["natural end", 0],
    ["exit", 7]
  ] as const) {
    it.scopedLive(`${way}: beside a server, both have the event`, () =>
      Effect.gen(function* () {
        const [server, spotlight] = [yield* receiver(), yield* Ingest.start()]
        const ended = yield* run("hard-exit.mjs", [way, "3"], {
          to: server,
          env: { SENTRY_SPOTLIGHT: spotlightAt(spotlight.origin) }
        })
        assert.strictEqual(ended.code, code)
        assertEvents(ended, yield* server.events, ["event 0", "event 1", "event 2"])
        assert.lengthOf(yield* spotlight.events(3), 3)
      })
    )

    it.scopedLive(`${way}: without a DSN it has it alone`, () =>
      Effect.gen(function* () {
        const spotlight = yield* Ingest.start()
        const ended = yield* run("hard-exit.mjs", [way], {
          env: { SENTRY_DSN: "", SENTRY_SPOTLIGHT: spotlightAt(spotlight.origin) }
        })
        assert.strictEqual(ended.code, code)
        assert.lengthOf(yield* spotlight.events(1), 1)
      })
    )

    it.scopedLive(`${way}: one that never answers holds nobody up`, () =>
      Effect.gen(function* () {
        const [server, spotlight] = [yield* receiver(), yield* Ingest.start()]
        spotlight.answerAll("never")
        const options = { shutdownTimeout: 10_000 }
        const env = { SENTRY_SPOTLIGHT: spotlightAt(spotlight.origin) }
        const ended = yield* run("hard-exit.mjs", [way], { to: server, env, options })
        assert.strictEqual(ended.code, code)
        assertEvents(ended, yield* server.events, ["event 0"])
        assert.isBelow(ended.millisSince("ending"), 2000 + MARGIN_MILLIS)
      })
    )

    it.scopedLive(`${way}: it has the event, too, where the server never answers`, () =>
      Effect.gen(function* () {
        const [server, spotlight] = [yield* receiver("never"), yield* Ingest.start()]
        const env = { SENTRY_SPOTLIGHT: spotlightAt(spotlight.origin) }
        const ended = yield* run("hard-exit.mjs", [way], { to: server, env, options: { shutdownTimeout: 1000 } })
        assert.strictEqual(ended.code, code)
        assert.lengthOf(yield* spotlight.events(1), 1)
      })
    )
  }

  for (const way of ["natural end", "exit", "throw", "rejection"]) {
    // A busy machine may take as long for other things.
    it.scopedLive(
      `${way}: where neither answers, there is one limit for both`,
      () =>
        Effect.gen(function* () {
          const [server, spotlight] = [yield* receiver("never"), yield* Ingest.start()]
          spotlight.answerAll("never")
          const env = { SENTRY_SPOTLIGHT: spotlightAt(spotlight.origin) }
          const ended = yield* run("hard-exit.mjs", [way], { to: server, env, options: { shutdownTimeout: 1200 } })
          assert.isBelow(ended.millisSince("ending"), 1200 + 800)
        }),
      { retry: 3 }
    )
  }
})
