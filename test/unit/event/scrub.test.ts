import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { isSensitiveKey, scrubArguments, scrubQuery, scrubText, splitUrl } from "../../../src/event/scrub.js"
import { quickly } from "../support/clock.js"
import { HIDDEN } from "../support/values.js"

describe("isSensitiveKey", () => {
  const words =
    "auth token secret password passwd pwd key jwt bearer sso saml csrf xsrf credentials session sid identity " +
    "passphrase authorization cookie api_key private_key access_key signature pass pin otp cvv cvc ssn"
  for (const word of words.split(" ")) {
    it(`${word}: alone, in any case, and as a word of a longer name`, () => {
      const pascal = word.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
      const camel = pascal[0]?.toLowerCase() + pascal.slice(1)
      const spellings = [
        word,
        word.toUpperCase(),
        pascal,
        camel,
        `user_${word}`,
        `USER_${word.toUpperCase()}`,
        `user-${word}`,
        `user.${word}`,
        `user ${word}`,
        `user${pascal}`,
        `${word}_old`,
        `${camel}Old`,
        `x-${word}`,
        `X-${pascal}`,
        `user[${word}]`,
        `${word}2`.replace(/\d$/, "_2")
      ]
      assert.deepStrictEqual(
        spellings.filter((key) => !isSensitiveKey(key)),
        []
      )
    })
  }

  const sensitive = [
    "apiKey",
    "x-api-key",
    "X-API-KEY",
    "APIKEY",
    "apikey",
    "aws_access_key_id",
    "AWSAccessKeyId",
    "privateKey",
    "accessToken",
    "refresh_token",
    "id_token",
    "X-Auth-Token",
    "authHeader",
    "proxy-authorization",
    "Set-Cookie",
    "set_cookie",
    "cookies",
    "sessionid",
    "PHPSESSID_session",
    "connect.sid",
    "connect_sid",
    "SID",
    "clientSecret",
    "DB_PASSWORD",
    "db.passwd",
    "userPwd",
    "MYSQL_PWD",
    "encryptionKey",
    "_csrf",
    "XSRF-TOKEN",
    "HTTPBearer",
    "passwordHash",
    "HTTPAuth",
    "userIdentity"
  ]
  for (const key of sensitive) it(`${key} is`, () => assert.isTrue(isSensitiveKey(key)))

  const harmless = [
    "",
    "a",
    "author",
    "authors",
    "authority",
    "monkey",
    "keyboard",
    "keynote",
    "turkey",
    "inside",
    "outside",
    "side",
    "residual",
    "tokenizer",
    "passenger",
    "compass",
    "bypass",
    "spin",
    "pinned",
    "hotpink",
    "opinion",
    "identify",
    "essential",
    "username",
    "message",
    "constructor",
    "__proto__",
    "toString"
  ]
  for (const key of harmless) it(`${JSON.stringify(key)} is not`, () => assert.isFalse(isSensitiveKey(key)))

  it("however long it is", () => {
    assert.isTrue(isSensitiveKey(`${"x".repeat(300)}.password`))
    assert.isTrue(isSensitiveKey(`password.${"x".repeat(10_000)}`))
    assert.isFalse(isSensitiveKey("x".repeat(10_000)))
  })

  it("remembers its verdicts, thousands of them, without a mistake", () => {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5_000; i++)
        assert.strictEqual(isSensitiveKey(i % 2 === 0 ? `key${i}_pwd` : `monkey${i}`), i % 2 === 0)
    }
  })

  it("does not hold on to keys of megabytes", () => {
    const before = heapAfterGc()
    for (let i = 0; i < 40; i++) isSensitiveKey(`${i}${"x".repeat(1_000_000)}`)
    assert.isBelow(heapAfterGc() - before, 10_000_000)
  })
})

