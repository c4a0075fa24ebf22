/**
 * A proxy on the loopback interface: it passes on what it is asked to, and keeps what it saw.
 */
import * as http from "node:http"
import * as https from "node:https"
import { type AddressInfo, connect, type Socket } from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Certificate } from "./ingest.js"

export interface ProxyOptions {
  /** Makes it one that is reached by https. */
  readonly tls?: Certificate | undefined
  /** What it answers instead of passing on: a status, or nothing at all. */
  readonly refuses?: number | "silently" | undefined
  /** The status of its yes to CONNECT. Default: 200. */
  readonly agrees?: number | undefined
}

export interface Seen {
  readonly method: string
  readonly target: string
  readonly headers: http.IncomingHttpHeaders
}

export class Proxy {
  readonly seen: Array<Seen> = []
  host = ""

  private constructor(
    readonly server: http.Server,
    readonly options: ProxyOptions
  ) {
    server.on("connect", (request: http.IncomingMessage, socket: Socket) => this.#tunnel(request, socket))
    server.on("request", (request, response) => this.#forward(request, response))
  }

  static start(options: ProxyOptions = {}): Effect.Effect<Proxy, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.async<Proxy>((resume) => {
        const proxy = new Proxy(
          options.tls === undefined ? http.createServer() : https.createServer(options.tls),
          options
        )
        proxy.server.listen(0, "127.0.0.1", () => {
          proxy.host = `127.0.0.1:${(proxy.server.address() as AddressInfo).port}`
          resume(Effect.succeed(proxy))
        })
      }),
      (proxy) =>
        Effect.async<void>((resume) => {
          for (const socket of proxy.#sockets) socket.destroy()
          proxy.server.close(() => resume(Effect.void))
          proxy.server.closeAllConnections()
        })
    )
  }

  readonly #sockets = new Set<Socket>()

  urlWith(credentials: string): string {
    return `${this.options.tls === undefined ? "http" : "https"}://${credentials}${this.host}`
  }

  get url(): string {
    return this.urlWith("")
  }

  #note(request: http.IncomingMessage): number | "silently" | undefined {
    this.seen.push({ method: request.method ?? "", target: request.url ?? "", headers: request.headers })
    return this.options.refuses
  }

  #tunnel(request: http.IncomingMessage, socket: Socket): void {
    const refusal = this.#note(request)
    this.#sockets.add(socket)
    socket.on("error", () => {})
    if (refusal === "silently") return
    if (refusal !== undefined) return void socket.end(`HTTP/1.1 ${refusal} No\r\ncontent-length: 2\r\n\r\nno`)
    const { hostname, port } = new URL(`http://${request.url}`)
    const upstream = connect(Number(port), hostname.replace(/^\[|\]$/g, ""), () => {
      socket.write(`HTTP/1.1 ${this.options.agrees ?? 200} Connection established\r\n\r\n`)
      socket.pipe(upstream).pipe(socket)
    })
    this.#sockets.add(upstream)
    upstream.on("error", () => socket.destroy())
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): void {
    const refusal = this.#note(request)
    if (refusal === "silently") return
    if (refusal !== undefined) return void response.writeHead(refusal).end("no")
    const { "proxy-authorization": _, ...headers } = request.headers
    const upstream = http.request(
      request.url ?? "",
      { method: request.method ?? "GET", headers, agent: false },
      (answer) => void answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers))
    )
    upstream.on("error", () => response.destroy())
    request.pipe(upstream)
  }
}
