/**
 * The hubs that `Stdlib` is on for. What it watches is the same for all of them, in one place; whose it is, is asked each time.
 */
import type { Client } from "../../hub/Client.js"

/** @internal */
export interface Settings {
  /** Whether breadcrumbs of subprocesses show their arguments. */
  readonly includeArguments: boolean
}

const settings = new WeakMap<Client, Settings>()

/** @internal */
export const settingsOf = (client: Client): Settings | undefined => settings.get(client)

/** The function it returns takes it back. @internal */
export const turnOn = (client: Client, value: Settings): (() => void) => {
  settings.set(client, value)
  return () => void (settings.get(client) === value && settings.delete(client))
}
