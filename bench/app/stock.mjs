import { load } from "./store.mjs"

export const reserve = (number, line) => {
  const warehouse = number % 2 === 0 ? "north" : "south"
  return take(warehouse, number, line)
}

const take = (warehouse, number, line) => {
  const left = find(warehouse, number)
  return left - line.quantity
}

const find = (warehouse, number) => {
  const row = load(`${warehouse}/stock`, number)
  return row.left
}
