/**
 * What the examples are to have shown, one section for each integration: every line is a claim that is checked on what
 * Spotlight has parsed.
 */
import { readFileSync } from "node:fs"
import { isDeepStrictEqual, stripVTControlCharacters } from "node:util"
import type { Breadcrumb, Event } from "effect-faultline"
import { type Arrivals, breadcrumbsOf, errorOf } from "./arrivals.js"
import { plural, short, sum } from "./print.js"
import { root, SECRET } from "./run.js"

export interface Section {
  readonly title: string
  readonly about: string
  /** What the examples did. */
  readonly did: string
  readonly claims: ReadonlyArray<Claim>
}

export interface Claim {
  readonly label: string
  /** What was found. */
  readonly text: string
  readonly holds: boolean
}

/** @param found what an event says: `undefined` where it says nothing */
const claim = (label: string, found: unknown, holds: boolean): Claim => ({
  label,
  text: found === undefined ? "nothing" : short(found),
  holds: holds && found !== undefined
})

const claimOnEvery = (arrivals: Arrivals, label: string, has: (event: Event) => boolean): Claim => {
  const all = arrivals.events.length
  const count = arrivals.events.filter(has).length
  return claim(`${label} on`, `${count} of ${plural(all, "event")}`, count === all && all > 0)
}

const argv = (arrivals: Arrivals): Section => {
  const found = arrivals.event("cli.ts", "BuildFailed")?.extra?.["sys.argv"] as ReadonlyArray<string> | undefined
  const all = arrivals.envelopes.length
  const leaks = arrivals.envelopes.filter(({ raw }) => raw.includes(SECRET)).length
  return {
    title: "argv",
    about: "the command line on every event, its secrets masked",
    did: `cli.ts publish ./site --token ${SECRET}`,
    claims: [
      claim(
        "sys.argv",
        found?.join(" ").replace(root, ""),
        isDeepStrictEqual(found, [`${root}examples/cli.ts`, "publish", "./site", "--token", "[Filtered]"])
      ),
      claimOnEvery(arrivals, "sys.argv", ({ extra }) => extra?.["sys.argv"] !== undefined),
      claim("the token in", `${leaks} of ${plural(all, "envelope")}`, leaks === 0 && all > 0)
    ]
  }
}

const atexit = (arrivals: Arrivals): Section => ({
  title: "atexit",
  about: "what is still to be sent when a program ends arrives, and its exit code is what it was",
  did: "smallest.ts fails, upon which Effect exits the process; facade.ts throws with two events still on their way",
  claims: (
    [
      ["smallest.ts", 1],
      ["facade.ts", 3]
    ] as const
  ).map(([example, wanted]) => {
    const { exitCode } = arrivals.run(example)
    const count = arrivals.from(example).length
    const text = `${count} of ${plural(wanted, "event")}, exit code ${String(exitCode)}`
    return claim(example, text, count === wanted && exitCode === 1)
  })
})

const dedupe = (arrivals: Arrivals): Section => {
  const dropped = sum(arrivals.runs, (run) => run.dropped.length)
  const told = sum(arrivals.reports, (report) => sum(report.discarded_events, ({ quantity }) => quantity))
  return {
    title: "dedupe",
    about: "one failure, one event, whichever ways it is reported",
    did: "cli.ts logs its error and ends with it; http-server.ts logs errors that it then answers with 500",
    claims: [
      ...(
        [
          ["cli.ts", "BuildFailed", 1],
          ["http-server.ts", "CardDeclined", 3]
        ] as const
      ).map(([example, type, wanted]) => {
        const count = arrivals.from(example).filter((event) => errorOf(event)?.type === type).length
        const repeats = arrivals.run(example).dropped.filter((line) => line.includes("duplicate")).length
        const text = `${2 * wanted} reports of ${type}: ${plural(count, "event")}, ${plural(repeats, "repeat")} dropped`
        return claim(example, text, count === wanted && repeats === wanted)
      }),
      claim("client reports", `say that ${plural(told, "event")} were dropped`, told === dropped && told > 0)
    ]
  }
}

