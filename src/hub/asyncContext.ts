/**
 * How the scope of a fiber goes along into code that is not Effect.
 */
import { runFor } from "../scope/carrier.js"
import type { AnyFiber, Committing, FiberInternals } from "../scope/fiber.js"
import { patchMethod, refCounted } from "./patch.js"

/**
 * From now on what `Effect.async`, `Effect.promise` and their kind call runs in an asynchronous context that leads back to their
 * fiber; the function it returns ends that. (To enter such a context whenever a fiber resumes would also cover what `Effect.sync`
 * sets in motion, at six times the price.)
 *
 * @param fiber any
 * @internal
 */
export const carryIntoAsync = (fiber: AnyFiber): (() => void) => {
  prototype = Object.getPrototypeOf(fiber) as FiberInternals
  return acquire()
}

let prototype: FiberInternals = {}

// SAFETY: asynchronous effects call the program from here. Should that change, a request that is made after an `await`, and what is
// captured there, is nobody's.
const acquire = refCounted(() =>
  typeof prototype.Commit === "function"
    ? patchMethod(
        prototype as Required<FiberInternals>,
        "Commit",
        (original) =>
          function (this: AnyFiber, op: Committing): unknown {
            return typeof op.effect_instruction_i0 === "function"
              ? runFor(this, () => original.call(this, op))
              : original.call(this, op)
          }
      )
    : () => {}
)
