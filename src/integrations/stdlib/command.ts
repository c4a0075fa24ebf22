/**
 * How the command of a subprocess is called in its breadcrumbs.
 */
import { basename } from "node:path"
import { describeValue } from "../../event/normalize.js"
import { FILTERED, scrubArguments } from "../../event/scrub.js"

/**
 * The program without its folder, and the whole command as it may be shown.
 *
 * @param includeArguments whether arguments are shown, or only the names of flags
 * @internal
 */
export const describeCommand = (
  file: string,
  args: ReadonlyArray<unknown>,
  includeArguments: boolean
): { readonly name: string; readonly text: string } => {
  const all = commandOf(file, args)
  const first = all.findIndex((word) => !ASSIGNMENT.test(word))
  const at = first < 0 ? all.length : first
  const name = basename(all[at] ?? "sh")
  const variables = all.slice(0, at)
  const rest = all.slice(at + 1, at + 1 + MAX_ARGUMENTS)
  const shown = includeArguments
    ? [...scrubArguments(variables), name, ...scrubArguments(rest)]
    : [...variables.map(maskAssignment), name, ...rest.map(maskArgument)]
  const more = all.length - at - 1 - rest.length
  return { name, text: more > 0 ? `${shown.join(" ")} … (${more} more)` : shown.join(" ") }
}

const MAX_ARGUMENTS = 100

/** A shell takes variables before the program: `TOKEN=x node app.js`. */
const ASSIGNMENT = /^[A-Za-z_]\w*=/

const maskAssignment = (word: string): string => `${word.slice(0, word.indexOf("="))}=${FILTERED}`

/** The names of flags say what is done; everything else may be anybody's secret. */
const maskArgument = (argument: string): string => {
  if (argument === "--") return argument
  const flag = /^(--[A-Za-z][\w-]*|-[A-Za-z])(?:(=).*)?$/s.exec(argument)
  if (flag === null) return FILTERED
  return flag[2] === "=" ? `${flag[1]}=${FILTERED}` : argument
}

/** The words of a command, also of one that is handed to a shell as one text. */
const commandOf = (file: string, args: ReadonlyArray<unknown>): ReadonlyArray<string> => {
  if (args.length === 0) return words(file)
  const texts = args.map((argument) => (typeof argument === "string" ? argument : describeValue(argument)))
  const shell = /^(?:.*[\\/])?(?:(?:ba|da|z|k)?sh|(cmd))(?:\.exe)?$/i.exec(file)
  if (shell === null || texts.length < 2) return [file, ...texts]
  const command = texts.at(-1) ?? ""
  return words(shell[1] === undefined ? command : command.replace(/^"(.*)"$/s, "$1"))
}

const words = (command: string): ReadonlyArray<string> =>
  (command.slice(0, MAX_COMMAND_LENGTH).match(/(?:[^\s"']|"[^"]*"|'[^']*')+|["']/g) ?? []).map((word) =>
    word.replace(/^(["'])(.*)\1$/s, "$2")
  )

const MAX_COMMAND_LENGTH = 8192
