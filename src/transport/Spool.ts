/**
 * Events that survive the process and the network: each envelope is kept in a folder until the server has answered.
 *
 * @since 0.1.0
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import { type Checks, checkOptions, isCount, isDuration, isOneOf } from "../protocol/checkOptions.js"
import { OptionsError } from "../protocol/OptionsError.js"
import type { Store } from "./Store.js"
import { Folder } from "./spool/Folder.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface SpoolOptions {
  /** Where envelopes are kept; made if it is not there. Several processes may share it, also those of different DSNs. */
  readonly directory: string
  /**
   * - `sync`: an event is on disk when its capture returns. Nothing that is done to the process afterwards loses it.
   * - `async` (the default): events that were not answered within 100 ms are written, in the background. `kill -9` can lose what
   *   was captured in that time; `process.exit` and an uncaught exception cannot.
   */
  readonly durability?: "sync" | "async" | undefined
  /** How many bytes the folder may hold. Default: 64 MiB. What is beyond it is kept in memory only. */
  readonly maxBytes?: number | undefined
  /** How many envelopes it may hold. Default: 10,000. */
  readonly maxCount?: number | undefined
  /** What is older when it is found is not sent any more, but counted as lost. Default: 7 days. */
  readonly maxAge?: Duration.DurationInput | undefined
}

/**
 * The hub's way to keep what it could not send yet; by default none.
 *
 * @since 0.1.0
 * @category tags
 */
export class Spool extends Context.Reference<Spool>()("effect-faultline/Spool", {
  defaultValue: (): Spool.Service => ({ open: () => undefined })
}) {
  /**
   * Keeps every envelope in a folder until the server has answered it: what is left when the process ends, however it ends, is
   * sent by the next one that uses the folder, in its order and under its own event ids. While the network is down, sending is
   * tried again after 1, 2, 4 … 60 seconds. Envelopes leave one at a time.
   *
   * A disk that is full, a folder that cannot be written to, a file that cannot be read or is none of ours: a line on standard
   * error says so, once, and the hub goes on as without a spool. Options that cannot be used are thrown as an `OptionsError`.
   *
   * @since 0.1.0
   * @category layers
   * @example
   * import { DefaultIntegrations, Hub, Spool } from "effect-faultline"
   * import { Layer } from "effect"
   *
   * const Faultline = DefaultIntegrations.pipe(
   *   Layer.provideMerge(Hub.layerConfig()),
   *   Layer.provide(Spool.layer({ directory: "var/spool", durability: "sync" }))
   * )
   */
  static layer(options: SpoolOptions): Layer.Layer<Spool> {
    return Layer.succeed(Spool, Spool.make(options))
  }

  /**
   * The same for the hub's option `spool`, hence for the facade. Throws an `OptionsError` for options that cannot be used.
   *
   * @since 0.1.0
   * @category constructors
   */
  static make(options: SpoolOptions): Spool.Service {
    checkOptions(options, CHECKS)
    const { directory, durability, maxAge, maxBytes, maxCount } = options
    if (directory === undefined) throw new OptionsError({ option: "directory", reason: "is missing" })
    return {
      open: (warn, owner) =>
        new Folder({
          directory: join(directory, `to-${createHash("sha256").update(owner).digest("hex").slice(0, 16)}`),
          maxBytes: maxBytes ?? 64 * 1024 * 1024,
          maxCount: maxCount ?? 10_000,
          maxAgeMillis: Duration.toMillis(maxAge ?? "7 days"),
          writeDelayMillis: durability === "sync" ? undefined : 100,
          warn: (message) => warn(`the spool: ${message}`)
        })
    }
  }
}

/**
 * @since 0.1.0
 */
export declare namespace Spool {
  /**
   * @since 0.1.0
   * @category models
   */
  interface Service {
    /** @internal */
    readonly open: (warn: (message: string) => void, owner: string) => Store | undefined
  }
}

const CHECKS: Checks<SpoolOptions> = {
  directory: (value) => (typeof value === "string" && value !== "" ? undefined : "must be the path of a folder"),
  durability: isOneOf("sync", "async"),
  maxBytes: isCount,
  maxCount: isCount,
  maxAge: isDuration
}
