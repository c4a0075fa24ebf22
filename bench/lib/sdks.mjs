// The SDKs, opened as their users open them, with all that is on by default. Loaded on demand: a process holds one of them.

/** Of a server that nobody asks: in memory, every envelope is answered at once. */
const DSN = "http://key@127.0.0.1:9/1"

const inMemory = {
  open: () => ({
    send(_envelope, done) {
      done({ _tag: "Answered", status: 200 })
      return { handedOver: true, abort() {} }
    },
    close() {}
  })
}

/** The option that makes an SDK send over the network after all. */
export const overNetwork = { transport: undefined }

export const openFaultline = async (options) => {
  const Faultline = await import("../../dist/Facade.js")
  Faultline.init({ dsn: DSN, transport: inMemory, ...options })
  return Faultline
}

/** The Effect API, and a layer with its hub and all integrations. */
export const loadFaultline = async (options) => {
  const { Layer } = await import("effect")
  const Faultline = await import("../../dist/index.js")
  const hub = Faultline.Hub.layer({ dsn: DSN, transport: inMemory, ...options })
  return { Faultline, layer: Layer.provideMerge(Faultline.DefaultIntegrations, hub) }
}

export const openSentry = async (options) => {
  const Sentry = await import("@sentry/node")
  const transport = (given) => Sentry.createTransport(given, async () => ({ statusCode: 200 }))
  Sentry.init({ dsn: DSN, transport, ...options })
  return Sentry
}
