import * as childProcess from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Faultline from "effect-faultline"
import type { Json } from "../support/ingest.js"
import { withEnvironment } from "./kit.js"
import {
  baggage,
  crumb,
  type Environment,
  outputOf,
  running,
  split,
  stdio,
  variables,
  without
} from "./subprocessKit.js"

/** Says what environment it was given, and ends as its last argument says. */
const FOLDER = mkdtempSync(join(tmpdir(), "faultline-"))
const CHILD = join(FOLDER, "child.mjs")
beforeAll(() =>
  writeFileSync(
    CHILD,
    "process.stdout.write(JSON.stringify(process.env)); process.exitCode = Number(process.argv.at(-1)) || 0"
  )
)
afterAll(() => rmSync(FOLDER, { recursive: true }))

const NODE = process.execPath
const MISSING = "no-such-program"

interface RunOptions {
  readonly env?: Environment
  readonly cwd?: string
}

/** Runs the child with these arguments: what it has said. */
type Form = (args: ReadonlyArray<string>, options?: RunOptions) => Effect.Effect<string, unknown>

const command = (args: ReadonlyArray<string>): string => [`"${NODE}"`, `"${CHILD}"`, ...args].join(" ")

const asynchronous: Record<string, Form> = {
  spawn: (args, options = {}) => outputOf(() => childProcess.spawn(NODE, [CHILD, ...args], { stdio, ...options })),
  execFile: (args, options = {}) => outputOf(() => childProcess.execFile(NODE, [CHILD, ...args], options, () => {})),
  exec: (args, options = {}) => outputOf(() => childProcess.exec(command(args), options, () => {})),
  fork: (args, options = {}) =>
    outputOf(() => childProcess.fork(CHILD, args, { silent: true, execArgv: [], ...options }))
}
const synchronous: Record<string, Form> = {
  spawnSync: (args, options = {}) =>
    Effect.sync(() => String(childProcess.spawnSync(NODE, [CHILD, ...args], { stdio, ...options }).stdout)),
  execFileSync: (args, options = {}) =>
    Effect.try(() => String(childProcess.execFileSync(NODE, [CHILD, ...args], { stdio, ...options }))),
  execSync: (args, options = {}) =>
    Effect.try(() => String(childProcess.execSync(command(args), { stdio, ...options })))
}
const forms = Object.entries({ ...asynchronous, ...synchronous })

const ARGS = ["--token", "s3cret", "--password=hunter2", "-v", "--", "plain"]

/** Shells are given quotes around paths. */
const unquoted = (crumbs: ReadonlyArray<Json>): ReadonlyArray<Json> =>
  crumbs.map((one) => ({ ...one, message: String(one["message"]).replaceAll('"', "") }))

