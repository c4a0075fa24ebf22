import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Faultline from "effect-faultline"

describe("flush", () => {
  it.scopedLive("ends once, also where the report of what was lost is answered after the time is up", () =>
    Effect.gen(function* () {
      const sends: Array<(result: Faultline.SendResult) => void> = []
      const transport = {
        open: (): Faultline.Sender => ({
          send(_, done) {
            sends.push(done)
            return { handedOver: true, abort() {} }
          },
          close() {}
        })
      }
      const ends: Array<boolean> = []
      yield* Effect.gen(function* () {
        const { client } = yield* Faultline.Hub
        yield* Faultline.captureMessage("m")
        yield* Effect.async<void>((resume) => {
          client.flush(
            30,
            (drained) => {
              ends.push(drained)
              resume(Effect.void)
            },
            true
          )
          sends[0]?.({ _tag: "Failed", reason: "refused" })
        })
        assert.deepStrictEqual(ends, [false])
        assert.lengthOf(sends, 2)
        sends[1]?.({ _tag: "Failed", reason: "refused" })
        yield* Effect.yieldNow()
        assert.deepStrictEqual(ends, [false])
      }).pipe(Effect.provide(Faultline.Hub.layer({ dsn: "http://public@127.0.0.1:1/42", transport })))
    })
  )
})
