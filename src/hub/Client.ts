/**
 * One open connection to a server: its options, its integrations, and the path from a report to an envelope in the queue.
 * Plain and synchronous: the Effect API, the facade, loggers and process hooks all call the same functions.
 */
import type * as Tracer from "effect/Tracer"
import { attachmentName, readAttachment } from "../event/apply.js"
import { addMachine, addScope, addTrace, addVerdict, buildEvent, type Report } from "../event/build.js"
import { addDebugImages } from "../event/debugImages.js"
import { encodeEvent, normalizeEvent, reduceEvent } from "../event/encode.js"
import { typeOf, valueOf } from "../event/exceptions.js"
import { type Failure, failureOf, identitiesOf, type Leaf, withoutPrimary } from "../event/failure.js"
import { isLevel, isTimestamp, mendEvent } from "../event/mend.js"
import { describeValue, normalize } from "../event/normalize.js"
import { maskOf } from "../event/ownKeys.js"
import { judge, type Verdict } from "../event/policy.js"
import { scrubText } from "../event/scrub.js"
import { addSpanTags } from "../event/spanTags.js"
import { StackParser } from "../event/stack.js"
import type { Breadcrumb, BreadcrumbHint } from "../protocol/Breadcrumb.js"
import type { DiscardReason, ItemType } from "../protocol/Category.js"
import { envelopeUrl, headerDsn } from "../protocol/Dsn.js"
import type { EnvelopeHeaders } from "../protocol/Envelope.js"
import type { Attachment, Event, EventId, Exception, Mechanism } from "../protocol/Event.js"
import { makeEventId } from "../protocol/Ids.js"
import { OptionsError } from "../protocol/OptionsError.js"
import { SDK_NAME, SDK_PACKAGE, SDK_VERSION } from "../protocol/Sdk.js"
import type { SamplingContext } from "../protocol/Trace.js"
import { type Carrier, stateOf } from "../scope/carrier.js"
import type { EventHint } from "../scope/EventHint.js"
import { breadcrumbsOf, type Recollection, recall, scopeOf } from "../scope/remember.js"
import * as ScopeData from "../scope/ScopeData.js"
import { open as openScope, type ScopeOwner, type ScopeState } from "../scope/ScopeState.js"
import type { Branch } from "../scope/Trail.js"
import { type CountedItem, Delivery, type DeliveryStats, type Outgoing } from "../transport/Delivery.js"
import { type Debug, describeError, makeDebug, warn, writeLine } from "../transport/debug.js"
import { metrics } from "../transport/metrics.js"
import { Outcomes } from "../transport/Outcomes.js"
import { profiles } from "../transport/profiles.js"
import type { Spool } from "../transport/Spool.js"
import type { Store } from "../transport/Store.js"
import { makeSpotlightSender, SPOTLIGHT_PATIENCE_MILLIS } from "../transport/spotlight.js"
import { openSilently, type Sender, type Target, type Transport } from "../transport/Transport.js"
import { Budget, budgetKey, type Spent } from "./budget.js"
import { FAILED, Logs } from "./Logs.js"
import type { ResolvedOptions } from "./Options.js"
import { type Admission, type Registration, Registry } from "./Registry.js"
import { deepenStacks } from "./stackDepth.js"
import { ENVELOPE_HEADERS, targetOf } from "./target.js"

/** Where and when something is reported. @internal */
export interface Place {
  readonly state: ScopeState
  /** Which breadcrumbs of the scope are seen from there. */
  readonly branch: Branch
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly span: Tracer.AnySpan | undefined
  /** Those that were seen from there at the time, where it is reported later. */
  readonly breadcrumbs?: ReadonlyArray<Breadcrumb>
}

/** @internal */
export class Client implements ScopeOwner {
  readonly registry: Registry
  readonly outcomes: Outcomes
  readonly delivery: Delivery | undefined
  /** Shows what is sent, also what is not sampled, to Spotlight, beside the server. */
  readonly mirror: Delivery | undefined
  readonly debug: Debug
  /** Where structured logs go, if they are wanted. */
  readonly logs: Logs | undefined
  readonly parser: StackParser
  /** The global scope of this hub. */
  globalScope: ScopeData.ScopeData
  isOpen = true
  /** Set by `Atexit`: sends what is pending while nothing asynchronous runs any more. */
  drainAtExit: (() => void) | undefined
  /** Called when the hub is about to be closed for good, before any `onFlush`: what is reported there still counts for a session. */
  readonly beforeClose = new Set<() => void>()
  /** The scope that the hub was opened with. */
  opened: ScopeState
  #main: Carrier | undefined
  readonly #takeBack: Array<() => void> = []
  /** What every envelope says of who sends it, and where to. */
  readonly #sender: EnvelopeHeaders

