/**
 * What has arrived, by the example that sent it.
 */
import type { Breadcrumb, Event } from "effect-faultline"
import type { ExampleName, Run } from "./run.js"
import type { Envelope } from "./spotlight.js"

export class Arrivals {
  readonly events: ReadonlyArray<Event>
  readonly reports: ReadonlyArray<ClientReport>

  constructor(
    readonly runs: ReadonlyArray<Run>,
    readonly envelopes: ReadonlyArray<Envelope>
  ) {
    this.events = itemsIn(envelopes, "event") as ReadonlyArray<Event>
    this.reports = itemsIn(envelopes, "client_report") as ReadonlyArray<ClientReport>
  }

  run(example: ExampleName): Run {
    return this.runs.find((run) => run.example.name === example) as Run
  }

  /** Each example reports under its own name, in the place of the server's. */
  from(example: ExampleName): ReadonlyArray<Event> {
    return this.events.filter((event) => event.server_name === example)
  }

  /** The event whose error is of this type. */
  event(example: ExampleName, type: string): Event | undefined {
    return this.from(example).find((event) => errorOf(event)?.type === type)
  }
}

export interface ClientReport {
  readonly discarded_events: ReadonlyArray<{ readonly reason: string; readonly quantity: number }>
}

/** The error that matters, of those in an event: the last one. */
export const errorOf = (event: Event | undefined) => event?.exception?.values.at(-1)

export const breadcrumbsOf = (event: Event | undefined): ReadonlyArray<Breadcrumb> => event?.breadcrumbs?.values ?? []

const itemsIn = (envelopes: ReadonlyArray<Envelope>, wanted: string): ReadonlyArray<unknown> =>
  envelopes.flatMap(({ items }) => items.filter(([{ type }]) => type === wanted).map(([, payload]) => payload))
