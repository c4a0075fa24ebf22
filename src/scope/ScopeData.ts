/**
 * What a scope knows, as an immutable value, and how one value becomes the next.
 *
 * @since 0.1.0
 */
import { normalize, normalizeGiven } from "../event/normalize.js"
import type { Attachment, Event, EventId, Level, User } from "../protocol/Event.js"
import type { EventHint } from "./EventHint.js"

/**
 * A function that sees every event of the scope it was added to, after the scope's data was applied: it returns the event
 * (changed or not), or `null` to drop it. One that throws is skipped.
 *
 * @since 0.1.0
 * @category models
 */
export type EventProcessor = (event: Event, hint: EventHint) => Event | null

/**
 * A value that may become a tag. `undefined` removes the tag, also one that an outer scope has set.
 *
 * @since 0.1.0
 * @category models
 */
export type TagValue = string | number | boolean | bigint | null | undefined

/**
 * Scope data as the user writes it: every field is optional, and only the fields given are changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ScopeContext {
  readonly tags?: Readonly<Record<string, TagValue>> | undefined
  /** `null` removes the user, also one that an outer scope has set. */
  readonly user?: User | null | undefined
  readonly contexts?: Readonly<Record<string, Readonly<Record<string, unknown>> | null | undefined>> | undefined
  readonly extra?: Readonly<Record<string, unknown>> | undefined
  readonly level?: Level | undefined
  /** `{{ default }}` stands for the server's own grouping. */
  readonly fingerprint?: ReadonlyArray<string> | undefined
  readonly transactionName?: string | undefined
  readonly attachments?: ReadonlyArray<Attachment> | undefined
}

/** @internal */
export interface ScopeData {
  /** `undefined` as a value hides the key of an outer scope. */
  readonly tags: Readonly<Record<string, TagValue>>
  readonly extra: Readonly<Record<string, unknown>>
  readonly contexts: Readonly<Record<string, Record<string, unknown> | undefined>>
  readonly user: User | null | undefined
  readonly level: Level | undefined
  readonly fingerprint: ReadonlyArray<string> | undefined
  readonly transactionName: string | undefined
  readonly attachments: ReadonlyArray<Attachment>
  readonly processors: ReadonlyArray<EventProcessor>
  readonly lastEventId: EventId | undefined
}

const none: Readonly<Record<string, never>> = {}

/** @internal */
export const empty: ScopeData = {
  tags: none,
  extra: none,
  contexts: none,
  user: undefined,
  level: undefined,
  fingerprint: undefined,
  transactionName: undefined,
  attachments: [],
  processors: [],
  lastEventId: undefined
}

/**
 * A copy with some fields changed. Written out, field by field: a spread gives V8 an object of another shape each time, which
 * costs three times as much here and more wherever the copy is read.
 *
 * @internal
 */
export const change = (self: ScopeData, changes: Partial<ScopeData>): ScopeData => ({
  tags: changes.tags ?? self.tags,
  extra: changes.extra ?? self.extra,
  contexts: changes.contexts ?? self.contexts,
  user: changes.user === undefined ? self.user : changes.user,
  level: changes.level ?? self.level,
  fingerprint: changes.fingerprint ?? self.fingerprint,
  transactionName: changes.transactionName ?? self.transactionName,
  attachments: changes.attachments ?? self.attachments,
  processors: changes.processors ?? self.processors,
  lastEventId: changes.lastEventId ?? self.lastEventId
})

/** @internal */
export const setTag = (self: ScopeData, key: string, value: TagValue): ScopeData => {
  if (self.tags[key] === value && value !== undefined) return self
  const tags = { ...self.tags }
  tags[key] = value
  return change(self, { tags })
}

/** @internal */
export const setTags = (self: ScopeData, tags: Readonly<Record<string, TagValue>>): ScopeData =>
  change(self, { tags: { ...self.tags, ...tags } })

/** @internal */
export const setUser = (self: ScopeData, user: User | null): ScopeData => change(self, { user: snapshotUser(user) })

/** @internal */
export const setContext = (
  self: ScopeData,
  key: string,
  context: Readonly<Record<string, unknown>> | null
): ScopeData => change(self, { contexts: { ...self.contexts, [key]: snapshotContext(context) } })

/** @internal */
export const setExtras = (self: ScopeData, extra: Readonly<Record<string, unknown>>): ScopeData =>
  change(self, { extra: { ...self.extra, ...asRecord(normalize(extra)) } })

/** @internal */
export const addAttachment = (self: ScopeData, attachment: Attachment): ScopeData =>
  change(self, { attachments: [...self.attachments, attachment] })

/** @internal */
export const addProcessor = (self: ScopeData, processor: EventProcessor): ScopeData =>
  change(self, { processors: [...self.processors, processor] })

/** Only the fields present in `context` change; records change key by key. @internal */
export const applyContext = (self: ScopeData, context: ScopeContext): ScopeData => {
  const { attachments, contexts, extra, fingerprint, level, tags, transactionName, user } = context
  return change(self, {
    ...(tags === undefined ? undefined : { tags: { ...self.tags, ...tags } }),
    ...(user === undefined ? undefined : { user: snapshotUser(user) }),
    ...(contexts === undefined ? undefined : { contexts: { ...self.contexts, ...snapshotContexts(contexts) } }),
    ...(extra === undefined ? undefined : { extra: { ...self.extra, ...asRecord(normalize(extra)) } }),
    ...(level === undefined ? undefined : { level }),
    ...(fingerprint === undefined ? undefined : { fingerprint: [...fingerprint] }),
    ...(transactionName === undefined ? undefined : { transactionName }),
    ...(attachments === undefined ? undefined : { attachments: [...self.attachments, ...attachments] })
  })
}