  /** What may turn out otherwise within this turn of the event loop: by then it has not left. */
  readonly #amendable: Array<Amendable> = []
  /** What waits until it is known whether anybody deals with it, by the id of the event. */
  readonly #undecided = new Map<EventId, Retracted>()
  readonly #budget: Budget | undefined
  readonly #ids = new WeakMap<object, EventId>()
  #inCallback = false
  #isMirrorSettled = false
  /** Hides the keys of the DSN in what leaves, and in what the hub says. */
  readonly #mask: (text: string) => string

  constructor(
    readonly options: ResolvedOptions,
    transport: Transport.Service,
    spool: Spool.Service
  ) {
    this.#mask = maskOf(options.dsn)
    this.debug = makeDebug(options.debug, this.#mask)
    this.registry = new Registry(this.debug, warn)
    this.outcomes = new Outcomes(
      options.dsn !== undefined && options.sendClientReports && profiles[options.profile].has("client_report"),
      metrics
    )
    this.#budget = options.budget === undefined ? undefined : new Budget(options.budget)
    this.opened = openScope(this)
    this.globalScope = ScopeData.applyContext(ScopeData.empty, options.initialScope)
    this.parser = new StackParser({
      projectRoot: options.projectRoot,
      contextLines: options.frameContextLines,
      inAppInclude: options.inAppInclude,
      inAppExclude: options.inAppExclude,
      sourceMaps: options.sourceMaps
    })
    this.#sender = {
      ...(options.dsn === undefined ? undefined : { dsn: headerDsn(options.dsn) }),
      sdk: { name: SDK_NAME, version: SDK_VERSION }
    }
    this.delivery = this.#openDelivery(transport, spool)
    this.mirror = this.#openMirror()
    this.logs =
      options.enableLogs && this.delivery !== undefined
        ? new Logs(this, (name, call) => this.#callback(name, call, FAILED))
        : undefined
    if (this.delivery !== undefined) this.onClose(deepenStacks())
    this.debug(options.dsn === undefined ? "no DSN: nothing will be sent" : `opened for ${String(options.dsn)}`)
  }

  /** Told of the carrier that is where the program itself is. */
  settled(carrier: Carrier): void {
    this.#main = carrier
  }

  /**
   * The place to report from what is no part of the program, or is all of it: it sees what was recorded in any of its fibers.
   *
   * @param carrier of the code that is running, if that belongs to the program
   */
  mainPlace(carrier: Carrier | undefined = this.#main): Place {
    const state = carrier === undefined ? this.opened : stateOf(carrier)
    const own = state.owner === this ? state : this.opened
    return { state: own, branch: own.trail.root, now: Date.now(), span: undefined }
  }

  /** Whether code is running that a user has handed to the SDK. */
  get isInCallback(): boolean {
    return this.#inCallback
  }

  get maxBreadcrumbs(): number {
    return this.options.maxBreadcrumbs
  }

  get stats(): DeliveryStats {
    return (
      this.delivery?.stats ?? {
        queued: 0,
        queuedBytes: 0,
        inFlight: 0,
        sent: 0,
        spooled: 0,
        discarded: this.outcomes.totals(),
        limited: []
      }
    )
  }

  get propagateScope(): boolean {
    return this.registry.active.some((registration) => registration.hooks.propagateScope === true)
  }

  /** Reports, and returns the id of the event: `undefined` if it was dropped, the first id if it was reported before. */
  capture(report: Report, place: Place): EventId | undefined {
    if (!this.isOpen || this.delivery === undefined) return undefined
    if (this.#inCallback) {
      this.debug("a capture from inside a callback of the SDK is ignored: it could not come to an end")
      return undefined
    }
    // All of it counts as one: what a value does as it is read is a callback, too.
    this.#inCallback = true
    try {
      return this.#capture(report, place)
    } catch (error) {
      this.outcomes.record("internal_sdk_error", "error")
      this.debug(`an event was lost to a fault of the SDK: ${describeError(error)}`)
      return undefined
    } finally {
      this.#inCallback = false
    }
  }

  addBreadcrumb(breadcrumb: Breadcrumb, hint: BreadcrumbHint, place: Omit<Place, "span">): void {
    if (!this.isOpen || this.delivery === undefined || this.options.maxBreadcrumbs === 0) return
    try {
      this.#addBreadcrumb(breadcrumb, hint, place)
    } catch (error) {
      this.debug(`a breadcrumb threw ${describeError(error)}`)
    }
  }

  #addBreadcrumb(breadcrumb: Breadcrumb, hint: BreadcrumbHint, place: Omit<Place, "span">): void {
    if (!isRecord(breadcrumb)) throw new TypeError(`it is an object, not ${describeValue(breadcrumb)}`)
    const time = place.now / 1000
    const kept =
      this.options.beforeBreadcrumb === undefined
        ? breadcrumb
        : this.#beforeBreadcrumb({ ...breadcrumb, timestamp: breadcrumb.timestamp ?? time }, hint)
    if (kept !== undefined) place.state.trail.push(place.branch, snapshot(kept, time))
  }

