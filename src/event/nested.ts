/**
 * The errors that an error holds.
 */
import { fieldsOf } from "./describe.js"
import { isCause } from "./failure.js"
import { isError, read } from "./inspect.js"

/** @internal */
export interface Nested {
  readonly count: number
  /** One of them, and how it is held: `cause`, `errors[1]`, or the name of a field. Only those asked for are looked at. */
  readonly at: (index: number) => readonly [error: unknown, source: string]
  /** Whether it is nothing but the sum of them. */
  readonly isGroup: boolean
}

/**
 * The `cause`, the fields that are errors (or a Cause) themselves, as many Effect programs keep what went wrong below, and the
 * members of an `AggregateError`.
 *
 * @internal
 */
export const nestedErrors = (error: unknown): Nested => {
  if (typeof error !== "object" || error === null) return NONE
  const single: Array<readonly [error: unknown, source: string]> = []
  const cause = read(error, "cause")
  if (cause !== undefined && cause !== null) single.push([cause, "cause"])
  if (read(error, "name") === "SuppressedError") {
    // Not enumerable.
    for (const key of ["error", "suppressed"]) single.push([read(error, key), key])
  }
  for (const [key, value] of fieldsOf(error)) if (isError(value) || isCause(value)) single.push([value, key])
  const members = membersOf(error)
  return {
    count: single.length + members.errors.length,
    at: (index) =>
      single[index] ?? [memberAt(members.errors, index - single.length), `errors[${index - single.length}]`],
    isGroup: members.isGroup && members.errors.length > 0
  }
}

const NONE: Nested = { count: 0, at: () => [undefined, ""], isGroup: false }

interface Members {
  readonly errors: ReadonlyArray<unknown>
  readonly isGroup: boolean
}

const membersOf = (error: object): Members => {
  const errors = read(error, "errors")
  if (!Array.isArray(errors) || !isError(error)) return NO_MEMBERS
  if (isAggregate(error)) return { errors, isGroup: true }
  // Of any other error it may be anything, also a list without end of texts.
  return isError(memberAt(errors, 0)) ? { errors, isGroup: false } : NO_MEMBERS
}

const NO_MEMBERS: Members = { errors: [], isGroup: false }

/** Also of another realm, and by its name those that are made to look like one. */
const isAggregate = (error: object): boolean =>
  error instanceof AggregateError || read(error, "name") === "AggregateError"

const memberAt = (errors: ReadonlyArray<unknown>, index: number): unknown => {
  try {
    return errors[index]
  } catch {
    return undefined
  }
}
