import { writeSync } from "node:fs"
import { FILTERED } from "../event/scrub.js"

/**
 * The SDK's own voice: straight to standard error, past every logger and patched console, so that it can neither recurse nor
 * be lost at exit. It says nothing unless `debug` is on.
 *
 * @internal
 */
export type Debug = (message: string) => void

/** @param mask what hides the keys of the hub @internal */
export const makeDebug = (enabled: boolean, mask: (text: string) => string): Debug =>
  enabled ? (message) => warn(withoutCredentials(mask(message))) : silent

/** Of whatever URLs there are in it. */
const withoutCredentials = (text: string): string => text.replace(/:\/\/[^\s/?#@"]+@/g, `://${FILTERED}:${FILTERED}@`)

/** What the user must know of, also without `debug`: it is said once, as something is set up. @internal */
export const warn: Debug = (message) => writeLine(`[faultline] ${message}`)

/** One line on standard error, written before the call returns. @internal */
export const writeLine = (line: string): void => {
  try {
    writeSync(2, `${line}\n`)
  } catch {
    // A closed or full standard error is no reason to disturb the program.
  }
}

/** Errors as `debug` shows them: the message alone, never the object (it may hold user data). @internal */
export const describeError = (error: unknown): string => {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } catch {
    return "an error that cannot be shown"
  }
}

const silent: Debug = () => {}
