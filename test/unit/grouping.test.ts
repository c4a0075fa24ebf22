/**
 * Which errors are one issue, and which are not: a corpus of errors as programs have them, in groups. Errors of one group must have
 * the same fingerprint, errors of different groups different ones.
 */
import { runInNewContext } from "node:vm"
import * as PlatformError from "@effect/platform/Error"
import * as HttpApiError from "@effect/platform/HttpApiError"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as WorkerError from "@effect/platform/WorkerError"
import * as RpcClientError from "@effect/rpc/RpcClientError"
import * as SqlError from "@effect/sql/SqlError"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as fc from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { contextOf, typeOf, valueOf } from "../../src/event/describe.js"
import { fingerprintOf, templateOf } from "../../src/event/grouping.js"
import { anyRecipe, build } from "./support/values.js"

class UserNotFound extends Data.TaggedError("UserNotFound")<{ readonly id: string }> {
  override get message() {
    return `There is no user ${this.id}`
  }
}
class CardDeclined extends Data.TaggedError("CardDeclined")<{
  readonly reason: string
  readonly amount: number
  readonly at?: Date
}> {}
class StorageError extends Data.TaggedError("StorageError")<{ readonly message: string; readonly cause?: unknown }> {}
class Quiet extends Data.TaggedError("Quiet") {}
class ApiFailure extends Data.TaggedError("ApiFailure")<{ readonly status: number; readonly requestId: string }> {}
class Upstream extends Data.TaggedError("Upstream")<{
  readonly reason: { readonly _tag: string }
  readonly ms: number
}> {}
class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  sku: Schema.String,
  left: Schema.Number,
  token: Schema.Redacted(Schema.String)
}) {}
class Named extends Data.TaggedError("Named")<{ readonly name: string; readonly message: string }> {}
class Locked extends Schema.TaggedError<Locked>()("Locked", { message: Schema.String, account: Schema.String }) {}

const Person = Schema.Struct({
  name: Schema.String,
  age: Schema.Number,
  tags: Schema.Array(Schema.NonEmptyString),
  born: Schema.optional(Schema.NumberFromString)
}).annotations({ identifier: "Person" })
const Order = Schema.Struct({ age: Schema.Number }).annotations({ identifier: "Order" })

const failureIn = (effect: Effect.Effect<unknown, unknown>): unknown =>
  Cause.squash(Option.getOrThrow(Exit.causeOption(Effect.runSyncExit(effect))))

const decoding = <A, I>(schema: Schema.Schema<A, I>, value: unknown): unknown =>
  failureIn(Schema.decodeUnknown(schema)(value))

const config = (
  effect: Effect.Effect<unknown, unknown>,
  entries: ReadonlyArray<readonly [string, string]> = []
): unknown => failureIn(Effect.withConfigProvider(effect, ConfigProvider.fromMap(new Map(entries))))

const notAnswered = (url: string, code = "ECONNREFUSED"): unknown =>
  new HttpClientError.RequestError({
    request: HttpClientRequest.get(url),
    reason: "Transport",
    cause: Object.assign(new Error(`connect ${code}`), { code })
  })

const fetchFailed = (code: string, what: string): unknown =>
  new HttpClientError.RequestError({
    request: HttpClientRequest.get("https://deep.example.com/a"),
    reason: "Transport",
    cause: new TypeError("fetch failed", { cause: Object.assign(new Error(`${code} ${what}`), { code }) })
  })

const fetchFailedEverywhere = (code: string): unknown =>
  new HttpClientError.RequestError({
    request: HttpClientRequest.get("https://deep.example.com/a"),
    reason: "Transport",
    cause: new TypeError("fetch failed", {
      cause: new AggregateError([Object.assign(new Error("no answer"), { code })])
    })
  })

const answered = (url: string, status: number, reason: "StatusCode" | "Decode" = "StatusCode"): unknown => {
  const request = HttpClientRequest.get(url)
  const response = HttpClientResponse.fromWeb(request, new Response("", { status }))
  return new HttpClientError.ResponseError({ request, response, reason })
}

const driver = (code: string, message: string): unknown => Object.assign(new Error(message), { code })
const sql = (code: string, message: string): unknown =>
  new SqlError.SqlError({ cause: driver(code, message), message: "Failed to execute statement" })
const system = (reason: "NotFound" | "PermissionDenied", method: string, path: string): unknown =>
  new PlatformError.SystemError({ reason, module: "FileSystem", method, pathOrDescriptor: path })

