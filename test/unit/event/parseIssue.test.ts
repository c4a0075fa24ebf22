import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as AST from "effect/SchemaAST"
import { contextOf, valueOf } from "../../../src/event/describe.js"
import { fingerprintOf } from "../../../src/event/grouping.js"
import { describeValue, normalize, normalizeGiven } from "../../../src/event/normalize.js"
import { scrubText } from "../../../src/event/scrub.js"
import { describe as text } from "../../../src/event/text.js"

const HIDDEN = "hunter2"

const decoding = (
  schema: Schema.Schema.AnyNoContext,
  value: unknown,
  options?: { readonly errors?: "all"; readonly onExcessProperty?: "error" }
): ParseResult.ParseError => Effect.runSync(Effect.flip(Schema.decodeUnknown(schema, options)(value)))

const ALL = { errors: "all" } as const
const EXACT = { onExcessProperty: "error" } as const

describe("a sensitive name", () => {
  const Login = Schema.Struct({
    password: Schema.String,
    token: Schema.Number,
    cookie: Schema.NumberFromString,
    user: Schema.Struct({ secret: Schema.String })
  })
  const error = decoding(Login, { token: HIDDEN, cookie: HIDDEN, user: HIDDEN }, ALL)
  const said = [
    "token: expected a number, was a string",
    "cookie: Unable to decode [Filtered] into a number",
    "user: expected { readonly secret: string }, was a string",
    "password: is missing"
  ].toSorted()

  it("damages neither the title nor the context", () => {
    assert.deepStrictEqual(valueOf(error).split("; ").toSorted(), said)
    const { issues } = contextOf(error) as { issues: ReadonlyArray<{ path: string; problem: string }> }
    assert.deepStrictEqual(issues.map(({ path, problem }) => `${path}: ${problem}`).toSorted(), said)
  })

  it("is no reason to mask what is said of it, where the text goes on to, but a value is masked as ever", () => {
    for (const line of said.slice(0, 3)) assert.strictEqual(scrubText(line), line)
    for (const line of ["password: hunter2", "password=is", "token: is it hunter2?", "cookie: expected=hunter2"]) {
      assert.include(scrubText(line), "[Filtered]")
    }
  })

  it("what the author of the schema has put in words is masked", () => {
    const schema = Schema.String.annotations({ message: () => `login: token=${HIDDEN}` })
    assert.strictEqual(valueOf(decoding(schema, 1)), "login: token=[Filtered]")
  })
})

describe("keys of the data", () => {
  const Scores = Schema.Struct({
    scores: Schema.Record({ key: Schema.String, value: Schema.Struct({ best: Schema.Number }) })
  })
  class Person extends Schema.Class<Person>("Person")({ name: Schema.String, age: Schema.Number }) {}
  const Shape = Schema.Union(
    Schema.Struct({ kind: Schema.Literal("circle"), radius: Schema.Number }),
    Schema.Struct({ kind: Schema.Literal("square"), side: Schema.Number })
  )
  interface Tree {
    readonly children: { readonly [name: string]: Tree }
  }
  const Tree: Schema.Schema<Tree> = Schema.Struct({
    children: Schema.Record({ key: Schema.String, value: Schema.suspend(() => Tree) })
  })
  const Passwords = Schema.Struct({ first: Schema.String, again: Schema.String }).pipe(
    Schema.filter(({ again, first }) => (first === again ? undefined : { path: ["again"], message: "is another" }))
  )

  const cases: ReadonlyArray<readonly [name: string, error: ParseResult.ParseError, value: string]> = [
    [
      "a record",
      decoding(Scores, { scores: { [HIDDEN]: 1 } }),
      "scores[key]: expected { readonly best: number }, was a number"
    ],
    ["below a record", decoding(Scores, { scores: { [HIDDEN]: {} } }), "scores[key].best: is missing"],
    [
      "a record alone",
      decoding(Schema.Record({ key: Schema.String, value: Schema.Number }), { [HIDDEN]: "x" }),
      "[key]: expected a number, was a string"
    ],
    ["several of them", decoding(Scores, { scores: { [HIDDEN]: {}, b: {} } }, ALL), "scores[key].best: is missing"],
    [
      "an unexpected key",
      decoding(Schema.Struct({ a: Schema.Number }), { a: 1, [HIDDEN]: 2 }, EXACT),
      "[key]: is unexpected"
    ],
    ["a class", decoding(Person, { name: "x" }), "age: is missing"],
    ["a union", decoding(Shape, { kind: HIDDEN }), 'kind: expected "circle" | "square", was a string'],
    ["a member of a union", decoding(Shape, { kind: "circle" }), "radius: is missing"],
    [
      "a recursive schema",
      decoding(Tree, { children: { [HIDDEN]: { children: { [HIDDEN]: {} } } } }),
      "children[key].children[key].children: is missing"
    ],
    ["a path of a filter", decoding(Passwords, { first: HIDDEN, again: "x" }), "again: is another"],
    [
      "an array",
      decoding(Schema.Struct({ tags: Schema.Array(Schema.Number) }), { tags: [1, HIDDEN] }),
      "tags[1]: expected a number, was a string"
    ],
    ["JSON that is none", decoding(Schema.parseJson(Schema.Number), `{"a": ${HIDDEN}}`), "is not valid JSON"]
  ]
  for (const [name, error, value] of cases) {
    it(`are not shown, names of the schema are: ${name}`, () => {
      assert.strictEqual(valueOf(error), value)
      for (const shown of [contextOf(error), fingerprintOf(error)]) assert.notInclude(JSON.stringify(shown), HIDDEN)
    })
  }

  it("do not split an issue", () => {
    const of = (key: string): ReadonlyArray<unknown> => [
      fingerprintOf(decoding(Scores, { scores: { [key]: 1 } })),
      fingerprintOf(decoding(Schema.Struct({ a: Schema.Number }), { a: 1, [key]: 2 }, EXACT))
    ]
    assert.deepStrictEqual(of("alice"), of("bob@example.com"))
    assert.notDeepEqual(of("alice")[0], of("alice")[1])
  })

  it("a schema without end comes to one", () => {
    const Loop: Schema.Schema<unknown> = Schema.suspend(() => Schema.Union(Loop, Loop))
    const issue = new ParseResult.Composite(
      Loop.ast,
      HIDDEN,
      new ParseResult.Pointer(HIDDEN, 1, new ParseResult.Unexpected(1))
    )
    assert.strictEqual(valueOf(ParseResult.parseError(issue)), "[key]: is unexpected")
  })
})

