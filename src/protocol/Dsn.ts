/**
 * @since 0.1.0
 */
import { inspect } from "node:util"

/**
 * Where events go and the key that opens it. The keys stay out of `JSON.stringify`, `String()` and `console.log`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dsn {
  readonly protocol: "http" | "https"
  readonly host: string
  readonly port: string
  /** The path prefix of a server that lives below one, without slashes at the end: `""` or `"/a/b"`. */
  readonly path: string
  readonly projectId: string
  readonly orgId: string | undefined
  readonly publicKey: string
  readonly secretKey: string | undefined
}

/** What is wrong with a DSN, in words that do not repeat its keys. @internal */
export interface DsnProblem {
  readonly reason: string
}

/**
 * Reads `{protocol}://{public key}[:{secret key}]@{host}[:{port}][/{path}]/{project id}`.
 *
 * @internal
 */
export const parseDsn = (text: string): Dsn | DsnProblem => {
  const match =
    /^([^:/?#]+):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?(\[[^\]/]*\]|[^:/?#@]*)(?::([^/?#]*))?(\/[^?#]*)?(?:[?#].*)?$/.exec(
      text.trim()
    )
  if (match === null) return { reason: "it is not of the form https://<key>@<host>/<project id>" }
  const [, protocol, publicKey = "", secretKey = "", host = "", port = "", path = ""] = match
  // What is wrong is never quoted: it may be, or hold, a key that stands in the wrong place.
  if (protocol !== "http" && protocol !== "https") return { reason: "the protocol is neither http nor https" }
  if (publicKey === "") return { reason: "the public key before the @ is missing" }
  if (!PRINTABLE.test(publicKey) || !PRINTABLE.test(secretKey)) {
    return { reason: "a key has a character that a header cannot carry" }
  }
  if (host === "") return { reason: "the host is missing" }
  if (port !== "" && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535)) {
    return { reason: "the port is not a number up to 65535" }
  }
  const segments = path.split("/").filter((segment) => segment !== "")
  const projectId = segments.pop()
  if (projectId === undefined) return { reason: "the project id at the end is missing" }
  if (!/^\d+$/.test(projectId)) return { reason: "the project id at the end is not a number" }
  const prefix = segments.length === 0 ? "" : `/${segments.join("/")}`
  const secret = secretKey === "" ? undefined : secretKey
  const dsn = new ParsedDsn(protocol, host, port, prefix, projectId, publicKey, secret)
  return URL.canParse(envelopeUrl(dsn)) ? dsn : { reason: "the host is no name or address" }
}

const PRINTABLE = /^[\x21-\x7e]*$/

/** @internal */
export const isDsnProblem = (dsn: Dsn | DsnProblem): dsn is DsnProblem => "reason" in dsn

/** `{protocol}://{host}[:{port}]{path}/api/{project id}/envelope/` @internal */
export const envelopeUrl = (dsn: Dsn): string => `${origin(dsn)}${dsn.path}/api/${dsn.projectId}/envelope/`

/** The DSN as an envelope's header carries it: with the public key, without the secret. @internal */
export const headerDsn = (dsn: Dsn): string =>
  `${dsn.protocol}://${dsn.publicKey}@${origin(dsn).slice(dsn.protocol.length + 3)}${dsn.path}/${dsn.projectId}`

/** A DSN for people to read: which server and project, without any key. @internal */
export const describeDsn = (dsn: Dsn): string => `${origin(dsn)}${dsn.path}/${dsn.projectId}`

const origin = (dsn: Dsn): string => `${dsn.protocol}://${dsn.host}${dsn.port === "" ? "" : `:${dsn.port}`}`

class ParsedDsn implements Dsn {
  readonly #publicKey: string
  readonly #secretKey: string | undefined

  constructor(
    readonly protocol: "http" | "https",
    readonly host: string,
    readonly port: string,
    readonly path: string,
    readonly projectId: string,
    publicKey: string,
    secretKey: string | undefined
  ) {
    this.#publicKey = publicKey
    this.#secretKey = secretKey
  }

  get orgId(): string | undefined {
    return /^o(\d+)\./.exec(this.host)?.[1]
  }

  get publicKey(): string {
    return this.#publicKey
  }

  get secretKey(): string | undefined {
    return this.#secretKey
  }

  toString(): string {
    return describeDsn(this)
  }

  toJSON(): string {
    return describeDsn(this)
  }

  [inspect.custom](): string {
    return `Dsn(${describeDsn(this)})`
  }
}
