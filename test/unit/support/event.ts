import type { Event } from "../../../src/protocol/Event.js"

export const eventOf = (fields: Partial<Event> = {}): Event => ({
  event_id: "0123456789abcdef0123456789abcdef",
  timestamp: 1,
  platform: "node",
  ...fields
})
