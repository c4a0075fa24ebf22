/**
 * The sum: what was captured is what was delivered, what the server has counted, and what was counted for it, whatever the server
 * does.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Faultline from "effect-faultline"
import { type Answer, Ingest, type Json } from "../support/ingest.js"
import { type Discarded, hubAt, monotonicClock } from "./kit.js"

const ANSWERS: ReadonlyArray<Answer> = [
  {},
  {},
  { status: 201 },
  { status: 403 },
  { status: 413 },
  { status: 429, headers: { "x-sentry-rate-limits": "5:error:org" } },
  { status: 429, headers: { "retry-after": "5" } },
  { status: 429, headers: { "x-sentry-rate-limits": "5:session:org" } },
  { status: 500 },
  { headers: { "x-sentry-rate-limits": "5:attachment:org" } },
  "reset",
  "hangUp",
  "garbage",
  "cutOff"
]

/** The same numbers for the same seed, from 0 to 1. */
const randoms = (seed: number) => {
  let state = seed
  return (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const messageOf = (item: Json | undefined): string => String(item?.["message"])

describe("nothing is lost without a count", () => {
  it.scopedLive.each([1, 2, 3, 4])("with a server that does as it likes (%d)", (seed) =>
    Effect.gen(function* () {
      const random = randoms(seed)
      const clock = yield* monotonicClock
      const ingest = yield* Ingest.start()
      const given: Array<Answer> = []
      ingest.answer(
        ...Array.from({ length: 400 }, () => {
          const answer = ANSWERS[Math.floor(random() * ANSWERS.length)] ?? {}
          given.push(answer)
          return answer
        })
      )
      const captured: Array<string> = []
      yield* Effect.gen(function* () {
        for (let n = 0; n < 150; n++) {
          captured.push(`m${n}`)
          const id = yield* Faultline.captureMessage(`m${n}`)
          if (Option.isNone(id) || random() < 0.2) yield* Faultline.flush("10 seconds")
          if (random() < 0.1) clock.forward(6)
        }
        yield* Faultline.flush("10 seconds")
        // From here on the server is a good one, and hears what it was not told.
        clock.forward(61)
        given.length = ingest.envelopes.length
        ingest.reset()
        yield* Faultline.flush("10 seconds")
      }).pipe(
        Effect.provide(
          hubAt(ingest, {
            maxQueueSize: 20,
            beforeSend: (event) => (String(event.message).endsWith("7") ? null : event)
          })
        )
      )
      const fates = ingest.envelopes.flatMap(({ framed }, index) => {
        const answer = given[index] ?? {}
        return framed.items.map(({ headers, json }) => ({ type: headers["type"], json, answer }))
      })
      const isTaken = (answer: Answer): boolean =>
        typeof answer === "string" ? answer === "cutOff" : (answer.status ?? 200) < 300
      const delivered = new Set(
        fates.filter(({ answer, type }) => type === "event" && isTaken(answer)).map(({ json }) => messageOf(json))
      )
      const countedThere = fates.filter(
        ({ answer, type }) => type === "event" && typeof answer === "object" && answer.status === 429
      ).length
      const told = fates
        .filter(({ answer, type }) => type === "client_report" && isTaken(answer))
        .flatMap(({ json }) => json?.["discarded_events"] as ReadonlyArray<Discarded>)
        .filter(({ category }) => category === "error")
        .reduce((sum, { quantity }) => sum + quantity, 0)
      assert.strictEqual(delivered.size + countedThere + told, captured.length)
    })
  )
})
