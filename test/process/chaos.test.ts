/**
 * The short form of `npm run chaos`.
 */
import { assert, it } from "@effect/vitest"
import { PHASES, runChaos } from "../support/chaos.js"

it("every event of programs that are killed, exit and throw, over a network that fails in all ways, is accounted for", async () => {
  const balance = await runChaos({ programs: 2, millisPerPhase: 1000, phases: PHASES, captures: 5 })
  assert.isAbove(balance.captured, 0)
  assert.isAbove(balance.delivered, 0)
  assert.isAtMost(balance.unaccounted, 0, JSON.stringify(balance))
}, 120_000)
