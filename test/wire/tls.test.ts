import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Faultline from "effect-faultline"
import { Ingest, selfSigned } from "../support/ingest.js"
import { discarded, flushed, hubAt, messagesAt, temporaryFolder } from "./kit.js"

const certificate = selfSigned()
const other = selfSigned()

const send = (ingest: Ingest, options: Faultline.Options) =>
  Effect.gen(function* () {
    yield* Effect.zipRight(Faultline.captureMessage("a"), flushed)
    const { stats } = yield* Faultline.Hub
    return yield* stats
  }).pipe(Effect.provide(hubAt(ingest, options)))

describe.skipIf(certificate === undefined || other === undefined)("caCerts", () => {
  const [cert, otherCert] = [certificate?.cert ?? "", other?.cert ?? ""]

  it.scopedLive("as text, one of several, and as a file: the server is trusted", () =>
    Effect.gen(function* () {
      const file = join(yield* temporaryFolder, "cert.pem")
      writeFileSync(file, cert)
      for (const caCerts of [cert, [otherCert, cert], file, [otherCert, file]]) {
        const ingest = yield* Ingest.start({ tls: certificate })
        yield* send(ingest, { caCerts })
        assert.deepStrictEqual(messagesAt(ingest), ["a"])
      }
    })
  )

  it.scopedLive("of another: it is not, nor without any", () =>
    Effect.gen(function* () {
      for (const caCerts of [otherCert, undefined, []]) {
        const ingest = yield* Ingest.start({ tls: certificate })
        const stats = yield* send(ingest, { caCerts })
        assert.deepStrictEqual<unknown>(stats.discarded, [discarded("network_error")])
        assert.lengthOf(ingest.envelopes, 0)
      }
    })
  )

  it.scopedLive("that name a file which is not there: an error of the layer that says so", () =>
    Effect.gen(function* () {
      const file = join(yield* temporaryFolder, "missing.pem")
      const error = yield* Effect.flip(
        Effect.provide(Effect.void, Faultline.Hub.layer({ dsn: "https://k@host.invalid/1", caCerts: [cert, file] }))
      )
      assert.instanceOf(error, Faultline.OptionsError)
      assert.match(error.message, /"caCerts" names a file that cannot be read: .*ENOENT/)
    })
  )
})
