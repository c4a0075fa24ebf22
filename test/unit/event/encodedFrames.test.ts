import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { stringifyExceptions } from "../../../src/event/encodedFrames.js"
import { StackParser } from "../../../src/event/stack.js"
import type { Exception, StackFrame } from "../../../src/protocol/Event.js"
import { anyRecipe, build, leaves, type Recipe } from "../support/values.js"

const parser = new StackParser({ projectRoot: "/srv/app", contextLines: 5, inAppInclude: [], inAppExclude: [] })

/** Lines of this file, so that there is source around them, and one of Node's. */
const STACK = `Error: x
    at raise (${import.meta.filename}:4:10)
    at program (${import.meta.filename}:9:3)
    at node:internal/main:1:1`

const exceptions = (change: (frames: Array<StackFrame>) => void = () => {}): { values: Array<Exception> } => {
  const frames = parser.parse(STACK, "Error: x")
  change(frames)
  return { values: [{ type: "Error", value: "x", stacktrace: { frames } }] }
}

const parsed = (value: unknown): unknown => {
  const json = stringifyExceptions(value)
  return json === undefined ? undefined : (JSON.parse(json) as unknown)
}

const plain = (value: unknown): unknown => {
  const json = JSON.stringify(value) as string | undefined
  return json === undefined ? undefined : (JSON.parse(json) as unknown)
}

describe("stringifyExceptions", () => {
  it("says what JSON.stringify says, every time", () => {
    for (let time = 0; time < 3; time++) assert.deepStrictEqual(parsed(exceptions()), plain(exceptions()))
    assert.deepInclude(exceptions().values[0]?.stacktrace?.frames.at(-1), { function: "raise", lineno: 4 })
    assert.isDefined(exceptions().values[0]?.stacktrace?.frames.at(-1)?.context_line)
  })

  const changes: Record<string, (frames: Array<StackFrame>) => void> = {
    "a field is another": (frames) => Object.assign(frames[0] as object, { function: "renamed" }),
    "a field is added": (frames) => Object.assign(frames[2] as object, { vars: { a: 1 } }),
    "a field is removed": (frames) => delete frames[2]?.context_line,
    "a field is unset": (frames) => Object.assign(frames[2] as object, { lineno: undefined }),
    "one is removed, another added": (frames) => {
      delete frames[2]?.context_line
      Object.assign(frames[2] as object, { vars: {} })
    },
    "a line of source is masked": (frames) => frames[2]?.pre_context?.fill("[Filtered]", 1, 2),
    "a line of source is removed": (frames) => frames[2]?.post_context?.pop(),
    "the source is another list": (frames) => Object.assign(frames[2] as object, { post_context: ["x"] }),
    "a frame is removed": (frames) => frames.shift(),
    "a frame is added": (frames) => frames.push({ function: "more" }),
    "frames change places": (frames) => frames.reverse(),
    "a frame is another": (frames) => frames.splice(1, 1, { function: "other" }),
    "a frame writes itself": (frames) => Object.assign(frames[1] as object, { toJSON: () => "mine" }),
    "there is none where one was": (frames) => frames.fill(null as never, 0, 1),
    "one has a prototype": (frames) => Object.setPrototypeOf(frames[1], { toJSON: () => "inherited" })
  }
  for (const [change, make] of Object.entries(changes)) {
    it(`what a callback has changed leaves as it is then, and the next one as it was made: ${change}`, () => {
      const changed = exceptions(make)
      assert.deepStrictEqual(parsed(changed), plain(changed))
      assert.notDeepEqual(parsed(changed), plain(exceptions()))
      assert.deepStrictEqual(parsed(exceptions()), plain(exceptions()))
    })
  }

  it("exceptions and stacks may hold more, or less", () => {
    const [value] = exceptions().values
    for (const given of [
      { values: [] },
      { values: [null, 1, "x", undefined, value] },
      { values: [value], more: true },
      { values: value },
      [value],
      { values: [{ stacktrace: value?.stacktrace }] },
      { values: [{ ...value, stacktrace: { ...value?.stacktrace, more: 1 } }] },
      { values: [{ ...value, stacktrace: null }] },
      { values: [{ ...value, toJSON: () => "mine" }] },
      {},
      null,
      undefined
    ]) {
      assert.deepStrictEqual(parsed(given), plain(given))
    }
  })

  it("whatever a callback leaves there", () => {
    fc.assert(
      fc.property(anyRecipe, (recipe) => {
        for (const place of [
          (value: unknown) => value,
          (value: unknown) => ({ values: value }),
          (value: unknown) => ({ values: [value] }),
          (value: unknown) => ({ values: [{ type: "E", stacktrace: { frames: value } }] }),
          (value: unknown) => exceptions((frames) => frames.splice(0, 1, value as StackFrame))
        ]) {
          const attempt = (encode: (value: unknown) => unknown): unknown => {
            try {
              return encode(place(build(recipe)))
            } catch {
              return "throws"
            }
          }
          assert.deepStrictEqual(attempt(parsed), attempt(plain))
        }
      }),
      { examples: Object.keys(leaves).map((leaf): [Recipe] => [{ leaf }]) }
    )
  })
})
