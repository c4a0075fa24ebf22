/**
 * The default sender: `node:http(s)` with keep-alive, a deadline for every request, and sockets that never keep the process
 * alive.
 */
import * as http from "node:http"
import type { Duplex } from "node:stream"
import { sendAtExit } from "./exitSender.js"
import { markOwnAgent } from "./ownAgents.js"
import { readNow } from "./readNow.js"
import { type Route, routeTo, type Tunnel } from "./route.js"
import type { Endpoint, Sender, Sending, SendResult } from "./Transport.js"

/** Bodies above this many bytes are compressed, off the main thread. @internal */
export const GZIP_THRESHOLD = 32 * 1024

/** How long one request may take altogether. @internal */
export const REQUEST_TIMEOUT_MILLIS = 10_000

/** @internal */
export const makeHttpSender = (endpoint: Endpoint, timeoutMillis: number = REQUEST_TIMEOUT_MILLIS): Sender => {
  const route = routeTo(endpoint)
  const { ca, headers, host, path, port } = route
  const client = clientFor(route.isSecure)
  const keeping = new client.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_SOCKETS })
  // Where a server closes what it was asked over, the next kept connection may be as dead as the one before.
  // (One with a limit would keep them as well, for those that wait.)
  const connecting = new client.Agent()
  const giveUps = [keeping, connecting].map((agent) => {
    markOwnAgent(agent)
    return route.tunnel === undefined ? () => {} : tunnelThrough(agent, route.tunnel, route, timeoutMillis)
  })
  const options = { method: "POST", host, port, path, ...trust(ca) }
  // A closure, and no field: what shows an object to people is not to show the key.
  const post: Post = (more, isRetry) =>
    client.request({ ...options, agent: isRetry ? connecting : keeping, headers: { ...headers, ...more } })
  return {
    keepsEnvelope: false,
    send: (envelope, done) => new HttpSending(post, timeoutMillis, envelope, done),
    sendSync: (envelopes, limitMillis, onWaiting) => sendAtExit(route, envelopes, limitMillis, onWaiting),
    close() {
      for (const giveUp of giveUps) giveUp()
      keeping.destroy()
      connecting.destroy()
    }
  }
}

const MAX_SOCKETS = 8

// Loaded where it is needed: what stands behind https is a tenth of what the SDK adds to the start of a process.
const clientFor = (isSecure: boolean): Pick<typeof http, "Agent" | "request"> =>
  isSecure ? process.getBuiltinModule("node:https") : http

const trust = (ca: Route["ca"]): { readonly ca?: Array<string> } => (ca === undefined ? {} : { ca: [...ca] })

type Post = (headers: Readonly<Record<string, string>>, isRetry: boolean) => http.ClientRequest

/**
 * Lets an agent ask a proxy for its connections. What the proxy itself answers is never taken for the server's, nor is anything
 * but the server's name sent to it. The function that is returned ends what is still being asked for.
 */
const tunnelThrough = (agent: http.Agent, tunnel: Tunnel, { ca }: Route, timeoutMillis: number): (() => void) => {
  const client = clientFor(tunnel.isSecure)
  const own = new client.Agent()
  markOwnAgent(own)
  const open = new Set<http.ClientRequest>()
  const connecting = agent as unknown as Connecting
  const connect = connecting.createConnection
  connecting.createConnection = (options, done) => {
    const { authority, headers, host, port } = tunnel
    const request = client.request({
      method: "CONNECT",
      agent: own,
      host,
      port,
      path: authority,
      headers,
      ...trust(ca)
    })
    const deadline = setTimeout(() => request.destroy(new Error("the proxy does not answer")), timeoutMillis).unref()
    open.add(request)
    const settle = (error: Error | null, socket?: Duplex): void => {
      clearTimeout(deadline)
      open.delete(request)
      done?.(error, socket)
    }
    request.on("socket", (socket) => socket.unref())
    request.on("connect", ({ statusCode }, socket) => {
      if (isSuccess(statusCode)) return settle(null, connect.call(agent, { ...options, socket }))
      socket.destroy()
      settle(new Error(`the proxy answers ${statusCode}`))
    })
    request.on("error", settle)
    request.end()
    return undefined
  }
  return () => {
    for (const request of open) request.destroy()
  }
}

/** Any 2xx is a yes to CONNECT. */
const isSuccess = (status = 0): boolean => status >= 200 && status < 300

// SAFETY: an agent's own way to connect is what it may have replaced, and takes a socket that is there already; the types do not
// know that it is a function of the options alone.
type Connecting = Omit<http.Agent, "createConnection"> & {
  createConnection: (options: object, done?: (error: Error | null, socket?: Duplex) => void) => Duplex | undefined
}

class HttpSending implements Sending {
  #request: http.ClientRequest | undefined
  /** Tells what the server has answered, even if it has not said all of it. */
  #answer: (() => void) | undefined
  #isRetry = false
  /** Whether the connection was used before, and what had come over it until then. */
  #isReused = false
  #readBefore = 0
  #done: ((result: SendResult) => void) | undefined
  readonly #deadline: NodeJS.Timeout

