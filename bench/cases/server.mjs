import { fork } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { cpuSince } from "../lib/measure.mjs"
import { loadFaultline, openFaultline, openSentry } from "../lib/sdks.mjs"
import { median } from "../lib/stats.mjs"

const WARMUP = 10_000
const BATCHES = 5
const BATCH = 4000

export const title = "CPU of a server per request, on top of that of a server without an SDK"

export const samples = {
  node: () => measure(onNode),
  nodeFaultline: async () => measure(onNode, await openFaultline()),
  nodeSentry: async () => measure(onNode, await openSentry()),
  platform: () => measure(onPlatform),
  platformFaultline: async () => measure(onPlatform, await loadFaultline()),
  platformSentry: async () => measure(onPlatform, await openSentry())
}

export const rows = [
  { what: "node:http", unit: "µs", ours: "nodeFaultline.cost", peer: "nodeSentry.cost", without: "node.cost" },
  {
    what: "@effect/platform-node",
    unit: "µs",
    ours: "platformFaultline.cost",
    peer: "platformSentry.cost",
    without: "platform.cost",
    atMost: 10
  },
  { what: "in all: node:http", unit: "µs", ours: "nodeFaultline.cost", peer: "nodeSentry.cost" },
  { what: "in all: @effect/platform-node", unit: "µs", ours: "platformFaultline.cost", peer: "platformSentry.cost" }
]

/** The peer is loaded before `node:http` is used, as its users do it. */
const onNode = (sdk) => {
  const answer = (request, response) => {
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify({ path: request.url }))
  }
  // The peer gives every request an isolation scope by itself.
  const isolates = sdk?.SDK_VERSION === undefined && sdk !== undefined
  const server = createServer(isolates ? (...args) => sdk.withIsolationScope(() => answer(...args)) : answer)
  server.listen(0, "127.0.0.1")
  return once(server, "listening").then(() => server.address().port)
}

const onPlatform = async (sdk) => {
  const [
    { Effect, Layer, ManagedRuntime },
    { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse },
    { NodeHttpServer }
  ] = await loaded("effect", "@effect/platform", "@effect/platform-node")
  const app = HttpRouter.empty.pipe(
    HttpRouter.get(
      "/items/:id",
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ url }) => HttpServerResponse.json({ path: url }))
    ),
    HttpServer.serve()
  )
  const node = createServer()
  const serving = app.pipe(Layer.provide(NodeHttpServer.layer(() => node, { port: 0, host: "127.0.0.1" })))
  const runtime = ManagedRuntime.make(sdk?.layer === undefined ? serving : Layer.provide(serving, sdk.layer))
  await runtime.runPromise(Effect.void)
  return node.address().port
}

const loaded = (...names) => Promise.all(names.map((name) => import(name)))

const measure = async (open, sdk) => {
  const port = await open(sdk)
  const load = fork(fileURLToPath(new URL("../lib/load.mjs", import.meta.url)), [String(port)])
  let problem
  const run = async (count) => {
    const start = process.cpuUsage()
    load.send(count)
    const [answered] = await once(load, "message")
    if (answered !== count) problem = `${answered} answers instead of ${count}`
    return cpuSince(start) / count
  }
  await run(WARMUP)
  const costs = []
  for (let batch = 0; batch < BATCHES; batch++) costs.push(await run(BATCH))
  load.kill()
  return { cost: median(costs), ...(problem === undefined ? undefined : { problem }) }
}
