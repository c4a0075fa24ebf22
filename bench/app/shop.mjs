import { reserve } from "./stock.mjs"

export const checkout = (number) => {
  const cart = { number, lines: [{ sku: `A-${number}`, quantity: 1 }] }
  return pay(cart)
}

const pay = (cart) => {
  const total = cart.lines.reduce((sum, line) => sum + line.quantity, 0)
  return { total, order: place(cart) }
}

const place = (cart) => {
  const [line] = cart.lines
  return { ...line, reservation: reserve(cart.number, line) }
}
