/**
 * The one scrubber: what counts as a secret, by the name of a key and by the look of a text.
 */

/** @internal */
export const FILTERED = "[Filtered]"

/**
 * Whether what stands under this key is masked. Long, telling words count anywhere in the key; short ones that also occur
 * inside harmless words (`key` in `monkey`, `auth` in `author`) count as words of their own (`api_key`, `authHeader`).
 *
 * @internal
 */
export const isSensitiveKey = (key: string): boolean => {
  if (key.length > MAX_REMEMBERED_LENGTH) return isSensitive(key.slice(0, 256)) || isSensitive(key.slice(-256))
  const remembered = verdicts.get(key)
  if (remembered !== undefined) return remembered
  const verdict = isSensitive(key)
  if (verdicts.size >= 2048) verdicts.clear()
  verdicts.set(key, verdict)
  return verdict
}

/**
 * Masks what looks like a secret inside a text: credentials in URLs, authorization schemes with their token, values assigned to a
 * sensitive name (`password=…`, `"apiKey": "…"`), and the values that a schema did not accept (`Expected number, actual …`). Takes
 * time in proportion to the text, whatever is in it.
 *
 * @internal
 */
export const scrubText = (given: string): string => {
  const text = withoutActual(given)
  if (!SUSPECT.test(text)) return text
  return new TextScrubber(text)
    .run()
    .replace(SCHEME, (whole: string, scheme: string, blanks: string, word: string) =>
      isCredential(word) ? `${scheme}${blanks}${FILTERED}` : whole
    )
}

/**
 * A text without the values that messages of Effect's schemas show.
 *
 * @internal
 */
export const withoutActual = (given: string): string => {
  const text = given.includes(", actual ") ? withoutExpected(given) : given
  return QUOTING_MESSAGE.test(text) ? withoutQuoted(text) : text
}

/**
 * A URL as it may leave the process: without credentials, and with query and fragment apart.
 *
 * @internal
 */
export const splitUrl = (url: string): { readonly url: string; readonly query: string; readonly fragment: string } => {
  const hash = url.indexOf("#")
  const fragment = hash < 0 ? "" : url.slice(hash + 1)
  const beforeHash = hash < 0 ? url : url.slice(0, hash)
  const mark = beforeHash.indexOf("?")
  const query = mark < 0 ? "" : beforeHash.slice(mark + 1)
  const bare = mark < 0 ? beforeHash : beforeHash.slice(0, mark)
  return { url: bare.replace(/^((?:[a-z][a-z0-9+.-]*:)?\/\/)[^/]*@/i, `$1${FILTERED}:${FILTERED}@`), query, fragment }
}

/** A query string with the values of sensitive names masked. @internal */
export const scrubQuery = (query: string): string =>
  query === ""
    ? query
    : query
        .split("&")
        .map((pair) => {
          const equals = pair.indexOf("=")
          if (equals < 0) return pair
          return isSensitiveKey(decode(pair.slice(0, equals))) ? `${pair.slice(0, equals)}=${FILTERED}` : pair
        })
        .join("&")

/**
 * Command line arguments with the values of sensitive flags masked, in both spellings: `--token=x` and `--token x`.
 *
 * @internal
 */
export const scrubArguments = (args: ReadonlyArray<string>): Array<string> => {
  const scrubbed: Array<string> = []
  let maskNext = false
  for (const arg of args) {
    const flag = /^--?([^=]+)(=?)/.exec(arg)
    if (maskNext && !FLAG.test(arg)) {
      scrubbed.push(FILTERED)
      // It may have been a flag after all.
      maskNext = flag !== null && flag[2] !== "=" && isSensitiveKey(flag[1] as string)
    } else if (flag === null) {
      scrubbed.push(scrubText(arg))
    } else if (flag[2] === "=") {
      scrubbed.push(isSensitiveKey(flag[1] as string) ? `${flag[0]}${FILTERED}` : scrubText(arg))
      maskNext = false
    } else {
      scrubbed.push(arg)
      maskNext = isSensitiveKey(flag[1] as string)
    }
  }
  return scrubbed
}

