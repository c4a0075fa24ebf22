/**
 * Error monitoring for Effect: operations as flat exports, services and integrations as modules.
 *
 * @since 0.1.0
 */
export * from "./DefaultIntegrations.js"
export type { PolicyRule, StatusPattern } from "./event/policy.js"
export type { BudgetOptions } from "./hub/budget.js"
export * from "./hub/Capture.js"
export * from "./hub/ForkedScope.js"
export { Hub, type UnsafeCaptureOptions } from "./hub/Hub.js"
export * as Integration from "./hub/Integration.js"
export * from "./hub/Monitor.js"
export { DsnError, type Options } from "./hub/Options.js"
export type { Admission, EndedRequest, Hooks, Phase, SeenError } from "./hub/Registry.js"
export * from "./hub/Scope.js"
export * as Argv from "./integrations/Argv.js"
export * as Atexit from "./integrations/Atexit.js"
export * as Dedupe from "./integrations/Dedupe.js"
export * as Excepthook from "./integrations/Excepthook.js"
export * as LocalVariables from "./integrations/LocalVariables.js"
export * as Logging from "./integrations/Logging.js"
export * as Modules from "./integrations/Modules.js"
export * as Sessions from "./integrations/Sessions.js"
export * as Stdlib from "./integrations/Stdlib.js"
export * as Threading from "./integrations/Threading.js"
export type * from "./protocol/Breadcrumb.js"
export type { Dsn } from "./protocol/Dsn.js"
export type * from "./protocol/Event.js"
export type { Log, LogSeverity, SerializedLog, TypedAttribute } from "./protocol/Log.js"
export { OptionsError } from "./protocol/OptionsError.js"
export type { EventHint } from "./scope/EventHint.js"
export type { EventProcessor, ScopeContext, TagValue } from "./scope/ScopeData.js"
export type { Profile } from "./transport/profiles.js"
export { Spool, type SpoolOptions } from "./transport/Spool.js"
export {
  type Endpoint,
  type Sender,
  type Sending,
  type SendResult,
  type Target,
  Transport
} from "./transport/Transport.js"