const groups: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  "a user that is not there": [
    new UserNotFound({ id: "u1" }),
    new UserNotFound({ id: "alice" }),
    new UserNotFound({ id: "7b0c7ae8-6a2f-4a53-a0a5-0a9f6c2ab0a7" })
  ],
  "a card without funds": [
    new CardDeclined({ reason: "insufficient_funds", amount: 12 }),
    new CardDeclined({ reason: "insufficient_funds", amount: 1200, at: new Date(0) })
  ],
  "a card that was stolen": [new CardDeclined({ reason: "stolen", amount: 12 })],
  "a card declined for a reason in words": [
    new CardDeclined({ reason: "Call 0800 123 about case 17", amount: 1 }),
    new CardDeclined({ reason: "Call 0800 456 about case 18", amount: 1 })
  ],
  "a bucket that is not there": [
    new StorageError({ message: 'no bucket "photos"' }),
    new StorageError({ message: 'no bucket "archive-2026"' })
  ],
  "a write that took too long": [
    new StorageError({ message: "write of 12.5 MB took 3201ms" }),
    new StorageError({ message: "write of 1 MB took 900 ms" })
  ],
  "a file that cannot be written": [
    new StorageError({ message: "cannot write /var/lib/app/a.bin at 2026-11-26T15:51:46.000Z" }),
    new StorageError({ message: "cannot write /var/lib/app/cache/x/b.bin at 2027-01-02T01:02:03Z" })
  ],
  "a person that is not there": [
    new Named({ name: "alice", message: "no user alice" }),
    new Named({ name: "bob", message: "no user bob" })
  ],
  "a fetch that was refused": [fetchFailed("ECONNREFUSED", "127.0.0.1:1"), fetchFailed("ECONNREFUSED", "127.0.0.1:2")],
  "a fetch to a host that nobody knows": [fetchFailed("ENOTFOUND", "nowhere.example")],
  "a fetch that none of the addresses answered": [fetchFailedEverywhere("ETIMEDOUT")],
  "a host that does not answer": [
    new StorageError({ message: "no answer from 10.0.0.12:9000 (https://s3.example.com/b?x=1)" }),
    new StorageError({ message: "no answer from 10.0.7.1:9001 (https://s3.example.com/c)" })
  ],
  "a mail that did not go out": [
    new StorageError({ message: "no mail to jane@example.com" }),
    new StorageError({ message: "no mail to joe.doe@sub.example.org" })
  ],
  "storage, because of a type error": [
    new StorageError({ message: "failed", cause: new TypeError("x") }),
    new StorageError({ message: "failed", cause: new TypeError("y is undefined") })
  ],
  "storage, because of a refused connection": [
    new StorageError({ message: "failed", cause: driver("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:1") })
  ],
  "storage, because of a reset connection": [
    new StorageError({ message: "failed", cause: driver("ECONNRESET", "read ECONNRESET") })
  ],
  "what says nothing": [new Quiet(), new Quiet()],
  "an API that is down": [
    new ApiFailure({ status: 503, requestId: "req_1" }),
    new ApiFailure({ status: 503, requestId: "req_9f8e7d" })
  ],
  "an API that says no": [new ApiFailure({ status: 403, requestId: "req_1" })],
  "upstream, rate limited": [
    new Upstream({ reason: { _tag: "RateLimited" }, ms: 5 }),
    new Upstream({ reason: { _tag: "RateLimited" }, ms: 6 })
  ],
  "upstream, gone": [new Upstream({ reason: { _tag: "Gone" }, ms: 5 })],
  "out of stock": [
    new OutOfStock({ sku: "A-1", left: 3, token: Redacted.make("t1") }),
    new OutOfStock({ sku: "blue-shirt", left: 0, token: Redacted.make("t2") })
  ],
  "a locked account": [
    new Locked({ message: "account acme is locked", account: "acme" }),
    new Locked({ message: "account initech is locked", account: "initech" })
  ],
  "a person without a name": [
    decoding(Person, { age: 1, tags: [] }),
    decoding(Person, { age: 99, tags: ["a", "b"] }),
    decoding(Person, { age: "of no matter", tags: [] })
  ],
  "a person whose age is no number": [
    decoding(Person, { name: "Jane", age: "forty", tags: [] }),
    decoding(Person, { name: "Joe", age: "12", tags: ["x"] })
  ],
  "a person without an age": [decoding(Person, { name: "Jane", tags: [] })],
  "a person with an empty tag": [
    decoding(Person, { name: "Jane", age: 1, tags: [""] }),
    decoding(Person, { name: "Joe", age: 1, tags: ["a", "b", ""] })
  ],
  "a person born on no number": [
    decoding(Person, { name: "Jane", age: 1, tags: [], born: "x" }),
    decoding(Person, { name: "Jane", age: 1, tags: [], born: "yesterday" })
  ],
  "an order whose age is no number": [decoding(Order, { age: "x" })],
  "a timeout": [
    new Cause.TimeoutException("Operation timed out after '20ms'"),
    new Cause.TimeoutException("Operation timed out after '1m 5s'")
  ],
  "nothing there": [new Cause.NoSuchElementException(), failureIn(Option.none())],
  "a wrong argument": [
    new Cause.IllegalArgumentException("must be above 5"),
    new Cause.IllegalArgumentException("must be above 7")
  ],
  "a port that is no number": [
    config(Config.number("PORT"), [["PORT", "abc"]]),
    config(Config.number("PORT"), [["PORT", "hunter2"]])
  ],
  "a port that is not set": [config(Config.number("PORT"))],
  "a host that is not set": [config(Config.string("HOST"))],
  "a file that is not there": [
    system("NotFound", "open", "/srv/a.txt"),
    system("NotFound", "open", "/srv/deep/er/b-1.txt")
  ],
  "a file that may not be opened": [system("PermissionDenied", "open", "/srv/a.txt")],
  "a folder that is not there": [system("NotFound", "readDirectory", "/srv")],
  "a wrong argument for a file": [
    new PlatformError.BadArgument({ module: "FileSystem", method: "open", description: "x" })
  ],
  "a server that refuses": [
    notAnswered("http://db.example.com/a/1?token=s3cret"),
    notAnswered("http://db.example.com/b/2")
  ],
  "another server that refuses": [notAnswered("http://mail.example.com/a/1")],
  "a server that hangs up": [notAnswered("http://db.example.com/a/1", "ECONNRESET")],
  "a server that has failed": [
    answered("http://db.example.com/users/42", 500),
    answered("http://db.example.com/users/7?q=x", 500)
  ],
  "a server that finds nothing": [answered("http://db.example.com/users/42", 404)],
  "a server that answers what cannot be read": [answered("http://db.example.com/users/42", 200, "Decode")],
  "a row that is there already": [
    sql("23505", 'duplicate key value violates unique constraint "users_email"'),
    sql("23505", 'duplicate key value violates unique constraint "orders_id"')
  ],
  "a table that is not there": [sql("42P01", 'relation "users" does not exist')],
  "a database that does not answer": [sql("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:5432")],
  "rows that are too few": [
    new SqlError.ResultLengthMismatch({ expected: 3, actual: 2 }),
    new SqlError.ResultLengthMismatch({ expected: 30, actual: 0 })
  ],
  "a worker that cannot start": [
    new WorkerError.WorkerError({ reason: "spawn", cause: new Error("x") }),
    new WorkerError.WorkerError({ reason: "spawn", cause: new Error("y") })
  ],
  "a worker that cannot read": [new WorkerError.WorkerError({ reason: "decode", cause: new Error("x") })],
  "an RPC that broke off": [
    new RpcClientError.RpcClientError({ reason: "Protocol", message: "closed with 1006" }),
    new RpcClientError.RpcClientError({ reason: "Protocol", message: "closed with 1001" })
  ],
  "an RPC that nobody understands": [
    new RpcClientError.RpcClientError({ reason: "Unknown", message: "closed with 1006" })
  ],
  "a 404 of an API": [new HttpApiError.NotFound(), new HttpApiError.NotFound()],
  "a 401 of an API": [new HttpApiError.Unauthorized()],
  "a tagged object": [
    { _tag: "Plain", id: 1 },
    { _tag: "Plain", id: 2 }
  ],
  "a tagged object with a code": [{ _tag: "Plain", code: "E_ACCESS" }],
  "an object with an id": [{ id: 1 }, { id: "x" }],
  "an object with a name": [{ name: "x" }],
  "an object that says what it is": [{ message: "attempt 3 of 5 failed" }, { message: "attempt 4 of 5 failed" }],
  "a text": ["no luck today", "no luck today"],
  "a text with a number": ["gave up after 3 attempts", "gave up after 17 attempts"],
  "a text with ids": ["order 4e1f0c9a3b7d missing", "order 9b8a7c6d5e4f missing"],
  "a tagged error of another realm": [
    runInNewContext('Object.assign(new Error("x 1"), { _tag: "Far" })'),
    runInNewContext('Object.assign(new Error("x 2"), { _tag: "Far" })')
  ]
}

