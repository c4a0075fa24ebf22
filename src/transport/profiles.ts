/**
 * What a server takes. Each takes events; what else there is, some refuse, some drop without a word, and some stop reading the
 * envelope there.
 */
import type { ItemType } from "../protocol/Category.js"

/**
 * Which kind of server it is.
 *
 * @since 0.1.0
 * @category models
 */
export type Profile = "sentry" | "glitchtip" | "bugsink" | "telebugs" | "minimal"

/** @internal */
export const profiles: Readonly<Record<Profile, ReadonlySet<ItemType>>> = {
  sentry: new Set(["event", "attachment", "session", "sessions", "log", "client_report", "check_in"]),
  glitchtip: new Set(["event"]),
  bugsink: new Set(["event"]),
  telebugs: new Set(["event"]),
  minimal: new Set(["event"])
}

/** Whether an answer says that the server does not want what is no event, and is not going to. @internal */
export const isRejection = (status: number): boolean => status >= 400 && status < 500 && !TRANSIENT.has(status)

/** A wrong key, a time-out, a conflict, too much at once: none says anything about the kind of item. */
const TRANSIENT = new Set([401, 403, 407, 408, 409, 413, 425, 429])