describe.each(forms)("%s", (name, run) => {
  const masked = "node [Filtered] --token [Filtered] --password=[Filtered] -v -- [Filtered]"

  it.scopedLive("is one breadcrumb, and carries the trace on in a copy of the environment", () =>
    Effect.gen(function* () {
      const before = { ...process.env }
      const { crumbs, result, sentryTrace } = yield* running(run(["--token", "s3cret", "-v", "plain"]))
      assert.deepStrictEqual(unquoted(crumbs), [crumb("node [Filtered] --token [Filtered] -v [Filtered]")])
      const { added, others } = split(JSON.parse(result) as Environment)
      assert.deepStrictEqual(added, variables(sentryTrace))
      assert.deepStrictEqual(without(others), without(before as Environment))
      assert.deepStrictEqual(process.env, before)
    })
  )

  it.scopedLive("tells the names of flags and nothing else", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(run(ARGS))
      assert.deepStrictEqual(unquoted(crumbs), [crumb(masked)])
    })
  )

  it.scopedLive("tells its arguments where that is wanted, but no value of a flag that is a secret", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(run(ARGS), { sendDefaultPii: true })
      const shown = `node ${CHILD} --token [Filtered] --password=[Filtered] -v -- plain`
      assert.deepStrictEqual(unquoted(crumbs), [crumb(shown)])
    })
  )

  it.scopedLive("says where it ran, if it was told where, and how it ended, if it ended badly", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(Effect.ignore(run(["3"], { cwd: "/" })))
      const [started, ...rest] = unquoted(crumbs)
      assert.deepStrictEqual(started, crumb(String(started?.["message"]), { data: { "subprocess.cwd": "/" } }))
      assert.deepStrictEqual(rest, [crumb("node exited with code 3", { level: "warning", data: { exit_code: 3 } })])
    })
  )

  const kept = name.startsWith("spawn") ? {} : { MINE: "1" }
  it.scopedLive(`leaves an environment of its own (${JSON.stringify(kept)}) as small as it is`, () =>
    Effect.gen(function* () {
      const env = { ...kept }
      const { result, sentryTrace } = yield* running(run([], { env }))
      const { added, others } = split(JSON.parse(result) as Environment)
      assert.deepStrictEqual(added, variables(sentryTrace))
      assert.deepStrictEqual(without(others), kept)
      assert.deepStrictEqual(env, kept)
    })
  )

  it.scopedLive("carries this trace on, not the one that the process was started in", () =>
    Effect.gen(function* () {
      const { result, sentryTrace } = yield* running(
        Effect.gen(function* () {
          yield* withEnvironment({ SENTRY_TRACE: `${"a".repeat(32)}-${"b".repeat(16)}`, SENTRY_BAGGAGE: "x=1" })
          return yield* run([])
        })
      )
      assert.deepStrictEqual(split(JSON.parse(result) as Environment).added, variables(sentryTrace))
    })
  )
})

describe("spawn", () => {
  const spawn = asynchronous["spawn"] as Form

  it.scopedLive("tells its arguments where Stdlib was told to", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(spawn(["plain"]), {}, Faultline.Stdlib.layer({ includeArguments: true }))
      assert.deepStrictEqual(crumbs, [crumb(`node ${CHILD} plain`)])
      const hidden = yield* running(
        spawn(["plain"]),
        { sendDefaultPii: true },
        Faultline.Stdlib.layer({ includeArguments: false })
      )
      assert.deepStrictEqual(hidden.crumbs, [crumb("node [Filtered] [Filtered]")])
    })
  )

  it.scopedLive("belongs to the fiber that it was called in, to its end", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(Effect.ignore(spawn(["3"])).pipe(Faultline.withIsolationScope()))
      assert.deepStrictEqual(crumbs, [])
    })
  )
})

describe.each(
  Object.entries({
    spawn: () => outputOf(() => childProcess.spawn(MISSING, ["x"])),
    execFile: () => outputOf(() => childProcess.execFile(MISSING, ["x"], () => {})),
    spawnSync: () =>
      Effect.sync(() => {
        assert.match(String(childProcess.spawnSync(MISSING, ["x"]).error), /ENOENT/)
      }),
    execFileSync: () => Effect.sync(() => assert.throws(() => childProcess.execFileSync(MISSING, ["x"]), /ENOENT/))
  })
)("%s of a program that is not there", (_, run: () => Effect.Effect<unknown, unknown>) => {
  it.scopedLive("is a breadcrumb, and another that says so", () =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(Effect.ignore(run()))
      assert.deepStrictEqual(crumbs, [
        crumb(`${MISSING} [Filtered]`),
        crumb(`${MISSING} could not be run: ENOENT`, { level: "error", data: { code: "ENOENT" } })
      ])
    })
  )
})

