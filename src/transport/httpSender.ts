/**
 * The default sender: `node:http(s)` with keep-alive, a deadline for every request, and sockets that never keep the process
 * alive.
 */
import * as http from "node:http"
import { sendAtExit } from "./exitSender.js"
import { markOwnAgent } from "./ownAgents.js"
import type { Sender, Sending, SendResult, Target } from "./Transport.js"

/** Bodies above this many bytes are compressed, off the main thread. @internal */
export const GZIP_THRESHOLD = 32 * 1024

/** How long one request may take altogether. @internal */
export const REQUEST_TIMEOUT_MILLIS = 10_000

/** @internal */
export const makeHttpSender = (target: Target): Sender => {
  const url = new URL(target.url)
  // Loaded where it is needed: what stands behind https is a tenth of what the SDK adds to the start of a process.
  const client = url.protocol === "https:" ? process.getBuiltinModule("node:https") : http
  const agent = new client.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, maxFreeSockets: MAX_SOCKETS })
  markOwnAgent(agent)
  const options = {
    method: "POST",
    agent,
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port,
    path: url.pathname + url.search
  }
  return {
    keepsEnvelope: false,
    send: (envelope, done) => new HttpSending(client.request, options, target.headers, envelope, done),
    sendSync: (envelopes, timeoutMillis, onWaiting) => sendAtExit(target, envelopes, timeoutMillis, onWaiting),
    close: () => agent.destroy()
  }
}

const MAX_SOCKETS = 8

class HttpSending implements Sending {
  handedOver = false
  #request: http.ClientRequest | undefined
  #done: ((result: SendResult) => void) | undefined
  readonly #deadline: NodeJS.Timeout

  constructor(
    readonly start: typeof http.request,
    readonly options: http.RequestOptions,
    readonly headers: Readonly<Record<string, string>>,
    envelope: Uint8Array,
    done: (result: SendResult) => void
  ) {
    this.#done = done
    this.#deadline = setTimeout(
      () => this.#finish({ _tag: "Failed", reason: `no answer within ${REQUEST_TIMEOUT_MILLIS} ms` }, true),
      REQUEST_TIMEOUT_MILLIS
    ).unref()
    if (envelope.byteLength > GZIP_THRESHOLD) {
      process.getBuiltinModule("node:zlib").gzip(envelope, (error, compressed) => {
        if (error === null) this.#attempt(compressed, { "content-encoding": "gzip" })
        else this.#attempt(envelope, {})
      })
    } else this.#attempt(envelope, {})
  }

  abort(): void {
    this.#finish({ _tag: "Failed", reason: "aborted" }, true)
  }

  #attempt(body: Uint8Array, extraHeaders: Record<string, string>, isRetry = false): void {
    if (this.#done === undefined) return
    try {
      const headers = { ...this.headers, ...extraHeaders, "content-length": String(body.byteLength) }
      const request = this.start({ ...this.options, headers })
      this.#request = request
      request.on("socket", (socket) => socket.unref())
      request.on("finish", () => {
        this.handedOver = request.socket?.connecting === false && request.socket.writableLength === 0
      })
      request.on("response", (response) => this.#receive(response))
      request.on("error", (error: NodeJS.ErrnoException) => {
        // The server may close an idle connection at the very moment it is used again: that is not its answer.
        if (request.reusedSocket && error.code === "ECONNRESET" && !isRetry) this.#attempt(body, extraHeaders, true)
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

const MAX_DETAIL = 512
const MAX_ANSWER_BYTES = 64 * 1024

const single = (header: string | Array<string> | undefined): string | undefined =>
  Array.isArray(header) ? header.join(",") : header
