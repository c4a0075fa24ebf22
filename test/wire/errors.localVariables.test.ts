import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Faultline from "effect-faultline"
import type { Json } from "../support/ingest.js"
import { eventOf } from "./kit.js"

type Frames = ReadonlyArray<{ readonly function?: string; readonly vars?: Json }>

const framesOf = (event: Json, index = -1): Frames =>
  (event["exception"] as { values: Array<{ stacktrace: { frames: Frames } }> }).values.at(index)?.stacktrace.frames ??
  []

const variables = (frames: Frames, name: string): Json | undefined =>
  frames.findLast((frame) => frame.function === name)?.vars

const charge = (amount: number, card: object): never => {
  const currency = "EUR"
  const isTest = true
  const missing = undefined
  const nothing = null
  const password = "hunter2"
  const list = [1, "two"]
  const url = "https://me:secret@example.com"
  const hidden = Redacted.make("hunter2")
  const helper = (): void => {}
  if (amount > 0) {
    const inBlock = [currency, isTest, missing, nothing, password, list, url, hidden, helper].length
    throw new RangeError(`no ${amount} ${inBlock}`)
  }
  throw new Error(`never: ${JSON.stringify(card)}`)
}

const checkout = (order: { readonly id: number }): never => {
  const note = "x".repeat(1000)
  return charge(order.id + note.length, { last4: "4242", token: "t0k3n", deep: { er: { still: { more: 1 } } } })
}

describe("local variables", () => {
  it.scopedLive("are on the frames that an error was thrown through, readable and masked", () =>
    Effect.gen(function* () {
      const event = yield* eventOf(
        Effect.sync(() => checkout({ id: 7 })).pipe(
          Effect.catchAllCause((cause) => Faultline.captureCause(cause)),
          Effect.provide(Faultline.LocalVariables.layer())
        )
      )
      const frames = framesOf(event)
      assert.deepStrictEqual(variables(frames, "charge"), {
        amount: "1007",
        card: { last4: "4242", token: "[Filtered]", deep: { er: "[Object]" } },
        currency: "EUR",
        isTest: "true",
        missing: "undefined",
        nothing: "null",
        password: "[Filtered]",
        list: '[1,"two"]',
        url: "https://[Filtered]:[Filtered]@example.com",
        hidden: "<redacted>",
        inBlock: "9"
      })
      const outer = variables(frames, "checkout")
      assert.deepStrictEqual(outer?.["order"], { id: 7 })
      assert.isAtMost(String(outer?.["note"]).length, 256)
    })
  )

  it.scopedLive("also of a cause, of what was thrown again, and of a rejection", () =>
    Effect.gen(function* () {
      const inner = (first: string): never => {
        throw new Error(first)
      }
      const again = (second: string): never => {
        try {
          return inner("deepest")
        } catch (cause) {
          const error = new Error(second, { cause })
          throw error
        }
      }
      const rethrown = (third: string): never => {
        try {
          return again("middle")
        } catch (error) {
          if (third === "x") throw error
          return undefined as never
        }
      }
      const rejected = async (fourth: string): Promise<void> => {
        await Promise.resolve()
        if (fourth === "x") rethrown(fourth)
      }
      const event = yield* eventOf(
        Effect.promise(() => rejected("x")).pipe(
          Effect.catchAllCause((cause) => Faultline.captureCause(cause)),
          Effect.provide(Faultline.LocalVariables.layer())
        )
      )
      assert.strictEqual(variables(framesOf(event), "again")?.["second"], "middle")
      assert.strictEqual(variables(framesOf(event), "rethrown")?.["third"], "x")
      assert.strictEqual(variables(framesOf(event, 0), "inner")?.["first"], "deepest")
    })
  )

  it.scopedLive("only of so many frames, and of so many errors a second", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        for (let index = 0; index < 20; index++) yield* Effect.exit(Effect.sync(() => checkout({ id: index })))
        const exit = yield* Effect.exit(Effect.sync(() => checkout({ id: 1 })))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) yield* Faultline.captureCause(exit.cause)
      })
      const limited = yield* eventOf(Effect.provide(program, Faultline.LocalVariables.layer({ maxPerSecond: 1 })))
      assert.isFalse(framesOf(limited).some((frame) => frame.vars !== undefined))
      const shallow = yield* eventOf(
        Effect.provide(program, Faultline.LocalVariables.layer({ maxPerSecond: 1000, maxFrames: 1 }))
      )
      assert.isDefined(variables(framesOf(shallow), "charge"))
      assert.isUndefined(variables(framesOf(shallow), "checkout"))
    })
  )

  it.scopedLive("cost nothing, and show nothing, where they were not asked for; and go when their layer goes", () =>
    Effect.gen(function* () {
      const captured = Effect.sync(() => checkout({ id: 7 })).pipe(
        Effect.catchAllCause((cause) => Faultline.captureCause(cause))
      )
      const plain = yield* eventOf(captured)
      assert.isFalse(framesOf(plain).some((frame) => frame.vars !== undefined))
      const after = yield* eventOf(
        Effect.zipRight(Effect.provide(Effect.void, Faultline.LocalVariables.layer()), captured)
      )
      assert.isFalse(framesOf(after).some((frame) => frame.vars !== undefined))
    })
  )

  it.scopedLive("a value that throws when it is looked at costs no event", () =>
    Effect.gen(function* () {
      const hostile = (_: object): never => {
        throw new Error("boom")
      }
      const event = yield* eventOf(
        Effect.sync(() =>
          hostile({
            get broken(): never {
              throw new Error("no")
            },
            toJSON: () => assert.fail("no")
          })
        ).pipe(
          Effect.catchAllCause((cause) => Faultline.captureCause(cause)),
          Effect.provide(Faultline.LocalVariables.layer())
        )
      )
      assert.isDefined(variables(framesOf(event), "hostile")?.["_"])
    })
  )

  it.effect("options that cannot be are typed errors that name them", () =>
    Effect.sync(() => {
      for (const options of [{ maxFrames: 0 }, { maxPerSecond: 1.5 }, { maxFrames: Number.NaN }]) {
        try {
          Faultline.LocalVariables.layer(options)
          assert.fail("no error")
        } catch (error) {
          assert.instanceOf(error, Faultline.OptionsError)
          assert.strictEqual(error.option, Object.keys(options)[0])
        }
      }
      assert.isTrue(Cause.isCause(Cause.empty))
    })
  )
})