const corpus = Object.entries(groups).flatMap(([group, errors]) => errors.map((error) => ({ group, error })))

describe("the grouping of typed errors", () => {
  it("is shown on a corpus of some size", () => {
    assert.isAtLeast(corpus.length, 60)
    assert.isAtLeast(Object.keys(groups).length, 40)
  })

  for (const [group, errors] of Object.entries(groups)) {
    it(`${group}: one issue`, () => {
      const fingerprints = errors.map(fingerprintOf)
      for (const fingerprint of fingerprints) {
        if (fingerprint === undefined) assert.fail("no fingerprint")
        assert.deepStrictEqual(fingerprint, fingerprints[0])
        assert.strictEqual(fingerprint[0], "{{ default }}")
        assert.strictEqual(fingerprint[1], typeOf(errors[0]))
        for (const part of fingerprint) assert.isAtMost(part.length, 200)
        assert.isAtMost(fingerprint.length, 32)
      }
    })
  }

  it("no two groups are one issue", () => {
    const byFingerprint = new Map<string, string>()
    for (const { error, group } of corpus) {
      const key = JSON.stringify(fingerprintOf(error))
      const other = byFingerprint.get(key)
      assert.isTrue(other === undefined || other === group, `${group} and ${other} are both ${key}`)
      byFingerprint.set(key, group)
    }
  })

  it("every one of them says something, for a person to read, and nothing secret", () => {
    for (const { error, group } of corpus) {
      const value = valueOf(error)
      assert.isAbove(value.length, 0, group)
      const text = JSON.stringify([value, contextOf(error), fingerprintOf(error)])
      for (const secret of ["hunter2", "forty", "yesterday", "s3cret", "t1", "of no matter"]) {
        assert.notInclude(text, secret, group)
      }
    }
  })

  it("other errors are left to the server, which tells them apart by themselves", () => {
    class Named extends Error {
      override name = "Named"
    }
    for (const error of [new Error("x"), new TypeError("x"), new Named("x"), new AggregateError([], "x")]) {
      assert.isUndefined(fingerprintOf(error))
    }
  })

  it.prop("never throws, whatever was thrown", [anyRecipe], ([recipe]) => {
    const fingerprint = fingerprintOf(build(recipe))
    for (const part of fingerprint ?? []) assert.isString(part)
  })
})