  /**
   * Tells whether everything pending was answered within `timeoutMillis`. Holds the process open no longer than that. The function
   * it returns gives up waiting.
   *
   * @param isLast whether nothing is going to be sent afterwards: then also what is lost meanwhile is told
   */
  flush(timeoutMillis: number, done: (drained: boolean) => void, isLast = false): () => void {
    const { delivery } = this
    if (delivery === undefined) {
      done(true)
      return () => {}
    }
    this.handOver(isLast)
    const reports = delivery.sendReport()
    if (delivery.pending === 0 || timeoutMillis <= 0) {
      done(delivery.pending === 0)
      return () => {}
    }
    let isOver = false
    let forget = (): void => {}
    const stop = (): void => {
      isOver = true
      clearTimeout(timer)
      forget()
    }
    // The last report may be answered after the time is up.
    const end = (drained: boolean): void => {
      if (isOver) return
      stop()
      done(drained)
    }
    const timer = setTimeout(() => end(false), timeoutMillis)
    forget = delivery.whenSettled((drained) => {
      // A report that was itself lost on the way is to wait for a better time.
      if (!drained || reports || !isLast || !delivery.sendReport(() => end(true))) end(drained)
    })
    return stop
  }

  /** Hands over what is held back: logs, and what integrations hold back. */
  handOver(isLast: boolean): void {
    this.logs?.flush()
    // Nobody has dealt with it so far.
    for (const id of this.#undecided.keys()) this.#escaped(id)
    for (const { hooks, name } of this.registry.having("onFlush")) {
      this.attempt(`onFlush of the integration "${name}"`, () => hooks.onFlush?.(isLast))
    }
  }

  /** Whether the server takes items of this kind. */
  accepts(type: ItemType): boolean {
    return this.delivery?.accepts(type) === true
  }

  /** A request whose isolation scope `state` is of was served. For integrations that serve requests. */
  requestEnded(state: ScopeState, startedAt: number): void {
    for (const { hooks, name } of this.registry.having("onRequestEnd")) {
      this.attempt(`onRequestEnd of the integration "${name}"`, () =>
        hooks.onRequestEnd?.({ startedAt, isolations: state.trail.lineage() })
      )
    }
  }

  /** Sends what is no event, in an envelope of its own: no processor, no `beforeSend` and no sampling has a say in it. */
  offer(item: CountedItem, urgent = false): boolean {
    if (!this.isOpen) return false
    const payload = typeof item.payload === "string" ? this.#mask(item.payload) : item.payload
    const outgoing: Outgoing = { headers: this.#sender, items: [{ ...item, payload }], urgent }
    this.mirror?.offer(outgoing)
    return this.accepts(item.headers.type) && this.delivery?.offer(outgoing) === true
  }

  /** What takes back something that was installed for as long as the hub is open. */
  onClose(takeBack: () => void): void {
    this.#takeBack.push(takeBack)
  }

  /** Takes back everything that was installed; nothing is reported or sent afterwards. */
  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.registry.close()
    for (const takeBack of this.#takeBack.splice(0)) takeBack()
    this.logs?.close()
    this.delivery?.close()
    this.mirror?.close()
    const { discarded, sent } = this.stats
    const lost = discarded
      .map(({ category, quantity, reason }) => `, ${quantity} ${category} lost (${reason})`)
      .join("")
    this.debug(`closed: ${sent} ${sent === 1 ? "envelope" : "envelopes"} sent${lost}`)
  }

  /** What an outgoing trace says about its head. @internal */
  samplingContext(traceId: string): SamplingContext {
    const { dsn, environment, release } = this.options
    return {
      trace_id: traceId,
      ...(dsn === undefined ? undefined : { public_key: dsn.publicKey }),
      environment,
      ...(release === undefined ? undefined : { release }),
      ...(dsn?.orgId === undefined ? undefined : { org_id: dsn.orgId })
    }
  }

  #capture(report: Report, place: Place): EventId | undefined {
    const id = isEventId(report.event?.event_id) ? report.event.event_id : makeEventId()
    const admission: Admission = {
      eventId: id,
      errors: report.failure === undefined ? [] : identitiesOf(report.failure),
      isolations: place.state.trail.lineage(),
      escaped: report.escaped === true
    }
    const earlier = this.#admit(admission, report)
    if (earlier !== undefined) {
      this.#keepIds(admission.errors, earlier)
      if (!report.mechanism.handled) this.#escaped(earlier)
      if (admission.escaped) this.#tellOfError(report, admission.isolations, true)
      this.#drop("event_processor", `a duplicate of ${earlier}`)
      return earlier
    }
    let sent = false
    try {
      sent = this.#process(id, report, place)
    } finally {
      for (const { hooks } of this.registry.activeFor(report.cause)) {
        this.#guard("settle", () => hooks.settle?.(admission, sent))
      }
    }
    if (sent) this.#keepIds(admission.errors, id)
    return sent ? id : undefined
  }

  /** What was reported as handled turns out not to be: if it has not left yet, it leaves with the truth. */
  #escaped(id: EventId): void {
    const kept = this.#undecided.get(id) ?? this.#retracted(id)
    if (kept === undefined) return
    for (const mechanism of mechanismsOf(kept.event)) mechanism.handled = false
    this.#release(id, kept)
  }

