/**
 * The other end of the wire, for tests: a real HTTP server on a free loopback port that keeps every request, judges every
 * envelope by rules of its own (never by the parser that is under test), and answers as it is told to.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { gunzipSync } from "node:zlib"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ParsedEnvelope, parseEnvelope } from "effect-faultline/testing"

/**
 * How to answer a request: with a status (default 200), headers and a body, once `when` is settled; or
 * - `never`: not at all, the connection stays open
 * - `reset`: with a TCP reset
 * - `hangUp`: by closing the connection, without a word
 * - `garbage`: with something that is no HTTP
 * - `cutOff`: with a 200 whose body breaks off
 * - `trickle`: with a 200, one byte at a time
 * - `endless`: with a 200 whose body has no end
 * - `hints`: with provisional answers (100) that have no end
 * - `upgrade`: by going over to some other protocol
 * - `header`: with a 200 whose header has no end
 * - `thenCloses`: with a 200, and by closing the connection without having said so; `thenResets`: the same with a reset
 */
export type Answer =
  | {
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
      readonly when?: Promise<unknown>
    }
  | "never"
  | "reset"
  | "hangUp"
  | "garbage"
  | "cutOff"
  | "trickle"
  | "endless"
  | "hints"
  | "upgrade"
  | "header"
  | "thenCloses"
  | "thenResets"

/** Something to wait for, and the function that lets it happen: for answers that are to come `when` the test says so. */
export const gate = (): { readonly opened: Promise<void>; readonly open: () => void } => {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

/** A request as it came. */
export interface ReceivedRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Names and values in turn, as they were written. */
  readonly rawHeaders: ReadonlyArray<string>
  /** Which connection it came over, counted from 0. */
  readonly connection: number
  /** The body as it was sent. */
  readonly raw: Buffer
  /** The body without its content encoding. */
  readonly body: Buffer
}

/** A request that was posted to an envelope endpoint. */
export interface ReceivedEnvelope extends ReceivedRequest {
  /** What our own parser makes of it. */
  readonly parsed: ParsedEnvelope
  /** What this file makes of it. */
  readonly framed: FramedEnvelope
}

export type Json = Record<string, unknown>

export interface FramedEnvelope {
  readonly headers: Json
  readonly items: ReadonlyArray<FramedItem>
}

export interface FramedItem {
  readonly headers: Json
  readonly bytes: Buffer
  /** The payload of items that are JSON. */
  readonly json: Json | undefined
}

export interface IngestOptions {
  /** Default: `127.0.0.1`. */
  readonly host?: "127.0.0.1" | "::1" | undefined
  /** A certificate makes it an https server. */
  readonly tls?: Certificate | undefined
  /** Answers everything that is not posted to an envelope endpoint. Default: 200, nothing else. */
  readonly others?: ((request: ReceivedRequest) => Answer) | undefined
  /** Answers an envelope, where nothing else was said. */
  readonly judge?: ((envelope: ReceivedEnvelope) => Answer) | undefined
}

export class Ingest {
  /** Every envelope, in the order their last byte came. */
  readonly envelopes: Array<ReceivedEnvelope> = []
  /** Every other request. */
  readonly others: Array<ReceivedRequest> = []
  /** What is wrong with what was received. A test whose ingest has any fails when it ends. */
  readonly problems: Array<string> = []
  /** How many connections were made so far. */
  connections = 0
  /** Address and port. */
  host = ""

  readonly #connectionOf = new WeakMap<Socket, number>()
  readonly #next: Array<Answer> = []
  #otherwise: Answer = {}
  readonly #waiting = new Set<() => void>()

