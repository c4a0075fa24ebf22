import type { Attachment, Level, User } from "../protocol/Event.js"
import * as ScopeData from "./ScopeData.js"

/**
 * Everything that can be said on a scope, for whoever knows which scope that is and what saying it yields.
 *
 * @internal
 */
export abstract class ScopeWriter<R> {
  protected abstract change(change: (scope: ScopeData.ScopeData) => ScopeData.ScopeData): R

  setTag(key: string, value: ScopeData.TagValue): R {
    return this.change((scope) => ScopeData.setTag(scope, key, value))
  }

  setTags(tags: Readonly<Record<string, ScopeData.TagValue>>): R {
    return this.change((scope) => ScopeData.setTags(scope, tags))
  }

  setUser(user: User | null): R {
    return this.change((scope) => ScopeData.setUser(scope, user))
  }

  setContext(key: string, context: Readonly<Record<string, unknown>> | null): R {
    return this.change((scope) => ScopeData.setContext(scope, key, context))
  }

  setExtra(key: string, value: unknown): R {
    return this.change((scope) => ScopeData.setExtras(scope, { [key]: value }))
  }

  setExtras(extra: Readonly<Record<string, unknown>>): R {
    return this.change((scope) => ScopeData.setExtras(scope, extra))
  }

  setLevel(level: Level): R {
    return this.change((scope) => ScopeData.change(scope, { level }))
  }

  setFingerprint(fingerprint: ReadonlyArray<string>): R {
    return this.change((scope) => ScopeData.change(scope, { fingerprint: [...fingerprint] }))
  }

  setTransactionName(transactionName: string): R {
    return this.change((scope) => ScopeData.change(scope, { transactionName }))
  }

  addAttachment(attachment: Attachment): R {
    return this.change((scope) => ScopeData.addAttachment(scope, attachment))
  }

  addEventProcessor(processor: ScopeData.EventProcessor): R {
    return this.change((scope) => {
      if (typeof processor !== "function") throw new TypeError("an event processor is a function")
      return ScopeData.addProcessor(scope, processor)
    })
  }

  configureScope(context: ScopeData.ScopeContext): R {
    return this.change((scope) => {
      if (typeof context !== "object" || context === null) throw new TypeError("a scope is configured with an object")
      return ScopeData.applyContext(scope, context)
    })
  }
}