  /**
   * The errors have been reported, as handled, and nobody is there now who could deal with them; but somebody may come. Their events
   * wait for that, those of them that have not left yet, and leave at the latest when everything does.
   *
   * @returns what lets them go as they are; unless `capture` has been told meanwhile that the errors have escaped
   */
  holdBack(failure: Failure): () => void {
    const held: Array<readonly [id: EventId, kept: Retracted]> = []
    for (const id of new Set(identitiesOf(failure).map((error) => this.#ids.get(error)))) {
      const kept = id === undefined ? undefined : this.#retracted(id)
      if (id === undefined || kept === undefined) continue
      this.#undecided.set(id, kept)
      held.push([id, kept])
      for (const oldest of this.#undecided.keys()) if (this.#undecided.size > MAX_UNDECIDED) this.#escaped(oldest)
    }
    return () => {
      for (const [id, kept] of held) if (this.#undecided.has(id)) this.#release(id, kept)
    }
  }

  /** An event that says that the program has dealt with an error, if it has not left yet: as if it had not been sent. */
  #retracted(id: EventId): Retracted | undefined {
    const place = this.#amendable.findIndex(({ event }) => event.event_id === id)
    const [kept] = place < 0 ? [] : this.#amendable.splice(place, 1)
    const isClaimed = mechanismsOf(kept?.event).some(({ handled }) => handled === true)
    const forget = kept === undefined || !isClaimed ? undefined : this.delivery?.retract(id)
    if (kept === undefined || forget === undefined) return undefined
    return { ...kept, forget, isMirrored: this.mirror?.retract(id) !== undefined }
  }

  #release(id: EventId, { attachments, event, forget, headers, isMirrored }: Retracted): void {
    this.#undecided.delete(id)
    const items = [this.#eventItem(event), ...attachments]
    const outgoing: Outgoing = { headers, items, urgent: hasEscaped(event) }
    if (isMirrored) this.mirror?.offer(outgoing)
    this.delivery?.offer(outgoing)
    forget()
  }

  #eventItem(event: Event): CountedItem {
    // A program may have its own DSN in what it says.
    return { headers: { type: "event" }, payload: this.#mask(encodeEvent(event)), category: "error", quantity: 1 }
  }

  #keepAmendable(kept: Amendable): void {
    if (this.#amendable.length === 0) {
      // By then it is on its way.
      setImmediate(() => this.#amendable.splice(0)).unref()
    } else if (this.#amendable.length >= MAX_AMENDABLE) {
      this.#amendable.shift()
    }
    this.#amendable.push(kept)
  }

  #keepIds(errors: ReadonlyArray<object>, id: EventId): void {
    for (const error of errors) this.#ids.set(error, id)
  }

  /** The id of the event that an error was reported as. */
  eventIdOf(error: unknown): EventId | undefined {
    return this.attempt("an error", () => {
      for (const identity of identitiesOf(failureOf(error))) {
        const id = this.#ids.get(identity)
        if (id !== undefined) return id
      }
      return undefined
    })
  }

  /** The error takes the place of one that was reported. */
  standsFor(error: unknown, eventId: EventId, place: Place): void {
    this.attempt("an error", () => {
      const errors = identitiesOf(failureOf(error))
      this.#keepIds(errors, eventId)
      const admission = { eventId, errors, isolations: place.state.trail.lineage(), escaped: false }
      for (const { hooks } of this.registry.active) this.#guard("admit", () => hooks.admit?.(admission))
    })
  }

  #process(id: EventId, reported: Report, place: Place): boolean {
    const report = this.#judged(reported)
    if (report === undefined) return this.#drop("event_processor", "ignoreErrors or the policy has it ignored")
    const { state } = place
    const spent = this.#spend(report, state, place.now)
    if (spent === undefined) return this.#suppress(report, state)
    const sent = this.#send(id, report, place, spent)
    if (!sent) spent.refund()
    return sent
  }

  #send(id: EventId, report: Report, place: Place, spent: Spent): boolean {
    const { state } = place
    const integrations = this.registry.activeFor(report.cause)
    const event = buildEvent(id, report, place.now, this.options, this.parser)
    const raised = recall(report.failure?.primary, state)
    const scope = addScope(event, [this.globalScope, scopeOf(state, raised)], report.context)
    addVerdict(event, report)
    const span = spanOf(place, report, raised)
    addTrace(event, span, state.propagation)
    if (this.options.spanTags.length > 0) addSpanTags(event, span, this.options.spanTags)
    if (spent.suppressed > 0 || spent.same > 0) addSuppressed(event, spent)
    addMachine(event, place.now)
    const seen = place.breadcrumbs ?? breadcrumbsOf(state, place.branch, raised)
    const isShown = this.#isShown(integrations, scope.processors)
    const breadcrumbs = [...(event.breadcrumbs?.values ?? []), ...(isShown ? seen.map(copied) : seen)]
    event.breadcrumbs = { values: breadcrumbs.slice(-this.options.maxBreadcrumbs || breadcrumbs.length) }
    event.sdk = this.#sdk(integrations)
    const hint = this.#hint(report, scope.attachments)
    const processed = this.#runProcessors(event, hint, integrations, scope.processors)
    if (processed === undefined) return this.#drop("event_processor", "a processor returned null")
    this.#guard("a debug id", () => addDebugImages(processed))
    return this.#sendOff(processed, hint, report, state)
  }

