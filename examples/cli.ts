/**
 * A command-line program that fails: what was logged, the request it made and the program it ran are on the event, the
 * secrets on its command line are not, and its exit code is what it was.
 *
 *     SENTRY_DSN=https://key@sentry.example/1 npx tsx examples/cli.ts publish ./site --token s3cret
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { parseArgs } from "node:util"
import { Command } from "@effect/platform"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Data, Effect, Layer } from "effect"
import * as Faultline from "effect-faultline"
import { DefaultIntegrations, Hub } from "effect-faultline"

class BuildFailed extends Data.TaggedError("BuildFailed")<{ readonly folder: string; readonly exitCode: number }> {
  override get message() {
    return `${this.folder} does not build (exit code ${this.exitCode})`
  }
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { token: { type: "string" } } })
const [command = "publish", folder = "./site"] = positionals

/** Stands for the server that the site is published on. */
const registryUrl = Effect.acquireRelease(
  Effect.async<Server>((resume) => {
    const server = createServer((_, response) => response.writeHead(404, "Not Published Yet").end())
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

const publish = Effect.gen(function* () {
  const registry = yield* registryUrl
  yield* Effect.log(`${command} ${folder}`)

  const headers = { authorization: `Bearer ${values.token ?? ""}` }
  const latest = yield* Effect.promise(() => fetch(`${registry}/site/latest`, { headers }))
  yield* Effect.logDebug(`the registry says ${latest.status}`)

  const build = Command.make(process.execPath, "--eval", "process.exitCode = 2", "--", `--out-dir=${folder}`)
  const exitCode = yield* Command.exitCode(build)
  if (exitCode !== 0) yield* new BuildFailed({ folder, exitCode })
  yield* Effect.log("published")
})

publish.pipe(
  // Reported here with the context of this step; on its way out of the program the same error is not reported again.
  Effect.tapError((error) => Effect.logError("nothing was published", error)),
  Effect.annotateLogs({ command }),
  Faultline.withScope({ tags: { command } }),
  Effect.scoped,
  Effect.provide(NodeContext.layer),
  Effect.provide(DefaultIntegrations.pipe(Layer.provideMerge(Hub.layerConfig()))),
  NodeRuntime.runMain
)
