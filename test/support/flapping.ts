/**
 * A network that is there and not there, in turn.
 */
import * as net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface Flapping {
  readonly port: number
  /** From now on it stays up. */
  readonly calm: () => void
}

/** Passes connections on to a port; every few moments it refuses them all, and cuts those that it has. */
export const flapping = (target: number, maxMillis = 150): Effect.Effect<Flapping, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Network>((resume) => {
      const network = new Network(target, maxMillis)
      network.up(() => resume(Effect.succeed(network)))
    }),
    (network) => Effect.sync(() => network.close())
  )

class Network implements Flapping {
  port = 0
  readonly #sockets = new Set<net.Socket>()
  readonly #server: net.Server
  #timer: NodeJS.Timeout | undefined

  constructor(
    readonly target: number,
    readonly maxMillis: number
  ) {
    this.#server = net.createServer((client) => {
      const server = net.connect(target, "127.0.0.1")
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => {
          this.#sockets.delete(socket)
          client.destroy()
          server.destroy()
        })
      }
      client.pipe(server).pipe(client)
    })
    this.#server.on("error", () => {})
  }

  up(ready: () => void = () => {}): void {
    this.#server.listen(this.port, "127.0.0.1", () => {
      this.port = (this.#server.address() as net.AddressInfo).port
      this.#timer = setTimeout(() => this.#down(), Math.random() * this.maxMillis)
      ready()
    })
  }

  calm(): void {
    clearTimeout(this.#timer)
    if (!this.#server.listening) this.up()
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#down = () => {}
  }

  close(): void {
    this.calm()
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #down = (): void => {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    this.#timer = setTimeout(() => this.up(), Math.random() * this.maxMillis)
  }
}
