/**
 * The hooks of an integration that sends what is no event.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Faultline from "effect-faultline"
import { TestHub } from "effect-faultline/testing"

const session = { headers: { type: "session" as const }, payload: "{}", category: "session" as const, quantity: 1 }

const holding = (told: Array<string>) =>
  Faultline.Integration.make("holding", ({ client }) =>
    Effect.succeed({
      onError: ({ escaped }) => void told.push(escaped ? "escaped" : "handled"),
      onFlush(isLast) {
        told.push(isLast ? "last" : "flush")
        client.offer(session)
      }
    })
  )

const withHub = <A, E>(
  told: Array<string>,
  options: Faultline.Options,
  effect: Effect.Effect<A, E, Faultline.Hub | TestHub>
) =>
  effect.pipe(
    Effect.provide(
      Layer.mergeAll(holding(told), Faultline.Dedupe.layer()).pipe(Layer.provideMerge(TestHub.layerWith(options)))
    )
  )

describe("onFlush and onError", () => {
  it.effect("a flush has integrations hand over what they hold back", () => {
    const told: Array<string> = []
    return withHub(
      told,
      {},
      Effect.gen(function* () {
        yield* Faultline.flush("1 second")
        const [first] = yield* TestHub.envelopes
        assert.deepStrictEqual(
          first?.items.map(({ headers }) => headers),
          [{ type: "session", length: 2 }]
        )
        assert.strictEqual(told[0], "flush")
      })
    )
  })

  it.effect("errors are told of once they are past beforeSend, messages are not", () => {
    const told: Array<string> = []
    return withHub(
      told,
      { sampleRate: 0, beforeSend: (event) => (event.level === "warning" ? null : event) },
      Effect.gen(function* () {
        yield* Faultline.captureMessage("no error")
        yield* Faultline.captureException(new Error("dropped"), { level: "warning" })
        yield* Faultline.captureException(new Error("sampled out"))
        yield* Faultline.captureException(new Error("escaped"), { mechanism: { handled: false } })
        yield* Faultline.captureEvent({ level: "error", message: "built by hand" })
        yield* Faultline.captureEvent({ level: "info", message: "built by hand" })
        assert.deepStrictEqual(told, ["handled", "escaped", "handled"])
      })
    )
  })

  it.effect("an error that was reported before is told of again when it escapes", () => {
    const told: Array<string> = []
    return withHub(
      told,
      {},
      Effect.gen(function* () {
        const error = new Error("twice")
        const { unsafeCapture } = yield* Faultline.Hub
        yield* Faultline.captureException(error)
        yield* Faultline.captureException(error)
        unsafeCapture(error, { escaped: true })
        assert.deepStrictEqual(told, ["handled", "escaped"])
      })
    )
  })
})
