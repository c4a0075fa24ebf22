/**
 * Spotlight, seen from outside: started in a process of its own, and asked over HTTP what it has received and
 * understood.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { cleanEnvironment } from "./run.js"

export interface Ready {
  readonly port: number
  readonly version: string
}

export interface Telemetry {
  readonly hasTelemetry: boolean
  /** The hosts beyond this machine that it tried to connect to. */
  readonly beyond: ReadonlyArray<string>
}

/** An envelope as Spotlight has parsed it. */
export interface Envelope {
  readonly id: string
  readonly headers: Record<string, unknown>
  readonly items: ReadonlyArray<readonly [headers: { readonly type: string }, payload: Record<string, unknown>]>
  /** The bytes that it keeps, as text. */
  readonly raw: string
}

export interface Spotlight extends Ready {
  readonly url: string
  readonly dsn: string
  /** Everything it has received by now. */
  readonly envelopes: () => Promise<ReadonlyArray<Envelope>>
  readonly telemetry: () => Promise<Telemetry>
  readonly stop: () => void
}

export const startSpotlight = async (): Promise<Spotlight> => {
  const receiver = fork(fileURLToPath(new URL("./receiver.ts", import.meta.url)), { env: cleanEnvironment({}) })
  const answer = async <A>(): Promise<A> => {
    const [message] = (await Promise.race([
      once(receiver, "message"),
      once(receiver, "exit").then(([code]) => Promise.reject(new Error(`Spotlight ended with code ${String(code)}`)))
    ])) as [A]
    return message
  }
  const ready = await answer<Ready>()
  const url = `http://127.0.0.1:${ready.port}`
  return {
    ...ready,
    url,
    dsn: `http://demo@127.0.0.1:${ready.port}/1`,
    envelopes: () => readBack(url),
    telemetry() {
      receiver.send("telemetry?")
      return answer<Telemetry>()
    },
    stop() {
      if (receiver.connected) receiver.disconnect()
    }
  }
}

const END = "end-of-demo"

/**
 * Reads its stream of events from the beginning, up to an envelope of our own: everything else came in before that one, so
 * there is nothing left to wait for.
 */
const readBack = async (url: string): Promise<ReadonlyArray<Envelope>> => {
  const giveUp = AbortSignal.timeout(10_000)
  const posted = await fetch(`${url}/stream`, {
    method: "POST",
    headers: { "content-type": "application/x-sentry-envelope" },
    body: `${JSON.stringify({ [END]: true })}\n`,
    signal: giveUp
  })
  if (posted.headers.get("x-powered-by") !== "spotlight-by-sentry") throw new Error("this is not Spotlight")
  const envelopes: Array<Envelope> = []
  for await (const { data, id } of serverSentEvents(`${url}/stream`, giveUp)) {
    const [headers, items] = JSON.parse(data) as [Envelope["headers"], Envelope["items"]]
    if (headers[END] === true) return envelopes
    const raw = await fetch(`${url}/envelope/${id}`, { signal: giveUp })
    envelopes.push({ id, headers, items, raw: await raw.text() })
  }
  throw new Error("Spotlight closed its stream")
}

async function* serverSentEvents(url: string, signal: AbortSignal): AsyncGenerator<{ id: string; data: string }> {
  const response = await fetch(url, { headers: { accept: "text/event-stream" }, signal })
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of response.body ?? []) {
    const events = (text + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n\n")
    text = events.pop() ?? ""
    for (const event of events) {
      const field = (name: string): string =>
        event
          .split("\n")
          .filter((line) => line.startsWith(`${name}: `))
          .map((line) => line.slice(name.length + 2))
          .join("\n")
      if (field("data") !== "") yield { id: field("id"), data: field("data") }
    }
  }
}
