/**
 * What is rare about subprocesses: other ways to start them, environments and options that are odd, ends that are neither good nor
 * bad, and calls that Node refuses.
 */
import * as childProcess from "node:child_process"
import * as util from "node:util"
import * as Command from "@effect/platform/Command"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Faultline from "effect-faultline"
import { Ingest, type Json } from "../support/ingest.js"
import { crumbsIn, flushed, hubAt, settle, withEnvironment } from "./kit.js"
import { crumb, outputOf, running, split, stdio, variables } from "./subprocessKit.js"

const MISSING = "no-such-program"

const exited = (name: string, code: number, more: Json = {}): Json =>
  crumb(`${name} exited with code ${code}`, { level: "warning", data: { exit_code: code, ...more } })

const endedBy = (name: string, signal: string, more: Json = {}): Json =>
  crumb(`${name} was ended by ${signal}`, { data: { signal }, ...more })

/** A program that ends with this code. */
const ending = (code: number): ReadonlyArray<string> => ["-c", `exit ${code}`]

describe("Command of @effect/platform", () => {
  const executor = NodeCommandExecutor.layer.pipe(Layer.provide(NodeFileSystem.layer))

  it.scopedLive("is a breadcrumb that says where, and another if it ends badly; it carries the trace on", () =>
    Effect.gen(function* () {
      const { crumbs, result, sentryTrace } = yield* running(
        Effect.gen(function* () {
          const good = Command.make("env").pipe(Command.env({ MINE: "1" }), Command.workingDirectory("/"))
          const bad = Command.make("false", "--token", "s3cret")
          const started = yield* Command.start(good)
          const output = yield* Stream.mkString(Stream.decodeText(started.stdout))
          yield* started.exitCode
          return [output, yield* Command.exitCode(bad)] as const
        }).pipe(Effect.scoped, Effect.provide(executor))
      )
      assert.deepStrictEqual(crumbs, [
        crumb("env", { data: { "subprocess.cwd": "/" } }),
        crumb("false --token [Filtered]"),
        exited("false", 1)
      ])
      assert.strictEqual(result[1], 1)
      const environment = Object.fromEntries(result[0].split("\n").map((line) => line.split(/=(.*)/s)))
      const { added, others } = split(environment as Record<string, string>)
      assert.deepStrictEqual(added, variables(sentryTrace))
      assert.strictEqual(others["MINE"], "1")
    })
  )

  it.scopedLive("of a program that is not there says so", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(
        Effect.ignore(Command.exitCode(Command.make(MISSING))).pipe(Effect.provide(executor))
      )
      assert.deepStrictEqual(crumbs, [
        crumb(MISSING),
        crumb(`${MISSING} could not be run: ENOENT`, { level: "error", data: { code: "ENOENT" } })
      ])
    })
  )

  it.scopedLive("that is piped into another is two, and one that is interrupted says how it ended", () =>
    Effect.gen(function* () {
      const { crumbs, result } = yield* running(
        Effect.gen(function* () {
          const output = yield* Command.string(Command.make("echo", "hello").pipe(Command.pipeTo(Command.make("cat"))))
          yield* Command.exitCode(Command.make("sleep", "100")).pipe(Effect.timeoutOption("100 millis"))
          return output
        }).pipe(Effect.provide(executor))
      )
      assert.strictEqual(result, "hello\n")
      // The platform ends those that it needs no more, by a signal to their group.
      const isCleanUp = ({ message }: Json): boolean => /^(?:echo|cat) was ended/.test(String(message))
      assert.sameDeepMembers(
        crumbs.filter((one) => !isCleanUp(one)),
        [
          crumb("echo [Filtered]"),
          crumb("cat"),
          crumb("sleep [Filtered]"),
          endedBy("sleep", "SIGTERM", { level: "warning" })
        ]
      )
    })
  )

  it.scopedLive("belongs to the fiber that runs it, from its start to its end", () =>
    Effect.gen(function* () {
      const ingest = yield* Ingest.start()
      const one = (code: number) =>
        Command.exitCode(Command.make("sh", ...ending(code))).pipe(
          Effect.zipRight(Faultline.captureMessage(String(code))),
          Faultline.withIsolationScope()
        )
      yield* Effect.forEach([1, 2, 3, 4], one, { concurrency: "unbounded" }).pipe(
        Effect.zipRight(flushed),
        Effect.provide(executor),
        Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(ingest))))
      )
      assert.lengthOf(ingest.allEvents, 4)
      for (const event of ingest.allEvents) {
        assert.deepStrictEqual(crumbsIn(settle(event)), [
          crumb("exit [Filtered]"),
          exited("exit", Number(event["message"]))
        ])
      }
    })
  )
})

