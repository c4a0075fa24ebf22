/**
 * The list that an error is the sum of, or keeps: `errors`.
 */
import { isError, read } from "./inspect.js"

/** @internal */
export interface Members {
  readonly errors: ReadonlyArray<unknown>
  readonly isGroup: boolean
}

/** @internal */
export const membersOf = (error: object): Members => {
  const errors = read(error, "errors")
  if (!Array.isArray(errors) || !isError(error)) return NO_MEMBERS
  if (isAggregate(error)) return { errors, isGroup: true }
  // Of any other error it may be anything, also a list without end of texts.
  return isError(memberAt(errors, 0)) ? { errors, isGroup: false } : NO_MEMBERS
}

/** Whether its `errors` are errors, and not data. @internal */
export const holdsMembers = (error: object): boolean => membersOf(error) !== NO_MEMBERS

const NO_MEMBERS: Members = { errors: [], isGroup: false }

/** Also of another realm, and by its name those that are made to look like one. */
const isAggregate = (error: object): boolean =>
  error instanceof AggregateError || read(error, "name") === "AggregateError"

/** One that throws when it is looked at is none. @internal */
export const memberAt = (errors: ReadonlyArray<unknown>, index: number): unknown => {
  try {
    return errors[index]
  } catch {
    return undefined
  }
}
