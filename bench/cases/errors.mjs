import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { checkout } from "../app/shop.mjs"
import { startIngest } from "../lib/ingest.mjs"
import { cpuSince } from "../lib/measure.mjs"
import { loadFaultline, openFaultline, openSentry, overNetwork } from "../lib/sdks.mjs"
import { median } from "../lib/stats.mjs"

/** Below what @sentry/node holds at once (64): nobody has a reason to drop any. */
const BATCH = 40
/** Of a process that has only begun to compile what it runs, as most are that report an error. */
const FIRST_BATCHES = 5
const WARMUP_BATCHES = 95
const BATCHES = 50
const FRAMES = 10
/** The same few errors, thousands of times, are a loop that has gone wrong, and would be held back. */
const unlimited = { budget: false }

export const title = "CPU per captured error"

export const samples = {
  faultline: () => sent(FRAMES, async (options) => throughFacade(await openFaultline({ ...options, ...unlimited }))),
  faultlineSpooled: () => sent(FRAMES, throughSpool),
  faultlineInFiber: () => sent(FRAMES, throughFiber),
  sentry: () => sent(FRAMES, async (options) => throughFacade(await openSentry(options))),
  faultlineNoSource: () =>
    sent(0, async (options) => throughFacade(await openFaultline({ ...options, ...unlimited, frameContextLines: 0 }))),
  sentryNoSource: () =>
    sent(0, async (options) => throughFacade(await openSentry({ ...options, integrations: withoutSource }))),
  faultlineDropped: () => dropped((options) => openFaultline({ ...options, ...unlimited })),
  sentryDropped: () => dropped(openSentry),
  faultlineCause: () => droppedCauses()
}

const pairs = [
  { what: "sent, with source lines", ours: "faultline", peer: "sentry", target: 1 / 3 },
  { what: "sent, with a spool / without one", ours: "faultlineSpooled", peer: "faultline", target: 1.5 },
  { what: "sent, with source lines, from a fiber", ours: "faultlineInFiber", peer: "sentry", target: 1 / 3 },
  { what: "sent, without source lines", ours: "faultlineNoSource", peer: "sentryNoSource", target: 1 / 3 },
  { what: "dropped in beforeSend", ours: "faultlineDropped", peer: "sentryDropped", target: 1 / 5 }
]

/** What `@sentry/node` takes for one error, is to be enough for three in a Cause. */
const causes = [
  { what: "with source lines", peer: "sentry.warm", target: 150 / 700 },
  { what: "without", peer: "sentryNoSource.warm" }
]
const causeRows = causes.map(({ what, ...row }) => ({
  what: `a Cause of three errors, with spans and source lines: built; the peer's one error, sent, ${what}`,
  unit: "µs",
  ours: "faultlineCause.warm",
  ...row
}))

const singleRows = pairs.flatMap(({ ours, peer, what, ...row }) =>
  ["warm", "first"].map((phase) => ({
    ...row,
    what: `${what}: ${phase === "first" ? `the first ${FIRST_BATCHES * BATCH} of a process` : "warm"}`,
    unit: "µs",
    ours: `${ours}.${phase}`,
    peer: `${peer}.${phase}`
  }))
)

export const rows = [...singleRows, ...causeRows]

const withoutSource = (integrations) => integrations.filter(({ name }) => name !== "ContextLines")

const throughFacade = (sdk) => ({
  report(first, count) {
    for (let number = first; number < first + count; number++) {
      try {
        checkout(number)
      } catch (error) {
        sdk.captureException(error)
      }
    }
  },
  flush: () => sdk.flush(10_000)
})

/** In the background: what is answered at once is never written. */
const throughSpool = async (options) => {
  const { Spool } = await import("../../dist/Facade.js")
  const directory = mkdtempSync(join(tmpdir(), "faultline-bench-"))
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }))
  return throughFacade(await openFaultline({ ...options, ...unlimited, spool: Spool.make({ directory }) }))
}

const throughFiber = async (options) => {
  const { Effect, ManagedRuntime } = await import("effect")
  const { Faultline, layer } = await loadFaultline({ ...options, ...unlimited })
  const runtime = ManagedRuntime.make(layer)
  await runtime.runtime()
  const fails = (number) => Effect.try({ try: () => checkout(number), catch: (error) => error })
  return {
    report: (first, count) =>
      runtime.runPromise(
        Effect.gen(function* () {
          for (let number = first; number < first + count; number++) {
            yield* Effect.catchAll(fails(number), (error) => Faultline.captureException(error))
          }
        })
      ),
    flush: () => runtime.runPromise(Faultline.flush(10_000))
  }
}

