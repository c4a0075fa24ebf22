/**
 * What is rare about HTTP requests: answers that are none, agents of other people, headers given as lists, proxies, and calls that
 * Node refuses.
 */
import * as childProcess from "node:child_process"
import { EventEmitter } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import * as undici from "undici"
import { Ingest, type Json } from "../support/ingest.js"
import { crumb, settleDuration, status } from "./httpKit.js"
import { crumbsIn, flushed, hubAt, settle } from "./kit.js"

/** A server that also upgrades, tunnels and asks for the body: where it is, and the requests that came. */
interface Target {
  readonly port: number
  readonly origin: string
  readonly seen: Array<{ readonly how: string; readonly headers: http.IncomingHttpHeaders; readonly names: string }>
}

const target: Effect.Effect<Target, never, Scope.Scope> = Effect.acquireRelease(
  Effect.async<Target & { readonly server: http.Server }>((resume) => {
    const seen: Target["seen"] = []
    const note = (how: string, { headers, rawHeaders }: http.IncomingMessage): void => {
      const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
      seen.push({ how, headers, names: names.toSorted((a, b) => a.localeCompare(b)).join() })
    }
    const server = http.createServer((request, response) => {
      note("request", request)
      if (request.url === "/hints") response.writeEarlyHints({ link: "</a>; rel=preload" })
      if (request.url !== "/never") response.end("ok")
    })
    server.on("upgrade", (request: http.IncomingMessage, socket: net.Socket) => {
      note("upgrade", request)
      socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
    })
    server.on("connect", (request: http.IncomingMessage, socket: net.Socket) => {
      note("connect", request)
      socket.end(request.url?.startsWith("no.") === true ? "HTTP/1.1 407 No\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n")
    })
    server.on("checkContinue", (request, response) => {
      note("continue", request)
      response.writeContinue()
      response.end("ok")
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo
      resume(Effect.succeed({ port, origin: `http://127.0.0.1:${port}`, seen, server }))
    })
  }),
  ({ server }) =>
    Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
)

/** What `use` leads to, with `Stdlib` on. */
const watching = <A>(use: (target: Target) => Promise<A>, options: Faultline.Options = {}) =>
  Effect.gen(function* () {
    const to = yield* target
    const ingest = yield* Ingest.start()
    const result = yield* Effect.promise(() => use(to)).pipe(
      Effect.zipLeft(Effect.zipRight(Faultline.captureMessage("after"), flushed)),
      Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest, options))))
    )
    const crumbs = crumbsIn(settle(yield* ingest.event())).map(settleDuration)
    return { crumbs, result, ...to }
  })

/** How a request ended, once it is closed. */
const ended = (request: http.ClientRequest, send = true): Promise<string> =>
  new Promise((resolve) => {
    let how = ""
    const say = (word: string): void => {
      how += how === "" ? word : `, ${word}`
    }
    request.on("response", (response) => {
      say(String(response.statusCode))
      response.resume()
    })
    request.on("information", ({ statusCode }) => say(String(statusCode)))
    request.on("abort", () => say("abort"))
    request.on("error", (error: NodeJS.ErrnoException) => say(error.code ?? error.message))
    request.on("close", () => resolve(how))
    if (send) request.end()
  })

const CARRIED = ["sentry-trace", "baggage"]

const carries = ({ names }: Target["seen"][number]): ReadonlyArray<string> =>
  names.split(",").filter((name) => CARRIED.includes(name))