  private constructor(
    readonly server: http.Server | https.Server,
    readonly options: IngestOptions
  ) {
    const onConnection = (socket: Socket): void => {
      this.#connectionOf.set(socket, this.connections++)
      socket.on("error", () => {})
    }
    server.on(options.tls === undefined ? "connection" : "secureConnection", onConnection)
    server.on("request", (request, response) => this.#receive(request, response))
    // Idle connections stay: a test says itself when one is to go.
    server.keepAliveTimeout = 0
  }

  /** Open until the scope closes; by then nothing may be wrong with what it received. */
  static start(options: IngestOptions = {}): Effect.Effect<Ingest, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.async<Ingest>((resume) => {
        const server = options.tls === undefined ? http.createServer() : https.createServer(options.tls)
        const ingest = new Ingest(server, options)
        server.listen(0, options.host ?? "127.0.0.1", () => {
          const { address, family, port } = server.address() as AddressInfo
          ingest.host = family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`
          resume(Effect.succeed(ingest))
        })
      }),
      (ingest) =>
        Effect.zipRight(
          ingest.stop,
          Effect.suspend(() => ingest.#verdict())
        )
    )
  }

  /** Takes no more requests and drops all connections. Its port then refuses connections. */
  get stop(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      this.server.close(() => resume(Effect.void))
      this.server.closeAllConnections()
    })
  }

  /** `http://127.0.0.1:1234`, also after it was stopped. */
  get origin(): string {
    return `${this.options.tls === undefined ? "http" : "https"}://${this.host}`
  }

  /** A DSN with the public key `public`, for project 42. */
  get dsn(): string {
    return this.dsnWith("public", "/42")
  }

  dsnWith(keys: string, path: string): string {
    return this.origin.replace("://", `://${keys}@`) + path
  }

  /** Answers the next envelopes, one each, before what `answerAll` says. */
  answer(...answers: ReadonlyArray<Answer>): void {
    this.#next.push(...answers)
  }

  /** Answers all envelopes from now on. */
  answerAll(answer: Answer): void {
    this.#otherwise = answer
  }

  /** Forgets the answers that were not given yet. */
  reset(): void {
    this.#next.length = 0
  }

  /** Drops all connections that wait for a request, and resolves once they are gone. */
  get closeIdle(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const check = (): void => {
        this.server.getConnections((_, count) => {
          if (count === 0) resume(Effect.void)
          else setImmediate(check)
        })
      }
      this.server.closeIdleConnections()
      check()
    })
  }

  /** The first `count` envelopes, as soon as they are there. */
  receive(count: number): Effect.Effect<ReadonlyArray<ReceivedEnvelope>> {
    return Effect.map(
      this.#until(() => this.envelopes.length >= count, `${count} envelopes`),
      () => this.envelopes.slice(0, count)
    )
  }

  /** The `n`-th envelope, counted from 1. */
  envelope(n = 1): Effect.Effect<ReceivedEnvelope> {
    return Effect.map(this.receive(n), (envelopes) => envelopes[n - 1] as ReceivedEnvelope)
  }

  /** The payloads of the events among the first `count` envelopes. */
  events(count: number): Effect.Effect<ReadonlyArray<Json>> {
    return Effect.map(this.receive(count), (envelopes) => envelopes.flatMap((envelope) => eventsIn(envelope.framed)))
  }

  /** The payload of the event in the `n`-th envelope, counted from 1. */
  event(n = 1): Effect.Effect<Json> {
    return Effect.map(this.envelope(n), ({ framed }) => {
      const [event] = eventsIn(framed)
      if (event === undefined) throw new Error(`envelope ${n} holds no event`)
      return event
    })
  }

  /** All events received so far. */
  get allEvents(): ReadonlyArray<Json> {
    return this.envelopes.flatMap((envelope) => eventsIn(envelope.framed))
  }

  /** The first `count` requests that were no envelopes. */
  receiveOthers(count: number): Effect.Effect<ReadonlyArray<ReceivedRequest>> {
    return Effect.map(
      this.#until(() => this.others.length >= count, `${count} other requests`),
      () => this.others.slice(0, count)
    )
  }

  #until(isThere: () => boolean, what: string): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const finish = (exit: Effect.Effect<void>): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resume(exit)
      }
      const look = (): void => {
        if (this.problems.length > 0) finish(this.#verdict())
        else if (isThere()) finish(Effect.void)
      }
      const timer = setTimeout(
        () => finish(Effect.die(new Error(`${what} expected, there ${this.#count()}`))),
        PATIENCE
      )
      this.#waiting.add(look)
      look()
    })
  }

