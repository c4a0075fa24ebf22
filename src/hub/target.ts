/**
 * Where a hub sends to, by what name, and through what.
 */
import { inspect } from "node:util"
import * as Redacted from "effect/Redacted"
import { envelopeUrl } from "../protocol/Dsn.js"
import { SDK_NAME, SDK_VERSION } from "../protocol/Sdk.js"
import type { Debug } from "../transport/debug.js"
import { parseProxy, proxyFor } from "../transport/proxy.js"
import type { Target } from "../transport/Transport.js"
import type { ResolvedOptions } from "./Options.js"

/** `undefined` without a DSN. @internal */
export const targetOf = (options: ResolvedOptions, debug: Debug): Target | undefined => {
  const { caCerts, dsn, tunnel } = options
  if (dsn === undefined) return undefined
  const secret = dsn.secretKey === undefined ? "" : `, sentry_secret=${dsn.secretKey}`
  const url = tunnel ?? envelopeUrl(dsn)
  const proxy = findProxy(url, options.proxy, debug)
  return {
    dsn,
    url,
    headers: unseen({
      ...ENVELOPE_HEADERS,
      // A tunnel knows the server by the envelope's own header, and has no need of the key.
      ...(tunnel === undefined && {
        "x-sentry-auth": `Sentry sentry_version=7, sentry_client=${AGENT}, sentry_key=${dsn.publicKey}${secret}`
      })
    }),
    ...(proxy === undefined ? undefined : { proxy }),
    ...(caCerts === undefined ? undefined : { ca: caCerts })
  }
}

const AGENT = `${SDK_NAME}/${SDK_VERSION}`

/** What every request says. @internal */
export const ENVELOPE_HEADERS = { "content-type": "application/x-sentry-envelope", "user-agent": AGENT }

const findProxy = (url: string, option: Redacted.Redacted | undefined, debug: Debug): Redacted.Redacted | undefined => {
  const given = option === undefined ? undefined : Redacted.value(option).trim()
  const found = proxyFor(new URL(url), given, process.env)
  if (found === undefined) return undefined
  const proxy = parseProxy(found)
  debug(
    proxy === undefined
      ? "the environment names a proxy that is no http or https URL: nothing goes through it"
      : `through the proxy ${proxy.host}:${proxy.port}`
  )
  return proxy === undefined ? undefined : Redacted.make(found)
}

/** The same headers, but what shows them to people, or writes them to a log, does not show the key. */
const unseen = <A extends object>(headers: A): A => {
  const shown = (): object => ({
    ...headers,
    ...("x-sentry-auth" in headers ? { "x-sentry-auth": "[Filtered]" } : undefined)
  })
  // On the prototype: `fetch` takes every property of its own for a header, hidden or not.
  return Object.assign(Object.create({ [inspect.custom]: shown, toJSON: shown }) as A, headers)
}
