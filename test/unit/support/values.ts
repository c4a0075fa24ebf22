/**
 * Any value that a program can hand to the SDK, described as data (a recipe), so that what a failing property prints can be
 * read and built again, whatever the value itself does to whoever looks at it.
 */
import * as BigDecimal from "effect/BigDecimal"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as List from "effect/List"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"

/** What is `Redacted`: it must never be seen in anything that leaves. */
export const HIDDEN = "5ecr3t-Zq7"

/** What stands under a sensitive key: seen only where it was set on purpose. */
export const MASKED = "5ecr3t-Ky4"

/** The halves of a surrogate pair. */
export const HIGH = "\ud83d"
export const LOW = "\ude00"

const boom = (): never => {
  throw new Error("boom")
}

/** A proxy that throws whatever is done to it. */
export const hostileProxy = (): object =>
  new Proxy(
    {},
    {
      get: boom,
      set: boom,
      has: boom,
      ownKeys: boom,
      getPrototypeOf: boom,
      getOwnPropertyDescriptor: boom,
      isExtensible: boom
    }
  )

export const revokedProxy = (target: object = {}): object => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

class Throwing {
  get field(): never {
    return boom()
  }
}

class Endless {
  toJSON(): unknown {
    return new Endless()
  }
}

class Claims {
  [key: symbol]: unknown

  constructor(type: string, value: unknown = 1) {
    this[Symbol.for(`effect/${type}`)] = value
  }
}

class EndlessChunk extends Claims {
  constructor() {
    super("Chunk")
  }

  *[Symbol.iterator](): Iterable<number> {
    for (let i = 0; ; i++) yield i
  }
}

class ThrowingSet extends Set<unknown> {
  override [Symbol.iterator](): never {
    return boom()
  }
}

