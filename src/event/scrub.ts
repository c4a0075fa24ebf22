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
  const remembered = verdicts.get(key)
  if (remembered !== undefined) return remembered
  const verdict =
    key.length <= 256 &&
    (TELLING.test(key) ||
      key
        .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
        .split(/[^A-Za-z0-9]+/)
        .some((word) => SHORT.has(word.toLowerCase())))
  if (verdicts.size >= 2048) verdicts.clear()
  verdicts.set(key, verdict)
  return verdict
}

/**
 * Masks what looks like a secret inside a text: credentials in URLs, authorization schemes with their token, and values
 * assigned to a sensitive name (`password=…`, `"apiKey": "…"`).
 *
 * @internal
 */
export const scrubText = (text: string): string => {
  if (!SUSPECT.test(text)) return text
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']*:[^\s/@"']*@/gi, `$1${FILTERED}:${FILTERED}@`)
    .replace(/\b(bearer|basic|token)(\s+)[A-Za-z0-9._~+/=-]{8,}/gi, `$1$2${FILTERED}`)
    .replace(ASSIGNMENT, (whole: string, name: string, operator: string, quote: string | undefined) =>
      isSensitiveKey(name) ? `${name}${operator}${quote ?? ""}${FILTERED}${quote ?? ""}` : whole
    )
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
  return { url: bare.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, `$1${FILTERED}:${FILTERED}@`), query, fragment }
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
    if (flag === null) {
      scrubbed.push(maskNext ? FILTERED : scrubText(arg))
      maskNext = false
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

const TELLING =
  /passw(?:or)?d|passphrase|secret|token|credential|authorization|authentication|api[-_. ]?key|private[-_. ]?key|access[-_. ]?key|jwt|bearer|saml|csrf|xsrf|session|cookie|signature/i

const SHORT = new Set(["auth", "key", "pwd", "pass", "pw", "sso", "sid", "identity", "ssn", "otp", "pin", "cvv", "cvc"])

const SUSPECT = /:\/\/[^\s/]*@|bearer\s|basic\s|token\s|[=:]/i

const ASSIGNMENT = /([A-Za-z_][A-Za-z0-9_.-]{1,63}["']?)(\s*[:=]\s*)(["'`])?([^\s"'`,;&)}\]]+)\3/g

const verdicts = new Map<string, boolean>()

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
