import { assert, describe, it } from "@effect/vitest"
import { isCategory } from "../../../src/protocol/Category.js"

describe("Category", () => {
  const known =
    "default error transaction span session attachment attachment_item monitor log_item log_byte trace_metric " +
    "trace_metric_byte profile profile_chunk profile_chunk_ui replay feedback security metric_bucket internal"
  for (const name of known.split(" ")) it(`${name} is one`, () => assert.isTrue(isCategory(name)))

  for (const name of [
    "",
    "all",
    "Error",
    "errors",
    "event",
    "metric",
    "constructor",
    "toString",
    "__proto__",
    " error"
  ]) {
    it(`${JSON.stringify(name)} is none`, () => assert.isFalse(isCategory(name)))
  }
})