  #count(): string {
    return `are ${this.envelopes.length} envelopes and ${this.others.length} other requests`
  }

  #verdict(): Effect.Effect<void> {
    return this.problems.length === 0
      ? Effect.void
      : Effect.die(new Error(`The ingest received what no ingest should:\n  ${this.problems.join("\n  ")}`))
  }

  #receive(request: http.IncomingMessage, response: http.ServerResponse): void {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const received = this.#keep(request, Buffer.concat(chunks))
      give(request, response, received)
      for (const look of this.#waiting) look()
    })
  }

  #keep(request: http.IncomingMessage, raw: Buffer): Answer {
    const received: ReceivedRequest = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers as Record<string, string>,
      rawHeaders: request.rawHeaders,
      connection: this.#connectionOf.get(request.socket) ?? -1,
      raw,
      body: request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw
    }
    if (!/\/envelope\/?(?:\?.*)?$/.test(received.path)) {
      this.others.push(received)
      return this.options.others?.(received) ?? {}
    }
    let judged: Answer | undefined
    try {
      const framed = readEnvelope(received.body)
      const parsed = parseEnvelope(received.body)
      this.problems.push(...problemsOf(framed), ...disagreements(framed, parsed))
      const envelope: ReceivedEnvelope = { ...received, framed, parsed }
      this.envelopes.push(envelope)
      judged = this.options.judge?.(envelope)
    } catch (error) {
      this.problems.push(`${String(error)} in ${JSON.stringify(received.body.toString("latin1").slice(0, 300))}`)
    }
    return this.#next.shift() ?? judged ?? this.#otherwise
  }
}

/** How long a test waits for what it expects before it says what came instead. */
const PATIENCE = 8000

const eventsIn = (envelope: FramedEnvelope): Array<Json> =>
  envelope.items.flatMap(({ headers, json }) => (headers["type"] === "event" && json !== undefined ? [json] : []))

const give = (request: http.IncomingMessage, response: http.ServerResponse, answer: Answer): void => {
  const { socket } = request
  switch (answer) {
    case "never":
      return
    case "reset":
      return void socket.resetAndDestroy()
    case "hangUp":
      return void socket.end()
    case "garbage":
      return void socket.end("this is\r\nno HTTP at all\r\n\r\n")
    case "cutOff":
      response.writeHead(200, { "content-length": "1000" })
      response.write("{", () => socket.destroy())
      return
    case "trickle":
      return trickle(response, JSON.stringify({ id: "0".repeat(32) }).split(""))
    case "endless":
      return pour(response)
    case "hints":
      return flood(socket, "HTTP/1.1 100 Continue\r\n\r\n".repeat(50))
    case "upgrade":
      return void socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
    case "header":
      socket.write("HTTP/1.1 200 OK\r\n")
      return flood(socket, `x-more: ${"x".repeat(1000)}\r\n`)
    case "thenCloses":
      return void socket.write(PLAIN_YES, () => socket.destroy())
    case "thenResets":
      return void socket.write(PLAIN_YES, () => socket.resetAndDestroy())
    default: {
      const { body = "{}", headers = {}, status = 200, when } = answer
      const send = (): void => void response.writeHead(status, { ...headers }).end(body)
      if (when === undefined) send()
      else void when.then(send, send)
    }
  }
}

const PLAIN_YES = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

const trickle = (response: http.ServerResponse, left: Array<string>): void => {
  const next = left.shift()
  if (next === undefined) response.end()
  else response.write(next, () => setImmediate(trickle, response, left))
}

const flood = (socket: Socket, text: string): void => {
  if (!socket.destroyed) socket.write(text, () => setImmediate(flood, socket, text))
}

