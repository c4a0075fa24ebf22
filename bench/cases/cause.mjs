import { checkout } from "../app/shop.mjs"
import { cpuSince } from "../lib/measure.mjs"
import { loadFaultline, openSentry } from "../lib/sdks.mjs"

/** Below what @sentry/node holds at once (64): nobody has a reason to drop any. */
const BATCH = 40
const WARMUP_BATCHES = 75
const BATCHES = 50
const LEAVES = 3
/** Of each error, beside its spans. */
const FRAMES = 10

export const title = `CPU of an event of ${LEAVES} errors in one Cause, with spans and source lines, beside one of a single error`

export const samples = {
  built: () => ofCause({ beforeSend: () => null }),
  sent: () => ofCause({}),
  sentry: () => ofError({}),
  sentryDropped: () => ofError({ beforeSend: () => null })
}

export const rows = [
  {
    what: "built, then dropped in beforeSend",
    unit: "µs",
    ours: "built.cost",
    peer: "sentryDropped.cost",
    atMost: 150
  },
  { what: "built and encoded", unit: "µs", ours: "sent.cost", peer: "sentry.cost" }
]

/** Causes of errors that are raised in parallel, each in a span of its own within one that they share. */
const ofCause = async (options) => {
  const { Effect, ManagedRuntime } = await import("effect")
  const { Faultline, layer } = await loadFaultline({ ...options, budget: false })
  const runtime = ManagedRuntime.make(layer)
  await runtime.runtime()
  Error.stackTraceLimit = FRAMES
  const fails = (number) =>
    Effect.try({ try: () => checkout(number), catch: (error) => error }).pipe(Effect.withSpan("order.checkout"))
  const failing = (number) =>
    Effect.all(
      Array.from({ length: LEAVES }, (_, leaf) => Effect.zipRight(Effect.yieldNow(), fails(number + leaf))),
      { concurrency: "unbounded" }
    ).pipe(Effect.withSpan("orders.all"), Effect.uninterruptible, Effect.sandbox, Effect.flip)
  let problem
  const cost = await measure({
    prepare: (first, count) =>
      runtime.runPromise(
        Effect.forEach(
          Array.from({ length: count }, (_, index) => index),
          (index) => failing(first + index * LEAVES)
        )
      ),
    report: (causes) =>
      runtime.runPromise(Effect.forEach(causes, (cause) => Faultline.captureCause(cause), { discard: true })),
    flush: () => runtime.runPromise(Faultline.flush(10_000)),
    look(cause) {
      const text = JSON.stringify(cause)
      const leaves = text.split('"_tag":"Fail"').length - 1
      if (leaves !== LEAVES) problem = `${leaves} errors in a Cause instead of ${LEAVES}`
    }
  })
  return { cost, ...(problem === undefined ? undefined : { problem }) }
}

const ofError = async (options) => {
  const Sentry = await openSentry(options)
  Error.stackTraceLimit = FRAMES
  const cost = await measure({
    prepare: (first, count) => Array.from({ length: count }, (_, index) => raised(first + index)),
    report(errors) {
      for (const error of errors) Sentry.captureException(error)
    },
    flush: () => Sentry.flush(10_000),
    look() {}
  })
  return { cost }
}

const raised = (number) => {
  try {
    return checkout(number)
  } catch (error) {
    return error
  }
}

/** Microseconds for each report; what is reported is there before. */
const measure = async ({ flush, look, prepare, report }) => {
  let used = 0
  for (let batch = 0; batch < WARMUP_BATCHES + BATCHES; batch++) {
    const prepared = await prepare(batch * BATCH * LEAVES, BATCH)
    if (batch === 0) look(prepared[0])
    const start = process.cpuUsage()
    await report(prepared)
    await flush()
    if (batch >= WARMUP_BATCHES) used += cpuSince(start)
  }
  return used / (BATCHES * BATCH)
}
