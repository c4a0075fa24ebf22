/**
 * Which proxy a request goes through. Pure: the environment is an argument.
 */
import { BlockList, isIP } from "node:net"

/**
 * The proxy for a URL: the option (`""`: none), which is not subject to `no_proxy`, or else what `https_proxy` or `http_proxy` (or
 * the same in upper case) says.
 *
 * @internal
 */
export const proxyFor = (url: URL, option: string | undefined, environment: NodeJS.ProcessEnv): string | undefined => {
  if (option !== undefined) return option === "" ? undefined : option
  const isSecure = url.protocol === "https:"
  const variable = isSecure ? "https_proxy" : "http_proxy"
  // In a CGI program whoever makes a request sets this one, with a header called `Proxy`.
  const isForged = !isSecure && environment["REQUEST_METHOD"] !== undefined
  const named = environment[variable] ?? (isForged ? undefined : environment[variable.toUpperCase()])
  if (named === undefined || named.trim() === "") return undefined
  return isExempt(url, environment["no_proxy"] ?? environment["NO_PROXY"] ?? "") ? undefined : named.trim()
}

/** Where a proxy is, and what it wants to see. @internal */
export interface Proxy {
  readonly isSecure: boolean
  readonly host: string
  readonly port: string
  readonly headers: Readonly<Record<string, string>>
}

/** Reads `[http[s]://][user:password@]host[:port]`; `undefined` if it is something else. @internal */
export const parseProxy = (text: string): Proxy | undefined => {
  const written = text.includes("://") ? text : `http://${text}`
  if (!URL.canParse(written)) return undefined
  const { hostname, password, port, protocol, username } = new URL(written)
  if ((protocol !== "http:" && protocol !== "https:") || hostname === "") return undefined
  const isSecure = protocol === "https:"
  const credentials = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64")
  return {
    isSecure,
    host: withoutBrackets(hostname),
    port: port === "" ? (isSecure ? "443" : "80") : port,
    headers: username === "" && password === "" ? {} : { "proxy-authorization": `Basic ${credentials}` }
  }
}

/** As a socket wants an IPv6 address. @internal */
export const withoutBrackets = (hostname: string): string => hostname.replace(/^\[|\]$/g, "")

/** Entries apart by commas or blanks: `*`, a domain with all below it, an address, a block of them, each with or without a port. */
const isExempt = (url: URL, list: string): boolean => {
  const host = withoutBrackets(url.hostname.toLowerCase()).replace(/\.$/, "")
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "") return false
      if (entry === "*") return true
      if (entry.includes("/")) return isWithin(host, entry)
      if (isIP(entry) === 6) return host === entry
      const [, name = "", onlyPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
      if (onlyPort !== undefined && onlyPort !== port) return false
      const domain = withoutBrackets(name)
        .replace(/^\*?\./, "")
        .replace(/\.$/, "")
      return host === domain || (isIP(host) === 0 && host.endsWith(`.${domain}`))
    })
}

const isWithin = (host: string, block: string): boolean => {
  const [address = "", bits = ""] = block.split("/")
  const [kind, other] = [isIP(host), isIP(address)]
  if (kind === 0 || kind !== other || !/^\d{1,3}$/.test(bits) || Number(bits) > (kind === 4 ? 32 : 128)) return false
  const family = kind === 4 ? "ipv4" : "ipv6"
  const list = new BlockList()
  list.addSubnet(address, Number(bits), family)
  return list.check(host, family)
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
