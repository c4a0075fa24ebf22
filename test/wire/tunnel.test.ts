import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Faultline from "effect-faultline"
import { Ingest } from "../support/ingest.js"
import { boom, boomEvent, flushed, hubAt, settle } from "./kit.js"

describe("a tunnel", () => {
  it.scopedLive("gets what the DSN's server would: it knows it by the envelope, and gets no key in a header", () =>
    Effect.gen(function* () {
      const [server, tunnel] = [yield* Ingest.start(), yield* Ingest.start()]
      const options = { dsn: server.dsnWith("public:hidden", "/42"), tunnel: `${tunnel.origin}/own/envelope?app=1` }
      yield* Effect.zipRight(Faultline.captureException(boom()), flushed).pipe(Effect.provide(hubAt(tunnel, options)))
      const request = yield* tunnel.envelope()
      assert.strictEqual(request.path, "/own/envelope?app=1")
      assert.notProperty(request.headers, "x-sentry-auth")
      assert.strictEqual(request.headers["content-type"], "application/x-sentry-envelope")
      assert.strictEqual(request.headers["host"], tunnel.host)
      assert.strictEqual(request.framed.headers["dsn"], server.dsnWith("public", "/42"))
      assert.notInclude(JSON.stringify([request.headers, request.body.toString()]), "hidden")
      assert.deepStrictEqual(tunnel.allEvents.map(settle), [boomEvent()])
      assert.lengthOf([...server.envelopes, ...server.others], 0)
    })
  )

  it.scopedLive("without a DSN leads nowhere", () =>
    Effect.gen(function* () {
      const tunnel = yield* Ingest.start()
      const enabled = yield* Effect.gen(function* () {
        yield* Effect.zipRight(Faultline.captureException(boom()), flushed)
        return (yield* Faultline.Hub).isEnabled()
      }).pipe(Effect.provide(hubAt(tunnel, { dsn: "", tunnel: tunnel.origin })))
      assert.isFalse(enabled)
      assert.lengthOf([...tunnel.envelopes, ...tunnel.others], 0)
    })
  )
})