  /** Whether anyone but the SDK has a look at events. */
  #isShown(integrations: ReadonlyArray<Registration>, scoped: ReadonlyArray<ScopeData.EventProcessor>): boolean {
    const { beforeSend, errorSampler } = this.options
    if (beforeSend !== undefined || errorSampler !== undefined || scoped.length > 0) return true
    return integrations.some(({ priority }) => priority === "user")
  }

  #spend(report: Report, { current, isolation }: ScopeState, now: number): Spent | undefined {
    if (this.#budget === undefined) return UNCOUNTED
    return this.#budget.spend(budgetKey(report, current.fingerprint ?? isolation.fingerprint), now)
  }

  #suppress(report: Report, { trail }: ScopeState): false {
    if (report.failure !== undefined) this.#tellOfError(report, trail.lineage(), !report.mechanism.handled)
    return this.#drop("backpressure", "too many of the same: the option `budget`")
  }

  #sendOff(event: Event, hint: EventHint, report: Report, state: ScopeState): boolean {
    const final = this.#beforeSend(event, hint)
    if (final === undefined) return this.#drop("before_send", "beforeSend returned null")
    if (isErrorEvent(final, report)) this.#tellOfError(report, state.trail.lineage(), hasEscaped(final))
    mendEvent(final, Date.now(), (what) => this.debug(`${what}: it was put right`))
    const isSampled = this.#isSampled(final, hint)
    if (!isSampled && this.mirror === undefined) return this.#drop("sample_rate", "it was not sampled")
    const headers = this.#envelopeHeaders(final, state)
    const attachments = this.#attachments(hint.attachments)
    const urgent = report.escaped === true
    const outgoing: Outgoing = { headers, items: [this.#eventItem(final), ...attachments], urgent }
    this.mirror?.offer(outgoing)
    if (!isSampled) return this.#drop("sample_rate", "it was not sampled")
    const accepted = this.delivery?.offer(outgoing)
    // What the policy says of it holds, however it goes on.
    if (accepted === true && report.failure !== undefined && report.mechanism.handled && !report.verdict?.handled)
      this.#keepAmendable({ event: final, headers, attachments })
    return accepted === true
  }

  #tellOfError(report: Report, isolations: ReadonlyArray<object>, escaped: boolean): void {
    for (const { hooks } of this.registry.activeFor(report.cause)) {
      if (hooks.onError !== undefined) this.#guard("onError", () => hooks.onError?.({ escaped, isolations }))
    }
  }

  #admit(admission: Admission, report: Report): EventId | undefined {
    for (const { hooks } of this.registry.activeFor(report.cause)) {
      const earlier = this.#guard("admit", () => hooks.admit?.(admission))
      if (earlier !== undefined) return earlier
    }
    return undefined
  }

  /** The report with the error that matters most of those that are not ignored; `undefined` if all of them are. */
  #judged(report: Report): Report | undefined {
    const { failure, status } = report
    if (failure?.primary === undefined) {
      const text = report.message ?? report.logentry?.formatted ?? ""
      return this.#isIgnored("", text, undefined) ? undefined : report
    }
    const verdicts = new Map<Leaf, Verdict>()
    const verdictOf = (leaf: Leaf): Verdict => {
      const verdict =
        verdicts.get(leaf) ??
        judge(leaf, this.options.policy, (call) => this.#guard("a rule of the policy", call), status)
      verdicts.set(leaf, verdict)
      return verdict
    }
    const left = withoutPrimary(
      failure,
      (leaf) => verdictOf(leaf).ignore || this.#isIgnored(typeOf(leaf.error), valueOf(leaf.error), leaf.error)
    )
    if (left?.primary === undefined) return undefined
    const verdict = verdictOf(left.primary)
    const { mechanism } = report
    return {
      ...report,
      failure: left,
      verdict,
      mechanism: verdict.handled === undefined ? mechanism : { ...mechanism, handled: verdict.handled }
    }
  }

  #isIgnored(type: string, value: string, error: unknown): boolean {
    if (this.options.ignoreErrors.length === 0) return false
    const text = type === "" ? value : `${type}: ${value}`
    return this.options.ignoreErrors.some((ignored) => {
      if (typeof ignored === "string") return ignored === type || (ignored !== "" && value.includes(ignored))
      // Without the flags that make a pattern remember where it was.
      if (ignored instanceof RegExp) return new RegExp(ignored.source, ignored.flags.replace(/[gy]/g, "")).test(text)
      return this.#guard("ignoreErrors", () => (error as object) instanceof ignored) === true
    })
  }

  #hint(report: Report, attachments: ReadonlyArray<Attachment>): EventHint {
    return {
      ...(report.failure?.primary === undefined ? undefined : { originalException: report.failure.primary.error }),
      ...(report.cause === undefined ? undefined : { cause: report.cause }),
      ...(report.integration === undefined ? undefined : { integration: report.integration }),
      ...(report.logRecord === undefined ? undefined : { logRecord: report.logRecord }),
      attachments: [...attachments]
    }
  }

  #runProcessors(
    event: Event,
    hint: EventHint,
    integrations: ReadonlyArray<Registration>,
    scoped: ReadonlyArray<ScopeData.EventProcessor>
  ): Event | undefined {
    let current: Event = event
    for (const { hooks, name } of integrations) {
      if (hooks.processEvent === undefined) continue
      const next = this.#runProcessor(`the integration "${name}"`, hooks.processEvent, current, hint)
      if (next === undefined) return undefined
      current = next
    }
    for (const processor of scoped) {
      const next = this.#runProcessor("an event processor", processor, current, hint)
      if (next === undefined) return undefined
      current = next
    }
    return scoped.length === 0 ? current : normalizeEvent(current)
  }

  /** One that throws, or returns what is no event, is skipped. */
  #runProcessor(name: string, processor: ScopeData.EventProcessor, event: Event, hint: EventHint): Event | undefined {
    const result = this.#callback(name, () => processor(event, hint), FAILED)
    if (result === null) return undefined
    if (result === FAILED) return event
    if (isEvent(result)) return identified(result, event)
    this.debug(`${name} returned ${typeof result}, which is no event: it is skipped`)
    return event
  }

  #beforeSend(event: Event, hint: EventHint): Event | undefined {
    const { beforeSend } = this.options
    if (beforeSend === undefined) return event
    let reason = "threw an error"
    const result = this.#callback(
      "beforeSend",
      () => beforeSend(event, hint),
      FAILED,
      (error) => (reason = `threw ${typeOf(error)}`)
    )
    if (result === null) return undefined
    if (result !== FAILED && isEvent(result)) return identified(result, event)
    if (result !== FAILED)
      reason = `returned ${(result as unknown) instanceof Promise ? "a promise" : `what is no event: ${typeof result}`}`
    this.debug("beforeSend failed: the event is sent without anything that can hold user data")
    hint.attachments = []
    return reduceEvent(event, "beforeSend", reason)
  }

  #beforeBreadcrumb(breadcrumb: Breadcrumb, hint: BreadcrumbHint): Breadcrumb | undefined {
    const { beforeBreadcrumb } = this.options
    if (beforeBreadcrumb === undefined || this.#inCallback) return breadcrumb
    const { category, level, timestamp } = breadcrumb
    const result = this.#callback("beforeBreadcrumb", () => beforeBreadcrumb(breadcrumb, hint), FAILED)
    if (result === null) return undefined
    if (result === FAILED || !isRecord(result)) return { timestamp, category, level }
    return { ...result, timestamp: result.timestamp ?? timestamp }
  }

  #isSampled(event: Event, hint: EventHint): boolean {
    const { errorSampler, sampleRate } = this.options
    let rate: number = sampleRate
    if (errorSampler !== undefined) {
      const answer = this.#callback("errorSampler", () => errorSampler(event, hint), FAILED)
      const chosen = answer === true ? 1 : answer === false ? 0 : answer
      if (typeof chosen === "number" && chosen >= 0 && chosen <= 1) rate = chosen
      else if (answer !== FAILED) this.debug(`errorSampler returned ${describeValue(answer, 64)}, which is no rate`)
    }
    return Math.random() < rate
  }

  #attachments(attachments: unknown): Array<CountedItem> {
    const items: Array<CountedItem> = []
    if (!this.accepts("attachment")) return items
    for (const attachment of Array.isArray(attachments) ? (attachments as Array<Attachment>) : []) {
      const item = this.#guard("an attachment", () => this.#attachment(attachment))
      if (item === undefined) this.debug("an attachment cannot be read or is too large: it is left out")
      else items.push(item)
    }
    return items
  }

  #attachment(attachment: Attachment): CountedItem | undefined {
    const payload = readAttachment(attachment, this.options.maxAttachmentBytes, (bytes) =>
      this.outcomes.record("invalid", "attachment", bytes)
    )
    if (payload === undefined) return undefined
    const { attachmentType, contentType } = attachment
    return {
      headers: {
        type: "attachment",
        filename: attachmentName(attachment),
        ...(typeof contentType === "string" ? { content_type: contentType } : undefined),
        ...(typeof attachmentType === "string" ? { attachment_type: attachmentType } : undefined)
      },
      payload,
      category: "attachment",
      quantity: Math.max(1, payload.byteLength)
    }
  }

  #sdk(integrations: ReadonlyArray<Registration>): NonNullable<Event["sdk"]> {
    return {
      name: SDK_NAME,
      version: SDK_VERSION,
      integrations: integrations.map(({ name }) => name).toSorted(),
      packages: [{ name: SDK_PACKAGE, version: SDK_VERSION }],
      settings: { infer_ip: "never" }
    }
  }

  #envelopeHeaders(event: Event, state: ScopeState): EnvelopeHeaders {
    const traceId = event.contexts?.["trace"]?.["trace_id"]
    const incoming = traceId === state.propagation.traceId ? state.propagation.incoming : undefined
    const trace = incoming ?? (typeof traceId === "string" ? this.samplingContext(traceId) : undefined)
    return {
      event_id: event.event_id,
      ...this.#sender,
      ...(trace !== undefined && fitsHeader(trace) ? { trace } : undefined)
    }
  }

  #openDelivery(transport: Transport.Service, spool: Spool.Service): Delivery | undefined {
    const target = targetOf(this.options, this.debug)
    const sender = target === undefined ? this.#openSpotlight() : opened(transport, target)
    if (sender === undefined) return undefined
    return new Delivery({
      metrics,
      sender,
      outcomes: this.outcomes,
      debug: this.debug,
      maxQueue: this.options.maxQueueSize,
      maxQueueBytes: this.options.maxQueueBytes,
      reportHeaders: this.#sender,
      accepted: profiles[this.options.profile],
      store: target === undefined ? undefined : this.#openSpool(spool)
    })
  }

  /** What is kept for one server, under one key, is nobody else's. */
  #openSpool(spool: Spool.Service): Store | undefined {
    const { dsn } = this.options
    const owner = dsn === undefined ? "" : `${envelopeUrl(dsn)} ${dsn.publicKey}`
    return spool.open((message) => writeLine(`[faultline] ${message}`), owner)
  }

  /** Beside a server it shows what the server gets; without one, it is what there is to send to. */
  #openMirror(): Delivery | undefined {
    const sender = this.options.dsn === undefined ? undefined : this.#openSpotlight()
    if (sender === undefined) return undefined
    return new Delivery({
      sender,
      outcomes: new Outcomes(false),
      debug: () => {},
      maxQueue: this.options.maxQueueSize,
      maxQueueBytes: this.options.maxQueueBytes,
      reportHeaders: {},
      accepted: profiles.sentry
    })
  }

  #openSpotlight(): Sender | undefined {
    const { spotlight } = this.options
    return spotlight === undefined ? undefined : makeSpotlightSender(spotlight, ENVELOPE_HEADERS)
  }

  /** Gives Spotlight a moment, once, to be told what it was not told yet: what of the time for it all is left. */
  settleMirror(done: () => void, leftMillis: number): void {
    const { mirror } = this
    if (mirror === undefined || mirror.pending === 0 || this.#isMirrorSettled || leftMillis <= 0) return done()
    this.#isMirrorSettled = true
    const finish = (): void => {
      clearTimeout(timer)
      forget()
      done()
    }
    const timer = setTimeout(finish, Math.min(SPOTLIGHT_PATIENCE_MILLIS, leftMillis))
    const forget = mirror.whenSettled(finish)
  }

  #drop(reason: DiscardReason, why: string): false {
    this.outcomes.record(reason, "error")
    this.debug(`dropped: ${why}`)
    return false
  }

  /** User code, called with the SDK closed to it: what it captures meanwhile would come back to it. */
  #callback<A, B>(name: string, call: () => A, onError: B, inspect?: (error: unknown) => void): A | B {
    const outer = this.#inCallback
    this.#inCallback = true
    try {
      return call()
    } catch (error) {
      inspect?.(error)
      this.debug(`${name} threw ${describeError(error)}`)
      return onError
    } finally {
      this.#inCallback = outer
    }
  }

  #guard<A>(name: string, call: () => A): A | undefined {
    return this.#callback(name, call, undefined)
  }

  /** What may throw because of what a program, or an integration, has put into it, and may itself capture. */
  attempt<A>(name: string, call: () => A): A | undefined {
    try {
      return call()
    } catch (error) {
      this.debug(`${name} threw ${describeError(error)}`)
      return undefined
    }
  }
}

