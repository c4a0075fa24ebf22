/**
 * What each kind of server gets, by the profile made for it and by the default one: every event, and nothing that it refuses
 * twice.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Faultline from "effect-faultline"
import { stateOfFiber } from "../../../src/scope/carrier.js"
import { Ingest } from "../../support/ingest.js"
import * as servers from "./servers.js"

const KEY = "0123456789abcdef0123456789abcdef"

const hub = (ingest: Ingest, profile: Faultline.Profile, options: Faultline.Options = {}) =>
  Layer.mergeAll(Faultline.DefaultIntegrations, Faultline.Sessions.layer({ mode: "request" })).pipe(
    Layer.provideMerge(
      Faultline.Hub.layer({
        dsn: ingest.dsnWith(KEY, "/1"),
        release: "shop@1.4.2",
        profile,
        beforeSend: (event) => (event.message === "dropped" ? null : event),
        ...options
      })
    )
  )

/** Everything that there is to send. Returns the ids of the events. */
const program = Effect.gen(function* () {
  const { client } = yield* Faultline.Hub
  const ids: Array<string> = []
  const note = (id: Option.Option<string>): void => void ids.push(...Option.toArray(id))
  const turn = (label: string) =>
    Effect.gen(function* () {
      note(yield* Faultline.captureException(new Error(label, { cause: new TypeError("the cause") })))
      note(yield* Faultline.captureCause(Cause.parallel(Cause.fail(new Error("left")), Cause.die(new Error("right")))))
      yield* Faultline.captureMessage("dropped")
      yield* Effect.withFiberRuntime<void>((fiber) =>
        Effect.sync(() => client.requestEnded(stateOfFiber(fiber), Date.now()))
      )
      yield* Faultline.flush("10 seconds")
    })
  yield* Faultline.setUser({ id: "u1" })
  yield* Faultline.setTag("deep", "tag")
  yield* Faultline.setContext("deep", { value: nested(80) })
  yield* Faultline.addAttachment({ filename: "notes.txt", data: "notes" })
  yield* turn("first")
  yield* turn("second")
  note(yield* Faultline.captureMessage("large", { extra: { text: "long ".repeat(20_000) } }))
  return ids
}).pipe(Faultline.withIsolationScope())

const nested = (depth: number): unknown => (depth === 0 ? "end" : { next: nested(depth - 1) })

describe.each([
  [servers.sentry, "sentry"],
  [servers.glitchtip, "glitchtip"],
  [servers.bugsink, "bugsink"],
  [servers.rustrak, "minimal"],
  [servers.telebugs, "telebugs"],
  [servers.eventsOnly, "minimal"]
] as const)("%o", (make, own) => {
  it.scopedLive(`keeps every event, with the profile "${own}", and refuses nothing`, () =>
    Effect.gen(function* () {
      const backend = make()
      const ingest = yield* Ingest.start({ judge: backend.judge })
      const ids = yield* Effect.provide(program, hub(ingest, own))
      assert.lengthOf(ids, 5)
      assert.deepStrictEqual(backend.refused, [])
      assert.sameMembers(
        backend.kept.map((event) => String(event["event_id"])),
        ids
      )
    })
  )

  it.scopedLive("loses no event with the default profile, and is not sent again what it has refused", () =>
    Effect.gen(function* () {
      const backend = make()
      const ingest = yield* Ingest.start({ judge: backend.judge })
      const ids = yield* Effect.provide(program, hub(ingest, "sentry"))
      assert.sameMembers(
        backend.kept.map((event) => String(event["event_id"])),
        ids
      )
      // Several may be on their way before the first is answered.
      const others = backend.refused.filter((types) => types !== "event+attachment")
      assert.strictEqual(new Set(others).size, others.length, others.join())
      assert.notInclude(others, "event")
    })
  )
})
