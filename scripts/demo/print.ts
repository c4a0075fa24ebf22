/**
 * Text for people: colours where there is a terminal, columns that line up.
 */

const isColoured = process.stdout.isTTY && process.env["NO_COLOR"] === undefined

const coloured =
  (code: number) =>
  (text: string): string =>
    isColoured ? `\u001B[${code}m${text}\u001B[0m` : text

export const bold = coloured(1)
export const dim = coloured(2)
export const red = coloured(31)
export const green = coloured(32)

export const say = (line = ""): void => {
  process.stdout.write(`${line}\n`)
}

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** A value on one line, no longer than a line is. */
export const short = (value: unknown, limit = 90): string => {
  const text = (typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing")).replaceAll(/\s+/g, " ")
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`
}

export const sum = <A>(items: ReadonlyArray<A>, count: (item: A) => number): number =>
  items.reduce((total, item) => total + count(item), 0)
