/**
 * The SDK's own requests are none that it should see: they are known by the agent they are made with.
 */
const own = new WeakSet<object>()

/** @internal */
export const markOwnAgent = (agent: object): void => void own.add(agent)

/** @internal */
export const isOwnAgent = (agent: object): boolean => own.has(agent)
