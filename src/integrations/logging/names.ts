/**
 * Loggers by their names.
 */

/** Whether a name matches one of the patterns, in which `*` stands for any characters and `?` for one. @internal */
export const matching = (patterns: ReadonlyArray<string>): ((name: string) => boolean) => {
  if (patterns.length === 0) return () => false
  const trimmed = patterns.map((pattern) => pattern.trim())
  const verdicts = new Map<string, boolean>()
  return (name) => {
    const known = verdicts.get(name)
    if (known !== undefined) return known
    const verdict = trimmed.some((pattern) => matches(pattern, name))
    // A program that makes up names must not fill the memory with them.
    if (verdicts.size >= MAX_REMEMBERED) verdicts.clear()
    verdicts.set(name, verdict)
    return verdict
  }
}

const MAX_REMEMBERED = 1024

/** Goes back no further than to the last `*`: a regular expression would try them all, in all their lengths. */
const matches = (pattern: string, name: string): boolean => {
  let at = 0
  let inName = 0
  let star = -1
  let resume = 0
  while (inName < name.length) {
    const wanted = pattern[at]
    if (wanted === "*") {
      star = at++
      resume = inName
    } else if (wanted === "?" || wanted === name[inName]) {
      at++
      inName++
    } else if (star >= 0) {
      at = star + 1
      inName = ++resume
    } else return false
  }
  while (pattern[at] === "*") at++
  return at === pattern.length
}
