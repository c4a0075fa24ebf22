/**
 * The process that runs Spotlight: its server alone, without the telemetry that its command line starts, reachable from
 * this machine alone, and unable to reach anything beyond it.
 */
import { readdirSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { type AddressInfo, Server, Socket } from "node:net"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Ready } from "./spotlight.js"

const LOOPBACK = "127.0.0.1"

/** What it tried to reach. */
const beyond: Array<string> = []

const guardConnections = (): void => {
  // oxlint-disable-next-line typescript/unbound-method -- called on the socket below
  const connect: (...args: Array<any>) => Socket = Socket.prototype.connect
  Socket.prototype.connect = function (this: Socket, ...args: Array<any>) {
    const [target, second] = Array.isArray(args[0]) ? args[0] : args
    const host: unknown = typeof target === "object" ? target?.host : second
    if (typeof host === "string" && ![LOOPBACK, "localhost", "::1"].includes(host)) {
      beyond.push(host)
      setImmediate(() => this.destroy(new Error(`${host} is beyond this machine`)))
      return this
    }
    return connect.apply(this, args)
  }
}

/** Spotlight listens on every address of the machine, and has no option for it. */
const listenOnLoopback = (): void => {
  // oxlint-disable-next-line typescript/unbound-method -- called on the server below
  const listen: (...args: Array<any>) => Server = Server.prototype.listen
  Server.prototype.listen = function (this: Server, port: unknown, ...rest: Array<unknown>) {
    return listen.call(this, { port, host: LOOPBACK }, rest.at(-1))
  }
}

/** The files of Spotlight's page, with nothing in the place of its telemetry, and no way out. */
const page = (folder: string): Record<string, Buffer> => {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Record<
    string,
    { readonly file: string; readonly css?: ReadonlyArray<string>; readonly assets?: ReadonlyArray<string> }
  >
  const names = Object.values(manifest).flatMap(({ assets = [], css = [], file }) => [file, ...css, ...assets])
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]))
  const index = readFileSync(join(folder, "index.html"), "utf8").replace(/connect-src [^;"]*/, "connect-src 'self'")
  return {
    ...files,
    "index.html": Buffer.from(index),
    "assets/instrumentation.js": Buffer.from("export default () => {}")
  }
}

guardConnections()
listenOnLoopback()

const { setupSpotlight } = await import("@spotlightjs/spotlight")
const main = fileURLToPath(import.meta.resolve("@spotlightjs/spotlight"))
const folder = dirname(dirname(main))
const quiet = { info: () => {}, debug: () => {}, warn: console.error, error: console.error }
const server = await setupSpotlight({
  port: 0,
  isStandalone: true,
  logger: quiet,
  filesToServe: readdirSync(folder).includes("ui") ? page(join(folder, "ui")) : {}
})
if (server === undefined) throw new Error("Spotlight did not start")

const { getClient } = createRequire(main)("@sentry/core") as { readonly getClient: () => unknown }
const { version } = JSON.parse(readFileSync(join(folder, "..", "package.json"), "utf8")) as { readonly version: string }

process.on("message", () => process.send?.({ hasTelemetry: getClient() !== undefined, beyond }))
process.on("disconnect", () => process.exit(0))
process.send?.({ version, port: (server.address() as AddressInfo).port } satisfies Ready)