describe("a promise of a subprocess", () => {
  const forms: ReadonlyArray<readonly [name: string, run: () => Promise<{ stdout: string | Buffer }>]> = [
    ["exec", () => util.promisify(childProcess.exec)("echo hello")],
    ["execFile", () => util.promisify(childProcess.execFile)("echo", ["hello"])]
  ]
  it.scopedLive.each(forms)("(%s) is what it was, and one breadcrumb", ([, run]) =>
    Effect.gen(function* () {
      const { crumbs, result } = yield* running(
        Effect.promise(async () => {
          const promise = run()
          assert.instanceOf((promise as unknown as { child: unknown }).child, childProcess.ChildProcess)
          return promise
        })
      )
      assert.deepStrictEqual(result, { stdout: "hello\n", stderr: "" } as never)
      assert.deepStrictEqual(crumbs, [crumb("echo [Filtered]")])
    })
  )

  it.scopedLive("rejects as it did, with its code", () =>
    Effect.gen(function* () {
      const { crumbs, result } = yield* running(
        Effect.promise(() =>
          util
            .promisify(childProcess.exec)("exit 3")
            .catch((error: unknown) => error)
        )
      )
      assert.deepInclude(result as object, { code: 3, killed: false, cmd: "exit 3" })
      assert.deepStrictEqual(crumbs, [crumb("exit [Filtered]"), exited("exit", 3)])
    })
  )
})

describe("how a command is called", () => {
  const commands: ReadonlyArray<readonly [command: string, shown: string, told: string]> = [
    [
      "TOKEN=s3cret A='b c' true --now",
      "TOKEN=[Filtered] A='b c' true --now",
      "TOKEN=[Filtered] A=[Filtered] true --now"
    ],
    ["A=1", "A=1 sh", "A=[Filtered] sh"],
    ["/bin/echo 'a b' | cat -n", "echo a b | cat -n", "echo [Filtered] [Filtered] [Filtered] -n"],
    [`echo "it's"`, "echo it's", "echo [Filtered]"]
  ]
  it.scopedLive.each(commands)("(%s, of a shell)", ([command, shown, told]) =>
    Effect.gen(function* () {
      const run = Effect.all([
        outputOf(() => childProcess.exec(command)),
        Effect.sync(() => childProcess.execSync(command)),
        Effect.sync(() => childProcess.spawnSync(command, { shell: true }))
      ])
      const first = (crumbs: ReadonlyArray<Json>) => crumbs.map(({ message }) => message)
      const masked = yield* running(run)
      assert.deepStrictEqual(first(masked.crumbs), [told, told, told])
      const open = yield* running(run, { sendDefaultPii: true })
      assert.deepStrictEqual(first(open.crumbs), [shown, shown, shown])
    })
  )

  it.scopedLive("of many arguments is not told to its end", () =>
    Effect.gen(function* () {
      const args = Array.from({ length: 1000 }, (_, index) => `a${index}`)
      const { crumbs } = yield* running(
        outputOf(() => childProcess.spawn("true", args)),
        { sendDefaultPii: true }
      )
      assert.deepStrictEqual(crumbs, [crumb(`true ${args.slice(0, 100).join(" ")} … (900 more)`)])
    })
  )

  it.scopedLive("of arguments that are none is told as Node takes them", () =>
    Effect.gen(function* () {
      const args = [1, true] as unknown as Array<string>
      const { crumbs, result } = yield* running(
        outputOf(() => childProcess.spawn("echo", args)),
        { sendDefaultPii: true }
      )
      assert.strictEqual(result, "1 true\n")
      assert.deepStrictEqual(crumbs, [crumb("echo 1 true")])
    })
  )
})

