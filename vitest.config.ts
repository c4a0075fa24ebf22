import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: "effect-faultline/facade", replacement: source("Facade.ts") },
      { find: "effect-faultline/http", replacement: source("http/index.ts") },
      { find: "effect-faultline/rpc", replacement: source("rpc/index.ts") },
      { find: "effect-faultline/testing", replacement: source("testing/index.ts") },
      { find: "effect-faultline/worker", replacement: source("worker/index.ts") },
      { find: "effect-faultline", replacement: source("index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // Whoever takes longer is stuck, on however busy a machine.
    testTimeout: 60_000,
    // Process tests start children: with more of them at once than cores, their time limits would measure the machine.
    maxWorkers: 2
  }
})
