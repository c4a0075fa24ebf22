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
    get: () => {
      const value: unknown = JSON.parse(json)
      define(event, key, value)
      return value
    },
    set(value: unknown) {
      define(event, key, value)
    }
  })
  unread.set(event, { key, json })
}

/** The JSON of an event, with a lazy field that nobody has asked for taken as it is. @internal */
export const stringifyEvent = (event: Event): string => {
  const lazy = unread.get(event)
  if (lazy === undefined) return JSON.stringify(event)
  define(event, lazy.key, undefined)
  const json = JSON.stringify(event)
  setLazyField(event, lazy.key, lazy.json)
  return `${json.slice(0, -1)},${JSON.stringify(lazy.key)}:${lazy.json}}`
}

const unread = new WeakMap<Event, { readonly key: keyof Event; readonly json: string }>()

const define = (event: Event, key: keyof Event, value: unknown): void => {
  unread.delete(event)
  Object.defineProperty(event, key, { configurable: true, enumerable: true, writable: true, value })
}