const excepthook = (arrivals: Arrivals): Section => {
  const uncaught = (example: "smallest.ts" | "facade.ts", type: string, origin: string): Claim => {
    const error = errorOf(arrivals.event(example, type))
    const mechanism = error?.mechanism
    return claim(
      example,
      error &&
        `${type}: ${error.value} · handled: ${mechanism?.handled}, origin: ${short(mechanism?.data?.["origin"])}`,
      mechanism?.type === "excepthook" && mechanism.handled === false && mechanism.data?.["origin"] === origin
    )
  }
  const event = arrivals.event("smallest.ts", "OutOfStock")
  const fields = event?.contexts?.["OutOfStock"]
  const frame = errorOf(event)?.stacktrace?.frames?.findLast(({ in_app }) => in_app)
  return {
    title: "excepthook",
    about: "what nobody caught: the failure a program ends with, a throw on its own",
    did: "smallest.ts ends with a typed error; facade.ts throws where nothing catches",
    claims: [
      uncaught("smallest.ts", "OutOfStock", "exit"),
      uncaught("facade.ts", "Error", "uncaughtException"),
      claim("its fields", fields, isDeepStrictEqual(fields, { sku: "A-1", left: 1 })),
      claim(
        "its frame",
        frame && `${frame.filename}:${frame.lineno}  ${frame.context_line?.trim()}`,
        frame?.filename === "examples/smallest.ts" && frame.context_line?.includes("new OutOfStock") === true
      )
    ]
  }
}

const logging = (arrivals: Arrivals): Section => {
  const event = arrivals.event("cli.ts", "BuildFailed")
  const crumb = breadcrumbsOf(event).find(({ type }) => type === "log")
  return {
    title: "logging",
    about: "Effect's log as breadcrumbs, and from Error on as events",
    did: 'cli.ts logs "publish ./site", and later logError("nothing was published", error)',
    claims: [
      claim(
        "breadcrumb",
        crumb && `${crumb.level}: ${crumb.message}`,
        crumb?.level === "info" && crumb.message === "publish ./site"
      ),
      claim("annotations", crumb?.data, crumb?.data?.["command"] === "publish"),
      claim(
        "event",
        event?.logentry && `${event.level}: ${event.logentry.formatted}`,
        event?.level === "error" &&
          event.logentry?.message === "nothing was published" &&
          errorOf(event)?.mechanism?.type === "logging"
      )
    ]
  }
}

const modules = (arrivals: Arrivals): Section => {
  const found = arrivals.events[0]?.modules
  const wanted = ["effect", "@effect/platform", "@effect/platform-node"]
  const count = Object.keys(found ?? {}).length
  return {
    title: "modules",
    about: "the packages that the program runs with, in their versions",
    did: "they import them",
    claims: [
      claim(
        "modules",
        found && `${wanted.map((name) => `${name} ${found[name]}`).join(", ")}, … (${count})`,
        wanted.every((name) => found?.[name] === versionOf(name))
      ),
      claimOnEvery(arrivals, "modules", (event) => event.modules?.["effect"] === versionOf("effect"))
    ]
  }
}

const stdlib = (arrivals: Arrivals): Section => {
  const cli = breadcrumbsOf(arrivals.event("cli.ts", "BuildFailed"))
  const server = breadcrumbsOf(arrivals.event("http-server.ts", "CardDeclined"))
  const [started, ended] = cli.filter(({ type }) => type === "subprocess").map(({ message }) => message)
  const request = (label: string, trail: ReadonlyArray<Breadcrumb>, wanted: RegExp): Claim => {
    const text = trail.filter(({ type }) => type === "http").map(describeRequest)[0]
    return claim(label, text, text !== undefined && wanted.test(text))
  }
  return {
    title: "stdlib",
    about: "requests and subprocesses as breadcrumbs, and what runs the program",
    did: "cli.ts fetches a URL and runs a program; http-server.ts asks the bank with Effect's HttpClient",
    claims: [
      request("fetch", cli, /^GET \S+\/site\/latest → 404 /),
      request("HttpClient", server, /^GET \S+\/bank\/\d+\?card=4242&pin=\[Filtered\] → 402 /),
      claim("subprocess", started, /^node --eval \[Filtered\] .*--out-dir=\[Filtered\]$/.test(started ?? "")),
      claim("its end", ended, ended === "node exited with code 2"),
      claimOnEvery(arrivals, `node ${process.version}`, ({ contexts }) =>
        isDeepStrictEqual(contexts?.["runtime"], { name: "node", version: process.version })
      )
    ]
  }
}

