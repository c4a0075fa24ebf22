/**
 * Which errors are events, and what is said of them: by the rules of the hub, and by what errors say of themselves.
 *
 * @since 0.1.0
 */
import type { Level } from "../protocol/Event.js"
import type { TagValue } from "../scope/ScopeData.js"
import type { Leaf } from "./failure.js"
import { has, read } from "./inspect.js"
import { normalize } from "./normalize.js"

/**
 * What is done with some errors. `tag`, `class`, `status` and `when` say with which: all that are given must hold, one at least must
 * be given. Every rule that holds counts; where two say different things, the later one.
 *
 * `ignore` is about expected failures (and what is thrown by code that is not Effect): a defect is reported all the same, unless the
 * rule says `defects: true`. An ignored error is still shown beside one that is not.
 *
 * @since 0.1.0
 * @category models
 * @example
 * import { Hub } from "effect-faultline"
 *
 * const Live = Hub.layerConfig({
 *   policy: [
 *     { status: "4xx", ignore: true },
 *     { tag: "RateLimited", ignore: false, level: "warning", tags: { team: "platform" } },
 *     { tag: "SqlError", fingerprint: ["{{ default }}", "database"] },
 *     { when: (error) => error instanceof TypeError, level: "fatal" }
 *   ]
 * })
 */
export interface PolicyRule {
  /** The `_tag` of the error, or one of several. */
  readonly tag?: string | ReadonlyArray<string> | undefined
  /** The class of the error, with its subclasses. */
  readonly class?: (abstract new (...args: Array<never>) => unknown) | undefined
  /**
   * The HTTP status the error stands for: its `status` or `statusCode`, that of its `response`, or the one its schema is annotated with
   * (`HttpApiSchema.annotations({ status })`). What a server has answered with counts instead, where the HTTP middleware reports it: a
   * handler that fails with the 404 of somebody else is answered with 500. `"4xx"` is any from 400 to 499.
   */
  readonly status?: StatusPattern | ReadonlyArray<StatusPattern> | undefined
  /** Anything else. One that throws does not hold. */
  readonly when?: ((error: unknown) => boolean) | undefined
  /** Whether `ignore` is meant for defects, too. Default: `false`. */
  readonly defects?: boolean | undefined
  /** Whether it is no event. `false` takes back what an earlier rule, or the error itself, says. */
  readonly ignore?: boolean | undefined
  /** Wins over the level of the scope; the level given with a capture wins over it. */
  readonly level?: Level | undefined
  /** Whether the program counts as having dealt with it, however it was caught. */
  readonly handled?: boolean | undefined
  /** What is one issue. `{{ default }}` stands for the server's own grouping. One that the scope has set wins over it. */
  readonly fingerprint?: ReadonlyArray<string> | ((error: unknown) => ReadonlyArray<string>) | undefined
  /** They win over those of the scope; the tags given with a capture win over them. */
  readonly tags?: Tags | ((error: unknown) => Tags) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type StatusPattern = number | `${1 | 2 | 3 | 4 | 5}xx`

type Tags = Readonly<Record<string, TagValue>>

/** @internal */
export interface Verdict {
  readonly ignore: boolean
  readonly level: Level | undefined
  readonly handled: boolean | undefined
  readonly fingerprint: ReadonlyArray<string> | undefined
  readonly tags: Tags
  readonly extra: Readonly<Record<string, unknown>>
}

/**
 * @param attempt calls a function of the user's; `undefined` where it throws
 * @param answered the status that the error led to, where it is known
 * @internal
 */
export const judge = (
  leaf: Leaf,
  rules: ReadonlyArray<PolicyRule>,
  attempt: <A>(call: () => A) => A | undefined,
  answered?: number
): Verdict => {
  let verdict = annotated(leaf)
  for (const rule of rules) {
    if (!holds(rule, leaf.error, attempt, answered)) continue
    const { defects, fingerprint, handled, ignore, level, tags } = rule
    verdict = {
      ignore: ignore === undefined || (ignore && leaf.kind === "die" && defects !== true) ? verdict.ignore : ignore,
      level: level ?? verdict.level,
      handled: handled ?? verdict.handled,
      fingerprint: texts(made(fingerprint, leaf.error, attempt)) ?? verdict.fingerprint,
      tags: { ...verdict.tags, ...made(tags, leaf.error, attempt) },
      extra: verdict.extra
    }
  }
  return verdict
}

/** The HTTP status that an error stands for. @internal */
export const statusOf = (error: unknown): number | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  for (const status of [
    read(error, "status"),
    read(error, "statusCode"),
    read(read(error, "response"), "status"),
    annotatedStatus(error)
  ]) {
    if (typeof status === "number") return status
  }
  return read(error, "_tag") === "RouteNotFound" ? 404 : undefined
}

/** What is wrong with the option, if anything is. @internal */
export const policyProblem = (value: unknown): string | undefined => {
  if (!Array.isArray(value)) return "must be a list of rules"
  for (const [index, rule] of value.entries()) {
    const problem = ruleProblem(rule)
    if (problem !== undefined) return `must be a list of rules: the one at ${index} ${problem}`
  }
  return undefined
}

const NOTHING: Verdict = {
  ignore: false,
  level: undefined,
  handled: undefined,
  fingerprint: undefined,
  tags: {},
  extra: {}
}