describe("templateOf", () => {
  const templates: ReadonlyArray<readonly [text: string, template: string]> = [
    ["no luck", "no luck"],
    ["user 42 not found", "user <n> not found"],
    ["users 1, 2, 3 not found", "users <n> not found"],
    ['key "a b" is taken', "key <text> is taken"],
    ["can't read it", "can't read it"],
    ["'x' and 'y' clash", "<text> clash"],
    ["see https://a.example.com/b?c=1#d now", "see <url> now"],
    ["mail to a.b@c.example", "mail to <email>"],
    ["open /var/log/x.log failed", "open <path> failed"],
    ["open C:\\temp\\x.log failed", "open <path> failed"],
    ["took 12ms", "took <n>"],
    ["took 12 ms", "took <n>"],
    ["1.5 MB of 20MB", "<n> of <n>"],
    ["50% done", "<n> done"],
    ["7b0c7ae8-6a2f-4a53-a0a5-0a9f6c2ab0a7 gone", "<n> gone"],
    ["deadbeefcafe gone", "<n> gone"],
    ["at 2026-11-26T15:51:46.000Z", "at <n>"],
    ["at Thu Nov 26 2026 15:51:46 GMT+0000", "at <n>"],
    ["10.0.0.1:80 refused", "<n> refused"],
    ["either/or", "either/or"],
    ["", ""]
  ]
  for (const [text, template] of templates)
    it(JSON.stringify(text), () => assert.strictEqual(templateOf(text), template))

  it.prop("is the same for any number", [fc.nat(), fc.nat()], ([a, b]) => {
    assert.strictEqual(templateOf(`row ${a} of ${b} bytes`), templateOf(`row ${b} of ${a} bytes`))
  })

  it.prop("is a template of its own, and takes no time", [fc.fullUnicodeString({ maxLength: 2000 })], ([text]) => {
    const template = templateOf(text)
    assert.isAtMost(template.length, 256 * 8)
  })
})
