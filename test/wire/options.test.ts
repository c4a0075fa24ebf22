import { writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { assert, describe, it, vi } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import {
  APP,
  anEvent,
  boom,
  boomEvent,
  crumbsIn,
  discarded,
  eventOf,
  exception,
  FRAMES,
  flushed,
  GENERIC,
  helloEvent,
  hubAt,
  ingestOf,
  reportsAt,
  settle,
  stderrLines,
  temporaryFolder,
  withEnvironment,
  withStack
} from "./kit.js"

const captured = Faultline.captureException(boom())

/** Captures `boom()` and lets the reports of what was dropped out: events and reports. */
const outcome = (
  options: Faultline.Options,
  effect: Effect.Effect<unknown, never, Scope.Scope> = Faultline.captureException(boom())
) =>
  Effect.map(ingestOf(effect, options), (ingest) => ({
    events: ingest.allEvents.map(settle),
    reports: reportsAt(ingest)
  }))

const kept = { events: [boomEvent()], reports: [] }
const droppedFor = (reason: string) => ({ events: [], reports: [[discarded(reason)]] })

describe("options that name what runs", () => {
  const cases: ReadonlyArray<readonly [options: Faultline.Options, own: Json]> = [
    [
      { release: "shop@1.2.3+7", environment: "staging", dist: "7" },
      { release: "shop@1.2.3+7", environment: "staging", dist: "7" }
    ],
    [{ release: "", environment: "", dist: "" }, {}],
    [{ serverName: "db-1" }, { server_name: "db-1" }],
    [{ serverName: undefined }, { server_name: hostname() }]
  ]
  it.scopedLive.each(cases)("%j are on every event", ([options, own]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* eventOf(captured, options), boomEvent(own))
    })
  )

  it.scopedLive('serverName "" leaves the name out', () =>
    Effect.gen(function* () {
      const { server_name: _, ...nameless } = boomEvent()
      assert.deepStrictEqual(yield* eventOf(captured, { serverName: "" }), nameless)
    })
  )

  it.scopedLive("come from the environment where the code does not say, and only with layerConfig", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      yield* withEnvironment({
        SENTRY_DSN: ingest.dsn,
        SENTRY_RELEASE: "env@1",
        SENTRY_ENVIRONMENT: "env",
        SENTRY_DIST: "1",
        SENTRY_NAME: "env-host"
      })
      const program = Effect.zipRight(captured, flushed)
      yield* program.pipe(Effect.provide(Faultline.Hub.layerConfig()))
      yield* program.pipe(Effect.provide(Faultline.Hub.layerConfig({ release: "code@1", dist: undefined })))
      yield* program.pipe(Effect.provide(hubAt(ingest)))
      yield* program.pipe(Effect.provide(Faultline.Hub.layer({ release: "inert" })))
      const env = { release: "env@1", environment: "env", dist: "1", server_name: "env-host" }
      assert.deepStrictEqual(ingest.allEvents.map(settle), [
        boomEvent(env),
        boomEvent({ ...env, release: "code@1" }),
        boomEvent()
      ])
    })
  )

  it.scopedLive("a redacted DSN is one", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const layer = Faultline.Hub.layer({ dsn: Redacted.make(ingest.dsn) })
      yield* Effect.zipRight(captured, flushed).pipe(Effect.provide(layer))
      assert.lengthOf(ingest.allEvents, 1)
    })
  )
})

