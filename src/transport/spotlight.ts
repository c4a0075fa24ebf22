/**
 * Spotlight: a page on the developer's own machine that shows what is sent. It gets a copy of everything, and may be absent, slow or
 * wrong without anybody noticing more than a line.
 */
import { writeLine } from "./debug.js"
import { makeHttpSender } from "./httpSender.js"
import type { Sender, SendResult } from "./Transport.js"

/** Where it is, unless told otherwise. @internal */
export const SPOTLIGHT_URL = "http://localhost:8969/stream"

/** How long the end of a program may be held up for it. @internal */
export const SPOTLIGHT_PATIENCE_MILLIS = 1000

/** What `SENTRY_SPOTLIGHT` says: on, off, a URL, or nothing. @internal */
export const readSpotlight = (text: string): boolean | string | undefined => {
  const word = text.trim()
  if (word === "") return undefined
  if (/^(?:true|t|y|yes|on|1)$/i.test(word)) return true
  return /^(?:false|f|n|no|off|0)$/i.test(word) ? false : word
}

/**
 * A sender that is left alone for a while after each failure, from one second up to a minute, and whose answers are none that
 * anybody has to heed.
 *
 * @internal
 */
export const makeSpotlightSender = (url: string, headers: Readonly<Record<string, string>>): Sender => {
  const sender = makeHttpSender({ url, headers }, TIMEOUT_MILLIS)
  let pauseMillis = 0
  let pausedUntil = 0
  let isTold = false
  const note = (result: SendResult): SendResult => {
    if (result._tag === "Answered") {
      pauseMillis = 0
      return TAKEN
    }
    // Several may fail together.
    if (performance.now() >= pausedUntil) {
      pauseMillis = Math.min(MAX_PAUSE_MILLIS, Math.max(MIN_PAUSE_MILLIS, pauseMillis * 2))
      pausedUntil = performance.now() + pauseMillis
    }
    if (!isTold) writeLine(`[faultline] Spotlight does not answer at ${url}: it will not show everything`)
    isTold = true
    return result
  }
  const isPaused = (): boolean => performance.now() < pausedUntil
  return {
    keepsEnvelope: false,
    send(envelope, done) {
      if (isPaused()) {
        done(PAUSED)
        return { handedOver: false, abort() {} }
      }
      let isAborted = false
      const sending = sender.send(envelope, (result) => done(isAborted ? result : note(result)))
      return {
        get handedOver() {
          return sending.handedOver
        },
        poll: () => sending.poll?.() ?? true,
        abort() {
          isAborted = true
          sending.abort()
        }
      }
    },
    sendSync: (envelopes, timeoutMillis, onWaiting) =>
      isPaused()
        ? envelopes.map(() => PAUSED)
        : (sender.sendSync?.(envelopes, Math.min(timeoutMillis, SPOTLIGHT_PATIENCE_MILLIS), onWaiting) ?? []),
    close: () => sender.close()
  }
}

const TIMEOUT_MILLIS = 2000
const MIN_PAUSE_MILLIS = 1000
const MAX_PAUSE_MILLIS = 60_000

const TAKEN: SendResult = { _tag: "Answered", status: 200 }
const PAUSED: SendResult = { _tag: "Failed", reason: "Spotlight is left alone for a while" }
