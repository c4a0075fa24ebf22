import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

/** A server of the Sentry protocol on loopback, in a process of its own. */
export const startIngest = async () => {
  const child = fork(fileURLToPath(new URL("./ingestServer.mjs", import.meta.url)))
  const [port] = await once(child, "message")
  return {
    dsn: `http://key@127.0.0.1:${port}/1`,
    /** How many different events have arrived, and what the last one looks like. */
    async received() {
      child.send("received?")
      const [answer] = await once(child, "message")
      return answer
    },
    stop: () => child.kill()
  }
}
