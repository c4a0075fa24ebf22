/**
 * The body of a request of `node:http`, as far as the program reads it: nothing is read on its behalf.
 */
import { IncomingMessage } from "node:http"

/**
 * Looks on as the program reads the body.
 *
 * @returns the body, once all of it was read; `undefined` before that, or if it is longer than `maxBytes`, or no text
 * @internal
 */
export const watchBody = (source: unknown, maxBytes: number): (() => string | undefined) | undefined => {
  if (!(source instanceof IncomingMessage) || source.method === "GET" || source.method === "HEAD") return undefined
  if (Number(source.headers["content-length"] ?? 0) > maxBytes) return undefined
  const chunks: Array<Buffer> = []
  let size = 0
  let ended = false
  const emit = source.emit.bind(source)
  source.emit = (event: string | symbol, ...args: Array<any>): boolean => {
    if (event === "data" && size <= maxBytes) {
      const [chunk] = args as [Buffer | string]
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk
      size += bytes.byteLength
      if (size <= maxBytes) chunks.push(bytes)
      else chunks.length = 0
    } else if (event === "end") ended = true
    return emit(event, ...args)
  }
  return () => (ended && size > 0 && size <= maxBytes ? decode(Buffer.concat(chunks)) : undefined)
}

const decode = (bytes: Buffer): string | undefined => {
  try {
    return new TextDecoder("utf8", { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
