/**
 * A hard exit loses nothing (T5), and is otherwise what it would be without the SDK: exit code, signal and every line that Node
 * or the program writes.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Answer, selfSigned } from "../support/ingest.js"
import { Proxy } from "../support/proxy.js"
import {
  assertEvents,
  comparable,
  labelsOf,
  MARGIN_MILLIS,
  type Receiver,
  type RunOptions,
  receiver,
  run,
  waitingLines
} from "./support.js"

interface Case {
  readonly way: string
  readonly args?: ReadonlyArray<string>
  readonly fixture?: string
  readonly flags?: ReadonlyArray<string>
  readonly code: number
  readonly labels: ReadonlyArray<string>
}

const cases: ReadonlyArray<Case> = [
  { way: "nothing", code: 0, labels: [] },
  { way: "natural end", code: 0, labels: ["event 0"] },
  { way: "exit code", code: 5, labels: ["event 0"] },
  { way: "exit", code: 7, labels: ["event 0"] },
  { way: "exit in a timer", code: 7, labels: ["event 0"] },
  { way: "exit after the sending has begun", code: 7, labels: ["event 0"] },
  { way: "exit after a flush", code: 7, labels: ["event 0", "event 0"] },
  { way: "exit after a second init", code: 7, labels: ["event 0", "event 0"] },
  { way: "await for ever", code: 13, labels: ["event 0"] },
  { way: "exit listener registered before", code: 7, labels: ["before"] },
  { way: "exit listener registered after", code: 7, labels: ["after"] },
  { way: "exit in an exit listener", code: 8, labels: ["event 0"] },
  { way: "throw", code: 1, labels: ["RangeError", "event 0"] },
  { way: "throw in a timer", code: 1, labels: ["RangeError", "event 0"] },
  { way: "throw in a nextTick", code: 1, labels: ["RangeError"] },
  { way: "throw in a microtask", code: 1, labels: ["RangeError"] },
  { way: "throw in an exit listener", code: 1, labels: ["RangeError"] },
  { way: "throw in an exit listener registered before", code: 1, labels: ["RangeError"] },
  { way: "stack overflow", code: 1, labels: ["RangeError"] },
  { way: "throw what is no error", code: 1, labels: ["Error"] },
  { way: "rejection", code: 1, labels: ["RangeError", "event 0"] },
  { way: "rejection in a timer", code: 1, labels: ["RangeError"] },
  { way: "rejection with what is no error", code: 1, labels: ["UnhandledPromiseRejection"] },
  { way: "rejection that is handled late", code: 0, labels: [] },
  { way: "captured before it is thrown", code: 1, labels: ["RangeError"] },
  { way: "throw in an uncaughtException listener", code: 7, labels: ["TypeError"] },
  {
    way: "own uncaughtException listener",
    code: 0,
    labels: ["RangeError", "SyntaxError", "TypeError", "URIError"]
  },
  { way: "own capture callback, after an uncaught error", code: 0, labels: ["RangeError", "TypeError"] },
  { way: "own unhandledRejection listener", code: 0, labels: [] },
  { way: "uncaught while exiting", code: 9, labels: ["RangeError", "event 0"] },
  { way: "warn about rejections", flags: ["--unhandled-rejections=warn"], code: 0, labels: [] },
  { way: "warn about rejections", flags: ["--unhandled-rejections=strict"], code: 1, labels: ["RangeError"] },
  { way: "exit", fixture: "hard-exit.cjs", code: 7, labels: ["event 0"] },
  { way: "throw", fixture: "hard-exit.cjs", code: 1, labels: ["RangeError", "event 0"] },
  { way: "rejection", fixture: "hard-exit.cjs", code: 1, labels: ["RangeError"] },
  { way: "missing module", fixture: "hard-exit.cjs", code: 1, labels: ["Error"] },
  { way: "exit", fixture: "hard-exit-require.cjs", code: 7, labels: ["event 0"] },
  { way: "throw while it starts", fixture: "hard-exit-require.cjs", code: 1, labels: ["RangeError", "event 0"] },
  { way: "rejection", fixture: "hard-exit-require.cjs", code: 1, labels: ["RangeError", "event 0"] },
  { way: "exit in an exit listener", fixture: "hard-exit-require.cjs", code: 8, labels: ["event 0"] },
  { way: "missing module", fixture: "hard-exit-require.cjs", code: 1, labels: ["Error"] },
  { way: "at the start", fixture: "crash-at-start.mjs", code: 1, labels: ["RangeError"] }
]

/** The SDK has Node keep more of a stack: what it prints is otherwise the same. */
const DEEP = "--stack-trace-limit=50"