/** By the keys of Effect 4's `ErrorReporter`. */
const annotated = ({ error, kind }: Leaf): Verdict => {
  if (typeof error !== "object" || error === null) return NOTHING
  const ignore = read(error, "~effect/ErrorReporter/ignore")
  const severity = read(error, "~effect/ErrorReporter/severity")
  const attributes = read(error, "~effect/ErrorReporter/attributes")
  if (ignore === undefined && severity === undefined && attributes === undefined) return NOTHING
  const tags: Record<string, TagValue> = {}
  const extra: Record<string, unknown> = {}
  if (typeof attributes === "object" && attributes !== null) {
    for (const [key, value] of Object.entries(normalize(attributes) as Record<string, unknown>)) {
      if (typeof value === "object") extra[key] = value
      else tags[key] = value as TagValue
    }
  }
  return {
    ...NOTHING,
    // As with a rule: a defect is a bug, whatever it is made of.
    ignore: ignore === true && kind !== "die",
    level: typeof severity === "string" && Object.hasOwn(SEVERITIES, severity) ? SEVERITIES[severity] : undefined,
    tags,
    extra
  }
}

/** Effect 4's names, and Effect 3's where they differ. */
const SEVERITIES: Readonly<Record<string, Level>> = {
  Trace: "debug",
  Debug: "debug",
  Info: "info",
  Warn: "warning",
  Warning: "warning",
  Error: "error",
  Fatal: "fatal"
}

const holds = (
  rule: PolicyRule,
  error: unknown,
  attempt: <A>(call: () => A) => A | undefined,
  answered: number | undefined
): boolean => {
  const { tag, status, when } = rule
  if (tag !== undefined && !listed(tag).includes(read(error, "_tag") as string)) return false
  if (rule.class !== undefined) {
    const wanted = rule.class
    if (attempt(() => (error as object) instanceof wanted) !== true) return false
  }
  if (status !== undefined) {
    const actual = answered ?? statusOf(error)
    if (actual === undefined || !listed(status).some((wanted) => matches(wanted, actual))) return false
  }
  return when === undefined || attempt(() => when(error)) === true
}

const matches = (wanted: StatusPattern, status: number): boolean =>
  typeof wanted === "number" ? wanted === status : Math.floor(status / 100) === Number(wanted[0])

const listed = <A>(value: A | ReadonlyArray<A>): ReadonlyArray<A> =>
  Array.isArray(value) ? (value as ReadonlyArray<A>) : [value as A]

const made = <A extends object>(
  given: A | ((error: unknown) => A) | undefined,
  error: unknown,
  attempt: <B>(call: () => B) => B | undefined
): A | undefined => (typeof given === "function" ? attempt(() => given(error)) : given)

const texts = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) && value.length > 0 ? value.map(String) : undefined

const STATUS = Symbol.for("@effect/platform/HttpApiSchema/AnnotationStatus")

/** Of a class that is a schema. */
const annotatedStatus = (error: object): unknown => {
  const ast = read(read(error, "constructor"), "ast")
  if (typeof ast !== "object" || ast === null) return undefined
  for (const annotations of [read(ast, "annotations"), read(read(ast, "to"), "annotations")]) {
    if (has(annotations, STATUS)) return read(annotations, STATUS)
  }
  return undefined
}

type Check = (value: unknown) => boolean

const isFlag: Check = (value) => typeof value === "boolean"
const isText: Check = (value) => typeof value === "string"
const isStatus: Check = (value) =>
  (Number.isInteger(value) && Number(value) >= 100 && Number(value) <= 599) || /^[1-5]xx$/.test(String(value))
const isFunction: Check = (value) => typeof value === "function"

/** An arrow function is none: `instanceof` refuses it. @internal */
export const isClass = (value: unknown): boolean => {
  if (typeof value !== "function") return false
  try {
    return typeof ({} instanceof value) === "boolean"
  } catch {
    return value[Symbol.hasInstance] !== Function.prototype[Symbol.hasInstance]
  }
}

const isOneOrMore =
  (check: Check): Check =>
  (value) =>
    listed(value).length > 0 && listed(value).every(check)

const CRITERIA: Readonly<Record<string, readonly [check: Check, what: string]>> = {
  tag: [isOneOrMore(isText), "a text, or several"],
  class: [isClass, "a class"],
  status: [isOneOrMore(isStatus), 'a status such as 404, a class of them such as "4xx", or several'],
  when: [isFunction, "a function"]
}

const LEVELS: ReadonlyArray<unknown> = ["fatal", "error", "warning", "info", "debug"]

const DECISIONS: typeof CRITERIA = {
  defects: [isFlag, "true or false"],
  ignore: [isFlag, "true or false"],
  level: [(value) => LEVELS.includes(value), `one of ${LEVELS.join(", ")}`],
  handled: [isFlag, "true or false"],
  fingerprint: [
    (value) => isFunction(value) || (Array.isArray(value) && value.length > 0 && value.every(isText)),
    "a list of at least one text, or a function"
  ],
  tags: [
    (value) => isFunction(value) || (typeof value === "object" && value !== null && !Array.isArray(value)),
    "an object or a function"
  ]
}

const ruleProblem = (rule: unknown): string | undefined => {
  if (typeof rule !== "object" || rule === null || Array.isArray(rule)) return "is no object"
  const given = Object.entries(rule).filter(([, value]) => value !== undefined)
  for (const [key, value] of given) {
    const check = Object.hasOwn(CRITERIA, key)
      ? CRITERIA[key]
      : Object.hasOwn(DECISIONS, key)
        ? DECISIONS[key]
        : undefined
    if (check === undefined) return `says "${key}", which does not exist`
    if (!check[0](value)) return `has a "${key}" that is not ${check[1]}`
  }
  if (!given.some(([key]) => Object.hasOwn(CRITERIA, key))) {
    return `does not say for which errors (${Object.keys(CRITERIA).join(", ")})`
  }
  return given.some(([key]) => key !== "defects" && Object.hasOwn(DECISIONS, key))
    ? undefined
    : "does not say what to do with them"
}
