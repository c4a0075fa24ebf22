/**
 * `node --import effect-faultline/register app.js`: the default integrations, configured from the environment, for code that
 * cannot be changed.
 *
 * @since 0.1.0
 */
import { init } from "./Facade.js"
import { describeError, writeLine } from "./transport/debug.js"

try {
  init()
} catch (error) {
  // The program was not written for this: it runs without.
  writeLine(`[faultline] nothing will be reported. ${describeError(error)}`)
}
