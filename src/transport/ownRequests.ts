/**
 * The SDK's own requests are none that it should see.
 */
const own = new WeakSet<object>()

/** @internal */
export const markOwnRequest = (request: object): void => void own.add(request)

/** @internal */
export const isOwnRequest = (request: object): boolean => own.has(request)
