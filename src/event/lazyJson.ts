/**
 * A field of an event whose value is the same, large, and rarely looked at: it is kept as JSON, and becomes an object of the
 * event's own only when someone asks for it.
 */
import type { Event } from "../protocol/Event.js"

/** @internal */
export const setLazyField = (event: Event, key: keyof Event, json: string): void => {
  Object.defineProperty(event, key, {
    configurable: true,
    enumerable: true,
    get() {
      const value: unknown = JSON.parse(json)
      define(event, key, value)
      return value
    },
    set(value: unknown) {
      define(event, key, value)
    }
  })
  const fields = unread.get(event) ?? new Map<keyof Event, string>()
  unread.set(event, fields.set(key, json))
}

/** The JSON of an event, with the lazy fields that nobody has asked for taken as they are. @internal */
export const stringifyEvent = (event: Event): string => {
  const fields = unread.get(event)
  if (fields === undefined || fields.size === 0 || Object.isFrozen(event)) return JSON.stringify(event)
  const { ...rest } = Object.getOwnPropertyDescriptors(event) as Record<string, PropertyDescriptor>
  let lazy = ""
  for (const [key, json] of fields) {
    // A callback may have deleted it.
    if (rest[key]?.get !== undefined) lazy += `,${JSON.stringify(key)}:${json}`
    delete rest[key]
  }
  return `${JSON.stringify(Object.defineProperties({}, rest)).slice(0, -1)}${lazy}}`
}

const unread = new WeakMap<Event, Map<keyof Event, string>>()

const define = (event: Event, key: keyof Event, value: unknown): void => {
  unread.get(event)?.delete(key)
  if (Object.isFrozen(event) || Object.isSealed(event)) return
  Object.defineProperty(event, key, { configurable: true, enumerable: true, writable: true, value })
}