/** The span that the error was raised in, unless that is of another trace and none of our business; else the one that reports. */
const spanOf = (place: Place, { failure }: Report, raised: Recollection | undefined): Tracer.AnySpan | undefined => {
  const span = failure?.primary?.span ?? raised?.memory.span
  if (span === undefined || place.span === undefined || raised !== undefined) return span ?? place.span
  return span.traceId === place.span.traceId ? span : place.span
}

/** What a callback makes of an event is still that event. */
const identified = (made: Event, event: Event): Event => {
  if (made.event_id === event.event_id && made.timestamp === event.timestamp && made.platform === event.platform)
    return made
  const { event_id, platform, timestamp } = event
  return { ...made, event_id, timestamp: made.timestamp ?? timestamp, platform: made.platform ?? platform }
}

/** Some servers read no header line above 8 KiB, and with it lose the event: its trace is the lesser loss. */
const fitsHeader = (trace: Readonly<Record<string, string>>): boolean =>
  Object.keys(trace).length > 0 && JSON.stringify(trace).length < MAX_TRACE_LENGTH

// Of 8 KiB, what may be several bytes to the character, beside a DSN of some length.
const MAX_TRACE_LENGTH = 2048

/** Messages are none, whatever their level; events that a user has built are by theirs. */
const isErrorEvent = (event: Event, report: Report): boolean =>
  event.exception !== undefined || (report.event !== undefined && (event.level === "error" || event.level === "fatal"))