describe("sampling", () => {
  const withRandom = (value: number) =>
    Effect.acquireRelease(
      Effect.sync(() => vi.spyOn(Math, "random").mockReturnValue(value)),
      (spy) => Effect.sync(() => spy.mockRestore())
    )

  const rates: ReadonlyArray<readonly [rate: number, random: number, isKept: boolean]> = [
    [0, 0, false],
    [1, 0.999, true],
    [0.5, 0.499, true],
    [0.5, 0.5, false]
  ]
  it.scopedLive.each(rates)("at rate %d, a draw of %d: %s", ([sampleRate, random, isKept]) =>
    Effect.gen(function* () {
      yield* withRandom(random)
      assert.deepStrictEqual(yield* outcome({ sampleRate }), isKept ? kept : droppedFor("sample_rate"))
    })
  )

  const answers: ReadonlyArray<readonly [what: string, sampler: () => unknown, isKept: boolean]> = [
    ["1", () => 1, true],
    ["true", () => true, true],
    ["0", () => 0, false],
    ["false", () => false, false],
    ["2, which is no rate", () => 2, true],
    ["-1, which is no rate", () => -1, true],
    ["NaN, which is no rate", () => Number.NaN, true],
    ["a text, which is no rate", () => "0", true],
    ["nothing, which is no rate", () => undefined, true],
    ["a promise, which is no rate", () => Promise.resolve(0), true],
    [
      "an error",
      () => {
        throw new Error("no")
      },
      true
    ]
  ]
  it.scopedLive.each(answers)("an errorSampler that answers %s", ([, sampler, isKept]) =>
    Effect.gen(function* () {
      const errorSampler = sampler as () => number
      assert.deepStrictEqual(yield* outcome({ errorSampler }), isKept ? kept : droppedFor("sample_rate"))
    })
  )

  it.scopedLive("by an errorSampler that looks at the event takes the place of the rate", () =>
    Effect.gen(function* () {
      const error = boom()
      const sampled = yield* outcome(
        {
          sampleRate: 0,
          errorSampler: (event, hint) =>
            event.exception?.values[0]?.value === "boom" && hint.originalException === error ? 1 : 0
        },
        Faultline.captureException(error)
      )
      assert.deepStrictEqual(sampled, kept)
    })
  )

  it.scopedLive("by an errorSampler that throws is as if there were none (HK-6)", () =>
    Effect.gen(function* () {
      const errorSampler = (): number => {
        throw new Error("no")
      }
      assert.deepStrictEqual(yield* outcome({ sampleRate: 0, errorSampler }), droppedFor("sample_rate"))
    })
  )
})

describe("ignoreErrors", () => {
  class Base extends Error {}
  class Derived extends Base {}
  class Tagged extends Data.TaggedError("Tagged")<{ readonly id: number }> {}
  const Unfriendly = Object.defineProperty(class extends Error {}, Symbol.hasInstance, {
    value() {
      throw new Error("no")
    }
  })
  type Ignored = NonNullable<Faultline.Options["ignoreErrors"]>

  const cases: ReadonlyArray<readonly [what: string, ignored: Ignored, error: unknown, isIgnored: boolean]> = [
    ["the type's name", ["TypeError"], new TypeError("x"), true],
    ["the _tag", ["Tagged"], new Tagged({ id: 1 }), true],
    ["a part of the message", ["luck"], new Error("no luck today"), true],
    ["the name of a base class, which is not the type", ["Base"], new Derived("x"), false],
    ["no text at all", [""], new Error("x"), false],
    ["a pattern for `type: message`", [/^TypeError: x\d$/], new TypeError("x7"), true],
    ["a class", [Base], new Base("x"), true],
    ["a class, of a subclass", [Base], new Derived("x"), true],
    ["a class, of another", [Derived], new Base("x"), false],
    ["a class that cannot be asked, and a text", [Unfriendly, "x"], new Error("x"), true],
    ["a class, of a text", [Base], "text", false],
    ["a text, of a text", ["tex"], "text", true]
  ]
  it.scopedLive.each(cases)("%s", ([, ignoreErrors, error, isIgnored]) =>
    Effect.gen(function* () {
      const { events, reports } = yield* outcome({ ignoreErrors }, Faultline.captureException(error))
      assert.deepStrictEqual(reports, isIgnored ? [[discarded("event_processor")]] : [])
      assert.lengthOf(events, isIgnored ? 0 : 1)
    })
  )

  it.scopedLive("a pattern that remembers where it was matches each time, and is left as it was", () =>
    Effect.gen(function* () {
      const pattern = /boom/g
      const sticky = /Error: bang/y
      const four = Effect.forEach(["boom", "boom", "bang", "bang"], (text) => Faultline.captureException(boom(text)))
      assert.deepStrictEqual(yield* outcome({ ignoreErrors: [pattern, sticky] }, four), {
        events: [],
        reports: [[discarded("event_processor", 4)]]
      })
      assert.strictEqual(pattern.lastIndex, 0)
    })
  )

  it.scopedLive("messages, too", () =>
    Effect.gen(function* () {
      const { events } = yield* outcome(
        { ignoreErrors: ["hell", /^w/] },
        Effect.forEach(["hello", "world", "again"], (text) => Faultline.captureMessage(text))
      )
      assert.deepStrictEqual(events, [helloEvent({ message: "again" })])
    })
  )
})

