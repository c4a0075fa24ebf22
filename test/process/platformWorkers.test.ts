/**
 * Workers of `@effect/platform`, in threads and in processes: each request is answered in the scope of the fiber that makes it, and a
 * worker that crashes is reported once, whatever the platform makes of it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Event } from "effect-faultline"
import { assertEvents, comparable, type Ended, labelOf, receiver, run } from "./support.js"

type Kind = "worker" | "stream" | "serialized" | "rpc"

interface Task {
  readonly kinds: ReadonlyArray<Kind>
  readonly does: "concurrent" | "handled" | "unhandled"
  readonly in?: "thread" | "process"
  readonly stock?: boolean
  readonly propagateScope?: boolean
}

interface WorkerTask {
  readonly does?: "answer" | "show" | "crash"
  readonly stock?: boolean
  readonly propagateScope?: boolean
}

const ALL: ReadonlyArray<Kind> = ["worker", "stream", "serialized", "rpc"]

const argumentsOf = (task: Task, workerTask: WorkerTask) => [JSON.stringify(task), JSON.stringify(workerTask)]

const reporting = (task: Task, workerTask: WorkerTask = {}) =>
  Effect.gen(function* () {
    const server = yield* receiver()
    const ended = yield* run("platform-workers.mjs", argumentsOf(task, workerTask), { to: server, bound: 18_000 })
    return { ended, events: yield* server.events }
  })

const bare = (task: Task, workerTask: WorkerTask) =>
  run("platform-workers.mjs", argumentsOf(task, workerTask), { bound: 18_000 })

const namesOf = (kinds: ReadonlyArray<Kind>) => kinds.flatMap((kind) => [`${kind} a`, `${kind} b`])

const byLabel = (events: ReadonlyArray<Event>, label: string): Event => {
  const event = events.find((candidate) => labelOf(candidate) === label)
  if (event === undefined) throw new Error(`no event "${label}" among ${events.map(labelOf).join(", ")}`)
  return event
}

const told = (event: Event) => ({
  tags: event.tags,
  user: event.user,
  breadcrumbs: event.breadcrumbs?.values.flatMap(({ category, message }) =>
    category === "subprocess" ? [] : [message]
  )
})

const traceOf = (event: Event) => event.contexts?.["trace"]?.["trace_id"]

/** What a worker answers is reported as one with the request, of which there were two at a time. */
const assertCarried = (
  { ended, events }: { readonly ended: Ended; readonly events: ReadonlyArray<Event> },
  kinds: ReadonlyArray<Kind>
) => {
  const names = namesOf(kinds)
  assert.strictEqual(ended.code, 0)
  assertEvents(ended, events, ["afterwards", ...names.flatMap((name) => [`request ${name}`, `answer ${name}`])])
  for (const name of names) {
    const request = byLabel(events, `request ${name}`)
    const answer = byLabel(events, `answer ${name}`)
    assert.deepStrictEqual(told(request), {
      tags: { program: "yes", request: name },
      user: { id: name },
      breadcrumbs: [`asking for ${name}`]
    })
    assert.deepStrictEqual(told(answer), {
      tags: { program: "yes", request: name, role: "worker", worker: name },
      user: { id: name },
      breadcrumbs: ["worker started", `asking for ${name}`, `working on ${name}`]
    })
    assert.match(String(traceOf(request)), /^[0-9a-f]{32}$/)
    assert.strictEqual(traceOf(answer), traceOf(request))
  }
  assert.deepStrictEqual(told(byLabel(events, "afterwards")), {
    tags: { program: "yes" },
    user: undefined,
    breadcrumbs: []
  })
}