  constructor(
    readonly post: Post,
    timeoutMillis: number,
    envelope: Uint8Array,
    done: (result: SendResult) => void
  ) {
    this.#done = done
    this.#deadline = setTimeout(
      () => this.#finish({ _tag: "Failed", reason: `no answer within ${timeoutMillis} ms` }, true),
      timeoutMillis
    ).unref()
    if (envelope.byteLength > GZIP_THRESHOLD) {
      process.getBuiltinModule("node:zlib").gzip(envelope, (error, compressed) => {
        if (error === null) this.#attempt(compressed, { "content-encoding": "gzip" })
        else this.#attempt(envelope, {})
      })
    } else this.#attempt(envelope, {})
  }

  get handedOver(): boolean {
    const { socket = null, writableFinished = false } = this.#request ?? {}
    return writableFinished && socket !== null && !socket.connecting && socket.writableLength === 0
  }

  poll(): boolean {
    while (this.#done !== undefined) {
      if (this.#answer !== undefined) {
        this.#answer()
        return true
      }
      const socket = this.#request?.socket
      const found = socket !== null && socket !== undefined ? readNow(socket) : "unreadable"
      if (found === "unreadable") return false
      if (found === "nothing") return true
      if (found === "ended") {
        if (this.#isWorthRetry) return false
        this.#finish({ _tag: "Failed", reason: "the connection was closed" }, true)
      }
    }
    return true
  }

  abort(): void {
    this.#finish({ _tag: "Failed", reason: "aborted" }, true)
  }

  /** The server may close an idle connection at the very moment it is used again: that is not its answer. */
  get #isWorthRetry(): boolean {
    return this.#isReused && !this.#isRetry && (this.#request?.socket?.bytesRead ?? 0) <= this.#readBefore
  }

  #attempt(body: Uint8Array, extraHeaders: Record<string, string>, isRetry = false): void {
    if (this.#done === undefined) return
    this.#isRetry = isRetry
    this.#isReused = false
    try {
      const request = this.post({ ...extraHeaders, "content-length": String(body.byteLength) }, isRetry)
      this.#request = request
      request.on("socket", (socket) => {
        socket.unref()
        this.#isReused = used.has(socket)
        this.#readBefore = socket.bytesRead
        used.add(socket)
      })
      let isAnswered = false
      request.on("response", (response) => {
        isAnswered = true
        this.#receive(response)
      })
      // As after an answer that wants to speak something else (101).
      request.on("close", () => {
        if (!isAnswered && this.#request === request)
          this.#finish({ _tag: "Failed", reason: "the connection was closed" })
      })
      let hints = 0
      request.on("information", () => {
        if (++hints > MAX_HINTS) request.destroy(new Error("no end of provisional answers"))
      })
      request.on("error", (error: NodeJS.ErrnoException) => {
        if (isClosing(error.code) && this.#isWorthRetry) this.#attempt(body, extraHeaders, true)
        else this.#finish({ _tag: "Failed", reason: error.code ?? error.message })
      })
      request.end(body)
    } catch (error) {
      this.#finish({ _tag: "Failed", reason: String(error) })
    }
  }

  #receive(response: http.IncomingMessage): void {
    let detail = ""
    let received = 0
    response.on("data", (chunk: Buffer) => {
      received += chunk.byteLength
      if (detail.length < MAX_DETAIL) detail += chunk.toString("latin1", 0, MAX_DETAIL - detail.length)
      // No answer is worth more: what follows is not read.
      if (received > MAX_ANSWER_BYTES) response.destroy()
    })
    const answer = (): void =>
      this.#finish({
        _tag: "Answered",
        status: response.statusCode ?? 0,
        rateLimits: single(response.headers["x-sentry-rate-limits"]),
        retryAfter: response.headers["retry-after"],
        detail: single(response.headers["x-sentry-error"]) ?? detail
      })
    this.#answer = answer
    response.on("end", answer)
    response.on("close", answer)
    response.on("error", answer)
  }

  #finish(result: SendResult, destroy = false): void {
    const done = this.#done
    if (done === undefined) return
    this.#done = undefined
    clearTimeout(this.#deadline)
    if (destroy) this.#request?.destroy()
    done(result)
  }
}

/** Connections. (`reusedSocket` of a request is not set where it has waited for one.) */
const used = new WeakSet<object>()

/** `socket hang up` has the code of a reset. */
const isClosing = (code: string | undefined): boolean => code === "ECONNRESET" || code === "EPIPE"

const MAX_DETAIL = 512
const MAX_ANSWER_BYTES = 64 * 1024
/** How often a server may say that it is going to answer. */
const MAX_HINTS = 100

const single = (header: string | Array<string> | undefined): string | undefined =>
  Array.isArray(header) ? header.join(",") : header
