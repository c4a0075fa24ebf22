/**
 * What a schema did not accept: where, and what it expected. Never what was there instead.
 */
import { has, read } from "./inspect.js"
import { FILTERED } from "./scrub.js"

/** One place where a value was not what the schema says. @internal */
export interface Issue {
  /** `user.tags[0]`; empty: the value as a whole. */
  readonly path: string
  readonly problem: string
}

/** @internal */
export const isParseError = (value: unknown): value is { readonly issue: unknown } =>
  has(value, PARSE_ERROR) && typeof read(value, "issue") === "object"

/** The first few of them in one text. @internal */
export const describeIssue = (issue: unknown): string => {
  const issues = issuesOf(issue, MAX_TOLD + 1)
  const told = issues.slice(0, MAX_TOLD).map(({ path, problem }) => (path === "" ? problem : `${path}: ${problem}`))
  return issues.length > MAX_TOLD ? `${told.join("; ")}; …` : told.join("; ")
}

/** @internal */
export const issuesOf = (root: unknown, limit = MAX_ISSUES): Array<Issue> => {
  const issues: Array<Issue> = []
  visit(root, "", 0)
  return issues

  function visit(issue: unknown, path: string, depth: number): void {
    if (issues.length >= limit || depth > MAX_DEPTH) return
    const message = customMessage(issue)
    if (message !== undefined) {
      issues.push({ path, problem: message })
      return
    }
    switch (read(issue, "_tag")) {
      case "Pointer":
        return visit(read(issue, "issue"), joined(path, read(issue, "path")), depth + 1)
      case "Composite": {
        const inner = read(issue, "issues")
        for (const part of Array.isArray(inner) ? inner : [inner]) visit(part, path, depth + 1)
        return
      }
      case "Refinement":
      case "Transformation":
        return visit(read(issue, "issue"), path, depth + 1)
      default:
        issues.push({ path, problem: problemOf(issue) })
    }
  }
}

/** What a schema is called: its identifier, title, or its type as text. @internal */
export const schemaName = (issue: unknown): string => expected(read(issue, "ast"))

const PARSE_ERROR = Symbol.for("effect/Schema/ParseErrorTypeId")
const MESSAGE = Symbol.for("effect/annotation/Message")
const NAMES = ["Description", "Title", "AutoTitle", "Identifier"].map((name) => Symbol.for(`effect/annotation/${name}`))
const MAX_TOLD = 5
const MAX_ISSUES = 20
const MAX_DEPTH = 64
const MAX_TEXT = 256

const problemOf = (issue: unknown): string => {
  switch (read(issue, "_tag")) {
    case "Missing":
      return "is missing"
    case "Unexpected":
      return "is unexpected"
    case "Forbidden":
      return "is forbidden"
    default:
      return `expected ${expected(read(issue, "ast"))}, was ${kindOf(read(issue, "actual"))}`
  }
}

/** What the schema's author wrote for this case, without the value it was about. */
const customMessage = (issue: unknown): string | undefined => {
  const own = read(issue, "message")
  if (typeof own === "string" && own !== "") return masked(own, read(issue, "actual"))
  const annotation = read(read(read(issue, "ast"), "annotations"), MESSAGE)
  if (typeof annotation !== "function") return undefined
  try {
    const result = (annotation as (issue: unknown) => unknown)(issue)
    const text = typeof result === "string" ? result : read(result, "message")
    return typeof text === "string" && text !== "" ? masked(text, read(issue, "actual")) : undefined
  } catch {
    return undefined
  }
}

const masked = (text: string, actual: unknown): string => {
  let result = text.slice(0, MAX_TEXT)
  for (const shown of renderings(actual)) result = result.replaceAll(shown, () => FILTERED)
  return result
}

/** A value as it may stand in a text, the longest first. */
const renderings = (actual: unknown): ReadonlyArray<string> => {
  try {
    if (typeof actual === "string") return [JSON.stringify(actual), ...(actual.length > 2 ? [actual] : [])]
    if (typeof actual === "object" && actual !== null) {
      const parts = Object.values(actual).slice(0, 20)
      return [JSON.stringify(actual), ...parts.filter((part) => typeof part !== "object").flatMap(renderings)]
    }
    const text = String(actual)
    return text.length > 2 ? [text] : []
  } catch {
    return []
  }
}

const expected = (ast: unknown): string => {
  const annotations = read(ast, "annotations")
  for (const name of NAMES) {
    const text = read(annotations, name)
    if (typeof text === "string" && text !== "") return text.slice(0, MAX_TEXT)
  }
  try {
    return typeof ast === "object" && ast !== null ? String(ast).slice(0, MAX_TEXT) : "something else"
  } catch {
    return "something else"
  }
}

const kindOf = (actual: unknown): string => {
  if (actual === null) return "null"
  if (Array.isArray(actual)) return "an array"
  if (actual === "") return "an empty string"
  return typeof actual === "undefined" ? "undefined" : typeof actual === "object" ? "an object" : `a ${typeof actual}`
}

const joined = (path: string, step: unknown): string => {
  let result = path
  for (const key of Array.isArray(step) ? step : [step]) {
    if (result.length > MAX_TEXT) return result
    if (typeof key === "number") result += `[${key}]`
    else result += result === "" ? String(key) : `.${String(key)}`
  }
  return result
}
