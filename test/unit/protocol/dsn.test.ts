import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { type Dsn, describeDsn, envelopeUrl, isDsnProblem, parseDsn } from "../../../src/protocol/Dsn.js"

const parsed = (text: string): Dsn => {
  const dsn = parseDsn(text)
  if (isDsnProblem(dsn)) throw new Error(`${text}: ${dsn.reason}`)
  return dsn
}

const problem = (text: string): string => {
  const dsn = parseDsn(text)
  if (!isDsnProblem(dsn)) throw new Error(`${text} was accepted`)
  return dsn.reason
}

describe("Dsn", () => {
  describe("endpoint", () => {
    const endpoints: ReadonlyArray<readonly [dsn: string, url: string, more?: Partial<Dsn>]> = [
      [
        "https://k@o7.ingest.us.sentry.io/42",
        "https://o7.ingest.us.sentry.io/api/42/envelope/",
        { orgId: "7", publicKey: "k", secretKey: undefined, projectId: "42", path: "", port: "" }
      ],
      ["https://k:s@host/42", "https://host/api/42/envelope/", { publicKey: "k", secretKey: "s", orgId: undefined }],
      ["http://k@host:9000/42", "http://host:9000/api/42/envelope/", { orgId: undefined, port: "9000" }],
      ["https://k@host/a/b/42", "https://host/a/b/api/42/envelope/", { path: "/a/b" }],
      ["http://k@[::1]:8080/42", "http://[::1]:8080/api/42/envelope/", { host: "[::1]", port: "8080" }],
      ["http://k@[2001:db8::7]/a/42", "http://[2001:db8::7]/a/api/42/envelope/", { host: "[2001:db8::7]", path: "/a" }],
      ["https://k@127.0.0.1/1", "https://127.0.0.1/api/1/envelope/"],
      ["https://k@host/42/", "https://host/api/42/envelope/"],
      ["https://k@host//a//42", "https://host/a/api/42/envelope/"],
      ["https://k@host:/42", "https://host/api/42/envelope/"],
      ["https://k:@host/42", "https://host/api/42/envelope/", { secretKey: undefined }],
      ["https://k@host/42?x=1#y", "https://host/api/42/envelope/"],
      ["  https://k@host/42\n", "https://host/api/42/envelope/"],
      ["https://k@host/007", "https://host/api/007/envelope/", { projectId: "007" }],
      [
        "https://k@host/12345678901234567890",
        "https://host/api/12345678901234567890/envelope/",
        { projectId: "12345678901234567890" }
      ],
      ["https://k@o12.sentry.io:8443/a/42", "https://o12.sentry.io:8443/a/api/42/envelope/", { orgId: "12" }],
      ["https://k@sentry.o12.io/42", "https://sentry.o12.io/api/42/envelope/", { orgId: undefined }]
    ]
    for (const [text, url, more = {}] of endpoints) {
      it(JSON.stringify(text), () => {
        const dsn = parsed(text)
        assert.strictEqual(envelopeUrl(dsn), url)
        assert.strictEqual(new URL(envelopeUrl(dsn)).href, url)
        for (const key of Object.keys(more) as Array<keyof Dsn>) assert.strictEqual(dsn[key], more[key], key)
      })
    }

    it.prop(
      "every part is where it belongs",
      {
        protocol: fc.constantFrom("http", "https"),
        publicKey: fc.stringMatching(/^[0-9a-z]{1,32}$/),
        secretKey: fc.option(fc.stringMatching(/^[0-9a-z]{1,32}$/), { nil: undefined }),
        host: fc.oneof(
          fc.domain(),
          fc.ipV4(),
          fc.ipV6().map((ip) => `[${ip}]`)
        ),
        port: fc.option(fc.integer({ min: 1, max: 65535 }).map(String), { nil: "" }),
        path: fc.array(fc.stringMatching(/^[a-zA-Z0-9_.~-]{1,8}$/), { maxLength: 3 }),
        projectId: fc.stringMatching(/^[0-9]{1,20}$/)
      },
      ({ host, path, port, projectId, protocol, publicKey, secretKey }) => {
        const prefix = path.map((segment) => `/${segment}`).join("")
        const origin = `${protocol}://${host}${port === "" ? "" : `:${port}`}`
        const secret = secretKey === undefined ? "" : `:${secretKey}`
        const dsn = parsed(
          `${protocol}://${publicKey}${secret}@${host}${port === "" ? "" : `:${port}`}${prefix}/${projectId}`
        )
        assert.strictEqual(dsn.publicKey, publicKey)
        assert.strictEqual(dsn.secretKey, secretKey)
        assert.strictEqual(envelopeUrl(dsn), `${origin}${prefix}/api/${projectId}/envelope/`)
        assert.strictEqual(describeDsn(dsn), `${origin}${prefix}/${projectId}`)
      }
    )
  })

  describe("malformed", () => {
    const malformed: ReadonlyArray<readonly [dsn: string, reason: RegExp]> = [
      ["https://host/42", /public key/],
      ["https://@host/42", /public key/],
      ["https://:s@host/42", /public key/],
      ["https://k@host/", /project id/],
      ["https://k@host", /project id/],
      ["https://k@host/abc", /project id/],
      ["https://k@host/4 2", /project id/],
      ["https://k@host/-1", /project id/],
      ["https://k@host/1.5", /project id/],
      ["https://k@host/42/abc", /project id/],
      ["ftp://k@host/1", /protocol/],
      ["HTTPS://k@host/1", /protocol/],
      ["https://k@host:xx/1", /port/],
      ["https://k@host:-1/1", /port/],
      ["https://k@:80/1", /host/],
      ["https://k@/1", /host/],
      ["k@host/1", /form/],
      ["not a dsn", /form/],
      ["//k@host/1", /form/],
      ["https:k@host/1", /form/],
      ["https://", /public key/]
    ]
    for (const [text, reason] of malformed) it(JSON.stringify(text), () => assert.match(problem(text), reason))

    // What is accepted here is handed to `new URL` and to `http.request`, which throw.
    const unusable = [
      "https://k@host:65536/1",
      "https://k@host:99999/1",
      "https://k@ho st/1",
      "https://k@[zz]/1",
      "https://k@[]/1",
      "https://k@h%zz/1",
      "https://k@<host>/1",
      "https://k@ho|st/1"
    ]
    for (const text of unusable) {
      it(`no address: ${text}`, () => assert.match(problem(text), /port|host/))
    }
    for (const key of ["k\nx", "k\u{1f600}", "k\u0000"]) {
      it(`no key that a header can carry: ${JSON.stringify(key)}`, () =>
        assert.match(problem(`https://${key}@host/1`), /key/))
    }

    it.prop(
      "whatever is accepted is an address",
      [fc.webUrl({ withQueryParameters: true }), fc.string()],
      ([url, text]) => {
        for (const candidate of [text, `https://k@${text}/1`, url.replace("://", "://k@"), `https://k@${text}`]) {
          const dsn = parseDsn(candidate)
          if (isDsnProblem(dsn)) continue
          assert.doesNotThrow(() => new URL(envelopeUrl(dsn)), undefined, undefined, JSON.stringify(candidate))
        }
      }
    )
  })

  describe("keys", () => {
    const PUBLIC = "abcdef0123456789public"
    const SECRET = "fedcba9876543210secret"
    const shown: ReadonlyArray<readonly [how: string, show: (dsn: Dsn) => unknown]> = [
      ["JSON.stringify", JSON.stringify],
      ["JSON.stringify, nested", (dsn) => JSON.stringify({ a: [dsn] })],
      ["String", String],
      ["inspect", inspect],
      ["inspect, everything", (dsn) => inspect(dsn, { showHidden: true, depth: 9, getters: true })],
      ["inspect, raw", (dsn) => inspect(dsn, { showHidden: true, customInspect: false })],
      ["inspect, nested", (dsn) => inspect({ a: [dsn] }, { depth: 9 })],
      ["own entries", (dsn) => JSON.stringify(Object.entries(dsn))],
      ["spread", (dsn) => JSON.stringify({ ...dsn })],
      ["structuredClone", (dsn) => JSON.stringify(structuredClone(dsn))],
      ["describeDsn", describeDsn],
      ["envelopeUrl", envelopeUrl]
    ]
    for (const [how, show] of shown) {
      it(`not in ${how}`, () => {
        const text = String(show(parsed(`https://${PUBLIC}:${SECRET}@host:1/a/42`)))
        assert.include(text, "host")
        assert.notInclude(text, PUBLIC)
        assert.notInclude(text, SECRET)
      })
    }

    it("what is shown says which server and project", () => {
      const dsn = parsed(`https://${PUBLIC}@host:1/a/42`)
      assert.strictEqual(String(dsn), "https://host:1/a/42")
      assert.strictEqual(JSON.stringify({ dsn }), '{"dsn":"https://host:1/a/42"}')
      assert.strictEqual(inspect(dsn), "Dsn(https://host:1/a/42)")
    })

    const slips = [
      `https://${PUBLIC}:${SECRET}@host:port/1`,
      `https://${PUBLIC}:${SECRET}@host/abc`,
      `https://${PUBLIC}:${SECRET}@host`,
      `https://${PUBLIC}:${SECRET}@/1`,
      `ftp://${PUBLIC}:${SECRET}@host/1`,
      `${PUBLIC}:${SECRET}@host/1`,
      `https//${PUBLIC}:${SECRET}@host/1`,
      // The key on the wrong side of the protocol.
      `${PUBLIC}@https://host/1`,
      `${PUBLIC}:${SECRET}@https://host/1`,
      // A secret with a character that separates the parts.
      `https://${PUBLIC}:x@${SECRET}@host/1`,
      `https://${PUBLIC}:x/${SECRET}@host/1`,
      `https://${PUBLIC}:x#${SECRET}@host/1`,
      `https://x@y:${SECRET}@host/1`
    ]
    for (const text of slips) {
      it(`not in what is said about ${text.replace(PUBLIC, "<key>").replace(SECRET, "<secret>")}`, () => {
        const dsn = parseDsn(text)
        const said = isDsnProblem(dsn) ? dsn.reason : String(dsn)
        assert.notInclude(said, PUBLIC)
        assert.notInclude(said, SECRET)
      })
    }

    it("is one of a kind: an object that merely has a reason is no DSN", () => {
      assert.isTrue(isDsnProblem({ reason: "x" }))
      assert.isFalse(isDsnProblem(parsed("https://k@host/1")))
    })
  })
})
