import { rootCertificates } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as fc from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { DsnError, type Options, type ResolvedOptions, resolveOptions } from "../../../src/hub/Options.js"
import { OptionsError } from "../../../src/protocol/OptionsError.js"
import { build, HIDDEN, treeRecipe } from "../support/values.js"

const resolve = (options: object): ResolvedOptions => resolveOptions(options, "the-host")

const problem = (options: object): DsnError | OptionsError => {
  try {
    resolve(options)
  } catch (error) {
    if (error instanceof DsnError || error instanceof OptionsError) return error
    throw error
  }
  throw new Error(`${JSON.stringify(options)} was accepted`)
}

const optionProblem = (options: object): OptionsError => {
  const error = problem(options)
  assert.instanceOf(error, OptionsError)
  return error
}

const text = "x"
const flag = true
const list = ["x"]
const go = (): null => null

/** For each option: what it takes, and what it does not. */
const options: {
  readonly [K in keyof Options]-?: readonly [right: ReadonlyArray<unknown>, wrong: ReadonlyArray<unknown>]
} = {
  dsn: [
    ["https://k@host/1", Redacted.make("https://k@host/1"), "", Redacted.make("")],
    [5, null, {}, flag, new URL("https://k@host/1"), Redacted.make(5), Redacted.make(undefined)]
  ],
  release: [
    [text, ""],
    [5, null, {}, flag]
  ],
  environment: [
    [text, ""],
    [5, null, {}, flag]
  ],
  dist: [
    [text, ""],
    [5, null]
  ],
  serverName: [
    [text, ""],
    [5, null, flag]
  ],
  sampleRate: [
    [0, 1, 0.5],
    [-0.1, 1.1, Number.NaN, Number.POSITIVE_INFINITY, "0.5", null, flag]
  ],
  errorSampler: [[go], [1, null, "x", {}]],
  maxBreadcrumbs: [
    [0, 1, 1000],
    [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "100", null]
  ],
  beforeSend: [[go], [null, "x", {}, flag]],
  beforeBreadcrumb: [[go], [null, "x", {}, flag]],
  enableLogs: [
    [true, false],
    [1, "true", null]
  ],
  beforeSendLog: [[go], [null, "x", {}, flag]],
  ignoreErrors: [
    [[], ["x", /x/, TypeError]],
    ["x", /x/, [5], [null], [{}], [() => 1], null]
  ],
  policy: [
    [
      [],
      [{ tag: "A", ignore: true }],
      [{ tag: ["A", "B"], level: "warning", defects: true, ignore: undefined }],
      [{ class: TypeError, handled: false }],
      [{ status: 404, fingerprint: ["x"] }],
      [{ status: [404, "5xx"], tags: { a: 1 } }],
      [{ when: go, fingerprint: go, tags: go }]
    ],
    [
      null,
      "x",
      {},
      [null],
      ["x"],
      [[]],
      [{}],
      [{ tag: "A" }],
      [{ tag: "A", defects: true }],
      [{ ignore: true }],
      [{ tag: 5, ignore: true }],
      [{ tag: [], ignore: true }],
      [{ class: "A", ignore: true }],
      [{ class: () => 1, ignore: true }],
      [{ tag: "A", fingerprint: [] }],
      [{ status: "6xx", ignore: true }],
      [{ status: 99, ignore: true }],
      [{ status: 404.5, ignore: true }],
      [{ when: true, ignore: true }],
      [{ tag: "A", ignore: "yes" }],
      [{ tag: "A", level: "warn" }],
      [{ tag: "A", handled: 1 }],
      [{ tag: "A", fingerprint: "x" }],
      [{ tag: "A", fingerprint: [5] }],
      [{ tag: "A", tags: ["x"] }],
      [{ tag: "A", ignored: true }]
    ]
  ],
  sourceMaps: [
    [true, false],
    [0, "true", null]
  ],
  shutdownTimeout: [
    [0, 100, "2 seconds", Duration.seconds(1), [1, 0], 5n],
    ["soon", "2", null, {}, flag, "-", Number.NaN]
  ],
  sendDefaultPii: [
    [true, false],
    [1, "true", null]
  ],
  attachStacktrace: [
    [true, false],
    [1, "true", null]
  ],
  maxValueLength: [
    [0, 100],
    [-1, 1.5, "100", null]
  ],
  inAppInclude: [
    [[], list],
    ["x", [5], [/x/], null]
  ],
  inAppExclude: [
    [[], list],
    ["x", [5], [/x/], null]
  ],
  frameContextLines: [
    [0, 5],
    [-1, 1.5, "5", null]
  ],
  projectRoot: [[text], [5, null]],
  debug: [
    [true, false],
    [1, "true", null]
  ],
  defaultIntegrations: [
    [true, false],
    [[], "false", null]
  ],
  transport: [[{ open: go }], [null, {}, go, "x", { open: 5 }]],
  profile: [
    ["sentry", "glitchtip", "bugsink", "telebugs", "minimal"],
    [null, {}, "Sentry", "", "toString", 5]
  ],
  spool: [[{ open: go }], [null, {}, go, "x", { open: 5 }]],
  initialScope: [
    [{}, { tags: { a: 1 } }],
    [null, "x", [], go]
  ],
  budget: [
    [flag, false, {}, { burst: 1 }, { burst: 5, perMinute: 0 }, { perMinute: 0.5 }],
    [5, null, "x", [], { burst: 0 }, { burst: 1.5 }, { perMinute: -1 }, { perMinute: Number.NaN }, { perSecond: 1 }]
  ],
  spanTags: [
    [list, []],
    [5, null, "x", [5], {}]
  ],
  tracePropagationTargets: [
    [[], ["x", /x/]],
    ["x", /x/, [5], null]
  ],
  tunnel: [
    ["https://own.example/errors?x=1", "http://[::1]:8000", ""],
    [5, null, {}, text, "/errors", "ftp://own.example/", "https://user:password@own.example/"]
  ],
  proxy: [
    ["http://proxy.example:3128", "https://u:p@proxy.example", "proxy.example:3128", Redacted.make("http://p"), ""],
    [5, null, {}, "socks5://proxy.example", "http://", Redacted.make(5)]
  ],
  caCerts: [
    [rootCertificates[0], rootCertificates.slice(0, 3), rootCertificates.slice(0, 3).join("\n"), []],
    [
      5,
      null,
      {},
      [5],
      "-----BEGIN CERTIFICATE-----",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
      "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
      [rootCertificates[0], import.meta.filename]
    ]
  ],
  spotlight: [
    [flag, false, "", "http://localhost:1234/stream"],
    [5, null, {}, text, "ftp://localhost/", "http://user:password@localhost/"]
  ],
  maxQueueSize: [
    [0, 10],
    [-1, 1.5, "10", null]
  ],
  maxQueueBytes: [
    [0, 10],
    [-1, 1.5, "10", null]
  ],
  maxAttachmentBytes: [
    [0, 10],
    [-1, 1.5, "10", null]
  ],
  sendClientReports: [
    [true, false],
    [1, null]
  ]
}

