/**
 * Envelope framing: one header line, then items of a header line and a payload each, all separated by LF.
 *
 * @since 0.1.0
 */
import type { ItemType } from "./Category.js"
import type { EventId } from "./Event.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface EnvelopeHeaders {
  readonly event_id?: EventId | undefined
  readonly sent_at?: string | undefined
  readonly dsn?: string | undefined
  readonly sdk?: { readonly name: string; readonly version: string } | undefined
  readonly trace?: Readonly<Record<string, string>> | undefined
  readonly [key: string]: unknown
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ItemHeaders {
  readonly type: ItemType
  readonly length?: number | undefined
  readonly content_type?: string | undefined
  readonly filename?: string | undefined
  readonly attachment_type?: string | undefined
  readonly item_count?: number | undefined
}

/**
 * An item as it was read from an envelope. `payload` is the parsed JSON, or the bytes where they are not JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface ParsedItem {
  readonly headers: Readonly<Record<string, unknown>> & { readonly type: string }
  readonly payload: unknown
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ParsedEnvelope {
  readonly headers: EnvelopeHeaders
  readonly items: ReadonlyArray<ParsedItem>
}

/** A payload that is ready to be framed. @internal */
export interface EncodedItem {
  readonly headers: ItemHeaders
  readonly payload: string | Uint8Array
}

/** An item, framed. `length` is always set, in bytes. @internal */
export const encodeItem = ({ headers, payload }: EncodedItem): Buffer => {
  const length = Buffer.byteLength(payload)
  const head = itemHeader(headers, length)
  const headLength = Buffer.byteLength(head)
  const item = Buffer.allocUnsafe(headLength + length + 1)
  item.write(head)
  if (typeof payload === "string") item.write(payload, headLength)
  else item.set(payload, headLength)
  item[headLength + length] = LF
  return item
}

/** The line before a payload of so many bytes. @internal */
export const itemHeader = (headers: ItemHeaders, length: number): string =>
  `${JSON.stringify({ ...headers, length })}\n`

/** The first line. It is written anew for every attempt to send, since it holds `sent_at`. @internal */
export const encodeHeaders = (headers: EnvelopeHeaders): Buffer => Buffer.from(`${JSON.stringify(headers)}\n`)

/**
 * Reads an envelope back: for tests, the in-memory transport and the spool. Unknown item types and header keys are kept;
 * a missing `length` ends the payload at the next LF; a `length` that runs past the end is an error.
 *
 * @since 0.1.0
 * @category parsing
 * @example
 * import { parseEnvelope } from "effect-faultline/testing"
 *
 * const envelope = parseEnvelope(Buffer.from('{"event_id":"00000000000040008000000000000000"}\n{"type":"event"}\n{}\n'))
 * console.log(envelope.items.length) // 1
 */
export const parseEnvelope = (bytes: Uint8Array): ParsedEnvelope => {
  const { headers, items } = splitEnvelope(bytes)
  return {
    headers,
    items: items.map((item) => ({ headers: item.headers, payload: parsePayload(item.headers, item.payload) }))
  }
}

/** An item as it stands in an envelope. @internal */
export interface FramedItem {
  readonly headers: ParsedItem["headers"]
  readonly payload: Buffer
  /** The line of its headers, its payload, and the LF after it. */
  readonly framed: Buffer
}

/** The same without a look at what is in the items. @internal */
export const splitEnvelope = (
  bytes: Uint8Array
): { readonly headers: EnvelopeHeaders; readonly items: ReadonlyArray<FramedItem> } => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let offset = 0
  const line = (): Buffer => {
    const end = buffer.indexOf(0x0a, offset)
    const slice = end < 0 ? buffer.subarray(offset) : buffer.subarray(offset, end)
    offset = end < 0 ? buffer.length : end + 1
    return slice
  }
  const headers = JSON.parse(line().toString("utf8")) as EnvelopeHeaders
  const items: Array<FramedItem> = []
  while (offset < buffer.length) {
    const start = offset
    const head = line()
    if (head.length === 0) continue
    const itemHeaders = JSON.parse(head.toString("utf8")) as ParsedItem["headers"]
    const payload = payloadOf(itemHeaders)
    items.push({ headers: itemHeaders, payload, framed: buffer.subarray(start, offset) })
  }
  return { headers, items }

  function payloadOf(itemHeaders: ParsedItem["headers"]): Buffer {
    const length = itemHeaders["length"]
    if (length === undefined) return line()
    if (!Number.isSafeInteger(length) || (length as number) < 0)
      throw new RangeError("envelope: an item's length is no count")
    const end = offset + (length as number)
    if (end > buffer.length) throw new RangeError("envelope: an item runs past the end")
    if (end < buffer.length && buffer[end] !== 0x0a)
      throw new RangeError("envelope: an item does not end where it says")
    const payload = buffer.subarray(offset, end)
    offset = end + 1
    return payload
  }
}

const parsePayload = (headers: ParsedItem["headers"], payload: Buffer): unknown => {
  if (headers.type === "attachment") return payload
  try {
    return JSON.parse(payload.toString("utf8"))
  } catch {
    return payload
  }
}

const LF = 0x0a
