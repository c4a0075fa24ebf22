/**
 * @since 0.1.0
 */
export { type EnvelopeHeaders, type ParsedEnvelope, type ParsedItem, parseEnvelope } from "../protocol/Envelope.js"
export { NoSuchEvent, TestHub } from "./TestHub.js"