describe("hard exit", () => {
  for (const { code, fixture = "hard-exit.mjs", flags, labels, way } of cases) {
    const name = [way, ...(fixture === "hard-exit.mjs" ? [] : [fixture]), ...(flags ?? [])].join(", ")
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const [ended, without] = yield* Effect.all(
          [run(fixture, [way], { to: server, flags }), run(fixture, [way], { flags: [...(flags ?? []), DEEP] })],
          { concurrency: 2 }
        )
        const events = yield* server.events
        assert.strictEqual(without.code, code)
        assert.deepStrictEqual(
          { ...comparable(ended), events: labelsOf(events) },
          { ...comparable(without), events: labels.toSorted() }
        )
        assertEvents(ended, events, labels)
      })
    )
  }
})

describe("hard exit, with a server whose certificate nobody has signed", () => {
  const certificate = selfSigned()
  const trusts = {
    NODE_EXTRA_CA_CERTS: (folder: string) => join(folder, "cert.pem"),
    NODE_TLS_REJECT_UNAUTHORIZED: () => "0"
  }
  for (const [variable, valueIn] of Object.entries(trusts)) {
    it.scopedLive.skipIf(certificate === undefined)(`exit: ${variable} holds also for what is sent at the exit`, () =>
      Effect.gen(function* () {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "faultline-"))),
          (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
        )
        writeFileSync(join(folder, "cert.pem"), certificate?.cert ?? "")
        const server = yield* receiver(0, { tls: certificate })
        const ended = yield* run("hard-exit.mjs", ["exit"], { to: server, env: { [variable]: valueIn(folder) } })
        assertEvents(ended, yield* server.events, ["event 0"])
        assert.strictEqual(ended.code, 7)
      })
    )
  }
})

describe("hard exit, by another way than straight to the server", () => {
  const certificate = selfSigned()

  it.scopedLive("exit: through the proxy that the environment names", () =>
    Effect.gen(function* () {
      const [server, proxy] = [yield* receiver(), yield* Proxy.start()]
      const ended = yield* run("hard-exit.mjs", ["exit", "3"], {
        to: server,
        env: { http_proxy: proxy.urlWith("u:p@") }
      })
      assertEvents(ended, yield* server.events, messages(3))
      assert.strictEqual(ended.code, 7)
      assert.strictEqual(proxy.seen.length, 3)
      for (const { headers } of proxy.seen) assert.strictEqual(headers["proxy-authorization"], "Basic dTpw")
    })
  )

  it.scopedLive.skipIf(certificate === undefined)(
    "exit: through a connection of the proxy, to a server of caCerts",
    () =>
      Effect.gen(function* () {
        const server = yield* receiver(0, { tls: certificate })
        const proxy = yield* Proxy.start({ tls: certificate, agrees: 299 })
        const options = { caCerts: certificate?.cert, proxy: proxy.url }
        const ended = yield* run("hard-exit.mjs", ["exit", "3"], { to: server, options })
        assertEvents(ended, yield* server.events, messages(3))
        assert.isAtLeast(proxy.seen.length, 1)
        for (const { method } of proxy.seen) assert.strictEqual(method, "CONNECT")
      })
  )

  it.scopedLive("exit: through the tunnel", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const tunnel = new URL(server.dsn.replace("public@", "")).origin
      const ended = yield* run("hard-exit.mjs", ["exit"], {
        env: { SENTRY_DSN: "http://public@127.0.0.1:1/42" },
        options: { tunnel: `${tunnel}/own/envelope` }
      })
      assertEvents(ended, yield* server.events, ["event 0"])
    })
  )

  it.scopedLive("exit: a silent proxy holds nobody up for longer than the limit", () =>
    Effect.gen(function* () {
      const [server, proxy] = [yield* receiver(0, { tls: certificate }), yield* Proxy.start({ refuses: "silently" })]
      const options = { proxy: proxy.url, shutdownTimeout: 500 }
      const ended = yield* run("hard-exit.mjs", ["exit"], { to: server, options })
      assert.strictEqual(ended.code, 7)
      assert.isBelow(ended.millisSince("ending"), 500 + MARGIN_MILLIS)
    })
  )
})

/** The ways that end in the middle of sending. */
const sudden: ReadonlyArray<readonly [way: string, code: number, labels: ReadonlyArray<string>]> = [
  ["exit", 7, []],
  ["throw", 1, ["RangeError"]],
  ["rejection", 1, ["RangeError"]]
]

const messages = (count: number): Array<string> => Array.from({ length: count }, (_, index) => `event ${index}`)

describe("hard exit, with many events", () => {
  for (const [way, code, more] of sudden) {
    it.scopedLive(`${way}: 20 pending events arrive`, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const ended = yield* run("hard-exit.mjs", [way, "20"], { to: server })
        assertEvents(ended, yield* server.events, [...messages(20), ...more])
        assert.strictEqual(ended.code, code)
      })
    )
  }
})