describe("an answer that ends the HTTP of its connection", () => {
  const UPGRADE = { connection: "upgrade", upgrade: "echo" }
  const upgrades: ReadonlyArray<readonly [what: string, make: (target: Target) => Promise<unknown>]> = [
    [
      "node:http",
      ({ origin }) => {
        const request = http.request(`${origin}/a`, { headers: UPGRADE })
        request.on("upgrade", (_, socket) => socket.destroy())
        return ended(request)
      }
    ],
    ["node:http, where nobody waits for it", ({ origin }) => ended(http.request(`${origin}/a`, { headers: UPGRADE }))],
    [
      "undici",
      async ({ origin }) => (await undici.upgrade(`${origin}/a`, { method: "GET", protocol: "echo" })).socket.destroy()
    ]
  ]
  it.scopedLive.each(upgrades)("(an upgrade, of %s) is one breadcrumb", ([, make]) =>
    Effect.gen(function* () {
      const { crumbs, origin, seen } = yield* watching(make)
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(101))])
      assert.deepStrictEqual(seen.map(carries), [CARRIED.toSorted()])
    })
  )

  it.scopedLive("(that of a WebSocket) is one breadcrumb", () =>
    Effect.gen(function* () {
      const { crumbs, origin } = yield* watching(
        ({ port }) =>
          new Promise<void>((resolve) => {
            // This server answers, but shakes no hands.
            new undici.WebSocket(`ws://127.0.0.1:${port}/a`).addEventListener("error", () => resolve())
          })
      )
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(101))])
    })
  )

  const tunnels: ReadonlyArray<readonly [what: string, make: (target: Target, to: string) => Promise<unknown>]> = [
    [
      "node:http",
      ({ port }, to) => {
        const request = http.request({ host: "127.0.0.1", port, method: "CONNECT", path: to })
        request.on("connect", (_, socket) => socket.destroy())
        return ended(request)
      }
    ],
    [
      "undici",
      async ({ origin }, to) => {
        const client = new undici.Client(origin)
        const { socket } = await client.connect({ path: to })
        socket.destroy()
        await client.destroy()
      }
    ]
  ]
  it.scopedLive.each(tunnels)("(a tunnel, of %s) is one breadcrumb, and the tunnel is told of no trace", ([, make]) =>
    Effect.gen(function* () {
      const { crumbs, port, seen } = yield* watching(async (target) => {
        await make(target, "yes.example:443")
        await make(target, "no.example:443")
      })
      const peer = { "http.method": "CONNECT", "network.peer.address": "127.0.0.1", "network.peer.port": port }
      assert.deepStrictEqual(crumbs, [
        crumb("yes.example:443", status(200), peer),
        crumb("no.example:443", { "http.response.status_code": 407, reason: "No" }, peer, "warning")
      ])
      assert.deepStrictEqual(seen.map(carries), [[], []])
    })
  )
})

describe("a request that asks first whether to send its body", () => {
  it.scopedLive("is one breadcrumb and carries the trace on", () =>
    Effect.gen(function* () {
      const { crumbs, origin, result, seen } = yield* watching(({ origin }) =>
        ended(http.request(`${origin}/a`, { method: "POST", headers: { expect: "100-continue" } }))
      )
      assert.strictEqual(result, "100, 200")
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(200), { "http.method": "POST" })])
      assert.deepStrictEqual(
        seen.map(({ how }) => how),
        ["continue"]
      )
      assert.deepStrictEqual(seen.map(carries), [CARRIED.toSorted()])
    })
  )

  it.scopedLive("or gets hints before its answer, is one breadcrumb of the answer", () =>
    Effect.gen(function* () {
      const { crumbs, origin, result } = yield* watching(({ origin }) => ended(http.get(`${origin}/hints`)))
      assert.strictEqual(result, "103, 200")
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/hints`, status(200))])
    })
  )
})

describe("a request that is aborted", () => {
  const ways: ReadonlyArray<
    readonly [what: string, result: string, error: string, make: (origin: string) => http.ClientRequest]
  > = [
    [
      "before it has a connection",
      "",
      "ABORT_ERR",
      (origin) => {
        const request = http.request(`${origin}/never`)
        request.abort()
        return request
      }
    ],
    [
      "while it waits",
      "abort, ECONNRESET",
      "ECONNRESET",
      (origin) => {
        const request = http.request(`${origin}/never`)
        request.on("finish", () => request.abort())
        return request
      }
    ],
    [
      "with an error of the program",
      "enough",
      "Error",
      (origin) => {
        const request = http.request(`${origin}/never`)
        request.on("finish", () => request.destroy(new Error("enough")))
        return request
      }
    ]
  ]
  it.scopedLive.each(ways)("%s is one breadcrumb", ([, ending, error, make]) =>
    Effect.gen(function* () {
      const { crumbs, origin, result } = yield* watching(({ origin }) => ended(make(origin)))
      assert.strictEqual(result, ending)
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/never`, { error }, {}, "error")])
    })
  )

  it.scopedLive("before it was made is no request", () =>
    Effect.gen(function* () {
      const { crumbs, seen } = yield* watching(async ({ origin }) => {
        await fetch(`${origin}/a`, { signal: AbortSignal.abort() }).catch(() => {})
      })
      assert.deepStrictEqual(crumbs, [])
      assert.deepStrictEqual(seen, [])
    })
  )
})

/** As agents were written before Node's own could be extended (agent-base up to version 6). */
class ForeignAgent extends EventEmitter {
  addRequest(request: http.ClientRequest, { port }: { port: number }): void {
    setImmediate(() => (request as unknown as { onSocket: (socket: net.Socket) => void }).onSocket(net.connect(port)))
  }
}

