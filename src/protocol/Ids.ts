import { randomUUID } from "node:crypto"
import type { EventId } from "./Event.js"

/** A UUID v4 as 32 lowercase hex digits. @internal */
export const makeEventId = (): EventId => randomUUID().replaceAll("-", "")

/** 16 lowercase hex digits. @internal */
export const makeSpanId = (): string => makeEventId().slice(16)