/** By name: what has no parts. Each call makes a new one. */
export const leaves: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  zero: () => -0,
  float: () => 1.5,
  notANumber: () => Number.NaN,
  infinity: () => Number.NEGATIVE_INFINITY,
  bigint: () => 12345678901234567890n,
  symbol: () => Symbol("sign"),
  symbolOfHalves: () => Symbol(HIGH),
  function: () => function named() {},
  arrow: () => () => 1,
  class: () => Throwing,
  functionNamedHalf: () => Object.defineProperty(() => 1, "name", { value: LOW }),
  functionWithoutName: () => Object.defineProperty(() => 1, "name", { get: boom }),
  text: () => "text",
  high: () => HIGH,
  low: () => `${LOW}x`,
  date: () => new Date(0),
  invalidDate: () => new Date(Number.NaN),
  regexp: () => /a/g,
  url: () => new URL("https://example.com/a"),
  buffer: () => Buffer.from("abc"),
  typedArray: () => new Float64Array(3),
  arrayBuffer: () => new ArrayBuffer(3),
  sharedArrayBuffer: () => new SharedArrayBuffer(3),
  promise: () => Promise.resolve(1),
  weakMap: () => new WeakMap(),
  weakRef: () => new WeakRef({}),
  generator: () =>
    (function* () {
      yield 1
    })(),
  arguments: () =>
    (function (..._: Array<unknown>) {
      // oxlint-disable-next-line prefer-rest-params
      return arguments
    })(1, 2),
  boxed: () => Object(1n),
  boxedText: () => Object("abc"),
  sparse: () => [1, , 3], // oxlint-disable-line no-sparse-arrays
  huge: () => Object.assign([], { length: 100_000 }),
  hidden: () => Redacted.make(HIDDEN),
  hiddenObject: () => Redacted.make({ a: HIDDEN }),
  duration: () => Duration.seconds(90),
  dateTime: () => DateTime.unsafeMake(0),
  bigDecimal: () => BigDecimal.unsafeFromString("1.5"),
  none: () => Option.none(),
  emptyChunk: () => Chunk.empty(),
  emptyCause: () => Cause.empty,
  hostileProxy,
  revokedProxy: () => revokedProxy(),
  revokedArray: () => revokedProxy([]),
  revokedFunction: () => revokedProxy(() => 1),
  throwingGetter: () => ({
    get a() {
      return boom()
    },
    b: 1
  }),
  throwingInstance: () => Object.create(Throwing.prototype, { field: { enumerable: true, get: boom } }),
  throwsNothing: () => ({
    get a(): never {
      throw undefined
    }
  }),
  throwsRevoked: () => ({
    get a(): never {
      throw revokedProxy()
    }
  }),
  throwsHalf: () => ({
    get a(): never {
      throw new Error(HIGH)
    }
  }),
  toJsonThrows: () => ({ toJSON: boom }),
  toJsonGetterThrows: () => ({
    get toJSON() {
      return boom()
    }
  }),
  toJsonItself: () => ({
    a: 1,
    toJSON() {
      return this
    }
  }),
  toJsonEndless: () => new Endless(),
  toJsonUndefined: () => ({ toJSON: () => undefined }),
  toJsonPromise: () => ({ toJSON: () => Promise.resolve(1) }),
  claimsRedacted: () => new Claims("Redacted"),
  claimsOption: () => new Claims("Option"),
  claimsChunk: () => new Claims("Chunk"),
  claimsHashMap: () => new Claims("HashMap"),
  claimsDuration: () => new Claims("Duration"),
  claimsDateTime: () => new Claims("DateTime"),
  claimsCause: () => new Claims("Cause"),
  claimsFiberFailure: () => ({ [Runtime.FiberFailureId]: Runtime.FiberFailureId }),
  throwingFiberFailure: () => ({
    [Runtime.FiberFailureId]: Runtime.FiberFailureId,
    get [Runtime.FiberFailureCauseId]() {
      return boom()
    }
  }),
  endlessChunk: () => new EndlessChunk(),
  throwingSet: () => new ThrowingSet([1]),
  ownProto: () => JSON.parse('{"__proto__":{"a":1},"b":2}') as unknown,
  keyOfHalf: () => ({ [HIGH]: 1 }),
  emptyKey: () => ({ "": 1 }),
  secretKey: () => ({ password: MASKED }),
  nullPrototype: () => Object.assign(Object.create(null), { a: 1 }) as unknown,
  frozen: () => Object.freeze({ a: 1 }),
  error: () => new TypeError("wrong"),
  errorWithoutMessage: () => Object.defineProperty(new Error("x"), "message", { get: boom }),
  errorWithObjectMessage: () => Object.assign(new Error("x"), { message: { a: 1 } }),
  errorWithoutPrototype: () => Object.setPrototypeOf(new Error("x"), null) as unknown,
  aggregate: () => new AggregateError([new Error("a")], "several")
}

/**
 * By name: what holds other values. `parts(self)` makes them; with `self`, a part may be the container again; `apart`, none is
 * anything above it.
 */
const containers: Readonly<
  Record<string, (parts: (self?: object | "apart") => ReadonlyArray<unknown>, keys: ReadonlyArray<string>) => unknown>
