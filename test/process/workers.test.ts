/**
 * Threads and processes that a program starts: their crash is reported once, changes nothing else, and the scope goes with them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Event } from "effect-faultline"
import { assertEvents, comparable, labelOf, labelsOf, receiver, run } from "./support.js"

interface ParentTask {
  readonly sdk: "facade" | "layers" | "fibers"
  readonly start: "worker" | "subclass" | "fork"
  readonly listen?: boolean
  readonly propagateScope?: boolean
  readonly without?: ReadonlyArray<string>
  readonly burden?: "large" | "a bigint" | "a function"
}

interface ChildTask {
  readonly sdk: "facade" | "layers" | "none"
  readonly does: string
  readonly label?: string
  readonly propagateScope?: boolean
}

const argumentsOf = (parent: ParentTask, child: ChildTask) => [JSON.stringify(parent), JSON.stringify(child)]

/** With the SDK and without it, side by side. */
const both = (parent: ParentTask, child: ChildTask) =>
  Effect.gen(function* () {
    const args = argumentsOf(parent, child)
    const server = yield* receiver()
    const [ended, without] = yield* Effect.all([run("parent.mjs", args, { to: server }), run("parent.mjs", args)], {
      concurrency: 2
    })
    return { ended, without, events: yield* server.events }
  })

const HOLDS = ["parent", "parent, afterwards"]

describe("a worker thread that crashes", () => {
  // What is no object comes by again as an error of the main thread, and could not be recognised there.
  const crashes: ReadonlyArray<readonly [does: string, label: string, by: string]> = [
    ["throw", "RangeError", "threading"],
    ["throw later", "RangeError", "threading"],
    ["throw a subclass", "OutOfStock", "threading"],
    ["throw a text", "Error", "excepthook"],
    ["throw with a cause", "RangeError", "threading"],
    ["rejection", "RangeError", "threading"]
  ]
  for (const sdk of ["facade", "layers"] as const) {
    for (const [does, label, by] of sdk === "facade" ? crashes : crashes.slice(0, 1)) {
      it.scopedLive(`${sdk}: ${does}: takes the program with it, as it does without the SDK`, () =>
        Effect.gen(function* () {
          const { ended, events, without } = yield* both({ sdk, start: "worker" }, { sdk: "none", does })
          assert.strictEqual(without.code, 1)
          assert.deepStrictEqual(
            { ...comparable(ended), events: labelsOf(events) },
            { ...comparable(without), events: [label, "parent"].toSorted() }
          )
          assertEvents(ended, events, ["parent", label])
          const crash = events.find((event) => event.exception !== undefined)
          assert.deepInclude(crash?.exception?.values.at(-1)?.mechanism, { type: by, handled: false })
        })
      )
    }

    it.scopedLive(`${sdk}: with a listener the program goes on`, () =>
      Effect.gen(function* () {
        const { ended, events, without } = yield* both(
          { sdk, start: "worker", listen: true },
          { sdk: "none", does: "throw" }
        )
        assert.strictEqual(without.code, 0)
        assert.include(without.stdout, "survived RangeError")
        assert.deepStrictEqual(comparable(ended), comparable(without))
        assertEvents(ended, events, [...HOLDS, "RangeError"])
      })
    )

    for (const does of sdk === "facade" ? ["throw", "throw later", "rejection"] : ["throw"]) {
      for (const inner of ["facade", "layers"] as const) {
        it.scopedLive(`${sdk}, and ${inner} inside: ${does}: reported once, after what the worker captured`, () =>
          Effect.gen(function* () {
            const { ended, events, without } = yield* both({ sdk, start: "worker", listen: true }, { sdk: inner, does })
            assert.deepStrictEqual(comparable(ended), comparable(without))
            assertEvents(ended, events, [...HOLDS, "child", "RangeError"])
          })
        )
      }
    }

    it.scopedLive(`${sdk}: without threading it is an uncaught exception of the program like any other`, () =>
      Effect.gen(function* () {
        const { ended, events, without } = yield* both(
          { sdk, start: "worker", without: ["threading"] },
          { sdk: "none", does: "throw" }
        )
        assert.deepStrictEqual(comparable(ended), comparable(without))
        assertEvents(ended, events, ["parent", "RangeError"])
        const crash = events.find((event) => event.exception !== undefined)
        assert.deepInclude(crash?.exception?.values.at(-1)?.mechanism, { type: "excepthook", handled: false })
      })
    )
  }

  for (const inner of ["facade", "layers"] as const) {
    for (const does of ["nothing", "exit"]) {
      it.scopedLive(`${inner} inside: a worker that ends (${does}) loses nothing`, () =>
        Effect.gen(function* () {
          const { ended, events, without } = yield* both({ sdk: "facade", start: "worker" }, { sdk: inner, does })
          assert.deepStrictEqual(comparable(ended), comparable(without))
          assert.include(ended.stdout, `exited with ${does === "exit" ? 7 : 0}\n`)
          assertEvents(ended, events, [...HOLDS, "child"])
        })
      )
    }
  }
})