const pour = (response: http.ServerResponse): void => {
  if (!response.destroyed) response.write("x".repeat(16 * 1024), () => setImmediate(pour, response))
}

/**
 * An envelope by the letter of the protocol, with nothing forgiven: header lines are compact JSON objects, every item says its
 * exact `length`, every item ends with LF. Throws on what cannot be read at all.
 */
export const readEnvelope = (bytes: Uint8Array): FramedEnvelope => {
  const all = Buffer.from(bytes)
  let at = 0
  const headerLine = (): Json => {
    const end = all.indexOf(10, at)
    if (end < 0) throw new Error("a header line without an end")
    const text = utf8(all.subarray(at, end))
    at = end + 1
    const json: unknown = JSON.parse(text)
    if (typeof json !== "object" || json === null || Array.isArray(json)) throw new Error(`no header: ${text}`)
    if (JSON.stringify(json) !== text) throw new Error(`not compact: ${text}`)
    return json as Json
  }
  const headers = headerLine()
  const items: Array<FramedItem> = []
  while (at < all.length) {
    const itemHeaders = headerLine()
    const { length, type } = itemHeaders as { length?: unknown; type?: unknown }
    if (typeof length !== "number" || !Number.isInteger(length) || length < 0) throw new Error("an item without length")
    if (at + length >= all.length) throw new Error(`an item of ${length} bytes runs past the end`)
    if (all[at + length] !== 10) throw new Error(`an item of ${length} bytes does not end with LF`)
    const payload = all.subarray(at, at + length)
    at += length + 1
    const json = type === "attachment" ? undefined : (JSON.parse(utf8(payload)) as Json)
    items.push({ headers: itemHeaders, bytes: payload, json })
  }
  return { headers, items }
}

const utf8 = (bytes: Uint8Array): string => new TextDecoder("utf8", { fatal: true, ignoreBOM: true }).decode(bytes)

/** What the protocol has against an envelope that can be read. */
const problemsOf = ({ headers, items }: FramedEnvelope): Array<string> => {
  const types = items.map((item) => String(item.headers["type"]))
  const event = items.find((item) => item.headers["type"] === "event")
  const sentAt = String(headers["sent_at"])
  const sdk = headers["sdk"] as { name?: unknown; version?: unknown } | undefined
  const claims: ReadonlyArray<readonly [holds: boolean, what: string]> = [
    [items.length > 0, "an envelope without items"],
    [types.every((type) => ITEM_KEYS[type] !== undefined), `an item of an unknown type: ${types.join(", ")}`],
    [types.filter((type) => type === "event").length <= 1, "two events in one envelope"],
    [types.filter((type) => type === "log").length <= 1, "two items of logs in one envelope"],
    [!types.includes("log") || headers["trace"] === undefined, "logs, which may be of several traces, with a trace"],
    [
      items.every(({ headers, json }) => headers["type"] !== "log" || isContainer(headers, json)),
      "an item of logs that does not hold as many as it says, or too many"
    ],
    [event !== undefined || !types.includes("attachment"), "an attachment without an event"],
    [subset(headers, ENVELOPE_KEYS), `unknown envelope headers: ${Object.keys(headers).join(", ")}`],
    [
      items.every((item) => subset(item.headers, ITEM_KEYS[String(item.headers["type"])] ?? [])),
      `unknown item headers: ${JSON.stringify(items.map((item) => item.headers))}`
    ],
    [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/.test(sentAt), `sent_at is no RFC 3339 time: ${sentAt}`],
    [isRecent(Date.parse(sentAt)), `sent_at is not now: ${sentAt}`],
    [
      sdk !== undefined &&
        Object.keys(sdk).toSorted().join() === "name,version" &&
        /^\d+\.\d+\.\d+/.test(String(sdk.version)),
      `sdk is no name and version: ${JSON.stringify(sdk)}`
    ],
    [
      headers["dsn"] === undefined || /^https?:\/\/[^:@/]+@[^@]+\/\d+$/.test(String(headers["dsn"])),
      `dsn is none, or holds a secret: ${String(headers["dsn"])}`
    ],
    [Buffer.byteLength(JSON.stringify(headers)) <= 8192, "a header line of more than 8 KiB"],
    [
      event === undefined || headers["event_id"] === event.json?.["event_id"],
      `the envelope's event_id is ${String(headers["event_id"])}, the event's ${String(event?.json?.["event_id"])}`
    ],
    [event === undefined || /^[0-9a-f]{32}$/.test(String(event.json?.["event_id"])), "an event_id that is none"],
    [
      event === undefined || subset(event.json ?? {}, EVENT_KEYS),
      `an event with unknown fields: ${Object.keys(event?.json ?? {}).join(", ")}`
    ],
    [event === undefined || event.bytes.byteLength <= 1024 * 1024, `an event of ${event?.bytes.byteLength} bytes`],
    [
      Object.values((headers["trace"] as Json | undefined) ?? {}).every((value) => typeof value === "string"),
      `trace holds other things than text: ${JSON.stringify(headers["trace"])}`
    ],
    [[headers, ...items.map(({ json }) => json)].every(isWellFormed), "text with half of a surrogate pair"]
  ]
  return claims.flatMap(([holds, what]) => (holds ? [] : [what]))
}

