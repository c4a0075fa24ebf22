/**
 * The list of installed packages, made bit by bit.
 */
import { installedModules, type Step } from "./installedModules.js"

/** How many packages an event names at most. @internal */
export const MAX_MODULES = 500

/** @internal */
export class ModuleList {
  readonly #modules: Record<string, string> = {}
  readonly #steps: Iterator<Step>
  #count = 0
  #json: string | undefined
  #isComplete = false

  constructor(places: ReadonlyArray<string>) {
    this.#steps = installedModules(places)
  }

  /** Nothing will be added any more. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** What was found so far, as JSON. */
  get json(): string {
    return (this.#json ??= JSON.stringify(this.#modules))
  }

  /**
   * Goes on with the list for so long.
   *
   * @param minSteps how many steps are made however long they take
   */
  advance(millis: number, minSteps = 1): void {
    const end = performance.now() + millis
    for (let made = 0; !this.#isComplete && (made < minSteps || performance.now() < end); made++) this.#step()
  }

  #step(): void {
    const step = this.#steps.next()
    if (step.done === true) this.#isComplete = true
    else if (step.value !== undefined) this.#add(...step.value)
  }

  #add(name: string, version: string): void {
    if (name === "__proto__" || Object.hasOwn(this.#modules, name)) return
    this.#modules[name] = version
    this.#json = undefined
    if (++this.#count < MAX_MODULES) return
    this.#isComplete = true
    this.#steps.return?.()
  }
}