/** What remains when everything but the processors is forgotten. @internal */
export const clear = (self: ScopeData): ScopeData => change(empty, { processors: self.processors })

/** The inner scope over the outer one: single values replace, records merge key by key, lists are joined. @internal */
export const merge = (outer: ScopeData, inner: ScopeData): ScopeData => {
  if (outer === empty) return inner
  if (inner === empty) return outer
  return {
    tags: mergeRecords(outer.tags, inner.tags),
    extra: mergeRecords(outer.extra, inner.extra),
    contexts: mergeRecords(outer.contexts, inner.contexts),
    user: inner.user === undefined ? outer.user : inner.user,
    level: inner.level ?? outer.level,
    fingerprint: inner.fingerprint ?? outer.fingerprint,
    transactionName: inner.transactionName ?? outer.transactionName,
    attachments: mergeLists(outer.attachments, inner.attachments),
    processors: mergeLists(outer.processors, inner.processors),
    lastEventId: inner.lastEventId ?? outer.lastEventId
  }
}

/**
 * Writes onto `onto` what changed on the way from `from` to `to`, key by key: how a fiber's writes reach the one that joins it.
 * Keys that `to` did not touch keep the value they have in `onto`.
 *
 * @internal
 */
export const rebase = (from: ScopeData, to: ScopeData, onto: ScopeData): ScopeData => {
  if (from === to) return onto
  if (from === onto) return to
  return {
    tags: rebaseRecord(from.tags, to.tags, onto.tags),
    extra: rebaseRecord(from.extra, to.extra, onto.extra),
    contexts: rebaseRecord(from.contexts, to.contexts, onto.contexts),
    user: from.user === to.user ? onto.user : to.user,
    level: from.level === to.level ? onto.level : to.level,
    fingerprint: from.fingerprint === to.fingerprint ? onto.fingerprint : to.fingerprint,
    transactionName: from.transactionName === to.transactionName ? onto.transactionName : to.transactionName,
    attachments: rebaseList(from.attachments, to.attachments, onto.attachments),
    processors: rebaseList(from.processors, to.processors, onto.processors),
    lastEventId: from.lastEventId === to.lastEventId ? onto.lastEventId : to.lastEventId
  }
}

const snapshotUser = (user: User | null): User | null =>
  user === null ? null : isPlainUser(user) ? { ...user } : asRecord(normalizeGiven(user))

/** As nearly all are: nothing but a few short texts and numbers, which need no looking at one by one. */
const isPlainUser = (user: User): boolean => {
  try {
    if (typeof user !== "object" || Object.getPrototypeOf(user) !== Object.prototype) return false
    const keys = Object.keys(user)
    return keys.length <= 8 && !Object.hasOwn(user, "toJSON") && keys.every((key) => isPlainField(user[key]))
  } catch {
    return false
  }
}

const isPlainField = (value: unknown): boolean =>
  typeof value === "string" ? value.length <= 200 && value.isWellFormed() : Number.isSafeInteger(value)

/** Nothing where it is no record after all: a text would leave its letters behind. */
const asRecord = (normal: unknown): Record<string, unknown> =>
  typeof normal === "object" && normal !== null && !Array.isArray(normal) ? (normal as Record<string, unknown>) : {}

const snapshotContexts = (
  contexts: NonNullable<ScopeContext["contexts"]>
): Record<string, Record<string, unknown> | undefined> => {
  const result: Record<string, Record<string, unknown> | undefined> = {}
  for (const key of Object.keys(contexts)) result[key] = snapshotContext(contexts[key])
  return result
}

const snapshotContext = (
  context: Readonly<Record<string, unknown>> | null | undefined
): Record<string, unknown> | undefined =>
  context === null || context === undefined ? undefined : asRecord(normalizeGiven(context))

const mergeRecords = <A>(
  outer: Readonly<Record<string, A>>,
  inner: Readonly<Record<string, A>>
): Readonly<Record<string, A>> => {
  if (inner === none) return outer
  if (outer === none) return inner
  return { ...outer, ...inner }
}

const mergeLists = <A>(outer: ReadonlyArray<A>, inner: ReadonlyArray<A>): ReadonlyArray<A> => {
  if (inner.length === 0) return outer
  if (outer.length === 0) return inner
  return [...outer, ...inner]
}

const rebaseRecord = <A>(
  from: Readonly<Record<string, A>>,
  to: Readonly<Record<string, A>>,
  onto: Readonly<Record<string, A>>
): Readonly<Record<string, A>> => {
  if (from === to) return onto
  const result: Record<string, A> = { ...onto }
  for (const key of Object.keys(to)) {
    if (!Object.hasOwn(from, key) || from[key] !== to[key]) result[key] = to[key] as A
  }
  for (const key of Object.keys(from)) {
    if (!Object.hasOwn(to, key)) delete result[key]
  }
  return result
}

const rebaseList = <A>(from: ReadonlyArray<A>, to: ReadonlyArray<A>, onto: ReadonlyArray<A>): ReadonlyArray<A> => {
  if (from === to) return onto
  const added = to.filter((item) => !from.includes(item))
  const removed = from.filter((item) => !to.includes(item))
  return [...onto.filter((item) => !removed.includes(item)), ...added]
}