describe("an environment", () => {
  /** What the child sees of it, asynchronously and not. */
  const seen = (env: unknown) =>
    Effect.gen(function* () {
      const options = { stdio, env: env as NodeJS.ProcessEnv }
      const outputs = [
        yield* outputOf(() => childProcess.spawn("/usr/bin/env", [], options)),
        String(childProcess.spawnSync("/usr/bin/env", [], options).stdout),
        String(childProcess.execFileSync("/usr/bin/env", [], options))
      ]
      return outputs.map((output) =>
        Object.fromEntries(
          output
            .trim()
            .split("\n")
            .map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string])
        )
      )
    })
  const environments: ReadonlyArray<readonly [what: string, env: () => unknown]> = [
    ["that is frozen", () => Object.freeze({ A: "1" })],
    ["that inherits", () => Object.assign(Object.create({ A: "1" }) as object, { B: "2" })],
    ["without a prototype", () => Object.assign(Object.create(null) as object, { A: "1" })],
    ["with holes", () => ({ A: "1", B: undefined })],
    ["of numbers", () => ({ A: 1 })],
    ["that is none", () => null],
    ["that is false", () => false]
  ]
  it.scopedLive.each(environments)("%s is handed on as Node does it, with the trace", ([, env]) =>
    Effect.gen(function* () {
      const bare = yield* seen(env())
      const { result, sentryTrace } = yield* running(seen(env()))
      for (const [index, environment] of result.entries()) {
        const { added, others } = split(environment)
        assert.deepStrictEqual(added, variables(sentryTrace))
        assert.deepStrictEqual(others, split(bare[index] ?? {}).others)
      }
    })
  )

  it.scopedLive("in which the program has put a trace keeps it", () =>
    Effect.gen(function* () {
      const mine = { SENTRY_TRACE: "mine", A: "1" }
      const { result } = yield* running(
        Effect.gen(function* () {
          yield* withEnvironment({ SENTRY_TRACE: `${"a".repeat(32)}-${"b".repeat(16)}` })
          return yield* seen(mine)
        })
      )
      assert.deepStrictEqual(result, [mine, mine, mine])
    })
  )

  it.scopedLive("that is as large as a system takes is left alone", () =>
    Effect.gen(function* () {
      const env = Object.fromEntries(Array.from({ length: 3 }, (_, index) => [`A${index}`, "x".repeat(100_000)]))
      const { crumbs, result } = yield* running(seen(env))
      assert.deepStrictEqual(result, [env, env, env])
      assert.lengthOf(crumbs, 3)
    })
  )
})

describe("options", () => {
  it.scopedLive("get nothing from a prototype that others have written to", () =>
    Effect.gen(function* () {
      const { result } = yield* running(
        Effect.suspend(() => {
          const prototype = Object.prototype as unknown as Json
          prototype["uid"] = 12_345
          prototype["gid"] = 12_345
          try {
            const sync = String(childProcess.spawnSync("id", ["-u"]).stdout)
            const child = childProcess.spawn("id", ["-u"])
            return Effect.map(
              outputOf(() => child),
              (output) => [sync, output]
            )
          } finally {
            delete prototype["uid"]
            delete prototype["gid"]
          }
        })
      )
      const own = `${process.getuid?.() ?? ""}\n`
      assert.deepStrictEqual(result, [own, own])
    })
  )

  it.scopedLive("that throw do so as without us", () =>
    Effect.gen(function* () {
      const options = {
        get cwd(): string {
          throw new RangeError("not this one")
        }
      }
      const env = new Proxy(
        {},
        {
          ownKeys() {
            throw new RangeError("nor this one")
          }
        }
      )
      const calls = [
        () => childProcess.spawnSync("true", [], options),
        () => childProcess.execSync("true", options),
        () => childProcess.spawn("true", [], options),
        () => childProcess.spawnSync("true", [], { env }),
        () => childProcess.spawn("true", [], { env }),
        () => childProcess.spawnSync("true", ["a", Object.create(null) as string])
      ]
      const failures = () =>
        calls.map((call) => {
          try {
            return String((call() as { error?: unknown }).error)
          } catch (error) {
            return String(error)
          }
        })
      const bare = failures()
      const { result } = yield* running(Effect.sync(failures))
      assert.deepStrictEqual(result, bare)
      assert.deepStrictEqual(
        bare.slice(0, 3),
        Array.from({ length: 3 }, () => "RangeError: not this one")
      )
      assert.deepStrictEqual(
        bare.slice(3, 5),
        Array.from({ length: 2 }, () => "RangeError: nor this one")
      )
    })
  )
})

