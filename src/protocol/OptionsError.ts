/**
 * What is said about options that cannot be used.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * An option that does not exist, or has a value that it cannot have.
 *
 * @since 0.1.0
 * @category errors
 */
export class OptionsError extends Data.TaggedError("OptionsError")<{
  readonly option: string
  readonly reason: string
  /** The known option that comes closest to one that does not exist. */
  readonly nearest?: string | undefined
}> {
  override get message(): string {
    return `The option "${this.option}" ${this.reason}.${this.nearest === undefined ? "" : ` Did you mean "${this.nearest}"?`}`
  }
}
