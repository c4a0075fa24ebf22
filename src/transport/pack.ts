/**
 * How a long queue is kept small. The events of a burst are nearly the same (one program, one machine, often one line of code):
 * where the pieces that they have in common are held once, ten thousand need the space of a thousand.
 */
import { type EncodedItem, encodeItem, itemHeader } from "../protocol/Envelope.js"

/** A framed item, as it is held while it waits. @internal */
export type Held = Buffer | Packed

/** A framed item of JSON in pieces: texts that other items have, too, and how many bytes of its own come between. @internal */
export class Packed {
  constructor(
    /** How many bytes of its own are its header. */
    readonly head: number,
    readonly pieces: ReadonlyArray<string | number>,
    readonly own: Buffer,
    /** How long it is altogether. */
    readonly length: number
  ) {}

  /** What it adds to the memory in use. */
  get byteLength(): number {
    return this.own.byteLength + this.pieces.length * BYTES_PER_PIECE
  }
}

/** How many bytes it takes to send it. @internal */
export const lengthOf = (held: Held): number => (held instanceof Packed ? held.length : held.byteLength)

/** Writes it out, and tells where it ends. @internal */
export const writeHeld = (held: Held, target: Buffer, start: number): number => {
  if (!(held instanceof Packed)) return start + held.copy(target, start)
  const { head, own, pieces } = held
  let at = start + own.copy(target, start, 0, head)
  let taken = head
  pieces.forEach((piece, index) => {
    if (index > 0) at += target.write(BREAK, at, "latin1")
    at += typeof piece === "string" ? target.write(piece, at) : own.copy(target, at, taken, (taken += piece))
  })
  return at + target.write("\n", at, "latin1")
}

/** @internal */
export class Packer {
  readonly #known = new Map<string, string>()
  #knownLength = 0
  #arena = Buffer.alloc(0)
  /** What the last item had of its own: what the next one has, too, is worth knowing. */
  #last: ReadonlyArray<string> = []

  /** An item, framed, in as little space as can be had within microseconds. */
  pack(item: EncodedItem): Held {
    const { headers, payload } = item
    if (typeof payload !== "string" || payload.length > MAX_TEXT) return encodeItem(item)
    const pieces = payload.split(BREAK)
    const known = pieces.map((piece) => this.#known.get(piece))
    const own = pieces.filter((_, index) => known[index] === undefined)
    // Of another kind than those before it: the next ones may be like this one.
    const isNew = own.reduce((sum, piece) => sum + piece.length, 0) * 2 > payload.length
    for (const piece of own) if (isNew || this.#last.includes(piece)) this.#learn(piece)
    this.#last = own
    if (isNew) return encodeItem(item)
    const length = Buffer.byteLength(payload)
    const header = itemHeader(headers, length)
    const head = Buffer.byteLength(header)
    return new Packed(
      head,
      pieces.map((piece, index) => known[index] ?? Buffer.byteLength(piece)),
      this.#copy(header + own.join("")),
      head + length + 1
    )
  }

  /** Side by side with others that wait, and with nothing else: what would lie between them could not be freed. */
  #copy(text: string): Buffer {
    const length = Buffer.byteLength(text)
    if (length > ARENA_BYTES / 8) return Buffer.from(text)
    if (this.#arena.byteLength < length) this.#arena = Buffer.allocUnsafeSlow(ARENA_BYTES)
    const copy = this.#arena.subarray(0, length)
    copy.write(text)
    this.#arena = this.#arena.subarray(length)
    return copy
  }

  #learn(piece: string): void {
    if (this.#knownLength > MAX_KNOWN) {
      this.#known.clear()
      this.#knownLength = 0
    }
    this.#knownLength += piece.length
    // A copy: what was split off holds on to the whole.
    const copy = Buffer.from(piece).toString()
    this.#known.set(copy, copy)
  }
}

/** Where one object of the JSON ends and the next begins. */
const BREAK = "},"
const MAX_TEXT = 64 * 1024
const MAX_KNOWN = 1024 * 1024
const ARENA_BYTES = 64 * 1024
const BYTES_PER_PIECE = 8