describe("an end", () => {
  it.scopedLive("that a time limit or too much output brings about says so", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(
        Effect.sync(() => {
          childProcess.spawnSync("sleep", ["100"], { timeout: 50 })
          assert.throws(() => childProcess.execFileSync("sleep", ["100"], { timeout: 50 }), /ETIMEDOUT/)
          childProcess.spawnSync("yes", { maxBuffer: 1000 })
        })
      )
      const cut = (name: string, code: string): Json =>
        crumb(`${name} was ended by SIGTERM (${code})`, { level: "warning", data: { signal: "SIGTERM", code } })
      assert.deepStrictEqual(crumbs, [
        crumb("sleep [Filtered]"),
        cut("sleep", "ETIMEDOUT"),
        crumb("sleep [Filtered]"),
        cut("sleep", "ETIMEDOUT"),
        crumb("yes"),
        cut("yes", "ENOBUFS")
      ])
    })
  )

  it.scopedLive("that a signal of the program brings about is told once", () =>
    Effect.gen(function* () {
      const { crumbs, result } = yield* running(
        Effect.async<string>((resume) => {
          const controller = new AbortController()
          const child = childProcess.spawn("sleep", ["100"], { signal: controller.signal })
          let error = ""
          child.on("error", ({ name }) => (error = name))
          child.on("close", () => resume(Effect.succeed(error)))
          child.on("spawn", () => controller.abort())
        })
      )
      assert.strictEqual(result, "AbortError")
      assert.deepStrictEqual(crumbs, [crumb("sleep [Filtered]"), endedBy("sleep", "SIGTERM")])
    })
  )

  it.scopedLive("of what could not begin is told where Node throws, too", () =>
    Effect.gen(function* () {
      const huge = "x".repeat(200_000)
      const { crumbs } = yield* running(
        Effect.sync(() => assert.throws(() => childProcess.spawn("true", [huge]), /spawn E2BIG/))
      )
      assert.deepStrictEqual(crumbs, [
        crumb("true [Filtered]"),
        crumb("true could not be run: E2BIG", { level: "error", data: { code: "E2BIG" } })
      ])
    })
  )

  it.scopedLive("without an error listener crashes nothing that it would not, and hides nothing that it would", () =>
    Effect.gen(function* () {
      const { result } = yield* running(
        Effect.async<string>((resume) => {
          const before = process.listeners("uncaughtException")
          process.removeAllListeners("uncaughtException")
          process.once("uncaughtException", (error) => {
            for (const listener of before) process.on("uncaughtException", listener)
            resume(Effect.succeed(error.message))
          })
          childProcess.spawn(MISSING)
        })
      )
      assert.strictEqual(result, `spawn ${MISSING} ENOENT`)
    })
  )
})

describe("a process that was started in a trace", () => {
  const ours = "771a43a4192642f0b136d5159a501700"
  const other = "0".repeat(31) + "1"
  const header = (traceId: string): string => `${traceId}-7c51afd529da4a2a-1`
  const cases: ReadonlyArray<readonly [variables: Readonly<Record<string, string>>, continued: boolean]> = [
    [{ SENTRY_TRACE: header(ours) }, true],
    [{ SUBPROCESS_SENTRY_TRACE: header(ours) }, true],
    [{ SENTRY_TRACE: header(ours), SUBPROCESS_SENTRY_TRACE: header(other) }, true],
    [{ SENTRY_TRACE: header(ours), SENTRY_USE_ENVIRONMENT: "true" }, true],
    [{ SENTRY_TRACE: header(ours), SENTRY_USE_ENVIRONMENT: "False" }, false],
    [{ SENTRY_TRACE: header(ours), SENTRY_USE_ENVIRONMENT: "0" }, false],
    [{ SENTRY_TRACE: ours }, false]
  ]
  it.scopedLive.each(cases)("(%o) continues it: %s", ([variables, continued]) =>
    Effect.gen(function* () {
      yield* withEnvironment({ SENTRY_TRACE: undefined, SUBPROCESS_SENTRY_TRACE: undefined, ...variables })
      const { sentryTrace } = yield* running(Effect.void)
      assert.strictEqual(sentryTrace.startsWith(ours), continued)
      assert.isFalse(sentryTrace.startsWith(other))
    })
  )
})

describe("a hub whose `stdlib` is the user's own", () => {
  it.scopedLive("records nothing that it does not, whatever other hubs do", () =>
    Effect.gen(function* () {
      const [inner, outer] = yield* Effect.all([Ingest.start(), Ingest.start()])
      const own = Faultline.Integration.make("stdlib", () => Effect.succeed({}))
      const work = Effect.gen(function* () {
        childProcess.spawnSync("true")
        yield* Effect.promise(async () => (await fetch(`${inner.origin}/x`)).text())
        yield* Faultline.captureMessage("after")
        yield* flushed
      })
      yield* work.pipe(
        Effect.provide(own.pipe(Layer.provideMerge(hubAt(inner)))),
        Effect.zipRight(work),
        Effect.provide(Faultline.Stdlib.layer().pipe(Layer.provideMerge(hubAt(outer))))
      )
      assert.deepStrictEqual(inner.allEvents.map(crumbsIn), [[]])
      assert.deepStrictEqual(
        outer.allEvents.map((event) => crumbsIn(event).map(({ type }) => type)),
        [["subprocess", "http"]]
      )
    })
  )
})