const threading = (arrivals: Arrivals): Section => {
  const describe = (event: Event): string =>
    `${errorOf(event)?.type}: ${errorOf(event)?.value} · album: ${event.tags?.["album"]}`
  const crash = (label: string, type: string, kind: string): Claim => {
    const event = arrivals.event("worker-pool.ts", type)
    const mechanism = errorOf(event)?.mechanism
    const isCrash =
      mechanism?.type === "threading" && mechanism.handled === false && mechanism.data?.["thread_kind"] === kind
    return claim(label, event && describe(event), isCrash && event?.tags?.["album"] === "holidays")
  }
  const inside = arrivals.event("worker-pool.ts", "FormatUnknown")
  const before = breadcrumbsOf(inside).map(({ message }) => message)
  return {
    title: "threading",
    about: "fibers and threads: their scope goes with them, their crash is reported",
    did: "worker-pool.ts forks a fiber that fails unseen; one of its threads reports an error, one crashes",
    claims: [
      crash("crashed fiber", "CacheExpired", "fiber"),
      crash("crashed thread", "RangeError", "worker"),
      claim(
        "in a thread",
        inside && `${describe(inside)}, after: ${before.join(", ")}`,
        inside?.tags?.["album"] === "holidays" && before.includes("making thumbnails")
      )
    ]
  }
}

const scopes = (arrivals: Arrivals): Section => ({
  title: "scopes",
  about: "users at the same time, and nothing of one on an event of another",
  did: "http-server.ts serves five users at once; each request logs and asks the bank, three fail",
  claims: ["ada", "alan", "barbara"].map((user) => {
    const event = arrivals.from("http-server.ts").find((candidate) => candidate.user?.id === user)
    const trail = breadcrumbsOf(event).map(({ data, message, type }) =>
      type === "http" ? short(data?.["http.response.status_code"]) : message
    )
    return claim(
      user,
      event && `${event.transaction} · ${trail.join(" → ")}`,
      event?.transaction === "POST /pay/:user/:amount" &&
        event.request?.url?.includes(`/pay/${user}/`) === true &&
        /^(\w+) pays \d+ → 402 → the bank answered \1$/.exec(trail.join(" → "))?.[1] === user
    )
  })
})

const facade = (arrivals: Arrivals): Section => {
  const wrapped = arrivals.event("facade.ts", "TypeError")
  const message = arrivals.from("facade.ts").find((event) => event.message !== undefined)
  return {
    title: "facade",
    about: "code that is not Effect, under the names of @sentry/node",
    did: "facade.ts charges three customers with wrap and withIsolationScope; then a message, in a withScope",
    claims: [
      claim(
        "wrap",
        wrapped && `${errorOf(wrapped)?.value} · user: ${wrapped.user?.id}, service: ${wrapped.tags?.["service"]}`,
        wrapped?.user?.id === "grace" && wrapped.tags?.["service"] === "billing"
      ),
      claim(
        "withScope",
        message && `${message.level}: ${message.message} · step: ${message.tags?.["step"]}`,
        message?.level === "warning" && message.tags?.["step"] === "archive" && message.user === undefined
      )
    ]
  }
}

const ownIntegration = (arrivals: Arrivals): Section => {
  const event = arrivals.event("integration.ts", "PoolWarning")
  return {
    title: "your own",
    about: "an integration in a dozen lines",
    did: "integration.ts makes events of Node's warnings, and puts a tag on all",
    claims: [
      claim(
        "event",
        event && `${event.level}: ${errorOf(event)?.value} · uptime: ${event.tags?.["uptime"]}`,
        event?.level === "warning" && event.tags?.["uptime"] !== undefined
      ),
      claim(
        "integrations",
        event?.sdk?.integrations?.join(", "),
        event?.sdk?.integrations?.includes("warnings") === true
      )
    ]
  }
}

const tests = (arrivals: Arrivals): Section => {
  const passed = /Tests +(\d+ passed.*)/.exec(stripVTControlCharacters(arrivals.run("swapping.test.ts").output))?.[1]
  const sent = arrivals.from("swapping.test.ts").length
  return {
    title: "in tests",
    about: "layers swapped, events as data",
    did: "swapping.test.ts checks a checkout with TestHub in place of the hub",
    claims: [claim("vitest", passed && `${passed}, ${plural(sent, "event")} sent`, sent === 0)]
  }
}

export const sectionsOf = (arrivals: Arrivals): ReadonlyArray<Section> =>
  [argv, atexit, dedupe, excepthook, logging, modules, stdlib, threading, scopes, facade, ownIntegration, tests].map(
    (section) => section(arrivals)
  )

const describeRequest = ({ data = {} }: Breadcrumb): string => {
  const [method, url, query, status, reason] = [
    "http.method",
    "url",
    "http.query",
    "http.response.status_code",
    "reason"
  ].map((key) => (data[key] === undefined ? "" : String(data[key])))
  return `${method} ${url}${query === "" ? "" : `?${query}`} → ${status} ${reason}`
}

const versionOf = (name: string): string | undefined =>
  (JSON.parse(readFileSync(`${root}node_modules/${name}/package.json`, "utf8")) as { readonly version?: string })
    .version
