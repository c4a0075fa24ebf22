import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import { flushed, hubAt } from "./kit.js"

const withArgv = (...argv: ReadonlyArray<unknown>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.argv
      process.argv = ["/usr/bin/node", ...(argv as ReadonlyArray<string>)]
      return before
    }),
    (before) => Effect.sync(() => void (process.argv = before))
  )

const eventsOf = (
  effect: Effect.Effect<unknown, unknown, Faultline.Hub | Scope.Scope>,
  options: Faultline.Argv.Options = {}
): Effect.Effect<ReadonlyArray<Json>, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const ingest = yield* Ingest.start()
    const layer = Faultline.Argv.layer(options).pipe(Layer.provideMerge(hubAt(ingest)))
    yield* effect.pipe(Effect.zipRight(flushed), Effect.provide(layer))
    return ingest.allEvents
  })

const extraOf = (...args: Parameters<typeof eventsOf>) =>
  Effect.map(eventsOf(...args), ([event]) => event?.["extra"] as Json)

const capture = Faultline.captureMessage("m")

describe("argv", () => {
  it.scopedLive("is read when the event is made", () =>
    Effect.gen(function* () {
      yield* withArgv("app.js", "first")
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* capture
          yield* withArgv("app.js", "second")
          yield* capture
          process.argv.push("third")
          yield* capture
        })
      )
      assert.deepStrictEqual(
        events.map((event) => (event["extra"] as Json)["sys.argv"]),
        [
          ["app.js", "first"],
          ["app.js", "second"],
          ["app.js", "second", "third"]
        ]
      )
    })
  )

  it.scopedLive("comes first among the extras, however many there are, and takes the place of one of its name", () =>
    Effect.gen(function* () {
      yield* withArgv("app.js")
      const others = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`key${index}`, index]))
      const extra = yield* extraOf(
        Effect.gen(function* () {
          yield* Faultline.setExtras(others)
          yield* Faultline.setExtra("sys.argv", "mine")
          // After a processor the event is gone through again.
          yield* Faultline.addEventProcessor((event) => {
            event.extra = { ...event.extra, ...others }
            return event
          })
          yield* capture
        })
      )
      assert.deepStrictEqual(Object.keys(extra).slice(0, 2), ["sys.argv", "key0"])
      assert.deepStrictEqual(extra["sys.argv"], ["app.js"])
      assert.isAbove(Object.keys(extra).length, 500)
    })
  )

  it.scopedLive("masks what flags on the key list are given, and shows a bare --", () =>
    Effect.gen(function* () {
      yield* withArgv(
        "app.js",
        "--token",
        "s3cret",
        "--api-key=s3cret",
        "--url",
        "http://u:s3cret@h/",
        "--password",
        "-Hunter2",
        "-v",
        "--",
        "file"
      )
      const extra = yield* extraOf(capture)
      const masked = [
        "--token",
        "[Filtered]",
        "--api-key=[Filtered]",
        "--url",
        "http://[Filtered]:[Filtered]@h/",
        "--password",
        "[Filtered]",
        "-v",
        "--",
        "file"
      ]
      assert.deepStrictEqual(extra["sys.argv"], ["app.js", ...masked])
    })
  )

  it.scopedLive("is a copy: no processor changes the program's own, nor the next event's", () =>
    Effect.gen(function* () {
      yield* withArgv("app.js", "a")
      const events = yield* eventsOf(
        Effect.gen(function* () {
          yield* Faultline.addEventProcessor((event) => {
            const shown = (event.extra ?? {})["sys.argv"] as Array<string>
            shown.push("poison")
            return event
          })
          yield* capture
          yield* capture
        })
      )
      for (const event of events)
        assert.deepStrictEqual((event["extra"] as Json)["sys.argv"], ["app.js", "a", "poison"])
      assert.deepStrictEqual(process.argv.slice(1), ["app.js", "a"])
    })
  )

  it.scopedLive("shows so many arguments and says how many more there are; long ones are cut", () =>
    Effect.gen(function* () {
      yield* withArgv(...Array.from({ length: 50_000 }, () => "x".repeat(2000)))
      const shown = (yield* extraOf(capture))["sys.argv"] as Array<string>
      assert.lengthOf(shown, 101)
      assert.strictEqual(shown[0], `${"x".repeat(1021)}...`)
      assert.strictEqual(shown[100], "... 49900 more")
      const few = (yield* extraOf(capture, { maxArguments: 1 }))["sys.argv"] as Array<string>
      assert.strictEqual(few[1], "... 49999 more")
    })
  )

  it.scopedLive("leaves an extra that is no record as it is, and survives what is no command line", () =>
    Effect.gen(function* () {
      yield* withArgv("app.js", 7, undefined, "\ud800")
      const extra = yield* extraOf(capture)
      assert.deepStrictEqual(extra["sys.argv"], ["app.js", "7", "undefined", "\ufffd"])
      // Integrations have their turn by their names.
      const Odd = Faultline.Integration.make("a", () =>
        Effect.succeed({ processEvent: (event) => ({ ...event, extra: 5 as never }) })
      )
      const [odd] = yield* eventsOf(Effect.provide(capture, Odd))
      assert.strictEqual(odd?.["extra"], 5)
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const before = process.argv
          process.argv = undefined as never
          return before
        }),
        (before) => Effect.sync(() => void (process.argv = before))
      )
      const [event] = yield* eventsOf(capture)
      assert.strictEqual(event?.["message"], "m")
    })
  )

  it.each([-1, 1.5, "10", null])("maxArguments: %j is refused", (maxArguments) => {
    assert.throws(() => Faultline.Argv.layer({ maxArguments } as never), Faultline.OptionsError, "maxArguments")
  })
})
