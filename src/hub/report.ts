/**
 * From an error to a report, and from whatever runs to the hub it reports to.
 */
import type { Report } from "../event/build.js"
import type { MechanismInput } from "../event/exceptions.js"
import { failureOf, failureOfCause, isCause } from "../event/failure.js"
import type { EventId } from "../protocol/Event.js"
import { branchOf, type Carrier, Cell, replaceState, silent, stateOf } from "../scope/carrier.js"
import { fiberNow } from "../scope/fiber.js"
import * as ScopeData from "../scope/ScopeData.js"
import type { ScopeState } from "../scope/ScopeState.js"
import type { Client, Place } from "./Client.js"

/** The hub that a scope reports to. (What the SDK itself sets in motion has an owner, but reports to nobody.) @internal */
export const clientOf = ({ owner }: ScopeState): Client | undefined =>
  owner === silent.owner ? undefined : (owner as Client | undefined)

/** @internal */
export const placeOf = (carrier: Carrier, state: ScopeState = stateOf(carrier)): Place =>
  carrier instanceof Cell
    ? { state, branch: state.trail.root, now: Date.now(), span: undefined }
    : { state, branch: branchOf(carrier, state), now: fiberNow(carrier), span: carrier.currentSpan }

/** Reports from where the carrier is, and remembers the id there. @internal */
export const captureAt = (carrier: Carrier, report: Report): EventId | undefined => {
  const state = stateOf(carrier)
  const id = clientOf(state)?.capture(report, placeOf(carrier, state))
  if (id !== undefined && id !== state.isolation.lastEventId) {
    replaceState(carrier, state.withIsolation(ScopeData.change(state.isolation, { lastEventId: id })))
  }
  return id
}

/** The same for what a program hands over, which may throw when it is looked at. @internal */
export const attemptCapture = (carrier: Carrier | undefined, report: () => Report | undefined): EventId | undefined => {
  const client = carrier === undefined ? undefined : clientOf(stateOf(carrier))
  if (carrier === undefined || client === undefined) return undefined
  return client.attempt("a capture", () => {
    const built = report()
    return built === undefined ? undefined : captureAt(carrier, built)
  })
}

/** @internal */
export interface ReportInput {
  readonly mechanism: MechanismInput
  readonly level?: Report["level"] | undefined
  readonly escaped?: boolean | undefined
  readonly integration?: string | undefined
  readonly context?: ScopeData.ScopeContext | undefined
  readonly stack?: Report["stack"]
  readonly fiberId?: string | undefined
}

/** What an error or a Cause is as a report; `undefined` where there is nothing but interruption. @internal */
export const reportOf = (error: unknown, input: ReportInput): Report | undefined => {
  const cause = isCause(error) ? error : undefined
  const failure = cause === undefined ? failureOf(error) : failureOfCause(cause)
  if (failure.primary === undefined) return undefined
  return { ...input, level: input.level ?? "error", failure, cause }
}