describe("beforeSend", () => {
  const everything = {
    tags: { a: 1 },
    extra: { b: 1 },
    user: { id: "u1" },
    contexts: { c: { d: 1 } },
    fingerprint: ["f"],
    transactionName: "t",
    attachments: [{ filename: "f", data: "secret" }]
  }
  const reduced = (why: string): Json => ({
    event_id: "<event_id>",
    timestamp: "<timestamp>",
    platform: "node",
    level: "error",
    environment: "production",
    release: "shop@1",
    dist: "7",
    sdk: anEvent({})["sdk"],
    exception: { values: [{ type: "Error", mechanism: GENERIC, stacktrace: { frames: FRAMES } }] },
    contexts: { faultline: { reduced: `beforeSend ${why}` } }
  })

  it.scopedLive("has the last word: what it returns is sent", () =>
    Effect.gen(function* () {
      const error = boom()
      const ingest = yield* ingestOf(Faultline.captureException(error, everything), {
        beforeSend(event, hint) {
          assert.strictEqual(hint.originalException, error)
          assert.deepStrictEqual(hint.attachments, everything.attachments)
          hint.attachments.push({ filename: "g", data: "more" })
          const { contexts: _, extra: __, ...rest } = event
          return { ...rest, level: "warning", tags: { ...event.tags, edited: "yes" } }
        }
      })
      const { framed } = yield* ingest.envelope()
      const { contexts: _, ...expected } = boomEvent({
        level: "warning",
        tags: { a: "1", edited: "yes" },
        user: { id: "u1" },
        fingerprint: ["f"],
        transaction: "t"
      })
      assert.deepStrictEqual(settle(yield* ingest.event()), expected)
      assert.deepStrictEqual(
        framed.items.slice(1).map(({ bytes, headers }) => [headers["filename"], bytes.toString()]),
        [
          ["f", "secret"],
          ["g", "more"]
        ]
      )
    })
  )

  it.scopedLive("drops what it returns null for", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* outcome({ beforeSend: () => null }), droppedFor("before_send"))
    })
  )

  const failures: ReadonlyArray<readonly [what: string, beforeSend: () => unknown, why: string]> = [
    [
      "throws",
      () => {
        throw new TypeError("u1 is not a function")
      },
      "threw TypeError"
    ],
    [
      "throws what is no error",
      () => {
        throw "u1"
      },
      "threw Error"
    ],
    ["returns nothing", () => undefined, "returned what is no event: undefined"],
    ["returns a text", () => "event", "returned what is no event: string"],
    ["returns a list", () => [], "returned what is no event: object"],
    ["returns a promise", () => Promise.resolve(null), "returned a promise"]
  ]
  it.scopedLive.each(failures)("that %s leaves nothing of the event that can hold user data", ([, beforeSend, why]) =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(
        Effect.zipRight(Faultline.addBreadcrumb({ message: "b" }), Faultline.captureException(boom(), everything)),
        { release: "shop@1", dist: "7", beforeSend: beforeSend as () => null }
      )
      assert.deepStrictEqual(ingest.allEvents.map(settle), [reduced(why)])
      assert.lengthOf((yield* ingest.envelope()).framed.items, 1)
      assert.notInclude((yield* ingest.envelope()).body.toString(), "u1")
    })
  )

  it.scopedLive("that throws leaves of a message only that there was one", () =>
    Effect.gen(function* () {
      const { exception: _, ...rest } = reduced("threw TypeError")
      const event = yield* eventOf(Faultline.captureMessage("hello u1"), {
        release: "shop@1",
        dist: "7",
        beforeSend: () => {
          throw new TypeError("no")
        }
      })
      assert.deepStrictEqual(event, {
        ...rest,
        level: "info",
        message: "An event was reduced because beforeSend failed"
      })
    })
  )

  it.scopedLive("that throws leaves frames without variables, and mechanisms without data", () =>
    Effect.gen(function* () {
      const frame = { filename: "a.ts", lineno: 1 }
      const event = yield* eventOf(
        Faultline.captureEvent({
          exception: {
            values: [
              {
                type: "T",
                value: "u1",
                mechanism: { type: "m", handled: true, data: { u: "u1" } },
                stacktrace: { frames: [{ ...frame, vars: { u: "u1" } }] }
              }
            ]
          }
        }),
        {
          beforeSend: () => {
            throw new TypeError("no")
          }
        }
      )
      assert.deepStrictEqual(event["exception"], {
        values: [{ type: "T", mechanism: { type: "m", handled: true }, stacktrace: { frames: [frame] } }]
      })
    })
  )

  it.scopedLive.each([
    ["an empty object", () => ({})],
    ["an event without its id", ({ event_id: _, ...event }: Faultline.Event) => event]
  ] as const)("that returns %s does not lose the id", ([, beforeSend]) =>
    Effect.gen(function* () {
      let id = Option.none<string>()
      const ingest = yield* ingestOf(
        Effect.tap(Faultline.captureException(boom()), (captured) => Effect.sync(() => (id = captured))),
        { beforeSend: beforeSend as () => Faultline.Event }
      )
      assert.deepStrictEqual(
        ingest.allEvents.map((event) => event["event_id"]),
        [Option.getOrThrow(id)]
      )
    })
  )

  it.scopedLive("cannot make the SDK go round in circles", () =>
    Effect.gen(function* () {
      let service: Faultline.Hub.Service | undefined
      const calls: Array<boolean> = []
      const ingest = yield* ingestOf(
        Effect.gen(function* () {
          service = yield* Faultline.Hub
          yield* captured
        }) as Effect.Effect<void>,
        {
          beforeSend(event) {
            calls.push(Option.isSome(service?.unsafeCapture(new Error("inner")) ?? Option.none()))
            return event
          }
        }
      )
      assert.deepStrictEqual(calls, [false])
      assert.deepStrictEqual(ingest.allEvents.map(settle), [boomEvent()])
    })
  )
})

