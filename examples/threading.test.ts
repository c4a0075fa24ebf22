/**
 * What the two examples of `Threading` say they do, with a hub that keeps what it would send.
 *
 *     npx vitest run examples/threading.test.ts
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import type * as Faultline from "effect-faultline"
import { TestHub } from "effect-faultline/testing"
import * as Automatic from "./threading-automatic.js"
import * as Manual from "./threading-manual.js"

const quiet = Logger.remove(Logger.defaultLogger)

const told = ({ breadcrumbs, message, tags }: Faultline.Event) => ({
  message,
  tags,
  breadcrumbs: breadcrumbs?.values.map(({ message }) => message)
})

const ORDER = { tags: { order: "A-1" }, breadcrumbs: ["order received"] }

it.effect("automatic: what is started in the background takes the scope along", () =>
  Effect.gen(function* () {
    yield* Automatic.program
    assert.deepStrictEqual((yield* TestHub.events).map(told), [{ message: "hello", ...ORDER }])
  }).pipe(Effect.provide(Automatic.Integrations.pipe(Layer.provideMerge(TestHub.layer), Layer.provideMerge(quiet))))
)

it.effect("manual: it has what is handed over to it, each breadcrumb once", () =>
  Effect.gen(function* () {
    yield* Manual.program
    assert.deepStrictEqual((yield* TestHub.events).map(told), [
      { message: "hello", ...ORDER },
      { ...ORDER, message: "first job", tags: { order: "A-1", job: "first job" } },
      { ...ORDER, message: "second job", tags: { order: "A-1", job: "second job" } }
    ])
  }).pipe(Effect.provide(Manual.Integrations.pipe(Layer.provideMerge(TestHub.layer), Layer.provideMerge(quiet))))
)
