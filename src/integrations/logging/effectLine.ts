/**
 * Lines of Effect's own loggers.
 */
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as List from "effect/List"
import type * as Logger from "effect/Logger"
import { spanLines } from "../../event/failure.js"
import { describe } from "../../event/text.js"
import type { AnyFiber } from "../../scope/fiber.js"
import { Line } from "./Line.js"

/** The annotation `logger` names the logger. @internal */
export const effectLine = (record: Logger.Logger.Options<unknown>, fiber: AnyFiber): Line => {
  const { cause, date, logLevel, message, spans } = record
  const annotations: Record<string, unknown> = {}
  HashMap.forEach(record.annotations, (value, key) => {
    if (key !== "__proto__") annotations[key] = Inspectable.redact(value)
  })
  const parts = (Array.isArray(message) ? (message as ReadonlyArray<unknown>) : [message]).map(Inspectable.redact)
  const name = annotations["logger"]
  const texts = parts.map(describe)
  return new Line({
    source: "effect",
    logger: typeof name === "string" && name.trim() !== "" ? name.trim() : "effect",
    level: logLevel,
    parts,
    texts,
    text: texts.join(" "),
    annotations,
    spans: List.isNil(spans) ? undefined : durations(spans, date.getTime()),
    cause: Cause.isEmpty(cause) ? undefined : cause,
    fiberId: `#${fiber.id().id}`,
    record,
    // Of the call nothing but its spans is left on the stack of the runtime.
    get stack() {
      const lines = spanLines(fiber.currentSpan)
      return lines.length === 0 ? undefined : lines.join("\n")
    }
  })
}

const durations = (spans: Logger.Logger.Options<unknown>["spans"], now: number): Record<string, number> => {
  const millis: Record<string, number> = {}
  for (const { label, startTime } of spans) if (label !== "__proto__") millis[label] = now - startTime
  return millis
}