const byLabel = (events: ReadonlyArray<Event>, label: string): Event => {
  const event = events.find((candidate) => labelOf(candidate) === label)
  if (event === undefined) throw new Error(`no event "${label}" among ${labelsOf(events).join(", ")}`)
  return event
}

const messagesOf = (event: Event) =>
  event.breadcrumbs?.values.flatMap(({ category, message }) =>
    category === "subprocess" || category === "console" ? [] : [message]
  )

const traceOf = (event: Event) => event.contexts?.["trace"]?.["trace_id"]

describe("the scope", () => {
  const matrix = (["facade", "layers"] as const).flatMap((sdk) =>
    (["facade", "layers"] as const).flatMap((inner) =>
      (["worker", "fork"] as const).map((kind) => ({ sdk, inner, kind }))
    )
  )
  for (const { inner, kind, sdk } of matrix) {
    it.scopedLive(`${sdk} to ${inner} in a ${kind}: goes along, and nothing comes back`, () =>
      Effect.gen(function* () {
        const { ended, events, without } = yield* both({ sdk, start: kind }, { sdk: inner, does: "nothing" })
        assert.deepStrictEqual(comparable(ended), comparable(without))
        assertEvents(ended, events, [...HOLDS, "child"])
        const parent = byLabel(events, "parent")
        const child = byLabel(events, "child")
        const afterwards = byLabel(events, "parent, afterwards")
        assert.deepStrictEqual(child.tags, { where: "parent", child: "yes" })
        assert.deepStrictEqual(child.user, { id: "u1" })
        assert.deepStrictEqual(messagesOf(child), ["before", "inside"])
        assert.match(String(traceOf(parent)), /^[0-9a-f]{32}$/)
        assert.strictEqual(traceOf(child), traceOf(parent))
        assert.deepStrictEqual(afterwards.tags, { where: "parent" })
        assert.deepStrictEqual(messagesOf(afterwards), ["before"])
      })
    )

    it.scopedLive(`${sdk} to ${inner} in a ${kind}: stays behind with propagateScope: false`, () =>
      Effect.gen(function* () {
        const server = yield* receiver()
        const ended = yield* run(
          "parent.mjs",
          argumentsOf({ sdk, start: kind, propagateScope: false }, { sdk: inner, does: "nothing" }),
          { to: server }
        )
        const events = yield* server.events
        assertEvents(ended, events, [...HOLDS, "child"])
        const child = byLabel(events, "child")
        assert.deepStrictEqual(child.tags, { child: "yes" })
        assert.isUndefined(child.user)
        assert.deepStrictEqual(messagesOf(child), ["inside"])
        // The trace goes on in a process: that is what `stdlib` does for any program.
        const parentTrace = traceOf(byLabel(events, "parent"))
        if (kind === "fork") assert.strictEqual(traceOf(child), parentTrace)
        else assert.notStrictEqual(traceOf(child), parentTrace)
      })
    )
  }

  it.scopedLive("goes along into a worker of the program's own class", () =>
    Effect.gen(function* () {
      const { ended, events, without } = yield* both(
        { sdk: "facade", start: "subclass" },
        { sdk: "facade", does: "nothing" }
      )
      assert.deepStrictEqual(comparable(ended), comparable(without))
      assert.deepStrictEqual(byLabel(events, "child").tags, { where: "parent", child: "yes" })
    })
  )

  it.scopedLive("of the parent is on the report of a crash", () =>
    Effect.gen(function* () {
      const { events } = yield* both({ sdk: "layers", start: "worker", listen: true }, { sdk: "none", does: "throw" })
      const crash = byLabel(events, "RangeError")
      assert.deepStrictEqual(crash.tags, { where: "parent" })
      assert.deepStrictEqual(crash.user, { id: "u1" })
      assert.deepStrictEqual(messagesOf(crash), ["before"])
    })
  )

  it.scopedLive("a forked process that crashes reports itself, with the scope it came with", () =>
    Effect.gen(function* () {
      const { ended, events, without } = yield* both(
        { sdk: "facade", start: "fork" },
        { sdk: "facade", does: "throw later" }
      )
      assert.deepStrictEqual(comparable(ended), comparable(without))
      assertEvents(ended, events, [...HOLDS, "child", "RangeError"])
      const crash = byLabel(events, "RangeError")
      assert.deepStrictEqual(crash.tags, { where: "parent", child: "yes" })
      assert.strictEqual(traceOf(crash), traceOf(byLabel(events, "parent")))
    })
  )

  it.scopedLive("is that of the fiber that starts the worker", () =>
    Effect.gen(function* () {
      const server = yield* receiver()
      const ended = yield* run(
        "parent.mjs",
        argumentsOf({ sdk: "fibers", start: "worker", listen: true }, { sdk: "facade", does: "throw" }),
        { to: server }
      )
      const events = yield* server.events
      assertEvents(ended, events, ["RangeError", "RangeError", "child", "child"])
      const places = (label: string) =>
        events.filter((event) => labelOf(event) === label).map((event) => event.tags?.["where"])
      assert.sameMembers(places("child"), ["left", "right"])
      assert.sameMembers(places("RangeError"), ["left", "right"])
    })
  )

  for (const [start, does] of [
    ["fork", "start another process"],
    ["worker", "start another thread"]
  ] as const) {
    it.scopedLive(`goes on to the child of a child (${start}), with what that one has added`, () =>
      Effect.gen(function* () {
        const { events } = yield* both({ sdk: "facade", start }, { sdk: "facade", does })
        const grandchild = byLabel(events, "grandchild")
        assert.deepStrictEqual(grandchild.tags, { where: "parent", child: "yes" })
        assert.deepStrictEqual(messagesOf(grandchild), ["before", "inside", "inside"])
      })
    )

    it.scopedLive(`does not go past a child (${start}) that says propagateScope: false`, () =>
      Effect.gen(function* () {
        const { events } = yield* both({ sdk: "facade", start }, { sdk: "facade", does, propagateScope: false })
        const grandchild = byLabel(events, "grandchild")
        assert.deepStrictEqual(grandchild.tags, { child: "yes" })
        assert.isUndefined(grandchild.user)
        assert.deepStrictEqual(messagesOf(grandchild), ["inside"])
      })
    )
  }

  for (const start of ["worker", "fork"] as const) {
    for (const burden of ["large", "a bigint", "a function"] as const) {
      it.scopedLive(`with ${burden} in it keeps nothing from starting (${start})`, () =>
        Effect.gen(function* () {
          const { ended, events, without } = yield* both(
            { sdk: "facade", start, burden },
            { sdk: "facade", does: "nothing" }
          )
          assert.deepStrictEqual(comparable(ended), comparable(without))
          assertEvents(ended, events, [...HOLDS, "child"])
        })
      )
    }
  }

  it.scopedLive("is not shown to programs that are not the SDK's business, though they get the trace", () =>
    Effect.gen(function* () {
      const { ended, without } = yield* both(
        { sdk: "facade", start: "fork" },
        { sdk: "facade", does: "show the environment of a program" }
      )
      assert.match(ended.stdout, /^SENTRY_TRACE=/m)
      assert.notMatch(without.stdout, /^SENTRY_TRACE=/m)
      assert.notMatch(ended.stdout, /^FAULTLINE_SCOPE=/m)
      assert.notInclude(ended.stdout, "u1")
    })
  )
})
