/**
 * From an error to a report, and from whatever runs to the hub it reports to.
 */
import * as Cause from "effect/Cause"
import type { Report } from "../event/build.js"
import type { MechanismInput } from "../event/exceptions.js"
import { failureOf, failureOfCause } from "../event/failure.js"
import type { EventId } from "../protocol/Event.js"
import { branchOf, type Carrier, Cell, replaceState, stateOf } from "../scope/carrier.js"
import { fiberNow } from "../scope/fiber.js"
import * as ScopeData from "../scope/ScopeData.js"
import { openOwner, type ScopeState } from "../scope/ScopeState.js"
import type { Client, Place } from "./Client.js"

/** The hub that a scope reports to: the innermost that is open. @internal */
export const clientOf = (state: ScopeState): Client | undefined => openOwner(state) as Client | undefined

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

/** @internal */
export interface ReportInput {
  readonly mechanism: MechanismInput
  readonly level?: Report["level"] | undefined
  readonly escaped?: boolean | undefined
  readonly integration?: string | undefined
  readonly context?: ScopeData.ScopeContext | undefined
  readonly stack?: string | undefined
  readonly fiberId?: string | undefined
}

/** What an error or a Cause is as a report; `undefined` where there is nothing but interruption. @internal */
export const reportOf = (error: unknown, input: ReportInput): Report | undefined => {
  const cause = Cause.isCause(error) ? error : undefined
  const failure = cause === undefined ? failureOf(error) : failureOfCause(cause)
  if (failure.primary === undefined) return undefined
  return { ...input, level: input.level ?? "error", failure, cause }
}
