/**
 * Attributes of spans as tags.
 */
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { Event } from "../protocol/Event.js"
import { tagsOf } from "./apply.js"
import { FILTERED, isSensitiveKey, scrubText } from "./scrub.js"

/**
 * Those of the span, then those of the spans around it; a tag that the event has already stays. At most 30, and nothing but texts,
 * numbers and truth values.
 *
 * @param patterns names of attributes, in which `*` stands for any characters
 * @internal
 */
export const addSpanTags = (event: Event, span: Tracer.AnySpan | undefined, patterns: ReadonlyArray<string>): void => {
  const wanted = patterns.map(wildcard)
  const found: Record<string, string | number | boolean | bigint> = {}
  let count = 0
  let current = span
  for (let depth = 0; current?._tag === "Span" && depth < MAX_SPANS && count < MAX_TAGS; depth++) {
    for (const [key, value] of current.attributes) {
      if (count >= MAX_TAGS || Object.hasOwn(found, key) || !isPlain(value)) continue
      if (!wanted.some((pattern) => pattern.test(key))) continue
      found[key] = isSensitiveKey(key) ? FILTERED : typeof value === "string" ? scrubText(value) : value
      count++
    }
    current = Option.getOrUndefined(current.parent)
  }
  if (count > 0) event.tags = { ...tagsOf(found), ...event.tags }
}

const MAX_SPANS = 30
const MAX_TAGS = 30

const isPlain = (value: unknown): value is string | number | boolean | bigint =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" || typeof value === "bigint"

const wildcard = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`
  )
