// Requests for a server in another process: `node load.mjs <port>`, then a count for each message.
import { Agent, request } from "node:http"

const port = Number(process.argv[2])
const agent = new Agent({ keepAlive: true, maxSockets: 8 })

const once = (number) =>
  new Promise((resolve, reject) => {
    request({ agent, port, host: "127.0.0.1", path: `/items/${number % 100}?page=1` }, (response) => {
      response.resume()
      response.on("end", () => resolve(response.statusCode === 200))
    })
      .on("error", reject)
      .end()
  })

process.on("message", async (count) => {
  let left = count
  let answered = 0
  const worker = async () => {
    while (left-- > 0) if (await once(left)) answered++
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  process.send(answered)
})
process.on("disconnect", () => process.exit())
