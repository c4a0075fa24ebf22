import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Files by their path: a text, a value to be written as JSON, or a link to somewhere below the same folder. */
export type Files = Readonly<Record<string, string | object | Link>>

class Link {
  constructor(readonly to: string) {}
}

export const linkTo = (to: string): Link => new Link(to)

/** A folder with these files, for as long as the scope is open. */
export const folderWith = (files: Files): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const root = realpathSync(mkdtempSync(join(tmpdir(), "faultline-")))
      for (const [path, content] of Object.entries(files)) write(root, join(root, path), content)
      return root
    }),
    (root) => Effect.sync(() => rmSync(root, { recursive: true }))
  )

const write = (root: string, path: string, content: string | object): void => {
  mkdirSync(dirname(path), { recursive: true })
  if (content instanceof Link) symlinkSync(join(root, content.to), path)
  else writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
}
