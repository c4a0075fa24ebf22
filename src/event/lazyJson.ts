/**
 * A field of an event whose value is the same, large, and rarely looked at: it is kept as JSON, and becomes an object of the
 * event's own only when someone asks for it.
 */
import type { Event } from "../protocol/Event.js"
import { stringifyExceptions } from "./encodedFrames.js"

/** @internal */
export const setLazyField = (event: Event, key: keyof Event, json: string): void => {
  const lazy = event as Lazy
  if (lazy[UNREAD] === undefined) Object.defineProperty(event, UNREAD, { value: new Map() })
  lazy[UNREAD]?.set(key, json)
  Object.defineProperty(event, key, accessorOf(key))
}

/** The JSON of an event, with the lazy fields that nobody has asked for, and frames that nobody has changed, taken as they are. @internal */
export const stringifyEvent = (event: Event): string => {
  const fields = (event as Lazy)[UNREAD]
  if (Object.isFrozen(event) || "toJSON" in event) return JSON.stringify(event)
  const rest: Record<string, unknown> = {}
  let ready = ""
  for (const key of Object.keys(event) as Array<keyof Event>) {
    const json = fields?.get(key)
    // A callback may have put something else there.
    const isUnread = json !== undefined && Object.getOwnPropertyDescriptor(event, key)?.get !== undefined
    const text = isUnread ? json : key === "exception" ? stringifyExceptions(event[key]) : undefined
    if (text === undefined) rest[key] = event[key]
    else ready += `,${JSON.stringify(key)}:${text}`
  }
  const json = JSON.stringify(rest)
  return `${json.slice(0, -1)}${json === "{}" ? ready.slice(1) : ready}}`
}

/** What was not asked for yet. Not in a WeakMap: an event that comes wrapped in a proxy is still that event. */
const UNREAD = Symbol("unread")

interface Lazy extends Event {
  readonly [UNREAD]?: Map<keyof Event, string>
}

/** One for all events: what the accessors of one alone refer to, V8 keeps until the next full collection. */
const accessorOf = (key: keyof Event): PropertyDescriptor => {
  const known = accessors.get(key)
  if (known !== undefined) return known
  const accessor: PropertyDescriptor & ThisType<Lazy> = {
    configurable: true,
    enumerable: true,
    get() {
      const json = this[UNREAD]?.get(key)
      const value: unknown = json === undefined ? undefined : JSON.parse(json)
      define(this, key, value)
      return value
    },
    set(value: unknown) {
      define(this, key, value)
    }
  }
  accessors.set(key, accessor)
  return accessor
}

const accessors = new Map<keyof Event, PropertyDescriptor>()

const define = (event: Lazy, key: keyof Event, value: unknown): void => {
  if (Object.isFrozen(event) || Object.isSealed(event)) return
  event[UNREAD]?.delete(key)
  Object.defineProperty(event, key, { configurable: true, enumerable: true, writable: true, value })
}