describe("scrubText", () => {
  const masked: ReadonlyArray<readonly [text: string, expected: string]> = [
    ["password=hunter2", "password=[Filtered]"],
    ["password = hunter2", "password = [Filtered]"],
    ["password: hunter2", "password: [Filtered]"],
    ["PASSWORD=hunter2", "PASSWORD=[Filtered]"],
    ["DB_PASSWORD='hunter2'", "DB_PASSWORD='[Filtered]'"],
    ["apiKey: `abc`", "apiKey: `[Filtered]`"],
    ['{"apiKey":"abc","a":1}', '{"apiKey":"[Filtered]","a":1}'],
    ['{ "apiKey" : "abc" }', '{ "apiKey" : "[Filtered]" }'],
    ["{ apiKey: 'abc', a: 1 }", "{ apiKey: '[Filtered]', a: 1 }"],
    ["?a=1&token=abc&b=2", "?a=1&token=[Filtered]&b=2"],
    ["x-api-key: abc", "x-api-key: [Filtered]"],
    ["Bearer abcdefghij.klm", "Bearer [Filtered]"],
    ["authorization: bearer abcdefghijklm", "authorization: [Filtered] [Filtered]"],
    ["Basic dXNlcjpwYXNzd29yZA==", "Basic [Filtered]"],
    ["Basic dXNlcjpwYXNz", "Basic [Filtered]"],
    ["https://user:pass@host/a", "https://[Filtered]:[Filtered]@host/a"],
    ["postgres://user:pass@host:5432/db failed", "postgres://[Filtered]:[Filtered]@host:5432/db failed"],
    ["redis://:pass@host", "redis://[Filtered]:[Filtered]@host"],
    ["a https://u:p@h b https://v:q@i c", "a https://[Filtered]:[Filtered]@h b https://[Filtered]:[Filtered]@i c"],
    ["mongodb+srv://u:p@h", "mongodb+srv://[Filtered]:[Filtered]@h"]
  ]
  for (const [text, expected] of masked) it(text, () => assert.strictEqual(scrubText(text), expected))

  // The secret itself is `HIDDEN` or in two parts around a separator: nothing of it may be left.
  const leaking: ReadonlyArray<readonly [what: string, text: string]> = [
    ["blanks between quotes", `password="correct ${HIDDEN} horse"`],
    ["a comma between quotes", `{"password":"x,${HIDDEN}"}`],
    ["other separators between quotes", `{"password":"x;${HIDDEN}&${HIDDEN})${HIDDEN}}${HIDDEN}]"}`],
    ["another kind of quote between quotes", `password="x'${HIDDEN}"`],
    ["an escaped quote", `{"password":"x\\"${HIDDEN}"}`],
    ["JSON within JSON", JSON.stringify({ body: JSON.stringify({ password: HIDDEN }) })],
    ["JSON within JSON within JSON", JSON.stringify(JSON.stringify(JSON.stringify({ password: HIDDEN })))],
    ["an @ in a URL's password", `postgres://user:p@${HIDDEN}@host/db`],
    ["a token alone in a URL", `https://${HIDDEN}@github.com/a/b`],
    ["a user that is the token", `https://${HIDDEN}:x-oauth-basic@github.com/a/b`],
    ["a line of its own", `a: 1\npassword: ${HIDDEN}\nb: 2`],
    ["a header line", `GET / HTTP/1.1\r\nAuthorization: Bearer ${HIDDEN}\r\n`],
    ["a header line of another scheme", `Authorization: ${HIDDEN}`],
    ["a cookie", `Cookie: sid=${HIDDEN}`],
    ["a cookie of several", `Cookie: theme=dark; uid=${HIDDEN}; b=2`],
    ["an encoded query", `/a?access_token=${HIDDEN}&b=1`],
    ["a shell assignment", `export AWS_SECRET_ACCESS_KEY=${HIDDEN}`],
    ["a long name", `${"very_long_".repeat(10)}password=${HIDDEN}`]
  ]
  for (const [what, text] of leaking) {
    it(`leaves nothing of a secret with ${what}`, () => assert.notInclude(scrubText(text), HIDDEN))
  }

  const unchanged = [
    "",
    "hello",
    "a: b",
    "author: Bob",
    "monkey=banana keyboard: qwerty",
    "12:30:45 = noon",
    "see https://example.com/a?b=c#d",
    "https://medium.com/@user/post",
    "mail bob@example.com: hello",
    "C:\\Users\\bob: x",
    "expected 1 == 2",
    "Unexpected token < in JSON at position 0",
    "Unexpected token } in JSON at position 3",
    "Unexpected end of input: line 1",
    "the session has ended",
    "key",
    "a\nb\n    at foo (file:///a/b.ts:1:2)",
    "Basic authentication required: see the manual",
    "Error: Invalid token provided",
    "Error: CSRF token verification failed",
    "Error: a token mismatched"
  ]
  for (const text of unchanged)
    it(`${JSON.stringify(text)} stays as it is`, () => assert.strictEqual(scrubText(text), text))

  it.prop(
    "what was scrubbed once stays as it is",
    [fc.array(fc.constantFrom(...masked.map(([text]) => text), ...unchanged), { maxLength: 3 })],
    ([texts]) => {
      const once = scrubText(texts.join(" "))
      assert.strictEqual(scrubText(once), once)
    }
  )

  it.prop(
    "never throws; a text without : or = or a scheme is not touched",
    [fc.oneof(fc.fullUnicodeString(), fc.string16bits())],
    ([text]) => {
      const scrubbed = scrubText(text)
      if (!/[:=]|bearer|basic|token/i.test(text)) assert.strictEqual(scrubbed, text)
    }
  )

  const SIZE = 30_000
  const repeat = (text: string, times = Math.floor(SIZE / text.length)): string => text.repeat(times)
  const adversarial: ReadonlyArray<readonly [what: string, text: string]> = [
    ["letters", `${repeat("a")}=`],
    ["hex digits", `data=${repeat("0123456789abcdef")}`],
    ["dotted", `${repeat("a.")}=`],
    ["blanks", `a${repeat(" ")}=`],
    ["words and blanks", `${repeat("ab  ")}=`],
    ["blanks after a name", `password${repeat(" ")}x`],
    ["schemes", `${repeat("a://")}=`],
    ["colons after a scheme", `a://${repeat(":")}`],
    ["user and colons after a scheme", `a://${repeat("b:")}`],
    ["schemes with colons", repeat("a://b:c")],
    ["at signs", `a://b:${repeat("@")}`],
    ["assignments", repeat("password=")],
    ["assignments of quotes", repeat('password="')],
    ["an open quote", `password="${repeat("x")}`],
    ["open quotes", repeat(`a="b 'c`)],
    ["quotes", `a=${repeat('"')}`],
    ["escaped quotes", `password="${repeat('\\"')}`],
    ["backslashes", `password=${repeat("\\")}"`],
    ["bearer and blanks", `${repeat("bearer ")}=`],
    ["bearer with many blanks", `bearer${repeat(" ")}!`],
    ["tokens", repeat("token token ")],
    ["underscores", `${repeat("_")}:`],
    ["dashes", `a${repeat("-")}:`],
    ["lines", repeat("a: b\n")]
  ]
  for (const [what, text] of adversarial) {
    it(`is done in no time with ${SIZE} of ${what}`, () => {
      quickly(150, () => scrubText(text))
    })
  }
})

