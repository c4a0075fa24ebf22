/**
 * Memory for what is on its way, used again and again: of ten thousand envelopes in as many buffers the collector would let
 * tens of megabytes pile up.
 *
 * @internal
 */
export class Slabs {
  readonly #free: Array<Buffer> = []

  /** Space for an envelope. One of unusual length gets memory of its own. */
  take(length: number): Buffer {
    return length > SLAB_BYTES
      ? Buffer.allocUnsafeSlow(length)
      : (this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES))
  }

  giveBack(slab: Buffer): void {
    if (slab.byteLength === SLAB_BYTES && this.#free.length < MAX_FREE) this.#free.push(slab)
  }
}

const SLAB_BYTES = 64 * 1024
const MAX_FREE = 8
