/**
 * Failures, described as data: a few errors that may refer to each other in any way (causes, aggregates, cycles, shared ones),
 * and a Cause over them. Every error says its own name, by which it is found again in what was made of it.
 */
import { runInNewContext } from "node:vm"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"

class Tagged extends Data.TaggedError("Tagged")<{ readonly message: string }> {}

const kinds = {
  error: (message: string) => new Error(message),
  subclass: (message: string) => new (class Special extends TypeError {})(message),
  tagged: (message: string) => new Tagged({ message }),
  plain: (message: string): object => ({ _tag: "Plain", message }),
  aggregate: (message: string) => new AggregateError([], message),
  /** Of another realm, where `instanceof` knows nothing of it. */
  foreign: (message: string) => runInNewContext("new RangeError(message)", { message }) as Error
}

/** What an error refers to: another error, or a whole Cause. */
export type Reference = { readonly to: number } | { readonly cause: Tree } | { readonly primitive: string }

export interface ErrorRecipe {
  readonly kind: keyof typeof kinds
  readonly frozen: boolean
  readonly cause: Reference | undefined
  /** Counts for aggregates alone. */
  readonly errors: ReadonlyArray<Reference>
}

export type Tree =
  | { readonly fail: Reference }
  | { readonly die: Reference }
  /** As it leaves a span: Effect hands around a proxy. */
  | { readonly failInSpan: Reference }
  | { readonly unknown: Reference }
  | { readonly fiberFailure: Tree }
  | { readonly parallel: readonly [Tree, Tree] }
  | { readonly sequential: readonly [Tree, Tree] }
  | "interrupt"
  | "empty"

export interface FailureRecipe {
  readonly errors: ReadonlyArray<ErrorRecipe>
  readonly tree: Tree
}

const reference: (tree: fc.Arbitrary<Tree>) => fc.Arbitrary<Reference> = (tree) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.nat(5).map((to) => ({ to })) },
    { weight: 1, arbitrary: fc.uuid().map((primitive) => ({ primitive })) },
    { weight: 1, arbitrary: tree.map((cause) => ({ cause })) }
  )

const { tree } = fc.letrec<{ tree: Tree; reference: Reference }>((tie) => ({
  reference: reference(tie("tree")),
  tree: fc.oneof(
    { depthSize: "small" },
    fc.record({ fail: tie("reference") }),
    fc.record({ die: tie("reference") }),
    fc.record({ failInSpan: tie("reference") }),
    fc.record({ unknown: tie("reference") }),
    fc.constantFrom("interrupt" as const, "empty" as const),
    fc.record({ fiberFailure: tie("tree") }),
    fc.record({ parallel: fc.tuple(tie("tree"), tie("tree")) }),
    fc.record({ sequential: fc.tuple(tie("tree"), tie("tree")) })
  )
}))

export const anyFailure: fc.Arbitrary<FailureRecipe> = fc.record({
  tree,
  errors: fc.array(
    fc.record({
      kind: fc.constantFrom(...(Object.keys(kinds) as Array<keyof typeof kinds>)),
      frozen: fc.boolean(),
      cause: fc.option(reference(tree), { nil: undefined, freq: 2 }),
      errors: fc.array(reference(tree), { maxLength: 3 })
    }),
    { minLength: 6, maxLength: 6 }
  )
})

/** One error as it should be found: its name, and how it failed. */
export interface Found {
  readonly name: string
  readonly kind: "fail" | "die"
}

/** The Cause of a recipe, and what should be found in it, by the plainest reading of the rules. */
export const buildFailure = ({ errors, tree }: FailureRecipe) => {
  const made = errors.map(({ kind }, index) => kinds[kind](`error ${index}`))
  errors.forEach(({ cause, errors: inner, frozen, kind }, index) => {
    const error = made[index] as { cause?: unknown; errors?: unknown }
    if (cause !== undefined) error.cause = valueOf(cause)
    if (kind === "aggregate") error.errors = inner.map(valueOf)
    if (frozen) Object.freeze(error)
  })

  function valueOf(reference: Reference): unknown {
    if ("to" in reference) return made[reference.to]
    return "primitive" in reference ? reference.primitive : causeOf(reference.cause)
  }

  function causeOf(tree: Tree): Cause.Cause<unknown> {
    if (tree === "interrupt") return Cause.interrupt(FiberId.none)
    if (tree === "empty") return Cause.empty
    if ("fail" in tree) return Cause.fail(valueOf(tree.fail))
    if ("die" in tree) return Cause.die(valueOf(tree.die))
    if ("unknown" in tree) return Cause.fail(new Cause.UnknownException(valueOf(tree.unknown)))
    if ("fiberFailure" in tree) return Cause.die(fiberFailure(causeOf(tree.fiberFailure)))
    if ("parallel" in tree) return Cause.parallel(causeOf(tree.parallel[0]), causeOf(tree.parallel[1]))
    if ("sequential" in tree) return Cause.sequential(causeOf(tree.sequential[0]), causeOf(tree.sequential[1]))
    return inSpan(valueOf(tree.failInSpan))
  }

  /** The errors of a Cause itself, in its order. */
  const leavesOf = (tree: Tree, kind: Found["kind"] = "fail"): ReadonlyArray<Found & { readonly at: Reference }> => {
    if (tree === "interrupt" || tree === "empty") return []
    if ("parallel" in tree) return tree.parallel.flatMap((part) => leavesOf(part, kind))
    if ("sequential" in tree) return tree.sequential.flatMap((part) => leavesOf(part, kind))
    if ("fiberFailure" in tree) return leavesOf(tree.fiberFailure, "die")
    const [as, at] =
      "die" in tree
        ? (["die", tree.die] as const)
        : (["fail", "fail" in tree ? tree.fail : "unknown" in tree ? tree.unknown : tree.failInSpan] as const)
    if ("cause" in at) return leavesOf(at.cause, as)
    return [{ name: "to" in at ? `error ${at.to}` : at.primitive, kind: as, at }]
  }

  /** Everything that can be reached from these errors. */
  const reach = (at: Reference, into: Set<string>): void => {
    if ("cause" in at) return leavesOf(at.cause).forEach((leaf) => reach(leaf.at, into))
    if ("primitive" in at) return void into.add(at.primitive)
    const name = `error ${at.to}`
    if (into.has(name)) return
    into.add(name)
    const recipe = errors[at.to]
    if (recipe?.cause !== undefined) reach(recipe.cause, into)
    if (recipe?.kind === "aggregate") for (const inner of recipe.errors) reach(inner, into)
  }

  // The same error twice is what it was first.
  const leaves = leavesOf(tree).filter(
    ({ name }, index, all) => all.findIndex((other) => other.name === name) === index
  )
  const all = new Set<string>()
  for (const leaf of leaves) reach(leaf.at, all)
  return {
    cause: causeOf(tree),
    leaves,
    primary: leaves.find(({ kind }) => kind === "die") ?? leaves[0],
    all
  }
}

/** Not made from its Cause: Effect would print it, which does not end where errors cause each other. */
const fiberFailure = (cause: Cause.Cause<unknown>): unknown =>
  Object.assign(Runtime.makeFiberFailure(Cause.empty), { [Runtime.FiberFailureCauseId]: cause })

const inSpan = (error: unknown): Cause.Cause<unknown> =>
  Option.getOrThrow(Exit.causeOption(Effect.runSyncExit(Effect.withSpan(Effect.fail(error), "span"))))
