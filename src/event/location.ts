/**
 * One line of V8's stack text: which function, where.
 */
import { fileURLToPath } from "node:url"

/**
 * `name (place)`, or a place alone. Both the name (of a span) and the place may have parentheses of their own.
 *
 * @internal
 */
export const splitCall = (call: string): { readonly name: string | undefined; readonly place: string } => {
  if (call.endsWith(")")) {
    for (let open = call.lastIndexOf("("); open >= 0; open = call.lastIndexOf("(", open - 1)) {
      const place = call.slice(open + 1, -1)
      if (PLACE.test(place) && !call.slice(0, open).includes("(eval at "))
        return { name: call.slice(0, open).trimEnd(), place }
      if (open === 0) break
    }
    const open = call.indexOf("(")
    return { name: call.slice(0, open).trimEnd(), place: call.slice(open + 1, -1) }
  }
  return { name: undefined, place: call.replace(/^async /, "") }
}

const PLACE = /^(?:[a-z][a-z+.-]*:|[\\/]|[A-Za-z]:[\\/]|<anonymous>|native\b|eval at |index \d)/

/** @internal */
export const functionName = (name: string | undefined): string => {
  const bare = (name ?? "").replace(/^(?:async |new )+/, "").replace(/ \[as .*\]$/, "")
  const own = bare.startsWith(EFFECT_PRIMITIVE) ? bare.slice(EFFECT_PRIMITIVE.length) : bare
  return own === "" || NAMELESS.test(own) ? "?" : own
}

/** Effect keeps the functions of a program as fields of its instructions, after which V8 then names them. */
const EFFECT_PRIMITIVE = "EffectPrimitive."
const NAMELESS = /^(?:<anonymous>|(?:Object|Module)\.<anonymous>|effect_instruction_i\d+)$/

/** @internal */
export interface Location {
  readonly path: string | undefined
  readonly lineno?: number | undefined
  readonly colno?: number | undefined
}

/** @internal */
export const parseLocation = (text: string): Location => {
  const evaluated = /\((?:eval at .*\()?([^()]*:\d+:\d+)\)/.exec(text)
  const match = /^(.*?):(\d+)(?::(\d+))?$/.exec(evaluated?.[1] ?? text)
  if (match === null) return { path: undefined }
  const path = toPath(match[1] as string)
  return path === "<anonymous>" || path === "native" || path === ""
    ? { path: undefined }
    : { path, lineno: positive(match[2]), colno: positive(match[3]) }
}

const positive = (digits: string | undefined): number | undefined => {
  const number = Number(digits)
  return number > 0 ? number : undefined
}

const toPath = (location: string): string => {
  if (location.startsWith("data:")) return "<data>"
  if (!location.startsWith("file:")) return location
  try {
    return fileURLToPath(location)
  } catch {
    return location.slice("file://".length)
  }
}