describe("the scope of a request to a worker", () => {
  it.scopedLive("in a thread: goes along with each request, of every kind, and nothing comes back", () =>
    Effect.gen(function* () {
      assertCarried(yield* reporting({ kinds: ALL, does: "concurrent" }), ALL)
    })
  )

  it.scopedLive("in a process: the same", () =>
    Effect.gen(function* () {
      const kinds = ["worker", "rpc"] as const
      assertCarried(yield* reporting({ kinds, in: "process", does: "concurrent" }), kinds)
    })
  )

  it.scopedLive("stays behind with propagateScope: false; the trace of Effect's own spans goes on", () =>
    Effect.gen(function* () {
      const kinds = ["worker", "rpc"] as const
      const { events } = yield* reporting({ kinds, does: "concurrent", propagateScope: false })
      for (const name of namesOf(kinds)) {
        const answer = byLabel(events, `answer ${name}`)
        assert.deepStrictEqual(told(answer), {
          tags: { role: "worker", worker: name },
          user: undefined,
          breadcrumbs: ["worker started", `working on ${name}`]
        })
        assert.strictEqual(traceOf(answer), traceOf(byLabel(events, `request ${name}`)))
      }
    })
  )

  it.scopedLive("is not taken over by a worker with propagateScope: false", () =>
    Effect.gen(function* () {
      const kinds = ["worker", "rpc"] as const
      const { events } = yield* reporting({ kinds, does: "concurrent" }, { propagateScope: false })
      for (const name of namesOf(kinds)) {
        assert.deepStrictEqual(told(byLabel(events, `answer ${name}`)), {
          tags: { worker: name },
          user: undefined,
          breadcrumbs: [`working on ${name}`]
        })
      }
    })
  )

  const strangers: Readonly<Record<string, WorkerTask>> = {
    "by the program in the worker": {},
    "by a worker with the platform's own layers": { stock: true }
  }
  const kinds = ["worker", "rpc"] as const
  for (const [name, workerTask] of Object.entries(strangers)) {
    it.scopedLive(`is not seen ${name}`, () =>
      Effect.gen(function* () {
        const seen = ({ stdout }: Ended) => stdout.split("\n").filter((line) => line.startsWith("seen "))
        const both = [
          { kinds, does: "concurrent" },
          { ...workerTask, does: "show" }
        ] as const
        const [{ ended }, without] = yield* Effect.all([reporting(...both), bare(...both)], { concurrency: 2 })
        assert.strictEqual(ended.code, 0)
        assert.lengthOf(seen(without), 4)
        assert.sameMembers(seen(ended), seen(without))
      })
    )
  }
})

describe("a worker of the platform that crashes", () => {
  /** The fibers of the SDK have numbers, too. */
  const output = (ended: Ended) => {
    const { stdout, ...rest } = comparable(ended)
    return { ...rest, stdout: stdout.replaceAll(/#\d+/g, "#").replaceAll(TRAMPOLINE, "") }
  }

  /** As in `comparable`, where more of the error follows. */
  const TRAMPOLINE = /\n +at \w+\.callbackTrampoline \([^)]*\)/g

  const cases: ReadonlyArray<readonly [Kind, Task["does"], code: number]> = [
    ["worker", "handled", 0],
    ["worker", "unhandled", 1],
    ["rpc", "unhandled", 1]
  ]
  for (const [kind, does, code] of cases) {
    it.scopedLive(`${kind}: is reported once, with its own error, where the failure of the request is ${does}`, () =>
      Effect.gen(function* () {
        const both = [{ kinds: [kind], does }, { does: "crash" }] as const
        const [{ ended, events }, without] = yield* Effect.all([reporting(...both), bare(...both)], { concurrency: 2 })
        assert.strictEqual(without.code, code)
        assert.deepStrictEqual(output(ended), output(without))
        assertEvents(ended, events, ["request a", "RangeError", ...(code === 0 ? ["afterwards"] : [])])
        const event = byLabel(events, "RangeError")
        // Of the request that it was working on, not of the fiber that started it.
        assert.deepStrictEqual(told(event), {
          tags: { program: "yes", request: "a" },
          user: { id: "a" },
          breadcrumbs: ["asking for a"]
        })
        const [crash] = event.exception?.values ?? []
        assert.strictEqual(crash?.value, "50 gigapixels")
        assert.strictEqual(crash?.stacktrace?.frames.at(-1)?.filename?.split("/").at(-1), "platform-worker.mjs")
        assert.deepStrictEqual(crash?.mechanism, {
          type: "threading",
          handled: false,
          data: { thread_kind: "worker", thread_id: 1 }
        })
      })
    )
  }
})