const named = Object.entries(options)

describe("resolveOptions", () => {
  for (const [option, [right, wrong]] of named) {
    it(`${option}: takes what is right, and nothing`, () => {
      for (const value of [...right, undefined]) assert.doesNotThrow(() => resolve({ [option]: value }))
    })

    it(`${option}: says what is wrong with anything else`, () => {
      for (const value of wrong) {
        const error = optionProblem({ [option]: value })
        assert.strictEqual(error.option, option)
        assert.include(error.message, `"${option}"`)
        assert.match(error.message, /must be/)
      }
    })
  }

  it("knows all of its options", () => {
    const all = Object.fromEntries(named.map(([option, [[value]]]) => [option, value]))
    const resolved = resolve(all)
    const renamed: Record<string, keyof ResolvedOptions> = { shutdownTimeout: "shutdownTimeoutMillis" }
    for (const option of Object.keys(all)) {
      assert.property(resolved, renamed[option] ?? option)
    }
  })

  it("defaults", () => {
    const { projectRoot, ...defaults } = resolve({})
    assert.strictEqual(projectRoot, process.cwd())
    assert.deepStrictEqual(defaults, {
      dsn: undefined,
      release: undefined,
      environment: "production",
      dist: undefined,
      serverName: "the-host",
      sampleRate: 1,
      errorSampler: undefined,
      maxBreadcrumbs: 100,
      beforeSend: undefined,
      beforeBreadcrumb: undefined,
      enableLogs: false,
      beforeSendLog: undefined,
      ignoreErrors: [],
      policy: [],
      shutdownTimeoutMillis: 2000,
      sendDefaultPii: false,
      attachStacktrace: false,
      maxValueLength: undefined,
      inAppInclude: [],
      inAppExclude: [],
      frameContextLines: 5,
      sourceMaps: true,
      debug: false,
      defaultIntegrations: true,
      transport: undefined,
      profile: "sentry",
      spool: undefined,
      initialScope: {},
      budget: { burst: 10_000, perMinute: 30 },
      spanTags: [],
      tracePropagationTargets: undefined,
      tunnel: undefined,
      proxy: undefined,
      caCerts: undefined,
      spotlight: undefined,
      maxQueueSize: 12_000,
      maxQueueBytes: 32 * 1024 * 1024,
      maxAttachmentBytes: 20 * 1024 * 1024,
      sendClientReports: true
    })
    const nothing = Object.fromEntries(named.map(([option]) => [option, undefined]))
    assert.deepStrictEqual(resolve(nothing), resolve({}))
  })

  it("an empty text is none", () => {
    const { dist, environment, release, serverName } = resolve({
      environment: "",
      release: "",
      dist: "",
      serverName: ""
    })
    assert.deepStrictEqual([environment, release, dist, serverName], ["production", undefined, undefined, undefined])
  })

  it("the time at the end is one that a timer can wait", () => {
    const millis: ReadonlyArray<readonly [given: Duration.DurationInput, expected: number]> = [
      [0, 0],
      [-5, 0],
      ["1 minute", 60_000],
      [1500, 1500],
      [Duration.zero, 0]
    ]
    for (const [given, expected] of millis)
      assert.strictEqual(resolve({ shutdownTimeout: given }).shutdownTimeoutMillis, expected)
    for (const given of [Number.POSITIVE_INFINITY, Duration.infinity, "30 days"]) {
      // setTimeout takes a longer one for 1 ms.
      const resolved = resolve({ shutdownTimeout: given }).shutdownTimeoutMillis
      assert.isAtMost(resolved, 2 ** 31 - 1)
      assert.isAtLeast(resolved, 60_000)
    }
  })

  describe("an option that does not exist", () => {
    const nearest: ReadonlyArray<readonly [option: string, nearest: string | undefined]> = [
      ["shutdownTimout", "shutdownTimeout"],
      ["shutdown_timeout", "shutdownTimeout"],
      ["SHUTDOWNTIMEOUT", "shutdownTimeout"],
      ["shutdown-timeout", "shutdownTimeout"],
      ["beforeSnd", "beforeSend"],
      ["before_send", "beforeSend"],
      ["beforesend", "beforeSend"],
      ["DSN", "dsn"],
      ["Dsn", "dsn"],
      ["dns", "dsn"],
      ["enviroment", "environment"],
      ["env", undefined],
      ["serverNam", "serverName"],
      ["server_name", "serverName"],
      ["maxBreadcrumb", "maxBreadcrumbs"],
      ["ignoreError", "ignoreErrors"],
      ["sample_rate", "sampleRate"],
      ["releas", "release"],
      ["attachStackTrace", "attachStacktrace"],
      ["sendDefaultPII", "sendDefaultPii"],
      ["default_integrations", "defaultIntegrations"],
      ["in_app_include", "inAppInclude"],
      ["in_app_exclude", "inAppExclude"],
      ["frameContextLine", "frameContextLines"],
      ["zzzzzzzzzz", undefined],
      ["x", undefined],
      ["quux", undefined],
      ["constructor", undefined]
    ]
    for (const [option, expected] of nearest) {
      it(`${option}: ${expected === undefined ? "nothing like it" : `did you mean ${expected}?`}`, () => {
        const error = optionProblem(JSON.parse(`{${JSON.stringify(option)}:1}`) as object)
        assert.strictEqual(error.option, option)
        assert.strictEqual(error.nearest, expected)
        assert.include(error.message, `"${option}" does not exist`)
        if (expected !== undefined) assert.include(error.message, `Did you mean "${expected}"?`)
        else assert.notInclude(error.message, "Did you mean")
      })
    }

    it.prop(
      "a slip of one character in any option names the one that was meant",
      [
        // `inAppInclude` and `inAppExclude` are but two characters apart.
        fc.constantFrom(...Object.keys(options).filter((option) => option.length > 4 && !option.startsWith("inApp"))),
        fc.nat(),
        fc.constantFrom("drop", "double", "swap", "replace")
      ],
      ([option, at, slip]) => {
        const index = at % (option.length - 1)
        const [before, a, b, after] = [
          option.slice(0, index),
          option[index],
          option[index + 1],
          option.slice(index + 2)
        ]
        const slipped = {
          drop: `${before}${b}${after}`,
          double: `${before}${a}${a}${b}${after}`,
          swap: `${before}${b}${a}${after}`,
          replace: `${before}q${b}${after}`
        }[slip]
        if (slipped === undefined || Object.hasOwn(options, slipped)) return
        assert.strictEqual(optionProblem({ [slipped]: undefined }).nearest, option)
      }
    )

    it("is an error even if it says nothing", () => {
      assert.strictEqual(optionProblem({ shutdownTimout: undefined }).nearest, "shutdownTimeout")
    })
  })

  it("options that are no object", () => {
    for (const given of [null, undefined, "x", 5, [], go]) {
      assert.strictEqual(optionProblem(given as unknown as object).option, "options")
    }
  })

  describe("the DSN", () => {
    it("is read, hidden or not, and none is none", () => {
      for (const dsn of ["https://k:s@host/1", Redacted.make("https://k:s@host/1")]) {
        assert.strictEqual(resolve({ dsn }).dsn?.publicKey, "k")
        assert.strictEqual(resolve({ dsn }).dsn?.secretKey, "s")
      }
      for (const dsn of ["", "  ", undefined, Redacted.make(""), Redacted.make("\n")])
        assert.isUndefined(resolve({ dsn }).dsn)
    })

    it("malformed, is an error that does not show it", () => {
      for (const dsn of [
        `https://${HIDDEN}@host/abc`,
        `${HIDDEN}@host/1`,
        `ftp://${HIDDEN}:${HIDDEN}@host/1`,
        `${HIDDEN}@https://host/1`
      ]) {
        for (const given of [dsn, Redacted.make(dsn)]) {
          const error = problem({ dsn: given })
          assert.instanceOf(error, DsnError)
          for (const shown of [
            error.message,
            String(error),
            JSON.stringify(error),
            error.stack,
            "reason" in error ? error.reason : ""
          ]) {
            assert.notInclude(String(shown), HIDDEN)
          }
        }
      }
    })

    it("is not in what is said about another option", () => {
      const error = problem({ dsn: `https://${HIDDEN}@host/1`, sampleRate: 5 })
      assert.notInclude(JSON.stringify(error) + String(error), HIDDEN)
    })
  })

  it.prop(
    "whatever is given, it is resolved or a typed error says what is wrong",
    [fc.dictionary(fc.constantFrom(...Object.keys(options), "other"), treeRecipe)],
    ([recipes]) => {
      const given = Object.fromEntries(Object.entries(recipes).map(([option, recipe]) => [option, build(recipe)]))
      try {
        resolve(given)
      } catch (error) {
        assert.isTrue(error instanceof OptionsError || error instanceof DsnError, String(error))
        assert.notInclude((error as Error).message, HIDDEN)
      }
    }
  )
})
