/**
 * What a schema did not accept: where, and what it expected. Never what was there instead, nor under which keys of its own.
 */
import { has, read } from "./inspect.js"
import { FILTERED, scrubText } from "./scrub.js"

/** One place where a value was not what the schema says. @internal */
export interface Issue {
  /** `user.tags[0]`; empty: the value as a whole. */
  readonly path: string
  readonly problem: string
}

/** @internal */
export const isParseError = (value: unknown): value is { readonly issue: unknown } =>
  (has(value, PARSE_ERROR) && typeof read(value, "issue") === "object") ||
  (read(value, "_tag") === "ParseError" && isIssue(read(value, "issue")))

/** What is said of a `ParseError`, or of an issue, wherever it is found; `undefined` for everything else. @internal */
export const withoutValues = (
  value: object
): string | { readonly name: string; readonly message: string } | undefined => {
  const tag = read(value, "_tag")
  if (typeof tag !== "string") return undefined
  if (isIssue(value)) return describeIssue(value)
  return isParseError(value) ? { name: tag, message: describeIssue(value.issue) } : undefined
}

/** The first few of them in one text. @internal */
export const describeIssue = (issue: unknown): string => {
  const issues = issuesOf(issue, MAX_TOLD + 1)
  const told = issues.slice(0, MAX_TOLD).map(({ path, problem }) => (path === "" ? problem : `${path}: ${problem}`))
  return issues.length > MAX_TOLD ? `${told.join("; ")}; …` : told.join("; ")
}

/** @internal */
export const issuesOf = (root: unknown, limit = MAX_ISSUES): Array<Issue> => {
  const issues: Array<Issue> = []
  visit(root, undefined, "", 0)
  return issues

  /** @param around the schema of the value that the issue is about, or that it is a part of */
  function visit(issue: unknown, around: unknown, path: string, depth: number): void {
    if (issues.length >= limit || depth > MAX_DEPTH) return
    const message = customMessage(issue)
    if (message !== undefined) return put(path, message)
    const schema = read(issue, "ast") ?? around
    switch (read(issue, "_tag")) {
      case "Pointer": {
        const [inner, type] = joined(path, read(issue, "path"), schema)
        return visit(read(issue, "issue"), type, inner, depth + 1)
      }
      case "Composite": {
        const inner = read(issue, "issues")
        for (const part of Array.isArray(inner) ? inner : [inner]) visit(part, schema, path, depth + 1)
        return
      }
      case "Refinement":
      case "Transformation":
        return visit(read(issue, "issue"), schema, path, depth + 1)
      default:
        put(path, problemOf(issue))
    }
  }

  /** Two keys of the data may have the same said of them. */
  function put(path: string, problem: string): void {
    if (!issues.some((issue) => issue.path === path && issue.problem === problem)) issues.push({ path, problem })
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
/** How far into a schema is looked for a property. */
const MAX_NESTING = 8
const MAX_SCHEMAS = 256
const MAX_RENDERINGS = 200
const MAX_PARTS_DEPTH = 4
const ISSUES = new Set([
  "Pointer",
  "Unexpected",
  "Missing",
  "Composite",
  "Refinement",
  "Transformation",
  "Type",
  "Forbidden"
])

/** Plain data may have the tag of an `Unexpected`, which has hardly anything else. */
const isIssue = (value: unknown): boolean => {
  const tag = read(value, "_tag")
  if (typeof tag !== "string" || !ISSUES.has(tag) || !has(value, "actual")) return false
  if (tag === "Unexpected") return Object.getPrototypeOf(value) !== Object.prototype
  return typeof read(value, tag === "Pointer" ? "issue" : "ast") === "object"
}

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
  const own = read(issue, "_tag") === "Unexpected" ? undefined : read(issue, "message")
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
  // What `JSON.parse` says shows the text around.
  if (text.endsWith(NO_JSON)) return NO_JSON
  let result = text
  for (const shown of renderings(actual)) result = result.replaceAll(shown, () => FILTERED)
  return scrubText(result.slice(0, MAX_TEXT))
}

const NO_JSON = "is not valid JSON"

/** A value, and what is in it, as they may stand in a text, the longest first. */
const renderings = (actual: unknown): ReadonlyArray<string> => {
  const texts = new Set<string>()
  collect(actual, 0)
  return [...texts].toSorted((one, other) => other.length - one.length)

  function collect(value: unknown, depth: number): void {
    if (texts.size >= MAX_RENDERINGS) return
    try {
      if (typeof value === "object" && value !== null && depth < MAX_PARTS_DEPTH) {
        for (const part of Object.values(value)) collect(part, depth + 1)
      }
      if (typeof value === "string") texts.add(JSON.stringify(value))
      for (const text of [String(value), JSON.stringify(value)]) {
        if (typeof text === "string" && text.length > 2) texts.add(text)
      }
    } catch {
      // What has no text stands in none.
    }
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

/** The path goes on with these keys, to a part of this schema. */
const joined = (path: string, step: unknown, schema: unknown): readonly [path: string, type: unknown] => {
  let result = path
  let type = schema
  for (const key of Array.isArray(step) ? step : [step]) {
    if (result.length > MAX_TEXT) return [result, undefined]
    const property = propertyOf(type, key)
    if (typeof key === "number") result += `[${key}]`
    else if (property?.isNamed !== true) result += "[key]"
    else result += result === "" ? String(key) : `.${String(key)}`
    type = property?.type
  }
  return [result, type]
}

interface Property {
  readonly type: unknown
  /** Whether the schema has the name; else it has a type for whatever names the data has. */
  readonly isNamed: boolean
}

const propertyOf = (schema: unknown, key: unknown): Property | undefined => {
  let left = MAX_SCHEMAS
  return find(schema, 0)

  function find(ast: unknown, depth: number): Property | undefined {
    if (depth > MAX_NESTING || --left < 0) return undefined
    switch (read(ast, "_tag")) {
      case "TypeLiteral": {
        const named = listOf(read(ast, "propertySignatures")).find((signature) => read(signature, "name") === key)
        if (named !== undefined) return { type: read(named, "type"), isNamed: true }
        const [other] = listOf(read(ast, "indexSignatures"))
        return other === undefined ? undefined : { type: read(other, "type"), isNamed: false }
      }
      case "TupleType": {
        const element = listOf(read(ast, "elements"))[Number(key)] ?? listOf(read(ast, "rest"))[0]
        return { type: read(element, "type"), isNamed: false }
      }
      case "Refinement":
        return find(read(ast, "from"), depth + 1)
      case "Transformation":
        return first([read(ast, "from"), read(ast, "to")], depth)
      case "Union":
        return first(listOf(read(ast, "types")), depth)
      case "Declaration":
        return first(listOf(read(ast, "typeParameters")), depth)
      case "Suspend":
        return find(suspended(ast), depth + 1)
      default:
        return undefined
    }
  }

  function first(asts: ReadonlyArray<unknown>, depth: number): Property | undefined {
    let found: Property | undefined
    for (const ast of asts) {
      const property = find(ast, depth + 1)
      if (property?.isNamed === true) return property
      found ??= property
    }
    return found
  }
}

const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const suspended = (ast: unknown): unknown => {
  const get = read(ast, "f")
  try {
    return typeof get === "function" ? (get as () => unknown)() : undefined
  } catch {
    return undefined
  }
}
