/**
 * What a program in Effect reports, wired as it is usually done to `@sentry/node`, and with this SDK: the same programs, run twice.
 *
 *     npm run build && npx tsx examples/before-after.ts
 *
 * It prints a table, and ends with exit code 1 if one of our own rows is not as it should be.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import type { Breadcrumb, Event } from "effect-faultline"

type Column = "naive" | "faultline"

interface Outcome {
  readonly events: ReadonlyArray<Event>
  readonly code: number | null
}

interface Row {
  readonly name: string
  readonly what: string
  /** What came out of it, in a few words. */
  readonly says: (outcome: Outcome) => string
  readonly right: string
}

const primary = ({ exception }: Event) => exception?.values.at(-1)
const typesOf = (event: Event): string => event.exception?.values.map(({ type }) => type).join(", ") ?? "none"
const count = (events: ReadonlyArray<Event>): string => `${events.length} ${events.length === 1 ? "event" : "events"}`

const ends = ({ code, events }: Outcome): string =>
  [count(events), ...events.map((event) => `\`${primary(event)?.type}\``), `exit code ${code}`].join(", ")

const described = ({ events }: Outcome): string =>
  events.length === 0 ? "0 events" : events.map((event) => `\`${typesOf(event)}\`: ${valueOf(event)}`).join("; ")

const valueOf = (event: Event): string => {
  const value = (primary(event)?.value ?? event.message ?? "").replace(/\s+/g, " ")
  return value === "" ? "no message" : `"${value.length > 60 ? `${value.slice(0, 60)}…` : value}"`
}

const fieldsIn = (event: Event): string =>
  JSON.stringify(event.contexts ?? {}).includes('"userId":7') ? "its fields" : "no fields"

const spansIn = (event: Event): string => {
  const functions = primary(event)?.stacktrace?.frames.map((frame) => frame.function) ?? []
  const spans = ["GET /users/:id", "repo.findUser"].filter((span) => functions.includes(span))
  return spans.length === 0 ? "no spans" : `frames of its spans (${spans.join(" > ")})`
}

const processes: ReadonlyArray<Row> = [
  {
    name: "main",
    what: "`runMain(failing)`",
    says: ends,
    right: "1 event, `UserNotFound`, exit code 1"
  },
  {
    name: "mainCaptured",
    what: "the same, captured with `tapErrorCause`",
    says: ends,
    right: "1 event, `UserNotFound`, exit code 1"
  },
  {
    name: "bareDaemon",
    what: "`forkDaemon(die)`",
    says: ends,
    right: "1 event, `TypeError`, exit code 0"
  },
  {
    name: "bareRunFork",
    what: "`Effect.runFork(failing)`",
    says: ends,
    right: "1 event, `UserNotFound`, exit code 0"
  },
  {
    name: "bareRunPromise",
    what: "`Effect.runPromise(failing)`, unhandled (Node's exit code: 1)",
    says: ends,
    right: "1 event, `UserNotFound`, exit code 1"
  }
]