describe("what a schema did not accept", () => {
  const error = decoding(Schema.Struct({ pin: Schema.Struct({ code: Schema.Number }) }), { pin: { code: HIDDEN } })
  const said = "pin.code: expected a number, was a string"
  const shown = { name: "ParseError", message: said }

  it("is in no value that an error or its issue is a part of", () => {
    for (const show of [normalize, normalizeGiven]) {
      assert.deepStrictEqual(show(error), shown)
      assert.strictEqual(show(error.issue), said)
      assert.deepStrictEqual(show({ a: error, b: [error.issue], c: { d: new Map([["e", error]]) } }), {
        a: shown,
        b: [said],
        c: { d: { e: shown } }
      })
      assert.deepStrictEqual(show({ _tag: "ParseError", issue: Object.assign({}, error.issue) }), shown)
      for (const value of [Cause.fail(error), Cause.die(error), error.message, { text: error.message }]) {
        assert.notInclude(JSON.stringify(show(value)), HIDDEN)
      }
    }
    assert.strictEqual(describeValue([error.issue]), JSON.stringify([said]))
    assert.strictEqual(text(error.issue), said)
  })

  it("is in no issue, whatever its kind", () => {
    const { ast } = Schema.Number
    const type = new ParseResult.Type(ast, HIDDEN)
    for (const issue of [
      type,
      new ParseResult.Missing(new AST.Type(ast)),
      new ParseResult.Unexpected(HIDDEN),
      new ParseResult.Unexpected(HIDDEN, `is unexpected: ${HIDDEN}`),
      new ParseResult.Forbidden(ast, HIDDEN),
      new ParseResult.Type(ast, HIDDEN, `not ${HIDDEN}`),
      new ParseResult.Type(ast, HIDDEN.repeat(1000), HIDDEN.repeat(1000)),
      new ParseResult.Pointer(HIDDEN, { [HIDDEN]: HIDDEN }, type),
      new ParseResult.Composite(ast, HIDDEN, [type], HIDDEN),
      new ParseResult.Refinement(ast as never, HIDDEN, "From", type),
      new ParseResult.Transformation(ast as never, HIDDEN, "Type", type)
    ]) {
      assert.isString(normalize(issue))
      for (const value of [normalize(issue), normalize([issue]), normalizeGiven({ issue })]) {
        assert.notInclude(JSON.stringify(value), HIDDEN)
      }
    }
  })

  it("is in no words of the schema's author, however deep in the value it is", () => {
    const Deep = Schema.Struct({ a: Schema.Struct({ b: Schema.Array(Schema.Number) }) }).annotations({
      message: ({ actual }) => `bad: ${String((actual as { a: { b: ReadonlyArray<unknown> } }).a.b[0])}`
    })
    assert.strictEqual(valueOf(decoding(Deep, { a: { b: [HIDDEN] } })), "bad: [Filtered]")
    const shy = decoding(Schema.String.annotations({ message: () => "bad" }), { toJSON: () => undefined })
    assert.strictEqual(valueOf(shy), "bad")
    const Odd = Schema.String.annotations({ message: ({ actual }) => `bad: ${String(actual)}` })
    assert.strictEqual(valueOf(decoding(Odd, { toString: () => HIDDEN })), "bad: [Filtered]")
  })

  it("is in no text of Effect's own, on whatever line", () => {
    for (const schema of [
      Schema.Struct({ a: Schema.NumberFromString }),
      Schema.Struct({ a: Schema.BigInt }),
      Schema.Struct({ a: Schema.TemplateLiteralParser("a", Schema.Number) }),
      Schema.Struct({ a: Schema.DateTimeUtc }),
      Schema.Struct({ a: Schema.URL }),
      Schema.Struct({ a: Schema.parseJson() })
    ]) {
      const { message } = decoding(schema, { a: `${HIDDEN} into a b "` })
      assert.include(message, HIDDEN)
      assert.notInclude(scrubText(message), HIDDEN)
      assert.strictEqual(scrubText(message).split("\n").length, message.split("\n").length)
    }
  })

  it("plain data that only looks a little like an issue stays what it is", () => {
    for (const value of [
      { _tag: "Type", ast: 1 },
      { _tag: "Unexpected", actual: 1 },
      { _tag: "Missing", actual: 1 },
      { _tag: "ParseError", issue: "ISSUE-7" },
      { _tag: "Order", actual: 1, ast: {} }
    ]) {
      assert.deepStrictEqual(normalize(value), value)
    }
  })
})
