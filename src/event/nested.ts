/**
 * The errors that an error holds.
 */
import { fieldsOf } from "./describe.js"
import { isCause } from "./failure.js"
import { isError, read } from "./inspect.js"
import { memberAt, membersOf } from "./members.js"

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
