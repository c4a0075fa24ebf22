/**
 * What delivery does, as metrics of Effect, for whoever exports them. They add up over all hubs of the process.
 */
import * as Metric from "effect/Metric"
import type { Category, DiscardReason } from "../protocol/Category.js"

/** @internal */
export interface Metrics {
  readonly sent: () => void
  readonly queued: (envelopes: number, bytes: number) => void
  readonly dropped: (reason: DiscardReason, category: Category, quantity: number) => void
  /** @param until seconds since the epoch */
  readonly limited: (category: Category | "all", until: number) => void
}

const envelopesSent = Metric.counter("faultline_envelopes_sent", {
  description: "Envelopes that a server has accepted",
  incremental: true
})
const queueEnvelopes = Metric.gauge("faultline_queue_envelopes", { description: "Envelopes that wait to be sent" })
const queueBytes = Metric.gauge("faultline_queue_bytes", { description: "What they take, in bytes" })
const itemsDropped = Metric.counter("faultline_items_dropped", {
  description: "What was not delivered, by reason and category (attachments in bytes)",
  incremental: true
})
const limitedUntil = Metric.gauge("faultline_limited_until", {
  description: "Until when a server wants to hear nothing of a category, in seconds since the epoch"
})
const droppedBy = new Map<string, typeof itemsDropped>()

/** @internal */
export const metrics: Metrics = {
  sent: () => envelopesSent.unsafeUpdate(1, []),
  queued(envelopes, bytes) {
    queueEnvelopes.unsafeModify(envelopes, [])
    queueBytes.unsafeModify(bytes, [])
  },
  dropped(reason, category, quantity) {
    const key = `${reason}:${category}`
    const known = droppedBy.get(key)
    const metric = known ?? itemsDropped.pipe(Metric.tagged("reason", reason), Metric.tagged("category", category))
    if (known === undefined) droppedBy.set(key, metric)
    metric.unsafeUpdate(quantity, [])
  },
  limited: (category, until) => limitedUntil.pipe(Metric.tagged("category", category)).unsafeUpdate(until, [])
}