describe("splitUrl", () => {
  const split: ReadonlyArray<readonly [text: string, url: string, query?: string, fragment?: string]> = [
    ["https://host/a", "https://host/a"],
    ["https://host/a?b=c#d", "https://host/a", "b=c", "d"],
    ["https://host/a#d?b=c", "https://host/a", "", "d?b=c"],
    ["https://host?b=c?d", "https://host", "b=c?d"],
    ["https://host/a?", "https://host/a"],
    ["/a?b", "/a", "b"],
    ["", ""],
    ["https://u:p@host/a?x=1", "https://[Filtered]:[Filtered]@host/a", "x=1"],
    ["https://u@host/a", "https://[Filtered]:[Filtered]@host/a"],
    ["https://u:p@x@host/a", "https://[Filtered]:[Filtered]@host/a"],
    ["HTTP://u:p@host", "HTTP://[Filtered]:[Filtered]@host"],
    ["//u:p@host/a", "//[Filtered]:[Filtered]@host/a"],
    ["https://host/@user", "https://host/@user"],
    ["https://host/a?next=https://u:p@host", "https://host/a", "next=https://u:p@host"],
    ["https://host?u:p@x", "https://host", "u:p@x"]
  ]
  for (const [text, url, query = "", fragment = ""] of split) {
    it(JSON.stringify(text), () => assert.deepStrictEqual(splitUrl(text), { url, query, fragment }))
  }

  it.prop("never shows the credentials", [fc.webUrl({ withQueryParameters: true, withFragments: true })], ([url]) => {
    const parts = splitUrl(url.replace("://", `://user:${HIDDEN}@`))
    assert.notInclude(parts.url, HIDDEN)
    const { fragment, query, url: bare } = splitUrl(url)
    assert.strictEqual(new URL(bare).host, new URL(url).host)
    assert.strictEqual(url.replace(/[?#]/g, ""), (bare + query + fragment).replace(/[?#]/g, ""))
  })
})

describe("scrubQuery", () => {
  const queries: ReadonlyArray<readonly [query: string, expected: string]> = [
    ["", ""],
    ["a=1&b=2", "a=1&b=2"],
    ["a=1&token=x&b", "a=1&token=[Filtered]&b"],
    ["token=", "token=[Filtered]"],
    ["token", "token"],
    ["token=a=b", "token=[Filtered]"],
    ["access%5Ftoken=x", "access%5Ftoken=[Filtered]"],
    ["api%5Fkey=x&p%61ssword=y", "api%5Fkey=[Filtered]&p%61ssword=[Filtered]"],
    ["user%5Bpassword%5D=x", "user%5Bpassword%5D=[Filtered]"],
    ["user[password]=x&user[name]=y", "user[password]=[Filtered]&user[name]=y"],
    ["%=1&api_key=x", "%=1&api_key=[Filtered]"],
    ["%zztoken=x", "%zztoken=[Filtered]"],
    ["&&=&a=1", "&&=&a=1"],
    ["author=x&monkey=y", "author=x&monkey=y"]
  ]
  for (const [query, expected] of queries)
    it(JSON.stringify(query), () => assert.strictEqual(scrubQuery(query), expected))
})

describe("scrubArguments", () => {
  const lines: ReadonlyArray<readonly [args: ReadonlyArray<string>, expected: ReadonlyArray<string>]> = [
    [[], []],
    [
      ["run", "a", "-v", "--name", "x"],
      ["run", "a", "-v", "--name", "x"]
    ],
    [["--token=x"], ["--token=[Filtered]"]],
    [["--token=a=b"], ["--token=[Filtered]"]],
    [["--token="], ["--token=[Filtered]"]],
    [
      ["--token", "x", "y"],
      ["--token", "[Filtered]", "y"]
    ],
    [
      ["-token", "x"],
      ["-token", "[Filtered]"]
    ],
    [
      ["--api-key", "x", "--name", "y"],
      ["--api-key", "[Filtered]", "--name", "y"]
    ],
    [
      ["--", "-", "--token", "--", "y"],
      ["--", "-", "--token", "--", "y"]
    ],
    [
      ["--token", "-x!s3cret", "--password", "--9;a=b"],
      ["--token", "[Filtered]", "--password", "[Filtered]"]
    ],
    [
      ["--token", "--name", "y"],
      ["--token", "--name", "y"]
    ],
    [
      ["--password", "-Hunter2", "-v", "--pin", "-v", "x"],
      ["--password", "[Filtered]", "-v", "--pin", "[Filtered]", "x"]
    ],
    [
      ["--password", "-Secret1"],
      ["--password", "[Filtered]"]
    ],
    [
      ["--password", "-secret=1", "y"],
      ["--password", "[Filtered]", "y"]
    ],
    [
      ["--auth", "-token", "x", "y"],
      ["--auth", "[Filtered]", "[Filtered]", "y"]
    ],
    [["--token"], ["--token"]],
    [
      ["--token", ""],
      ["--token", "[Filtered]"]
    ],
    [
      ["API_KEY=x", "node"],
      ["API_KEY=[Filtered]", "node"]
    ],
    [["https://u:p@host"], ["https://[Filtered]:[Filtered]@host"]],
    [["--url=https://u:p@host"], ["--url=https://[Filtered]:[Filtered]@host"]],
    [
      ["-H", "Authorization: Bearer abcdefghijkl"],
      ["-H", "Authorization: [Filtered] [Filtered]"]
    ],
    [
      ["--author", "bob", "--keyboard=de"],
      ["--author", "bob", "--keyboard=de"]
    ],
    [
      ["-", "--", "a"],
      ["-", "--", "a"]
    ],
    [["--db.password=x"], ["--db.password=[Filtered]"]]
  ]
  for (const [args, expected] of lines) {
    it(JSON.stringify(args), () => {
      const given = [...args]
      assert.deepStrictEqual(scrubArguments(given), [...expected])
      assert.deepStrictEqual(given, [...args])
    })
  }
})

const heapAfterGc = (): number => {
  setFlagsFromString("--expose-gc")
  ;(runInNewContext("gc") as () => void)()
  return process.memoryUsage().heapUsed
}
