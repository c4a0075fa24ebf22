import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { parseProxy, proxyFor } from "../../../src/transport/proxy.js"

const PROXY = "http://proxy.example:3128"

const forUrl = (url: string, environment: NodeJS.ProcessEnv, option?: string): string | undefined =>
  proxyFor(new URL(url), option, environment)

describe("the proxy for a URL", () => {
  const chosen: ReadonlyArray<readonly [url: string, environment: NodeJS.ProcessEnv, proxy: string | undefined]> = [
    ["http://a.example/", { http_proxy: "http://p" }, "http://p"],
    ["http://a.example/", { HTTP_PROXY: "http://p" }, "http://p"],
    ["http://a.example/", { http_proxy: "http://p", HTTP_PROXY: "http://q" }, "http://p"],
    ["http://a.example/", { https_proxy: "http://p" }, undefined],
    ["https://a.example/", { https_proxy: "http://p" }, "http://p"],
    ["https://a.example/", { HTTPS_PROXY: " http://p " }, "http://p"],
    ["https://a.example/", { http_proxy: "http://p" }, undefined],
    ["https://a.example/", { https_proxy: "" }, undefined],
    // Whoever sends a request to a CGI program sets HTTP_PROXY.
    ["http://a.example/", { HTTP_PROXY: "http://p", REQUEST_METHOD: "GET" }, undefined],
    ["http://a.example/", { http_proxy: "http://p", REQUEST_METHOD: "GET" }, "http://p"],
    ["https://a.example/", { HTTPS_PROXY: "http://p", REQUEST_METHOD: "GET" }, "http://p"],
    ["http://a.example/", {}, undefined]
  ]
  it.each(chosen)("%s, %j: %s", (url, environment, proxy) => assert.strictEqual(forUrl(url, environment), proxy))

  it("an option counts before the environment, and is not subject to no_proxy", () => {
    const environment = { http_proxy: "http://e", https_proxy: "http://e", no_proxy: "*" }
    for (const url of ["http://a/", "https://a/"]) {
      assert.strictEqual(forUrl(url, environment, "http://o"), "http://o")
      assert.strictEqual(forUrl(url, { http_proxy: "http://e", https_proxy: "http://e" }, ""), undefined)
    }
  })

  const exempt: ReadonlyArray<readonly [list: string, url: string, exempt: boolean]> = [
    ["*", "http://a.example/", true],
    ["a.example", "http://a.example/", true],
    ["A.Example", "http://a.EXAMPLE/", true],
    ["example", "http://a.example/", true],
    [".example", "http://a.example/", true],
    ["*.example", "http://a.example/", true],
    ["ample", "http://a.example/", false],
    ["other, a.example", "http://a.example/", true],
    ["other a.example", "http://a.example/", true],
    [" , ", "http://a.example/", false],
    ["a.example:80", "http://a.example/", true],
    ["a.example:8080", "http://a.example/", false],
    ["a.example:8080", "http://a.example:8080/", true],
    ["10.0.0.1", "http://10.0.0.1/", true],
    ["0.0.1", "http://10.0.0.1/", false],
    ["10.0.0.0/8", "http://10.1.2.3/", true],
    ["10.0.0.0/8", "http://11.1.2.3/", false],
    ["10.0.0.0/33", "http://10.0.0.0/", false],
    ["10.0.0.0/x", "http://10.0.0.0/", false],
    ["fd00::/8", "http://[fd00::1]/", true],
    ["fd00::/8", "http://10.0.0.1/", false],
    ["::1", "http://[::1]:9000/", true],
    ["[::1]", "http://[::1]/", true],
    ["[::1]:9000", "http://[::1]/", false],
    ["[::1]:9000", "http://[::1]:9000/", true],
    ["localhost", "http://localhost:9000/", true],
    ["localhost", "http://127.0.0.1:9000/", false]
  ]
  it.each(exempt)("no_proxy=%j and %s: %s", (list, url, isExempt) => {
    for (const name of ["no_proxy", "NO_PROXY"])
      assert.strictEqual(forUrl(url, { http_proxy: PROXY, [name]: list }), isExempt ? undefined : PROXY)
  })

  it.prop("whatever no_proxy holds, it is read", [fc.string({ maxLength: 50 }), fc.domain()], ([list, domain]) => {
    forUrl(`http://${domain}/`, { http_proxy: PROXY, no_proxy: list })
    assert.strictEqual(forUrl(`http://${domain}/`, { http_proxy: PROXY, no_proxy: `x,${domain}` }), undefined)
    assert.strictEqual(forUrl(`http://${domain}/`, { http_proxy: PROXY, no_proxy: `x${domain}` }), PROXY)
  })
})

describe("the URL of a proxy", () => {
  const basic = (text: string) => ({ "proxy-authorization": `Basic ${Buffer.from(text).toString("base64")}` })
  const cases: ReadonlyArray<readonly [text: string, proxy: ReturnType<typeof parseProxy>]> = [
    ["http://p.example", { isSecure: false, host: "p.example", port: "80", headers: {} }],
    ["https://p.example", { isSecure: true, host: "p.example", port: "443", headers: {} }],
    ["p.example:3128", { isSecure: false, host: "p.example", port: "3128", headers: {} }],
    ["http://[::1]:3128/", { isSecure: false, host: "::1", port: "3128", headers: {} }],
    ["http://u:p%40%3a@h:1", { isSecure: false, host: "h", port: "1", headers: basic("u:p@:") }],
    ["http://u@h:1", { isSecure: false, host: "h", port: "1", headers: basic("u:") }],
    ["u:%zz@h:1", { isSecure: false, host: "h", port: "1", headers: basic("u:%zz") }],
    ["socks5://h:1", undefined],
    ["http://", undefined],
    ["http://h:99999", undefined]
  ]
  it.each(cases)("%s", (text, proxy) => assert.deepStrictEqual(parseProxy(text), proxy))

  it.prop("whatever it is, no header can be slipped in with it", [fc.string(), fc.string()], ([user, password]) => {
    const proxy = parseProxy(
      `http://${encodeURIComponent(user.toWellFormed())}:${encodeURIComponent(password.toWellFormed())}@h`
    )
    assert.match(proxy?.headers["proxy-authorization"] ?? "Basic ", /^Basic [A-Za-z0-9+/=]*$/)
  })
})