/** What is a flag beyond doubt: a secret may begin with a dash. */
const FLAG = /^--(?:[A-Za-z][\w.-]*(?:=.*)?)?$/s

/** `Expected number, actual …`: up to the next branch of the tree that they draw, or to the end. */
const withoutExpected = (text: string): string => {
  let result = ""
  let isExpected = false
  for (const [index, part] of text.split(", actual ").entries()) {
    let shown = part
    if (index > 0 && isExpected) {
      const branch = /\n[ \u2502]*[\u251c\u2514]/.exec(part)
      shown = `${FILTERED}${branch === null ? "" : part.slice(branch.index)}`
    }
    result += index === 0 ? shown : `, actual ${shown}`
    const line = shown.lastIndexOf("\n")
    isExpected = (line < 0 && isExpected) || shown.includes("Expected ", line + 1)
  }
  return result
}

const QUOTING_MESSAGE = /Unable to (?:de|en)code |: no match for "|\u2500 Unexpected token /

/** `Unable to decode … into a number`, what does not match a template, and what is no JSON: all on one line. */
const withoutQuoted = (text: string): string =>
  text
    .split(/(Unable to (?:de|en)code |: no match for (?=")|\u2500 Unexpected token )/)
    .map((part, index, parts) => {
      if (index === 0 || index % 2 === 1) return part
      const line = part.indexOf("\n")
      const lineEnd = line < 0 ? part.length : line
      if (parts[index - 1]?.startsWith(":") === true) return FILTERED + part.slice(lineEnd)
      const end = part.lastIndexOf(parts[index - 1]?.startsWith("U") === true ? " into " : " is not valid", lineEnd)
      return end < 0 ? part : FILTERED + part.slice(end)
    })
    .join("")

const TELLING =
  /passw(?:or)?d|passphrase|secret|token(?!i[sz])|credential|authorization|authentication|api[-_. ]?key|private[-_. ]?key|access[-_. ]?key|jwt|bearer|saml|csrf|xsrf|session|cookie|signature/i

const SHORT = new Set(["auth", "key", "pwd", "pass", "pw", "sso", "sid", "identity", "ssn", "otp", "pin", "cvv", "cvc"])

const isSensitive = (key: string): boolean =>
  TELLING.test(key) ||
  key
    .replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, "$1$3 $2")
    .split(/[^A-Za-z0-9]+/)
    .some((word) => SHORT.has(word.toLowerCase()))

const SUSPECT = /[:=]|bearer|basic|token/i

const SCHEME = /\b(bearer|basic|token)([ \t]+)([A-Za-z0-9._~+/=-]{8,})/gi

/** What stands after `Bearer` and its kind, and is no word of the language. */
const isCredential = (word: string): boolean => word.length >= 24 || /[0-9._~+/=]|[a-z][A-Z]/.test(word)

/**
 * Goes through a text from one `:` or `=` to the next, looks back for the name before it and on for the value after it. No
 * regular expression does this without taking quadratic time on some text.
 */
class TextScrubber {
  #output = ""
  /** Up to where the text is in the output. */
  #copied = 0

  constructor(readonly text: string) {}

  run(): string {
    const { text } = this
    let at = 0
    while (at < text.length) {
      const char = text.charCodeAt(at)
      if (char !== COLON && char !== EQUALS) at++
      else if (text.startsWith("://", at)) at = this.#authority(at + 3)
      else at = this.#assignment(at)
    }
    return this.#copied === 0 ? text : this.#output + text.slice(this.#copied)
  }

  /** Whatever stands before the last `@` of it are credentials. Returns where to go on. */
  #authority(start: number): number {
    const { text } = this
    let at = start
    let end = -1
    for (; at < text.length && !AUTHORITY_ENDS.has(text[at] as string); at++) if (text[at] === "@") end = at
    if (end < 0) return start
    this.#replace(start, end, `${FILTERED}:${FILTERED}`)
    return end
  }

  /** Returns where to go on. */
  #assignment(operator: number): number {
    const name = this.#nameBefore(operator)
    if (name === "" || !isSensitiveKey(name)) return operator + 1
    const { text } = this
    let start = operator + 1
    while (text[start] === " " || text[start] === "\t") start++
    if (text.startsWith(FILTERED, start)) return start + FILTERED.length
    OWN_WORDS.lastIndex = start
    if (OWN_WORDS.test(text)) return OWN_WORDS.lastIndex
    const quoted = this.#quoted(start)
    const end = quoted ?? this.#unquoted(start, /cookie/i.test(name))
    return end
  }

  #nameBefore(operator: number): string {
    const { text } = this
    let end = operator
    const floor = Math.max(this.#copied, operator - MAX_NAME_LENGTH)
    while (end > floor && (text[end - 1] === " " || text[end - 1] === "\t")) end--
    while (end > floor && QUOTING.has(text[end - 1] as string)) end--
    let start = end
    while (start > floor && NAME.test(text[start - 1] as string)) start--
    return text.slice(start, end)
  }

  /** A value between quotes, which may themselves be escaped, in JSON within JSON. `undefined` if it is none. */
  #quoted(start: number): number | undefined {
    const { text } = this
    let open = start
    while (text[open] === "\\") open++
    const quote = text[open]
    if (quote === undefined || !QUOTES.has(quote)) return undefined
    const depth = open - start
    let backslashes = 0
    for (let at = open + 1; at < text.length; at++) {
      if (text[at] === "\\") backslashes++
      else if (text[at] === quote && backslashes <= depth) return this.#mask(open + 1, at - backslashes, at + 1)
      else backslashes = 0
    }
    return this.#mask(open + 1, text.length, text.length)
  }

  #unquoted(start: number, toEndOfLine: boolean): number {
    let end = this.#wordEnd(start, toEndOfLine)
    const scheme = /^(?:bearer|basic|token|digest|negotiate)$/i.test(this.text.slice(start, Math.min(end, start + 16)))
    this.#mask(start, end, end)
    if (!scheme) return end
    let next = end
    while (this.text[next] === " ") next++
    end = this.#wordEnd(next, toEndOfLine)
    return this.#mask(next, end, end)
  }

  #wordEnd(start: number, toEndOfLine: boolean): number {
    const { text } = this
    let end = start
    while (end < text.length && !(toEndOfLine ? LINE_ENDS : WORD_ENDS).has(text[end] as string)) end++
    return end
  }

  #mask(start: number, end: number, next: number): number {
    if (end > start && !this.text.startsWith(FILTERED, start)) this.#replace(start, end, FILTERED)
    return next
  }

  #replace(start: number, end: number, by: string): void {
    this.#output += this.text.slice(this.#copied, start) + by
    this.#copied = end
  }
}

/** What is said of a property that a schema did not accept. */
const OWN_WORDS =
  /is (?:missing|unexpected|forbidden|not valid JSON)\b|expected (?=\S)|Unable to (?:de|en)code (?=\[Filtered\] into )/y

const COLON = 0x3a
const EQUALS = 0x3d
const MAX_NAME_LENGTH = 256
const MAX_REMEMBERED_LENGTH = 64
const NAME = /[A-Za-z0-9_.[\]-]/
const QUOTES = new Set(['"', "'", "`"])
const QUOTING = new Set([...QUOTES, "\\"])
const LINE_ENDS = new Set(["\r", "\n"])
const WORD_ENDS = new Set([" ", "\t", "\r", "\n", ",", ";", "&", ")", "}", "]", "<", ">", ...QUOTES])
const AUTHORITY_ENDS = new Set([" ", "\t", "\r", "\n", "/", "?", "#", "<", ">", ...QUOTES])

const verdicts = new Map<string, boolean>()

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
