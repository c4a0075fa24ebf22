/**
 * One failure, one event: an error that was reported is not reported again, whichever way it comes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Integration from "../hub/Integration.js"
import type { Admission } from "../hub/Registry.js"
import { checkOptions } from "../protocol/checkOptions.js"
import type { EventId } from "../protocol/Event.js"

/**
 * Within one isolation scope (and those it was forked from) the same error object is sent once, and the first id is returned
 * for every further report. The same object failing in another request is an event of its own, unless it is caught on its way
 * out of the program (`Excepthook`, `Threading`): those never repeat what was sent from anywhere. Equal but distinct errors are
 * distinct. An event that was dropped after all (by a processor, `beforeSend` or sampling) is forgotten. Errors are remembered
 * weakly; what is no object (a thrown string) is not remembered at all.
 *
 * Python's SDK remembers one object per context: A, B, A are three events there, and two here.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Readonly<Record<string, never>> = {}): Integration.IntegrationLayer => {
  checkOptions(options, {})
  return Integration.make("dedupe", () => {
    const sent = new WeakMap<object, Sightings>()

    const find = (error: object, { escaped, isolations }: Admission): EventId | undefined => {
      const sightings = sent.get(error)
      if (sightings === undefined) return undefined
      if (escaped) return sightings.last
      return isolations[0] === undefined ? undefined : sightings.byIsolation.get(isolations[0])
    }

    return Effect.succeed({
      phase: "last",
      admit(admission) {
        const found = admission.errors.map((error) => find(error, admission))
        if (found.length > 0 && found.every((id) => id !== undefined)) return found[0]
        // Remembered from now on: a second report may come while the first is still on its way through the processors.
        for (const error of admission.errors) remember(sent, error, admission)
        return undefined
      },
      settle(admission, wasSent) {
        if (!wasSent) for (const error of admission.errors) forget(sent, error, admission)
      }
    })
  })
}

interface Sightings {
  readonly byIsolation: WeakMap<object, EventId>
  last: EventId | undefined
}

const remember = (sent: WeakMap<object, Sightings>, error: object, { eventId, isolations }: Admission): void => {
  const sightings = sent.get(error) ?? { byIsolation: new WeakMap(), last: undefined }
  for (const isolation of isolations)
    if (!sightings.byIsolation.has(isolation)) sightings.byIsolation.set(isolation, eventId)
  sightings.last ??= eventId
  sent.set(error, sightings)
}

const forget = (sent: WeakMap<object, Sightings>, error: object, { eventId, isolations }: Admission): void => {
  const sightings = sent.get(error)
  if (sightings === undefined) return
  for (const isolation of isolations) {
    if (sightings.byIsolation.get(isolation) === eventId) sightings.byIsolation.delete(isolation)
  }
  if (sightings.last === eventId) sightings.last = undefined
}
