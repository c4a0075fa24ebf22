/**
 * Delivery while the process exits: after `process.exit` or an uncaught exception nothing asynchronous runs any more on this
 * thread, so another thread sends while this one waits for it.
 */
import { Worker } from "node:worker_threads"
import { describeError } from "./debug.js"
import type { Route } from "./route.js"
import type { SendResult } from "./Transport.js"

/**
 * Sends the envelopes, in order, four at a time, and returns when all are answered or `timeoutMillis` are over. The thread is
 * started only here: a process that has nothing left to send pays nothing.
 *
 * @param onWaiting called once, when it takes longer than a moment
 * @returns an answer for each envelope; `undefined` for those that got none in time
 * @internal
 */
export const sendAtExit = (
  route: Route,
  envelopes: ReadonlyArray<Uint8Array>,
  timeoutMillis: number,
  onWaiting: () => void
): ReadonlyArray<SendResult | undefined> => {
  if (envelopes.length === 0 || timeoutMillis <= 0) return envelopes.map(() => undefined)
  const deadline = performance.now() + timeoutMillis
  const statuses = new Int32Array(new SharedArrayBuffer(4 * (envelopes.length + 1)))
  let worker: Worker
  try {
    const workerData = { statuses, route, envelopes: [...envelopes] }
    // Neither preloaded modules nor NODE_OPTIONS: the thread must be ready in milliseconds and must not load this SDK again.
    worker = new OwnWorker(WORKER, { eval: true, execArgv: [], env: tlsSettings(), stdin: false, workerData })
  } catch (error) {
    return envelopes.map(() => ({ _tag: "Failed", reason: `no thread: ${describeError(error)}` }))
  }
  const grace = Math.min(GRACE_MILLIS, timeoutMillis)
  if (Atomics.wait(statuses, 0, 0, grace) === "timed-out") {
    onWaiting()
    Atomics.wait(statuses, 0, 0, Math.max(0, deadline - performance.now()))
  }
  void worker.terminate()
  return envelopes.map((_, index) => resultOf(statuses[index + 1] ?? 0))
}

// Taken before anyone patches it.
const OwnWorker = Worker

/** What takes no longer than this is not worth a word. @internal */
export const GRACE_MILLIS = 100

/** The one variable that Node reads not at its start but whenever it opens a connection. */
const tlsSettings = (): NodeJS.ProcessEnv => {
  const reject = process.env["NODE_TLS_REJECT_UNAUTHORIZED"]
  return reject === undefined ? {} : { NODE_TLS_REJECT_UNAUTHORIZED: reject }
}

const resultOf = (status: number): SendResult | undefined => {
  if (status === 0) return undefined
  return status < 0 ? { _tag: "Failed", reason: "no connection" } : { _tag: "Answered", status }
}

// What it does is what `httpSender` does, for a thread that has nothing but Node.
const WORKER = `
const { workerData: { statuses, route, envelopes } } = require("node:worker_threads")
const clientFor = (isSecure) => isSecure ? require("node:https") : require("node:http")
const { ca, headers, host, path, port, tunnel } = route
const client = clientFor(route.isSecure)
const keeping = new client.Agent({ keepAlive: true, maxSockets: 4 })
const connecting = new client.Agent()
const { createConnection } = keeping
const throughTunnel = function (options, done) {
  const { authority, headers, host, port } = tunnel
  const request = clientFor(tunnel.isSecure).request({ method: "CONNECT", agent: false, host, port, path: authority, headers, ca })
  request.on("connect", ({ statusCode }, socket) => {
    if (statusCode >= 200 && statusCode < 300) return done(null, createConnection.call(this, { ...options, socket }))
    socket.destroy()
    done(new Error("no connection"))
  })
  request.on("error", done)
  request.end()
}
if (tunnel !== undefined) keeping.createConnection = connecting.createConnection = throughTunnel
const used = new WeakSet()
let left = envelopes.length
const settle = (index, status) => {
  if (statuses[index + 1] !== 0) return
  Atomics.store(statuses, index + 1, status)
  if (--left === 0) {
    Atomics.store(statuses, 0, 1)
    Atomics.notify(statuses, 0)
  }
}
const post = (body, index, isRetry) => {
  let isAnswered = false
  let isSentAgain = false
  let isReused = false
  let readBefore = 0
  const request = client.request({
    method: "POST", agent: isRetry ? connecting : keeping, host, port, path, ca,
    headers: { ...headers, "content-length": String(body.byteLength) }
  }, (response) => {
    isAnswered = true
    settle(index, response.statusCode)
    // For the next one the connection is needed: what does not come to an end is cut off.
    let received = 0
    const cutOff = setTimeout(() => response.destroy(), 250)
    response.on("data", (chunk) => {
      if ((received += chunk.length) > 65536) response.destroy()
    })
    response.on("close", () => clearTimeout(cutOff))
    response.on("error", () => {})
  })
  request.on("socket", (socket) => {
    isReused = used.has(socket)
    readBefore = socket.bytesRead
    used.add(socket)
  })
  let hints = 0
  request.on("information", () => {
    if (++hints > 100) request.destroy()
  })
  request.on("error", ({ code }) => {
    const isClosed = code === "ECONNRESET" || code === "EPIPE"
    if (isRetry || isAnswered || !isClosed || !isReused || request.socket.bytesRead > readBefore) return
    isSentAgain = true
    post(body, index, true)
  })
  // Without an error, too: as after an answer that wants to speak something else (101).
  request.on("close", () => {
    if (!isAnswered && !isSentAgain) settle(index, -1)
  })
  request.end(body)
}
envelopes.forEach((body, index) => post(body, index, false))
`