const captures: ReadonlyArray<Row> = [
  {
    name: "fiberFailure",
    what: "a `FiberFailure` is captured",
    says: ({ events }) => events.map((event) => `\`${typesOf(event)}\`, ${fieldsIn(event)}`).join("; "),
    right: "`UserNotFound`, its fields"
  },
  {
    name: "squash",
    what: "a Cause from within spans",
    says: ({ events }) =>
      events.map((event) => `\`${typesOf(event)}\`, ${fieldsIn(event)}, ${spansIn(event)}`).join("; "),
    right: "`UserNotFound`, its fields, frames of its spans (GET /users/:id > repo.findUser)"
  },
  {
    name: "cause",
    what: "the Cause itself is captured",
    says: described,
    right: '`UserNotFound`: "no user 7"'
  },
  {
    name: "parallel",
    what: "a typed failure, and a defect behind it",
    says: described,
    right: '`UserNotFound, TypeError`: "the bug"'
  },
  {
    name: "tagged",
    what: '`Effect.fail({ _tag: "Declined", code: 51 })`',
    says: described,
    right: "`Declined`"
  },
  {
    name: "interruption",
    what: "an interruption",
    says: described,
    right: "0 events"
  },
  {
    name: "concurrent",
    what: "a tag and a breadcrumb in each of 3 concurrent fibers; the first one fails",
    says: ({ events }) =>
      events
        .map(({ breadcrumbs, tags }) => {
          // `@sentry/node` writes the list without a wrapper.
          const crumbs = (Array.isArray(breadcrumbs) ? breadcrumbs : (breadcrumbs?.values ?? [])) as Array<Breadcrumb>
          const requests = crumbs.flatMap(({ message }) => /^request (\d)$/.exec(message ?? "")?.[1] ?? [])
          return `tag of request ${tags?.["request"]}, breadcrumbs of ${requests.join(", ")}`
        })
        .join("; "),
    right: "tag of request 1, breadcrumbs of 1"
  },
  {
    name: "users",
    what: "the same error for three users",
    says: ({ events }) => `${count(events)}: ${events.map(({ user }) => user?.id).join(", ")}`,
    right: "3 events: u1, u2, u3"
  },
  {
    name: "layers",
    what: "5 failures, each captured in its effect and where its promise is awaited",
    says: ({ events }) => count(events),
    right: "5 events"
  },
  {
    name: "schema",
    what: "a failed Schema decode of a card number",
    says: ({ events }) =>
      JSON.stringify(events).includes("42424242")
        ? "the number is in the event"
        : `${count(events)}, without the number`,
    right: "1 event, without the number"
  }
]

/** A server on the loopback interface, and what one program at a time has sent to it. */
const startIngest = async () => {
  let events: Array<Event> = []
  const marked = new Map<string, ReadonlyArray<Event>>()
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const [, kind, name = ""] = request.url?.split("/") ?? []
      if (kind === "mark") {
        marked.set(name, events)
        events = []
      } else {
        const raw = Buffer.concat(chunks)
        events.push(...eventsIn(request.headers["content-encoding"] === "gzip" ? gunzipSync(raw) : raw))
      }
      response.end("{}")
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    env: { BEFORE_AFTER_DSN: `http://key@127.0.0.1:${port}/1`, BEFORE_AFTER_MARK: `http://127.0.0.1:${port}/mark` },
    marked,
    take: (): ReadonlyArray<Event> => {
      const taken = events
      events = []
      return taken
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

/** The events of an envelope: each item is a line that says what it is, and a line with it. */
const eventsIn = (envelope: Buffer): Array<Event> => {
  const lines = envelope.toString().split("\n")
  return lines.flatMap((line, index) =>
    /^\{[^{]*"type":"event"/.test(line) ? [JSON.parse(lines[index + 1] as string) as Event] : []
  )
}

const PROGRAM = fileURLToPath(new URL("before-after/program.mjs", import.meta.url))

const outcomesOf = async (column: Column): Promise<ReadonlyMap<string, Outcome>> => {
  const ingest = await startIngest()
  const outcomes = new Map<string, Outcome>()
  const run = async (row: string): Promise<number | null> => {
    const env = { PATH: process.env["PATH"], ...ingest.env }
    const child = spawn(process.execPath, [PROGRAM, column, row], { env, stdio: ["ignore", "ignore", "pipe"] })
    child.stderr.resume()
    const [code] = (await once(child, "close")) as [number | null]
    return code
  }
  try {
    for (const { name } of processes) outcomes.set(name, { code: await run(name), events: ingest.take() })
    const code = await run("captures")
    for (const { name } of captures) outcomes.set(name, { code, events: ingest.marked.get(name) ?? [] })
  } finally {
    ingest.close()
  }
  return outcomes
}

const [before, after] = await Promise.all([outcomesOf("naive"), outcomesOf("faultline")])

const lines = ["| in Effect | wired to `@sentry/node` | with effect-faultline |", "| --- | --- | --- |"]
for (const { name, right, says, what } of [...processes, ...captures]) {
  const [naive, ours] = [before, after].map((column) => says(column.get(name) as Outcome)) as [string, string]
  lines.push(`| ${what} | ${naive} | ${ours} |`)
  if (!ours.startsWith(right)) {
    process.stderr.write(`${what}: "${ours}" in the place of "${right}"\n`)
    process.exitCode = 1
  }
}
process.stdout.write(`${lines.join("\n")}\n`)