describe("a connection that is not of Node's agents", () => {
  const ways: ReadonlyArray<readonly [what: string, options: (port: number) => http.RequestOptions]> = [
    ["an agent that is none of Node's", () => ({ agent: new ForeignAgent() as unknown as http.Agent })],
    ["createConnection", (port) => ({ createConnection: () => net.connect(port, "127.0.0.1") })],
    ["no agent", () => ({ agent: false })]
  ]
  it.scopedLive.each(ways)(
    "(%s) is one breadcrumb, of the fiber that made it, and carries the trace on",
    ([, options]) =>
      Effect.gen(function* () {
        const { origin, port, seen } = yield* target
        const ingest = yield* Ingest.start()
        const one = (id: string) =>
          Effect.async<void>((resume) => {
            void ended(http.request(`${origin}/${id}`, options(port))).then(() => resume(Effect.void))
          }).pipe(Effect.zipRight(Faultline.captureMessage(id)), Faultline.withIsolationScope())
        yield* Effect.all([one("a"), one("b")], { concurrency: 2 }).pipe(
          Effect.zipRight(flushed),
          Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest))))
        )
        assert.lengthOf(ingest.allEvents, 2)
        for (const event of ingest.allEvents) {
          const crumbs = crumbsIn(settle(event)).map(settleDuration)
          assert.deepStrictEqual(crumbs, [crumb(`${origin}/${String(event["message"])}`, status(200))])
        }
        assert.deepStrictEqual(seen.map(carries), [CARRIED.toSorted(), CARRIED.toSorted()])
      })
  )
})

describe("headers", () => {
  const host = (port: number): string => `127.0.0.1:${port}`
  const lists: ReadonlyArray<readonly [what: string, headers: (port: number) => unknown]> = [
    ["names and values in turn", (port) => ["Host", host(port), "Baggage", "a=1", "baggage", "b=2"]],
    [
      "pairs",
      (port) => [
        ["Host", host(port)],
        ["Baggage", "a=1"],
        ["baggage", "b=2"]
      ]
    ],
    ["a record of lists", () => ({ baggage: ["a=1", "b=2"] })]
  ]
  it.scopedLive.each(lists)("given as %s carry the trace on, each once", ([, headers]) =>
    Effect.gen(function* () {
      const { crumbs, origin, seen } = yield* watching(({ origin, port }) =>
        ended(http.request(`${origin}/a`, { headers: headers(port) as http.OutgoingHttpHeaders }))
      )
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(200))])
      assert.deepStrictEqual(seen.map(carries), [CARRIED.toSorted()])
      assert.match(String(seen[0]?.headers["baggage"]), /^a=1,b=2,sentry-trace_id=/)
    })
  )

  it.scopedLive("given to undici several times, or as a list, carry the trace on, each once", () =>
    Effect.gen(function* () {
      const { seen } = yield* watching(async ({ origin }) => {
        for (const headers of [["baggage", "a=1", "Baggage", "b=2"], { other: ["1", "2"], baggage: ["a=1", "b=2"] }]) {
          await (await undici.request(`${origin}/a`, { headers })).body.text()
        }
      })
      for (const request of seen) {
        assert.deepStrictEqual(carries(request), CARRIED.toSorted())
        assert.match(String(request.headers["baggage"]).replaceAll(" ", ""), /^a=1,b=2,sentry-trace_id=/)
      }
      assert.lengthOf(seen, 2)
    })
  )

  const own: ReadonlyArray<readonly [what: string, make: (target: Target) => Promise<unknown>]> = [
    [
      "after the request was made",
      ({ origin }) => {
        const request = http.request(`${origin}/a`)
        request.setHeader("sentry-trace", "mine")
        request.setHeader("baggage", "a=1")
        return ended(request)
      }
    ],
    [
      "in a list",
      ({ origin, port }) =>
        ended(
          http.request(`${origin}/a`, {
            headers: ["Host", host(port), "Sentry-Trace", "mine", "baggage", "a=1"] as never
          })
        )
    ],
    [
      "to undici, behind a list",
      async ({ origin }) => {
        const headers = { other: ["1", "2"], "Sentry-Trace": "mine", baggage: "a=1" }
        await (await undici.request(`${origin}/a`, { headers })).body.text()
      }
    ]
  ]
  it.scopedLive.each(own)("of a trace that the program sets itself (%s) stay as they are", ([, make]) =>
    Effect.gen(function* () {
      const { seen } = yield* watching(make)
      assert.lengthOf(seen, 1)
      assert.deepStrictEqual(seen.map(carries), [CARRIED.toSorted()])
      const { baggage, "sentry-trace": trace } = seen[0]?.headers ?? {}
      assert.deepStrictEqual({ trace, baggage }, { trace: "mine", baggage: "a=1" })
    })
  )

  it.scopedLive("that the program sets after the request was made keep their baggage", () =>
    Effect.gen(function* () {
      const { seen } = yield* watching(({ origin }) => {
        const request = http.request(`${origin}/a`)
        request.setHeader("baggage", "a=1")
        // Nobody sees ours until they leave.
        assert.deepStrictEqual(request.getHeaderNames(), ["host", "baggage"])
        return ended(request)
      })
      assert.match(String(seen[0]?.headers["baggage"]), /^a=1,sentry-trace_id=/)
    })
  )

  it.scopedLive("that there are none of carry the trace on all the same", () =>
    Effect.gen(function* () {
      const { crumbs, origin, result } = yield* watching(({ port }) =>
        ended(http.request({ host: "127.0.0.1", port, path: "/a", setHost: false }))
      )
      // A server wants to know of the host.
      assert.strictEqual(result, "400")
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(400), {}, "warning")])
    })
  )
})

