import * as diagnostics from "node:diagnostics_channel"

/** An installation of a listener to one of Node's channels. @internal */
export const subscribing =
  (channel: string, listener: (message: unknown) => void): (() => () => void) =>
  () => {
    diagnostics.subscribe(channel, listener)
    return () => void diagnostics.unsubscribe(channel, listener)
  }