const hasEscaped = (event: Event): boolean => mechanismsOf(event).some(({ handled }) => handled === false)

/** Callbacks may have left anything there. */
const mechanismsOf = (event: Event | undefined): Array<Mechanism> => {
  const values: unknown = event?.exception?.values
  if (!Array.isArray(values)) return []
  return (values as Array<Exception | null | undefined>)
    .map((value) => value?.mechanism)
    .filter((mechanism) => isRecord(mechanism))
}

const UNCOUNTED: Spent = { suppressed: 0, same: 0, since: 0, refund() {} }

const addSuppressed = (event: Event, { same, since, suppressed }: Spent): void => {
  const all = suppressed === 0 ? undefined : { suppressed, since: new Date(since).toISOString() }
  event.contexts = { budget: { ...all, ...(same === 0 ? undefined : { same }) }, ...event.contexts }
}

interface Amendable {
  readonly event: Event
  readonly headers: EnvelopeHeaders
  readonly attachments: ReadonlyArray<CountedItem>
}

interface Retracted extends Amendable {
  /** Whether it was shown to Spotlight, too, and was taken back there. */
  readonly isMirrored: boolean
  /** Another one is in its place. */
  readonly forget: () => void
}

const MAX_AMENDABLE = 64
const MAX_UNDECIDED = 64