describe("the URL of a request", () => {
  it.scopedLive("to a proxy is that of what it is asked for; the proxy is the peer", () =>
    Effect.gen(function* () {
      const { crumbs, port } = yield* watching(({ port }) =>
        ended(
          http.request({
            host: "127.0.0.1",
            port,
            path: "http://user:hunter2@elsewhere.example/a?token=s3cret&page=2#access_token=s3cret&b=1"
          })
        )
      )
      assert.deepStrictEqual(crumbs, [
        crumb("http://[Filtered]:[Filtered]@elsewhere.example/a", status(200), {
          "http.query": "token=[Filtered]&page=2",
          "http.fragment": "access_token=[Filtered]&b=1",
          "network.peer.address": "127.0.0.1",
          "network.peer.port": port
        })
      ])
    })
  )

  it.scopedLive("through an agent that says which proxy it goes to has that as the peer", () =>
    Effect.gen(function* () {
      const { crumbs, origin } = yield* watching(({ origin }) => {
        const agent = Object.assign(new http.Agent(), { proxy: new URL("https://user:hunter2@proxy.example") })
        return ended(http.get(`${origin}/a`, { agent }))
      })
      const peer = { "network.peer.address": "proxy.example", "network.peer.port": 443 }
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(200), peer)])
    })
  )

  it.scopedLive("that asks for no path is one all the same", () =>
    Effect.gen(function* () {
      const { crumbs, origin } = yield* watching(({ port }) =>
        ended(http.request({ host: "127.0.0.1", port, method: "OPTIONS", path: "*" }))
      )
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/*`, status(200), { "http.method": "OPTIONS" })])
    })
  )

  it.scopedLive("that a pattern with a memory looks at is looked at from its beginning", () =>
    Effect.gen(function* () {
      const { seen } = yield* watching(
        async ({ origin }) => {
          for (let n = 0; n < 3; n++) await ended(http.get(`${origin}/api`))
        },
        { tracePropagationTargets: [/api$/g] }
      )
      assert.deepStrictEqual(
        seen.map(carries),
        [1, 2, 3].map(() => CARRIED.toSorted())
      )
    })
  )
})

describe("a call that is none", () => {
  const WITH_BODY = { body: "a" }
  const throwing = {
    get hostname(): string {
      throw new TypeError("not this one")
    }
  }
  const calls: ReadonlyArray<readonly [what: string, call: () => unknown]> = [
    ["http.request of no URL", () => http.request("nowhere")],
    ["http.request of a protocol it does not know", () => http.request("ftp://127.0.0.1/")],
    ["http.request of a path with a blank", () => http.request({ path: "/a b" })],
    ["http.request of a port there is not", () => http.request({ port: 70_000 })],
    ["http.request of a method there is not", () => http.request({ method: "NO WAY" })],
    ["http.request of options that throw", () => http.request(throwing)],
    ["http.request of a header with a line break", () => http.request({ headers: { a: "b\r\nc" } })],
    ["http.request of an agent that is none", () => http.request({ agent: {} as never })],
    ["fetch of nothing", () => (fetch as () => Promise<unknown>)()],
    ["fetch of no URL", () => fetch("nowhere")],
    ["fetch of a symbol", () => fetch(Symbol("a") as never)],
    ["fetch of a port that is not asked", () => fetch("http://127.0.0.1:1/")],
    ["fetch of credentials", () => fetch("http://user:hunter2@127.0.0.1/")],
    ["fetch of a body to get", () => fetch("http://127.0.0.1/", { ...WITH_BODY })],
    [
      "fetch of options that throw",
      () =>
        fetch("http://127.0.0.1/", {
          get method(): never {
            throw new TypeError("no")
          }
        })
    ],
    ["undici.request of no URL", () => undici.request("nowhere")],
    [
      "undici.request of a header with a line break",
      () => undici.request("http://127.0.0.1/", { headers: { a: "b\r\n" } })
    ],
    ["undici.fetch of nothing", () => (undici.fetch as () => Promise<unknown>)()]
  ]
  /** When it failed, and how. */
  const outcome = async (call: () => unknown): Promise<string> => {
    try {
      const result = call()
      return result instanceof Promise
        ? await result.then(
            () => "fulfilled",
            (error: Error) => `later: ${error.name}: ${error.message} (${String((error.cause as Error)?.message)})`
          )
        : "made"
    } catch (error) {
      return `at once: ${String(error)}`
    }
  }
  const all = async (): Promise<ReadonlyArray<string>> => {
    const outcomes: Array<string> = []
    for (const [what, call] of calls) outcomes.push(`${what}: ${await outcome(call)}`)
    return outcomes
  }

  it.scopedLive("fails as it does without us, then or later, and is no breadcrumb", () =>
    Effect.gen(function* () {
      const bare = yield* Effect.promise(all)
      const { crumbs, result } = yield* watching(all)
      assert.deepStrictEqual(result, bare)
      assert.deepStrictEqual(crumbs, [])
      for (const line of bare) assert.match(line, /: (?:at once|later): /)
    })
  )

  it.scopedLive("does not take the place of the request before it", () =>
    Effect.gen(function* () {
      const { crumbs, origin } = yield* watching(async ({ origin }) => {
        const first = ended(http.request(`${origin}/a`))
        assert.throws(() => http.request("nowhere"))
        await first
      })
      assert.deepStrictEqual(crumbs, [crumb(`${origin}/a`, status(200))])
    })
  )

  it.scopedLive("does not come from a beforeBreadcrumb that throws", () =>
    Effect.gen(function* () {
      const { origin } = yield* target
      const ingest = yield* Ingest.start()
      const throws = (): never => {
        throw new Error("mine")
      }
      const text = yield* Effect.promise(async () => {
        assert.strictEqual(await ended(http.get(`${origin}/a`)), "200")
        return (await fetch(`${origin}/b`)).text()
      }).pipe(
        Effect.zipLeft(Effect.zipRight(Faultline.captureMessage("after"), flushed)),
        Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest, { beforeBreadcrumb: throws }))))
      )
      assert.strictEqual(text, "ok")
      const bare = { timestamp: "<timestamp>", category: "http" }
      assert.deepStrictEqual(crumbsIn(settle(yield* ingest.event())), [bare, bare])
    })
  )
})