describe("a subprocess", () => {
  const ways: ReadonlyArray<readonly [who: string, kill: (child: childProcess.ChildProcess) => void, level: Json]> = [
    ["somebody", ({ pid = 0 }) => void process.kill(pid, "SIGTERM"), { level: "warning" }],
    ["the program, as it wants", (child) => void child.kill("SIGTERM"), {}]
  ]
  it.scopedLive.each(ways)("that a signal of %s ends says which", ([, kill, level]) =>
    Effect.gen(function* () {
      const { crumbs } = yield* running(
        outputOf(() => {
          const child = childProcess.spawn("sleep", ["100"])
          kill(child)
          return child
        })
      )
      assert.deepStrictEqual(crumbs, [
        crumb("sleep [Filtered]"),
        crumb("sleep was ended by SIGTERM", { ...level, data: { signal: "SIGTERM" } })
      ])
    })
  )

  it.scopedLive("has every variable once", () =>
    Effect.gen(function* () {
      const { result } = yield* running(
        Effect.gen(function* () {
          yield* withEnvironment({ SENTRY_TRACE: `${"a".repeat(32)}-${"b".repeat(16)}`, FAULTLINE_SCOPE: "{}" })
          return yield* Effect.all([
            outputOf(() => childProcess.spawn("env", [], { stdio })),
            Effect.sync(() => String(childProcess.spawnSync("env", [], { stdio }).stdout))
          ])
        })
      )
      for (const output of result) {
        const names = output.match(/^(?:SENTRY|SUBPROCESS)_\w+(?==)/gm) ?? []
        assert.sameMembers(names, Object.keys(variables("")))
      }
    })
  )

  const both = Layer.mergeAll(Faultline.Stdlib.layer(), Faultline.Threading.layer())

  it.scopedLive("of this Node gets the scope, too, if scopes are propagated; other programs do not", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        yield* Faultline.setTag("a", 1)
        yield* Faultline.setUser({ id: "u1" })
        yield* Faultline.addBreadcrumb({ message: "before" })
        const form = synchronous["spawnSync"] as Form
        return yield* Effect.all([form([]), Effect.sync(() => String(childProcess.spawnSync("env").stdout))])
      })
      const { result, sentryTrace } = yield* running(program, {}, both)
      const { FAULTLINE_SCOPE = "", ...added } = split(JSON.parse(result[0]) as Environment).added
      assert.deepStrictEqual(added, variables(sentryTrace))
      const { breadcrumbs, ...snapshot } = JSON.parse(FAULTLINE_SCOPE) as Json
      assert.deepStrictEqual(snapshot, {
        scope: { tags: { a: 1 }, extra: {}, contexts: {}, user: { id: "u1" } },
        sentryTrace,
        baggage: baggage(sentryTrace)
      })
      assert.deepStrictEqual(
        (JSON.parse(breadcrumbs as string) as Array<Json>).map(({ message }) => message),
        ["before", "node [Filtered]"]
      )
      assert.notInclude(result[1], "FAULTLINE_SCOPE")
      const unpropagated = yield* running(program)
      assert.notProperty(JSON.parse(unpropagated.result[0]), "FAULTLINE_SCOPE")
    })
  )

  it.scopedLive("that Node would not start is refused in Node's own words", () =>
    Effect.gen(function* () {
      const calls: ReadonlyArray<() => unknown> = [
        () => childProcess.spawn(7 as never),
        () => childProcess.spawn(NODE, "b" as never),
        () => childProcess.spawnSync(7 as never),
        () => childProcess.spawnSync(NODE, 7 as never),
        () => childProcess.execSync(undefined as never),
        () => childProcess.execFileSync(NODE, "b" as never)
      ]
      const refusals = () =>
        calls.map((call) => {
          try {
            call()
            return "accepted"
          } catch (error) {
            return String(error)
          }
        })
      const bare = refusals()
      const { crumbs, result } = yield* running(Effect.sync(refusals))
      assert.deepStrictEqual(result, bare)
      assert.deepStrictEqual(crumbs, [])
    })
  )
})

describe("node:child_process", () => {
  it.scopedLive("is as it was before, once nobody watches any more", () =>
    Effect.gen(function* () {
      const functions = (): ReadonlyArray<(...args: Array<never>) => unknown> => [
        childProcess.spawnSync,
        childProcess.execFileSync,
        childProcess.execSync,
        (childProcess.ChildProcess.prototype as unknown as { spawn: () => void }).spawn
      ]
      const before = functions()
      yield* running(
        Effect.sync(() => {
          for (const [index, watched] of functions().entries()) assert.notStrictEqual(watched, before[index])
        })
      )
      assert.deepStrictEqual(functions(), before)
    })
  )
})
