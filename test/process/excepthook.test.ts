/**
 * Errors that nobody catches: which hub reports them, as what, and that the program ends as it does without the SDK.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Event } from "effect-faultline"
import { assertEvents, comparable, labelsOf, type RunOptions, receiver, run } from "./support.js"

/** The program with the SDK, as it ends without it; and what two servers have got. */
const uncaught = (way: string, options: RunOptions = {}, code = 1) =>
  Effect.gen(function* () {
    const [first, second] = yield* Effect.all([receiver(), receiver()])
    const [ended, without] = yield* Effect.all(
      [
        run("excepthook.mjs", [way], { to: first, env: { SECOND_DSN: second.dsn }, ...options }),
        run("excepthook.mjs", [way], options)
      ],
      { concurrency: 2 }
    )
    assert.strictEqual(without.code, code)
    assert.deepStrictEqual(comparable(ended), comparable(without))
    const events = [yield* first.events, yield* second.events] as const
    assertEvents(ended, events.flat(), labelsOf(events.flat()))
    return events
  })

const mechanismOf = (event: Event | undefined) => event?.exception?.values.at(-1)?.mechanism

describe("an error that nobody catches, with two hubs in the process", () => {
  const cases: ReadonlyArray<readonly [whose: string, first: ReadonlyArray<string>, second: ReadonlyArray<string>]> = [
    ["of the first hub", ["RangeError"], []],
    ["of the second hub", [], ["RangeError"]],
    ["of no hub", ["RangeError"], []],
    ["of no hub, the first one closed", [], ["RangeError"]],
    ["of a hub without excepthook", [], []],
    ["of a hub without excepthook inside of one that has it", ["RangeError"], []],
    ["of the facade beside layers", ["RangeError"], []]
  ]
  for (const [whose, first, second] of cases) {
    it.scopedLive(`${whose}, is reported by that one alone`, () =>
      Effect.gen(function* () {
        const events = yield* uncaught(whose)
        assert.deepStrictEqual(events.map(labelsOf), [first, second])
      })
    )
  }
})

describe("the report of an error that nobody catches", () => {
  it.scopedLive("has the scope of the code that threw it", () =>
    Effect.gen(function* () {
      const [[event]] = yield* uncaught("of a request")
      assert.deepStrictEqual(event?.tags, { request: "a" })
      assert.deepStrictEqual(
        event?.breadcrumbs?.values.map(({ message }) => message),
        ["in the request"]
      )
    })
  )

  const origins: ReadonlyArray<readonly [where: string, origin: string, code: number]> = [
    ["in a timer", "uncaughtException", 1],
    // What Node says of a module that throws as it is evaluated.
    ["at the top level", "unhandledRejection", 1],
    ["as an Effect fails", "exit", 0]
  ]
  for (const [where, origin, code] of origins) {
    it.scopedLive(`says where it comes from: ${where}`, () =>
      Effect.gen(function* () {
        const [[event]] = yield* uncaught(where, {}, code)
        assert.strictEqual(event?.level, "error")
        const { data, handled, type } = mechanismOf(event) ?? {}
        assert.deepStrictEqual({ handled, type }, { handled: false, type: "excepthook" })
        assert.strictEqual(data?.["origin"], origin)
      })
    )
  }

  for (const where of [
    "with a processor that throws",
    "beside listeners of the program's own",
    "after the program has removed every listener",
    "beside a prompt of the program's own"
  ]) {
    it.scopedLive(`leaves, and Node goes on as ever, ${where}`, () =>
      Effect.gen(function* () {
        const [[event, ...others]] = yield* uncaught(where)
        assert.strictEqual(event?.exception?.values.at(-1)?.type, "RangeError")
        assert.lengthOf(others, 0)
      })
    )
  }
})
