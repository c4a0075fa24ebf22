/**
 * The programs of `../before-after.ts`: `node program.mjs <naive|faultline> <row>`. Each is written once; only the wiring differs.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Data, Effect, Exit, Fiber, Runtime, Schema } from "effect"

const [, , column, row] = process.argv
const dsn = process.env.BEFORE_AFTER_DSN
const isNaive = column === "naive"

class UserNotFound extends Data.TaggedError("UserNotFound") {
  get message() {
    return `no user ${this.userId}`
  }
}
const failing = Effect.suspend(() => Effect.fail(new UserNotFound({ userId: 7 })))

/** What users of Effect write today. */
const naive = async () => {
  const Sentry = await import("@sentry/node")
  Sentry.init({ dsn })
  const capture = (error) => Effect.sync(() => Sentry.captureException(error))
  return {
    capture,
    captureCause: capture,
    squashed: (cause) => capture(Cause.squash(cause)),
    main: (program) => program,
    flush: () => Effect.promise(() => Sentry.flush(2000)),
    setUser: (user) => Effect.sync(() => Sentry.setUser(user)),
    setTag: (key, value) => Effect.sync(() => Sentry.setTag(key, value)),
    addBreadcrumb: (crumb) => Effect.sync(() => Sentry.addBreadcrumb(crumb)),
    // A promise of its own for each request, as an Express handler would have.
    request: (effect) => Effect.promise(() => Sentry.withIsolationScope(() => Effect.runPromise(effect)))
  }
}

/** The same with us: for a program that is Effect a layer, else `init` of the facade. */
const faultline = async () => {
  const Faultline = await import("effect-faultline")
  const { Layer } = await import("effect")
  const live = Faultline.DefaultIntegrations.pipe(Layer.provideMerge(Faultline.Hub.layer({ dsn })))
  if (row.startsWith("bare")) (await import("effect-faultline/facade")).init({ dsn })
  return {
    capture: (error) => Faultline.captureException(error),
    captureCause: (cause) => Faultline.captureCause(cause),
    squashed: (cause) => Faultline.captureCause(cause),
    main: (program) => Effect.provide(program, live),
    flush: () => Faultline.flush(2000),
    setUser: Faultline.setUser,
    setTag: Faultline.setTag,
    addBreadcrumb: Faultline.addBreadcrumb,
    request: (effect) => Faultline.withIsolationScope()(effect)
  }
}

/** Nowhere in the source, of which events show some lines. */
const CARD = [4, 2, 4, 2].join("").repeat(4)

const sdk = isNaive ? await naive() : await faultline()

/** Rows that are about how a program ends: each is a process. */
const processes = {
  main: () => NodeRuntime.runMain(sdk.main(failing), { disableErrorReporting: true }),
  mainCaptured: () =>
    NodeRuntime.runMain(sdk.main(Effect.tapErrorCause(failing, sdk.squashed)), { disableErrorReporting: true }),
  bareDaemon: () =>
    Effect.runPromise(Effect.zipRight(Effect.forkDaemon(Effect.die(new TypeError("bug"))), Effect.sleep(50))),
  bareRunFork: () => void Effect.runFork(failing),
  bareRunPromise: () => void Effect.runPromise(failing)
}

/** Rows that are about what an event says: one after the other, in one process. */
const captures = {
  fiberFailure: Effect.gen(function* () {
    const error = yield* Effect.promise(() => Effect.runPromise(failing).catch((error) => error))
    yield* sdk.capture(error)
  }),
  squash: Effect.gen(function* () {
    const findUser = Effect.fn("repo.findUser")(function* () {
      return yield* new UserNotFound({ userId: 7 })
    })
    const exit = yield* Effect.exit(findUser().pipe(Effect.withSpan("GET /users/:id")))
    yield* sdk.squashed(exit.cause)
  }),
  cause: Effect.flatMap(Effect.exit(failing), (exit) => sdk.captureCause(exit.cause)),
  parallel: Effect.gen(function* () {
    const exit = yield* Effect.exit(failing.pipe(Effect.ensuring(Effect.die(new TypeError("the bug")))))
    yield* sdk.squashed(exit.cause)
  }),
  tagged: Effect.flatMap(Effect.exit(Effect.fail({ _tag: "Declined", code: 51 })), (exit) => sdk.squashed(exit.cause)),
  interruption: Effect.gen(function* () {
    const fiber = yield* Effect.fork(Effect.never)
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    yield* sdk.squashed(exit.cause)
  }),
  concurrent: Effect.forEach(
    [1, 2, 3],
    (n) =>
      Effect.gen(function* () {
        yield* sdk.setTag("request", n)
        yield* sdk.addBreadcrumb({ message: `request ${n}` })
        yield* Effect.sleep(10)
        if (n === 1) yield* sdk.capture(new Error("request 1 failed"))
      }),
    { concurrency: "unbounded", discard: true }
  ),
  users: Effect.suspend(() => {
    const error = new Error("out of stock")
    return Effect.forEach(["u1", "u2", "u3"], (id) =>
      sdk.request(Effect.zipRight(sdk.setUser({ id }), sdk.capture(error)))
    )
  }),
  layers: Effect.forEach([1, 2, 3, 4, 5], () =>
    Effect.gen(function* () {
      // In the effect, and again where its promise is awaited.
      const inner = Effect.tapErrorCause(failing, sdk.squashed)
      const runtime = yield* Effect.runtime()
      const rejected = yield* Effect.promise(() => Runtime.runPromise(runtime, inner).catch((error) => error))
      yield* sdk.capture(rejected)
    })
  ),
  schema: Effect.gen(function* () {
    const exit = yield* Effect.exit(Schema.decodeUnknown(Schema.Struct({ card: Schema.Number }))({ card: CARD }))
    yield* sdk.squashed(exit.cause)
  })
}

if (row === "captures") {
  const program = Effect.forEach(Object.entries(captures), ([name, effect]) =>
    effect.pipe(
      Effect.zipRight(sdk.flush()),
      Effect.zipRight(Effect.promise(() => fetch(`${process.env.BEFORE_AFTER_MARK}/${name}`)))
    )
  )
  const exit = await Effect.runPromiseExit(sdk.main(program))
  process.exitCode = Exit.isSuccess(exit) ? 0 : 1
} else await processes[row]()