/** Servers drop what is no container by the letter. */
const isContainer = (headers: Json, json: Json | undefined): boolean => {
  const logs = json?.["items"]
  return (
    headers["content_type"] === "application/vnd.sentry.items.log+json" &&
    Array.isArray(logs) &&
    logs.length === headers["item_count"] &&
    logs.length >= 1 &&
    logs.length <= 100
  )
}

/** Where our own parser reads something else. */
const disagreements = (framed: FramedEnvelope, parsed: ParsedEnvelope): Array<string> => {
  const items = framed.items.map(({ bytes, headers, json }) => ({ headers, payload: json ?? bytes }))
  return isDeepStrictEqual({ headers: framed.headers, items }, { headers: parsed.headers, items: parsed.items })
    ? []
    : ["parseEnvelope reads it otherwise"]
}

const ENVELOPE_KEYS = ["event_id", "dsn", "sdk", "sent_at", "trace"]
const ITEM_KEYS: Record<string, ReadonlyArray<string>> = {
  event: ["type", "length"],
  client_report: ["type", "length"],
  session: ["type", "length"],
  sessions: ["type", "length"],
  log: ["type", "length", "item_count", "content_type"],
  attachment: ["type", "length", "filename", "content_type", "attachment_type"]
}
const EVENT_KEYS = (
  "event_id timestamp platform level logger transaction server_name release dist environment message logentry exception " +
  "threads fingerprint tags extra user contexts request breadcrumbs modules debug_meta sdk _meta"
).split(" ")

const subset = (record: Json, keys: ReadonlyArray<string>): boolean =>
  Object.keys(record).every((key) => keys.includes(key))

/** Within a minute of now. */
const isRecent = (millis: number): boolean => Math.abs(millis - Date.now()) < 60_000

const isWellFormed = (value: unknown): boolean => {
  if (typeof value === "string") return value.isWellFormed()
  if (typeof value !== "object" || value === null) return true
  return Object.entries(value).every(([key, inner]) => key.isWellFormed() && isWellFormed(inner))
}

export interface Certificate {
  readonly key: string
  readonly cert: string
}

const OPENSSL = "openssl"

/** A certificate for 127.0.0.1 that nobody has signed but itself; `undefined` on a machine without `openssl`. */
export const selfSigned = (): Certificate | undefined => {
  const folder = mkdtempSync(join(tmpdir(), "faultline-"))
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  try {
    execFileSync(
      OPENSSL,
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost
       -addext subjectAltName=IP:127.0.0.1 -keyout ${key} -out ${cert}`.split(/\s+/),
      { stdio: "ignore" }
    )
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
  } catch {
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
