/**
 * A real Bugsink (from PyPI, on SQLite) in a temporary folder, that talks to this machine alone.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { cleanEnvironment } from "../demo/run.js"

const VERSION = "2.6.2"

/** Why it cannot be had on this machine. */
export class NotHere extends Error {}

/** An issue as Bugsink shows it, with its newest event. */
export interface Issue {
  readonly type: string
  readonly value: string
  readonly transaction: string
  readonly events: number
  readonly tags: Readonly<Record<string, string>>
  readonly frames: ReadonlyArray<{
    readonly function?: string
    readonly filename?: string
    readonly context_line?: string
  }>
  readonly release: string
  readonly environment: string
}

export interface Bugsink {
  readonly dsn: string
  readonly issues: () => Promise<ReadonlyArray<Issue>>
  readonly stop: () => Promise<void>
}

export const startBugsink = async (): Promise<Bugsink> => {
  const folder = await mkdtemp(join(tmpdir(), "faultline-bugsink-"))
  const clean = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    return await start(folder, clean)
  } catch (error) {
    await clean()
    throw error
  }
}

const start = async (folder: string, clean: () => Promise<void>): Promise<Bugsink> => {
  const python = await install(folder)
  const port = await freePort()
  await writeFile(join(folder, "bugsink_conf.py"), settings(folder, port))
  const environment = cleanEnvironment({
    DJANGO_SETTINGS_MODULE: "bugsink_conf",
    PYTHONPATH: folder,
    // The installer may need the settings of the machine; the server must not go anywhere.
    no_proxy: "127.0.0.1"
  })
  const run = async (...args: ReadonlyArray<string>): Promise<string> => {
    const { stdout } = await execute(python, args, { cwd: folder, env: environment, maxBuffer: 64 * 1024 * 1024 })
    return stdout
  }
  await run("-m", "django", "migrate", "--verbosity", "0")
  const key = lastLine(await run("-c", `${SETUP}\n${MAKE_PROJECT}`))
  const server = spawn(
    python,
    ["-m", "gunicorn", "--bind", `127.0.0.1:${port}`, "--threads", "2", "--log-level", "error", "bugsink.wsgi"],
    { cwd: folder, env: environment, stdio: ["ignore", "ignore", "inherit"] }
  )
  await isUp(server, `http://127.0.0.1:${port}/`)
  return {
    dsn: `http://${key}@127.0.0.1:${port}/1`,
    issues: async () => JSON.parse(lastLine(await run("-c", `${SETUP}\n${READ_ISSUES}`))) as ReadonlyArray<Issue>,
    stop: async () => {
      const ended = new Promise((resolve) => server.once("exit", resolve))
      server.kill("SIGTERM")
      await ended
      await clean()
    }
  }
}

const execute = promisify(execFile)

const install = async (folder: string): Promise<string> => {
  const given = process.env["BUGSINK_PYTHON"]
  if (given !== undefined) return given
  const name = process.platform === "win32" ? "python" : "python3"
  try {
    await execute(name, ["-m", "venv", join(folder, "venv")])
  } catch {
    throw new NotHere(`${name} with its module venv is not on this machine`)
  }
  const python = ["bin/python", "Scripts/python.exe"].map((path) => join(folder, "venv", path)).find(existsSync)
  if (python === undefined) throw new NotHere("the virtual environment has no interpreter")
  try {
    await execute(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", `bugsink==${VERSION}`])
  } catch (error) {
    const { stderr = "" } = error as { readonly stderr?: string }
    throw new NotHere(`bugsink ${VERSION} cannot be installed from PyPI: ${lastLine(stderr)}`)
  }
  return python
}

const freePort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { readonly port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

const isUp = async (server: ChildProcess, url: string): Promise<void> => {
  for (let attempt = 0; attempt < 240; attempt++) {
    if (server.exitCode !== null) break
    try {
      await fetch(url, { redirect: "manual" })
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
  server.kill("SIGKILL")
  throw new Error("Bugsink did not start")
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? ""

const settings = (folder: string, port: number): string => `
from bugsink.settings.default import *

SECRET_KEY = "not-a-secret-a-server-for-one-test-only-0123456789abcdef"
DATABASES["default"]["NAME"] = ${JSON.stringify(join(folder, "db.sqlite3"))}
DATABASES["default"]["TEST"]["NAME"] = ${JSON.stringify(join(folder, "test.sqlite3"))}
DATABASES["snappea"]["NAME"] = ${JSON.stringify(join(folder, "snappea.sqlite3"))}
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
ALLOWED_HOSTS = ["127.0.0.1"]
BUGSINK = {
    "BASE_URL": "http://127.0.0.1:${port}",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "USER_REGISTRATION": "CB_NOBODY",
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": ${JSON.stringify(join(folder, "ingestion"))},
    "DIGEST_IMMEDIATELY": True,
}
`

const SETUP = "import django; django.setup()"

const MAKE_PROJECT = `
from projects.models import Project
from teams.models import Team
team = Team.objects.create(name="faultline")
print(Project.objects.create(name="faultline", team=team).sentry_key.hex)
`

const READ_ISSUES = `
import json
from issues.models import Issue
from tags.models import EventTag
issues = []
for issue in Issue.objects.all().order_by("digest_order"):
    event = issue.event_set.order_by("-digest_order").first()
    data = event.get_parsed_data()
    values = (data.get("exception") or {}).get("values") or []
    frames = ((values[-1].get("stacktrace") or {}).get("frames") or []) if values else []
    issues.append({
        "type": issue.calculated_type,
        "value": issue.calculated_value,
        "transaction": issue.transaction,
        "events": issue.digested_event_count,
        "tags": {tag.value.key.key: tag.value.value for tag in EventTag.objects.filter(event=event)},
        "frames": [{key: frame.get(key) for key in ("function", "filename", "context_line")} for frame in frames],
        "release": event.release,
        "environment": event.environment,
    })
print(json.dumps(issues))
`