> = {
  object: (parts, keys) => fill({}, parts, keys),
  nullPrototype: (parts, keys) => fill(Object.create(null) as object, parts, keys),
  instance: (parts, keys) => fill(Object.create(Throwing.prototype) as object, parts, keys),
  error: (parts, keys) => fill(new Error("holds"), parts, keys),
  proxy: (parts, keys) => new Proxy(fill({}, parts, keys), {}),
  getters: (parts, keys) => {
    const self = {}
    parts(self).forEach((part, index) =>
      Object.defineProperty(self, keys[index] ?? `k${index}`, { configurable: true, enumerable: true, get: () => part })
    )
    return self
  },
  array: (parts) => {
    const self: Array<unknown> = []
    self.push(...parts(self))
    return self
  },
  set: (parts) => {
    const self = new Set<unknown>()
    for (const part of parts(self)) self.add(part)
    return self
  },
  map: (parts, keys) => {
    const self = new Map<unknown, unknown>()
    parts(self).forEach((part, index) => self.set(keys[index] ?? `k${index}`, part))
    return self
  },
  mapKeys: (parts) => new Map(parts("apart").map((part) => [part, 1])),
  toJSON: (parts) => ({ toJSON: () => parts()[0] }),
  instanceToJSON: (parts) =>
    new (class Jsonable {
      toJSON(): unknown {
        return parts()[0]
      }
    })(),
  causedBy: (parts) => new Error("caused", { cause: parts()[0] }),
  some: (parts) => Option.some(parts()[0]),
  right: (parts) => Either.right(parts()[0]),
  left: (parts) => Either.left(parts()[0]),
  chunk: (parts) => Chunk.fromIterable(parts()),
  list: (parts) => List.fromIterable(parts()),
  hashSet: (_parts, keys) => HashSet.fromIterable(keys),
  hashMap: (parts, keys) => HashMap.fromIterable(parts().map((part, index) => [keys[index] ?? `k${index}`, part])),
  fail: (parts) => Cause.fail(parts()[0]),
  die: (parts) => Cause.sequential(Cause.die(parts()[0]), Cause.fail(parts()[1])),
  exit: (parts) => Exit.succeed(parts()[0]),
  failed: (parts) => Exit.fail(parts()[0])
}

const fill = (self: object, parts: (self: object) => ReadonlyArray<unknown>, keys: ReadonlyArray<string>): object => {
  parts(self).forEach((part, index) =>
    Object.defineProperty(self, keys[index] ?? `k${index}`, {
      configurable: true,
      enumerable: true,
      writable: true,
      value: part
    })
  )
  return self
}

/** How to make a value. `up` is the container that many levels above (a cycle). */
export type Recipe =
  | { readonly leaf: string }
  | { readonly text: string }
  | { readonly up: number }
  | { readonly made: string; readonly keys: ReadonlyArray<string>; readonly parts: ReadonlyArray<Recipe> }

export const build = (recipe: Recipe, above: ReadonlyArray<object> = []): unknown => {
  if ("leaf" in recipe) return leaves[recipe.leaf]?.()
  if ("text" in recipe) return recipe.text
  if ("up" in recipe) return above[above.length - 1 - recipe.up]
  const make = containers[recipe.made]
  return make?.(
    (self) =>
      recipe.parts.map((part) => build(part, self === undefined ? above : self === "apart" ? [] : [...above, self])),
    recipe.keys
  )
}

const texts = fc.oneof(fc.string(), fc.string16bits(), fc.constantFrom("password", "token", "cause", "message", "id"))

const recipesOf = (...more: ReadonlyArray<fc.Arbitrary<Recipe>>): fc.Arbitrary<Recipe> =>
  fc.letrec<{ recipe: Recipe }>((tie) => ({
    recipe: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom(...Object.keys(leaves)).map((leaf) => ({ leaf })),
      texts.map((text) => ({ text })),
      ...more,
      fc.record({
        made: fc.constantFrom(...Object.keys(containers)),
        keys: fc.array(texts, { maxLength: 4 }),
        parts: fc.array(tie("recipe"), { maxLength: 4 })
      })
    )
  })).recipe

/** Any value, cycles included. */
export const anyRecipe: fc.Arbitrary<Recipe> = recipesOf(fc.nat(3).map((up) => ({ up })))

/** Any value without a cycle. */
export const treeRecipe: fc.Arbitrary<Recipe> = recipesOf()

/** Everything in a value that came out of `JSON.parse`, keys included. */
export function* walk(
  value: unknown,
  depth = 0
): Generator<{ readonly key?: string; readonly value: unknown; readonly depth: number }> {
  yield { value, depth }
  if (typeof value !== "object" || value === null) return
  for (const [key, part] of Object.entries(value)) {
    yield { key, value: key, depth: depth + 1 }
    yield* walk(part, depth + 1)
  }
}

/** The texts (keys too) of a JSON document that hold half a surrogate pair: servers refuse the whole document. */
export const illFormed = (json: string): ReadonlyArray<unknown> =>
  [...walk(JSON.parse(json))].map(({ value }) => value).filter((v) => typeof v === "string" && !v.isWellFormed())
