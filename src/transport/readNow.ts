/**
 * Reading from a socket while nothing asynchronous runs any more: the event loop stands still, but the system goes on receiving.
 */
import { readSync } from "node:fs"
import type { Socket } from "node:net"

/**
 * Takes what has arrived and hands it to the socket's own listeners, as the event loop would.
 *
 * @returns `unreadable` where this cannot be done: on Windows, where a socket has no descriptor, and once it is destroyed
 * @internal
 */
export const readNow = (socket: Socket): "something" | "nothing" | "ended" | "unreadable" => {
  const handle = outermost(socket as unknown as Connection)._handle
  if (handle === null || handle === undefined || typeof handle.fd !== "number" || handle.fd < 0) return "unreadable"
  const isEncrypted = (socket as { readonly encrypted?: boolean }).encrypted === true
  if (isEncrypted && typeof handle.receive !== "function") return "unreadable"
  try {
    // A buffer of its own each time: who listens may keep what it was given.
    const bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES)
    const length = readSync(handle.fd, bytes)
    if (length === 0) return "ended"
    if (isEncrypted) handle.receive?.(bytes.subarray(0, length))
    else socket.push(bytes.subarray(0, length))
    return "something"
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EAGAIN") return "nothing"
    return code !== undefined && LOST.has(code) ? "ended" : "unreadable"
  }
}

/** What is next to the wire: through a proxy that is itself spoken to by https, what the server says is encrypted twice. */
const outermost = (socket: Connection): Connection =>
  socket._parent?.encrypted === true ? outermost(socket._parent) : socket

/** What the system says of a connection that is no more. */
const LOST = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"])

const CHUNK_BYTES = 16 * 1024

// SAFETY: what Node calls a socket's handle, and the one below it, is no part of its interface; each member is looked at before it is used.
interface Connection {
  readonly encrypted?: boolean
  readonly _parent?: Connection | null
  readonly _handle?: { readonly fd?: number; readonly receive?: (bytes: Uint8Array) => void } | null
}