/** Sends to an ingest, which has the last word on whether all of them arrived, and complete. */
const sent = async (framesWithSource, open) => {
  const ingest = await startIngest()
  const sdk = await open({ dsn: ingest.dsn, ...overNetwork })
  const result = await measure(sdk)
  const received = await ingest.received()
  ingest.stop()
  return { ...result, ...differing(received, { events: result.errors, frames: FRAMES, framesWithSource }) }
}

const dropped = async (open) => {
  let events = 0
  const beforeSend = () => {
    events++
    return null
  }
  const result = await measure(throughFacade(await open({ beforeSend })))
  return { ...result, ...differing({ events }, { events: result.errors }) }
}

/** The event of a Cause of two failures and a defect, each out of spans of its own: all of it, but for the sending. */
const droppedCauses = async () => {
  const { Cause, Data, Effect, ManagedRuntime } = await import("effect")
  const values = []
  const { Faultline, layer } = await loadFaultline({
    beforeSend(event) {
      values.push(event.exception.values)
      return null
    }
  })
  class Declined extends Data.TaggedError("Declined") {}
  class OutOfStock extends Data.TaggedError("OutOfStock") {}
  const pay = Effect.fn("pay")(function* (number) {
    yield* Effect.void
    return yield* new Declined({ reason: "stolen", number })
  })
  const reserve = Effect.fn("reserve")(function* (number) {
    return yield* new OutOfStock({ sku: `A-${number}` })
  })
  const ship = Effect.fn("ship")((number) => Effect.sync(() => checkout(number)))
  const runtime = ManagedRuntime.make(layer)
  const causeOf = (effect) => Effect.flip(Effect.sandbox(Effect.withSpan(effect, "order")))
  let first = 0
  const batch = () =>
    runtime.runPromise(
      Effect.gen(function* () {
        equalStacks()
        const causes = []
        for (let number = first; number < first + BATCH; number++) {
          const [a, b, c] = yield* Effect.all([causeOf(pay(number)), causeOf(reserve(number)), causeOf(ship(number))])
          causes.push(Cause.parallel(a, Cause.sequential(b, c)))
        }
        first += BATCH
        const start = process.cpuUsage()
        for (const cause of causes) yield* Faultline.captureCause(cause)
        return cpuSince(start) / BATCH
      })
    )
  const costs = []
  for (let number = 0; number < WARMUP_BATCHES + BATCHES; number++) costs.push(await batch())
  const complete = values.filter(
    (exceptions) =>
      exceptions.length === 3 &&
      exceptions.every(({ stacktrace }) => stacktrace.frames.some((frame) => frame.function === "order")) &&
      exceptions.every(({ stacktrace }) => stacktrace.frames.some((frame) => frame.context_line !== undefined))
  )
  return {
    warm: median(costs.slice(WARMUP_BATCHES)),
    ...differing({ complete: complete.length }, { complete: first })
  }
}

/** One of the SDKs has V8 keep more frames than the other: here both have as many to read. */
const equalStacks = () => {
  Error.stackTraceLimit = FRAMES
}

const measure = async ({ flush, report }) => {
  // Both SDKs keep more, of which the loop that reports here would be a part.
  Error.stackTraceLimit = FRAMES
  let errors = 0
  await flush()
  equalStacks()
  const run = async (batches) => {
    const start = process.cpuUsage()
    for (let batch = 0; batch < batches; batch++) {
      await report(errors, BATCH)
      await flush()
      errors += BATCH
    }
    return cpuSince(start) / (batches * BATCH)
  }
  const first = await run(FIRST_BATCHES)
  await run(WARMUP_BATCHES)
  return { first, warm: await run(BATCHES), errors }
}

const differing = (found, expected) => {
  const differences = Object.entries(expected).filter(([name, count]) => found[name] !== count)
  if (differences.length === 0) return {}
  return { problem: differences.map(([name, count]) => `${found[name]} ${name} instead of ${count}`).join(", ") }
}