describe("a beforeBreadcrumb that asks for something itself", () => {
  it.scopedLive("is not asked about that", () =>
    Effect.gen(function* () {
      const { origin, seen } = yield* target
      const ingest = yield* Ingest.start()
      const asked: Array<unknown> = []
      const answers: Array<Promise<unknown>> = []
      const beforeBreadcrumb = (breadcrumb: Faultline.Breadcrumb): Faultline.Breadcrumb => {
        asked.push(breadcrumb.data?.["url"])
        answers.push(fetch(`${origin}/b`), ended(http.get(`${origin}/c`)))
        childProcess.execSync("true")
        return breadcrumb
      }
      yield* Effect.promise(async () => {
        await ended(http.get(`${origin}/a`))
        await Promise.all(answers)
      }).pipe(
        Effect.zipRight(Effect.zipRight(Faultline.captureMessage("after"), flushed)),
        Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest, { beforeBreadcrumb }))))
      )
      assert.deepStrictEqual(asked, [`${origin}/a`])
      assert.lengthOf(seen, 3)
      assert.lengthOf(crumbsIn(yield* ingest.event()), 1)
    })
  )
})

describe("fetch", () => {
  it.scopedLive("looks as it did", () =>
    Effect.gen(function* () {
      const before = globalThis.fetch
      const looks = ({ length, name }: typeof fetch): Json => ({ length, name })
      yield* watching(() => {
        assert.notStrictEqual(globalThis.fetch, before)
        assert.deepStrictEqual(looks(globalThis.fetch), looks(before))
        return Promise.resolve()
      })
      assert.strictEqual(globalThis.fetch, before)
    })
  )
})
