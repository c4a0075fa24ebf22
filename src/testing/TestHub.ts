/**
 * A hub for tests: what it would send is kept as data.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { drain } from "../hub/drain.js"
import { Hub } from "../hub/Hub.js"
import type { DsnError, Options } from "../hub/Options.js"
import { type ParsedEnvelope, parseEnvelope } from "../protocol/Envelope.js"
import type { Event } from "../protocol/Event.js"
import type { SerializedLog } from "../protocol/Log.js"
import type { OptionsError } from "../protocol/OptionsError.js"
import type { Sender, Transport } from "../transport/Transport.js"

/**
 * No event matches what a test expects. The message lists those there are.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSuchEvent extends Data.TaggedError("NoSuchEvent")<{
  readonly wanted: string
  readonly captured: string
}> {
  override get message(): string {
    return `No event is ${this.wanted}. Captured: ${this.captured === "" ? "none" : this.captured}`
  }
}

/**
 * @since 0.1.0
 * @category tags
 * @example
 * import * as Faultline from "effect-faultline"
 * import { TestHub } from "effect-faultline/testing"
 * import { Effect } from "effect"
 *
 * const test = Effect.gen(function* () {
 *   yield* Faultline.captureException(new TypeError("no"))
 *   const event = yield* TestHub.expectEvent("TypeError")
 *   console.log(event.exception?.values[0]?.value) // "no"
 * }).pipe(Effect.provide(TestHub.layer))
 */
export class TestHub extends Context.Tag("effect-faultline/testing/TestHub")<TestHub, TestHub.Service>() {
  /**
   * A hub without integrations, without a network, and without a clock of its own (it works under `TestClock`). Integrations
   * are added as to any hub: `DefaultIntegrations.pipe(Layer.provideMerge(TestHub.layer))`.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<Hub | TestHub> = Layer.suspend(() => Layer.orDie(TestHub.layerWith({})))

  /** The same, with options. */
  static layerWith(options: Options): Layer.Layer<Hub | TestHub, DsnError | OptionsError> {
    return Layer.unwrapEffect(
      Effect.sync(() => {
        const envelopes: Array<ParsedEnvelope> = []
        const hub = Hub.layer({
          dsn: "https://public@faultline.invalid/1",
          serverName: "test",
          ...options,
          transport: memoryTransport(envelopes)
        })
        const testHub = Layer.effect(
          TestHub,
          Effect.map(Hub, ({ client }): TestHub.Service => {
            const settled = drain(client, 1000)
            return {
              envelopes: Effect.map(settled, () => [...envelopes]),
              events: Effect.map(settled, () => eventsOf(envelopes)),
              clear: Effect.map(settled, () => void envelopes.splice(0))
            }
          })
        )
        return Layer.provideMerge(testHub, hub)
      })
    )
  }

  /** The events captured so far, oldest first. */
  static readonly events: Effect.Effect<ReadonlyArray<Event>, never, TestHub> = Effect.suspend(() =>
    Effect.flatMap(TestHub, ({ events }) => events)
  )

  /** The structured logs written so far (with the option `enableLogs`), oldest first. */
  static readonly logs: Effect.Effect<ReadonlyArray<SerializedLog>, never, TestHub> = Effect.suspend(() =>
    Effect.map(TestHub.envelopes, logsOf)
  )

  /** The envelopes they came in. */
  static readonly envelopes: Effect.Effect<ReadonlyArray<ParsedEnvelope>, never, TestHub> = Effect.suspend(() =>
    Effect.flatMap(TestHub, ({ envelopes }) => envelopes)
  )

  /** Forgets what was captured so far. */
  static readonly clear: Effect.Effect<void, never, TestHub> = Effect.suspend(() =>
    Effect.flatMap(TestHub, ({ clear }) => clear)
  )

  /**
   * The first event whose error is of this type (`_tag` or name), or whose message is this text; else a failure that lists what
   * was captured.
   */
  static expectEvent(wanted: string): Effect.Effect<Event, NoSuchEvent, TestHub> {
    return Effect.flatMap(TestHub.events, (events) => {
      const found = events.find((event) => labelsOf(event).includes(wanted))
      return found === undefined
        ? Effect.fail(
            new NoSuchEvent({ wanted, captured: events.map((event) => labelsOf(event).join(": ")).join("; ") })
          )
        : Effect.succeed(found)
    })
  }
}

/**
 * @since 0.1.0
 */
export declare namespace TestHub {
  /**
   * @since 0.1.0
   * @category models
   */
  interface Service {
    readonly events: Effect.Effect<ReadonlyArray<Event>>
    readonly envelopes: Effect.Effect<ReadonlyArray<ParsedEnvelope>>
    readonly clear: Effect.Effect<void>
  }
}

const memoryTransport = (envelopes: Array<ParsedEnvelope>): Transport.Service => ({
  open: (): Sender => ({
    send(envelope, done) {
      envelopes.push(parseEnvelope(envelope))
      done({ _tag: "Answered", status: 200 })
      return { handedOver: true, abort() {} }
    },
    close() {}
  })
})

const eventsOf = (envelopes: ReadonlyArray<ParsedEnvelope>): ReadonlyArray<Event> =>
  envelopes.flatMap(({ items }) =>
    items.filter(({ headers }) => headers.type === "event").map(({ payload }) => payload as Event)
  )

const logsOf = (envelopes: ReadonlyArray<ParsedEnvelope>): ReadonlyArray<SerializedLog> =>
  envelopes.flatMap(({ items }) =>
    items.flatMap(({ headers, payload }) =>
      headers.type === "log" ? (payload as { readonly items: ReadonlyArray<SerializedLog> }).items : []
    )
  )

const labelsOf = (event: Event): Array<string> => {
  const primary = event.exception?.values.at(-1)
  return [primary?.type, primary?.value, event.message, event.logentry?.formatted].filter(
    (label) => label !== undefined
  )
}