describe("beforeBreadcrumb", () => {
  const crumb = { category: "c", level: "warning" as const, message: "m", type: "t", data: { a: 1 } }
  const crumbs = (beforeBreadcrumb: (breadcrumb: Faultline.Breadcrumb, hint: Faultline.BreadcrumbHint) => unknown) =>
    Effect.map(
      eventOf(Effect.zipRight(Faultline.addBreadcrumb(crumb, { from: "test" }), captured), {
        beforeBreadcrumb: beforeBreadcrumb as () => null
      }),
      crumbsIn
    )
  const timestamp = "<timestamp>"

  it.scopedLive("may change one", () =>
    Effect.gen(function* () {
      const changed = yield* crumbs(({ data: _, ...rest }, hint) => ({ ...rest, message: String(hint["from"]) }))
      assert.deepStrictEqual(changed, [{ timestamp, category: "c", level: "warning", message: "test", type: "t" }])
    })
  )

  it.scopedLive("may drop one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* crumbs(() => null), [])
    })
  )

  const failures: ReadonlyArray<readonly [what: string, result: () => unknown]> = [
    [
      "throws",
      () => {
        throw new Error("no")
      }
    ],
    ["returns nothing", () => undefined],
    ["returns a text", () => "crumb"],
    ["returns a list", () => ["crumb"]],
    ["returns a promise", () => Promise.resolve(null)]
  ]
  it.scopedLive.each(failures)("that %s leaves category, level and time", ([, result]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* crumbs(result), [{ timestamp, category: "c", level: "warning" }])
    })
  )

  it.scopedLive("is not asked where nothing is recorded", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const beforeBreadcrumb = (breadcrumb: Faultline.Breadcrumb) => {
        asked.push(String(breadcrumb.message))
        return breadcrumb
      }
      const add = (message: string) => Faultline.addBreadcrumb({ message })
      yield* add("inert").pipe(Effect.provide(Faultline.Hub.layer({ beforeBreadcrumb })))
      yield* ingestOf(add("none"), { beforeBreadcrumb, maxBreadcrumbs: 0 })
      yield* ingestOf(Effect.zipRight(Faultline.close(), add("closed")), { beforeBreadcrumb })
      yield* ingestOf(add("open"), { beforeBreadcrumb })
      assert.deepStrictEqual(asked, ["open"])
    })
  )
})

