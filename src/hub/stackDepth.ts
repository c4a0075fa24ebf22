/**
 * How many frames V8 keeps of an error. Its default (10) is what Effect's run loop takes for itself.
 */
import { refCounted } from "./patch.js"

/**
 * Raises `Error.stackTraceLimit` to `STACK_DEPTH` if it is lower; the function it returns gives it back, unless somebody has changed it
 * meanwhile. One that was turned off stays off.
 *
 * @internal
 */
export const deepenStacks: () => () => void = refCounted(() => {
  const before = Error.stackTraceLimit
  if (typeof before !== "number" || before <= 0 || before >= STACK_DEPTH || !set(STACK_DEPTH)) return () => {}
  return () => {
    if (Error.stackTraceLimit === STACK_DEPTH) set(before)
  }
})

/** As many as `@sentry/node` keeps. @internal */
export const STACK_DEPTH = 50

/** Where the built-in objects are frozen (`--frozen-intrinsics`) it stays what it is. */
const set = (limit: number): boolean => {
  try {
    Error.stackTraceLimit = limit
    return true
  } catch {
    return false
  }
}
