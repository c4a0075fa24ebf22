import { assert, describe, it } from "@effect/vitest"
import { readSpotlight } from "../../../src/transport/spotlight.js"

describe("SENTRY_SPOTLIGHT", () => {
  const words: ReadonlyArray<readonly [expected: boolean | string | undefined, words: ReadonlyArray<string>]> = [
    [true, ["true", "t", "y", "yes", "on", "1", "TRUE", " Yes "]],
    [false, ["false", "f", "n", "no", "off", "0", "OFF", " No "]],
    [undefined, ["", "  "]],
    ["http://localhost:1234/stream", ["http://localhost:1234/stream", " http://localhost:1234/stream "]]
  ]
  for (const [expected, all] of words) {
    it.each(all)(`%j: ${expected}`, (word) => assert.strictEqual(readSpotlight(word), expected))
  }
})