const isEventId = (id: string | undefined): id is EventId => id !== undefined && /^[0-9a-f]{32}$/.test(id)

/**
 * As it is now, whatever becomes of what it was made from. Written out, since most of what an SDK does is this: a spread, and
 * fields that are set afterwards, cost five times as much.
 */
const snapshot = (breadcrumb: Breadcrumb, time: number): Breadcrumb => {
  const { category, data, level, message, timestamp, type } = breadcrumb
  const known: Breadcrumb = {
    timestamp: isTimestamp(timestamp) ? timestamp : time,
    type,
    category,
    level: isLevel(level) ? level : undefined,
    message:
      message === undefined || message === null ? message : scrubText(describeValue(message, MAX_MESSAGE_LENGTH)),
    data: data === undefined || data === null ? data : dataOf(data)
  }
  for (const key in breadcrumb) if (!Object.hasOwn(known, key)) return { ...breadcrumb, ...known }
  return known
}

/** For those who may change it: the trail keeps what it has, for the next event. */
const copied = (breadcrumb: Breadcrumb): Breadcrumb => {
  const { data } = breadcrumb
  return data === undefined || data === null ? { ...breadcrumb } : { ...breadcrumb, data: recordOf(data) }
}

/** Of what `normalize` has made. */
const copyOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(copyOf)
  return typeof value === "object" && value !== null ? recordOf(value as Record<string, unknown>) : value
}

const recordOf = (record: Record<string, unknown>): Record<string, unknown> => {
  const copy = { ...record }
  for (const key of Object.keys(copy)) copy[key] = copyOf(copy[key])
  return copy
}

const dataOf = (data: Record<string, unknown>): Record<string, unknown> | undefined => {
  const copy = normalize(data, 4, 50)
  const isEmpty = typeof copy !== "object" || Object.keys(copy as object).length === 0
  return isEmpty ? undefined : (copy as Record<string, unknown>)
}

const opened = (transport: Transport.Service, target: Target): Sender => {
  try {
    return openSilently(transport, target)
  } catch (error) {
    throw new OptionsError({ option: "transport", reason: `could not be opened: ${describeError(error)}` })
  }
}

const MAX_MESSAGE_LENGTH = 8192

const isEvent = (value: unknown): value is Event => isRecord(value) && Object.keys(value).length > 0

const isRecord = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Promise)
