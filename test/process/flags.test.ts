/**
 * Programs that cannot be changed (`node --import effect-faultline/register`), and sessions of a person at a prompt.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertEvents, comparable, labelsOf, receiver, run, start } from "./support.js"

const REGISTER = ["--import", "effect-faultline/register"]

describe("node --import effect-faultline/register", () => {
  const cases: ReadonlyArray<
    readonly [fixture: string, args: ReadonlyArray<string>, code: number, labels: Array<string>]
  > = [
    ["untouched.mjs", ["end"], 0, []],
    ["untouched.mjs", ["exit"], 6, []],
    ["untouched.mjs", ["throw"], 1, ["RangeError"]],
    ["untouched.mjs", ["rejection"], 1, ["RangeError"]],
    ["untouched.mjs", ["worker"], 0, ["RangeError"]],
    ["untouched.cjs", [], 1, ["RangeError"]]
  ]
  const ways = { flag: { flags: REGISTER }, NODE_OPTIONS: { env: { NODE_OPTIONS: REGISTER.join(" ") } } }
  for (const [fixture, args, code, labels] of cases) {
    it.scopedLive([fixture, ...args].join(" "), () =>
      Effect.gen(function* () {
        const without = yield* run(fixture, args)
        assert.strictEqual(without.code, code)
        for (const [way, options] of Object.entries(ways)) {
          const server = yield* receiver()
          const ended = yield* run(fixture, args, { to: server, ...options })
          assert.deepStrictEqual(comparable(ended), comparable(without), way)
          assertEvents(ended, yield* server.events, labels)
        }
      })
    )
  }

  const unusable: ReadonlyArray<readonly [what: string, env: Readonly<Record<string, string>>, line: RegExp]> = [
    [
      "a malformed DSN",
      { SENTRY_DSN: "http://nobody.example" },
      /^\[faultline\] nothing will be reported\. .*DSN.*\n$/
    ],
    ["a DSN that is no URL", { SENTRY_DSN: "secret-key" }, /^\[faultline\] nothing will be reported\. .*DSN.*\n$/],
    [
      "a sample rate that is no number",
      { SENTRY_DSN: "http://public@127.0.0.1:1/1", SENTRY_SAMPLE_RATE: "a lot" },
      /^\[faultline\] nothing will be reported\. .*SENTRY_SAMPLE_RATE.*\n$/
    ],
    [
      "a sample rate out of bounds",
      { SENTRY_DSN: "http://public@127.0.0.1:1/1", SENTRY_SAMPLE_RATE: "7" },
      /^\[faultline\] nothing will be reported\. .*SENTRY_SAMPLE_RATE.*\n$/
    ],
    ["no DSN", {}, /^$/],
    ["an empty DSN", { SENTRY_DSN: "" }, /^$/]
  ]
  for (const [what, env, line] of unusable) {
    it.live(`${what}: the program is unharmed`, () =>
      Effect.gen(function* () {
        for (const way of ["end", "throw"]) {
          const [ended, without] = yield* Effect.all(
            [run("untouched.mjs", [way], { env, flags: REGISTER }), run("untouched.mjs", [way])],
            { concurrency: 2 }
          )
          assert.strictEqual(ended.code, without.code)
          assert.strictEqual(ended.stdout, without.stdout)
          assert.isTrue(ended.stderr.endsWith(without.stderr), ended.stderr)
          const own = ended.stderr.slice(0, ended.stderr.length - without.stderr.length)
          assert.match(own, line)
          assert.notInclude(own, "secret-key")
        }
      })
    )
  }
})

describe("node -i", () => {
  const inputs = {
    "an error thrown at the prompt": 'throw new RangeError("typed")',
    "an error thrown later": 'void setTimeout(() => { throw new RangeError("typed") }, 1)'
  }

  /** Types a line, and ends the session when its outcome is on the screen. */
  const session = (input: string, options: Parameters<typeof start>[2]) =>
    Effect.gen(function* () {
      const child = yield* start("", [], options)
      child.tell(input)
      yield* child.line("> Uncaught RangeError: typed")
      child.tell(".exit")
      return yield* child.ended
    })

  for (const [what, typed] of Object.entries(inputs)) {
    const input = typed.includes("Timeout") ? `${typed}; ""` : typed
    it.scopedLive(`${what} is not reported, and looks as without the SDK`, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const [ended, without] = yield* Effect.all(
          [session(input, { to: server, flags: ["--import", "./repl.mjs", "-i"] }), session(input, { flags: ["-i"] })],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(comparable(ended), comparable(without))
        assertEvents(ended, yield* server.events, [])
      })
    )

    it.scopedLive(`${what} is reported with alwaysRun`, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const ended = yield* session(input, {
          to: server,
          flags: ["--import", "./repl.mjs", "-i"],
          env: { ALWAYS_RUN: "yes" }
        })
        assert.strictEqual(ended.code, 0)
        assert.deepStrictEqual(labelsOf(yield* server.events), ["RangeError"])
      })
    )
  }

  it.scopedLive("code on the command line is no session", () =>
    Effect.gen(function* () {
      for (const flag of ["-e", "-p"]) {
        const evaluated = [flag, 'throw new RangeError("no session")']
        const server = yield* receiver()
        const [ended, without] = yield* Effect.all(
          [
            run("", [], { to: server, flags: ["--import", "./repl.mjs", ...evaluated] }),
            run("", [], { flags: ["--import", "data:text/javascript,", ...evaluated] })
          ],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(comparable(ended), comparable(without))
        assertEvents(ended, yield* server.events, ["RangeError"])
      }
    })
  )
})