describe("hard exit, with a server that", () => {
  for (const answer of ["thenCloses", "thenResets"] as const) {
    it.scopedLive(`closes the connection after each answer (${answer}): 100 pending events arrive`, () =>
      Effect.gen(function* () {
        const server = yield* receiver(0, { judge: () => answer })
        const ended = yield* run("hard-exit.mjs", ["exit", "100"], { to: server, options: { shutdownTimeout: 8000 } })
        assertEvents(ended, yield* server.events, messages(100))
        assert.strictEqual(ended.code, 7)
      })
    )
  }

  const odd: ReadonlyArray<readonly [what: string, answer: Answer]> = [
    ["never stops answering", "endless"],
    ["says without end that it is going to answer", "hints"],
    ["goes over to another protocol", "upgrade"],
    ["has no end of headers", "header"]
  ]
  for (const [what, answer] of odd) {
    it.scopedLive(`${what} holds nobody up`, () =>
      Effect.gen(function* () {
        const server = yield* receiver(0, { judge: () => answer })
        const ended = yield* run("hard-exit.mjs", ["exit", "6"], { to: server, options: { shutdownTimeout: 8000 } })
        assertEvents(ended, yield* server.events, messages(6))
        assert.strictEqual(ended.code, 7)
        assert.isBelow(ended.millisSince("ending"), 1000 + MARGIN_MILLIS)
      })
    )
  }
})

describe("hard exit, with a slow server", () => {
  for (const [way, code, more] of sudden) {
    it.scopedLive(`${way}: delivered, and said so`, () =>
      Effect.gen(function* () {
        const server = yield* receiver(500)
        const [ended, without] = yield* Effect.all(
          [run("hard-exit.mjs", [way, "2"], { to: server }), run("hard-exit.mjs", [way, "2"])],
          { concurrency: 2 }
        )
        assertEvents(ended, yield* server.events, [...messages(2), ...more])
        assert.strictEqual(ended.code, code)
        assert.strictEqual(ended.stderr, waitingLines(2 + more.length, 2) + without.stderr)
      })
    )
  }

  for (const [fixture, way, code] of [
    ["hard-exit.cjs", "exit", 7],
    ["hard-exit-require.cjs", "exit in an exit listener", 8],
    ["hard-exit-require.cjs", "throw while it starts", 1]
  ] as const) {
    it.scopedLive(`${way}, ${fixture}: delivered`, () =>
      Effect.gen(function* () {
        const server = yield* receiver(500)
        const ended = yield* run(fixture, [way], { to: server })
        assertEvents(ended, yield* server.events, ["event 0", ...(code === 1 ? ["RangeError"] : [])])
        assert.strictEqual(ended.code, code)
      })
    )
  }
})

const limited = (to: Receiver, shutdownTimeout: number): RunOptions => ({ to, options: { shutdownTimeout } })

describe("hard exit, with no answer", () => {
  for (const [way, code] of sudden) {
    it.scopedLive(`${way}: within the limit, whatever the server does`, () =>
      Effect.gen(function* () {
        const silent = yield* receiver("never")
        const refusing = yield* receiver("refused")
        const [waited, hurried, refused, without] = yield* Effect.all(
          [
            run("hard-exit.mjs", [way, "2"], limited(silent, 700)),
            run("hard-exit.mjs", [way, "2"], limited(silent, 0)),
            run("hard-exit.mjs", [way, "2"], limited(refusing, 8000)),
            run("hard-exit.mjs", [way, "2"])
          ],
          { concurrency: 2 }
        )
        for (const ended of [waited, hurried, refused]) assert.strictEqual(ended.code, code)
        assert.isBelow(waited.millisSince("ending"), 700 + MARGIN_MILLIS)
        assert.isBelow(hurried.millisSince("ending"), MARGIN_MILLIS)
        assert.isBelow(refused.millisSince("ending"), MARGIN_MILLIS)
        assert.deepStrictEqual(comparable(waited), comparable(without))
        assert.deepStrictEqual(comparable(refused), comparable(without))
        // With nothing to wait for there is nothing to say.
        assert.strictEqual(hurried.stderr, without.stderr)
      })
    )
  }
})

describe("hard exit under runMain", () => {
  const cases: ReadonlyArray<readonly [ending: string, code: number, labels: ReadonlyArray<string>]> = [
    ["exit", 3, ["before"]],
    ["throw in a timer", 1, ["before", "RangeError"]],
    ["rejection", 1, ["before", "RangeError"]]
  ]
  for (const [ending, code, labels] of cases) {
    it.scopedLive(`${ending}: delivered to a slow server, and within the limit to a silent one`, () =>
      Effect.gen(function* () {
        const slow = yield* receiver(500)
        const silent = yield* receiver("never")
        const [delivered, waited, without] = yield* Effect.all(
          [
            run("run-main.mjs", [ending, "capture"], { to: slow }),
            run("run-main.mjs", [ending, "capture"], limited(silent, 700)),
            run("run-main.mjs", [ending, "capture"])
          ],
          { concurrency: 2 }
        )
        assertEvents(delivered, yield* slow.events, labels)
        assert.isBelow(waited.millisSince("starting"), 700 + MARGIN_MILLIS)
        for (const ended of [delivered, waited]) {
          assert.strictEqual(ended.code, code)
          assert.deepStrictEqual(comparable(ended), comparable(without))
        }
      })
    )
  }
})