describe("limits", () => {
  const limits: ReadonlyArray<readonly [maxBreadcrumbs: number | undefined, kept: number]> = [
    [0, 0],
    [1, 1],
    [100, 100],
    [undefined, 100],
    [200, 105]
  ]
  it.scopedLive.each(limits)("of %s breadcrumbs keep the last %d of 105", ([maxBreadcrumbs, count]) =>
    Effect.gen(function* () {
      const event = yield* eventOf(
        Effect.zipRight(
          Effect.forEach(Array.from({ length: 105 }).keys(), (n) => Faultline.addBreadcrumb({ message: `m${n}` })),
          captured
        ),
        { maxBreadcrumbs }
      )
      assert.deepStrictEqual(
        crumbsIn(event).map(({ message }) => message),
        Array.from({ length: 105 }, (_, n) => `m${n}`).slice(105 - count)
      )
    })
  )

  it.scopedLive("of breadcrumbs hold for a fiber and its children together", () =>
    Effect.gen(function* () {
      const add = (message: string) => Faultline.addBreadcrumb({ message })
      const event = yield* eventOf(
        Effect.gen(function* () {
          yield* add("a")
          yield* Effect.all([add("b"), add("c")], { concurrency: 2 })
          yield* add("d")
          yield* captured
        }),
        { maxBreadcrumbs: 3 }
      )
      assert.deepStrictEqual(
        crumbsIn(event).map(({ message }) => message),
        ["b", "c", "d"]
      )
    })
  )

  it.scopedLive("of values cut messages and what errors say, and no surrogate pair", () =>
    Effect.gen(function* () {
      const options = { maxValueLength: 10 }
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureMessage("0123456789"), options),
        helloEvent({ message: "0123456789" })
      )
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureMessage("012345😀789"), options),
        helloEvent({ message: "012345..." })
      )
      const error = withStack(new Error("x".repeat(11), { cause: boom("y".repeat(11)) }))
      assert.deepStrictEqual(
        yield* eventOf(Faultline.captureException(error), options),
        anEvent({
          exception: {
            values: [
              exception("Error", "yyyyyyy...", {
                type: "chained",
                handled: true,
                exception_id: 1,
                parent_id: 0,
                source: "cause"
              }),
              exception("Error", "xxxxxxx...", { ...GENERIC, exception_id: 0 })
            ]
          }
        })
      )
    })
  )
})

describe("frames", () => {
  const inApp = (options: Faultline.Options) =>
    Effect.gen(function* () {
      const error = new Error("x")
      error.stack = [
        "Error: x",
        `    at a (${APP}/a.ts:1:1)`,
        `    at b (${APP}/node_modules/lib/dist/esm/b.js:1:1)`,
        `    at c (${APP}/node_modules/@scope/lib/c.js:1:1)`,
        "    at d (node:fs:1:1)",
        "    at e (/opt/shared/e.js:1:1)"
      ].join("\n")
      const event = yield* eventOf(Faultline.captureException(error), { projectRoot: APP, ...options })
      const [{ stacktrace }] = (event["exception"] as { values: [{ stacktrace: { frames: Array<Json> } }] }).values
      return stacktrace.frames
        .reverse()
        .flatMap((frame) => (frame["in_app"] === true ? [frame["function"]] : []))
        .join("")
    })

  const cases: ReadonlyArray<readonly [options: Faultline.Options, expected: string]> = [
    [{}, "ae"],
    [{ inAppInclude: ["lib"] }, "abe"],
    [{ inAppInclude: ["@scope/lib"] }, "ace"],
    [{ inAppInclude: ["node:fs"] }, "ade"],
    [{ inAppExclude: ["/opt/shared"] }, "a"],
    [{ inAppExclude: ["a.ts"] }, "e"],
    [{ inAppExclude: ["/opt"], inAppInclude: ["/opt/shared"] }, "ae"]
  ]
  it.scopedLive.each(cases)("with %j: those of the application are %s", ([options, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* inApp(options), expected)
    })
  )

  const contexts: ReadonlyArray<readonly [lines: number, context: Json]> = [
    [0, {}],
    [1, { pre_context: ["2"], context_line: "3", post_context: ["4"] }],
    [5, { pre_context: ["1", "2"], context_line: "3", post_context: ["4", "5"] }]
  ]
  it.scopedLive.each(contexts)("show %d lines around their own", ([frameContextLines, context]) =>
    Effect.gen(function* () {
      const projectRoot = yield* temporaryFolder
      writeFileSync(join(projectRoot, "a.ts"), "1\r\n2\n3\n4\n5")
      const error = new Error("x")
      error.stack = `Error: x\n    at a (${projectRoot}/a.ts:3:1)\n    at b (${projectRoot}/gone.ts:9:1)`
      const event = yield* eventOf(Faultline.captureException(error), { projectRoot, frameContextLines })
      const [{ stacktrace }] = (event["exception"] as { values: [{ stacktrace: unknown }] }).values
      const place = { colno: 1, in_app: true }
      assert.deepStrictEqual(stacktrace, {
        frames: [
          {
            function: "b",
            lineno: 9,
            ...place,
            abs_path: `${projectRoot}/gone.ts`,
            filename: "gone.ts",
            module: "gone"
          },
          {
            function: "a",
            lineno: 3,
            ...place,
            abs_path: `${projectRoot}/a.ts`,
            filename: "a.ts",
            module: "a",
            ...context
          }
        ]
      })
    })
  )
})

