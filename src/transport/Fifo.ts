/** First in, first out, at the same price however many are waiting. @internal */
export class Fifo<A> {
  #items: Array<A | undefined> = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: A): void {
    this.#items.push(item)
  }

  /** Back to the front. */
  unshift(item: A): void {
    if (this.#head > 0) this.#items[--this.#head] = item
    else this.#items.unshift(item)
  }

  /** The oldest. */
  peek(): A | undefined {
    return this.#items[this.#head]
  }

  shift(): A | undefined {
    if (this.length === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** The newest. */
  pop(): A | undefined {
    return this.length === 0 ? undefined : this.#items.pop()
  }

  /** The newest of those that match, out of the row. */
  remove(matches: (item: A) => boolean): A | undefined {
    const index = this.#items.findLastIndex((item) => item !== undefined && matches(item))
    return index < 0 ? undefined : this.#items.splice(index, 1)[0]
  }

  count(matches: (item: A) => boolean): number {
    let count = 0
    for (let index = this.#head; index < this.#items.length; index++) if (matches(this.#items[index] as A)) count++
    return count
  }

  takeAll(): Array<A> {
    const items = this.#items.slice(this.#head) as Array<A>
    this.#items = []
    this.#head = 0
    return items
  }
}