describe("debug", () => {
  /** What is said on standard error about a capture that is answered like this. */
  const said = (debug: boolean, answer: Parameters<Ingest["answerAll"]>[0], own: Faultline.Options = {}) =>
    Effect.gen(function* () {
      const lines = yield* stderrLines
      const ingest = yield* Ingest.start()
      ingest.answerAll(answer)
      const dsn = ingest.dsnWith("public:hush", "/42")
      yield* Effect.zipRight(Faultline.captureException(boom()), flushed).pipe(
        Effect.provide(hubAt(ingest, { dsn, debug, ...own }))
      )
      const id = String(ingest.allEvents[0]?.["event_id"])
      return lines.map((line) => line.replaceAll(id, "<id>").replaceAll(ingest.host, "<host>"))
    })

  const opened = "[faultline] opened for http://<host>/42"
  const cases: ReadonlyArray<
    readonly [
      what: string,
      answer: Parameters<Ingest["answerAll"]>[0],
      own: Faultline.Options,
      line: string,
      closed: string
    ]
  > = [
    ["was sent", {}, {}, "sent event <id>", "1 envelope sent"],
    [
      "was refused, and why",
      { status: 400, body: '{"detail":\n"no"}' },
      {},
      'refused with 400: event <id> ({"detail": "no"})',
      "0 envelopes sent, 1 error lost (send_error)"
    ],
    [
      "was refused, in the server's own words",
      { status: 403, headers: { "x-sentry-error": "no such project" } },
      {},
      "refused with 403: event <id> (no such project)",
      "0 envelopes sent, 1 error lost (send_error)"
    ],
    [
      "was not heard",
      "hangUp",
      {},
      "not sent: ECONNRESET: event <id>",
      "0 envelopes sent, 1 error lost (network_error)"
    ],
    [
      "was dropped",
      {},
      { beforeSend: () => null },
      "dropped: beforeSend returned null",
      "0 envelopes sent, 1 error lost (before_send)"
    ]
  ]
  it.scopedLive.each(cases)("says what %s", ([, answer, own, line, closed]) =>
    Effect.gen(function* () {
      const lines = yield* said(true, answer, { sendClientReports: false, ...own })
      assert.deepStrictEqual(lines, [opened, `[faultline] ${line}`, `[faultline] closed: ${closed}`])
    })
  )

  it.scopedLive("says whose callback failed, and how", () =>
    Effect.gen(function* () {
      const lines = yield* said(
        true,
        {},
        {
          beforeSend: () => {
            throw new TypeError("no")
          }
        }
      )
      assert.deepStrictEqual(lines.slice(1, -1), [
        "[faultline] beforeSend threw TypeError: no",
        "[faultline] beforeSend failed: the event is sent without anything that can hold user data",
        "[faultline] sent event <id>"
      ])
    })
  )

  it.scopedLive.each(cases)("is silent when it is off, about what %s", ([, answer, own]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* said(false, answer, own), [])
    })
  )
})

describe("sendClientReports: false", () => {
  it.scopedLive("tells the server nothing of what was not sent", () =>
    Effect.gen(function* () {
      const ingest = yield* ingestOf(captured, { sendClientReports: false, beforeSend: () => null })
      assert.lengthOf(ingest.envelopes, 0)
    })
  )
})
