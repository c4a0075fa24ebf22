export const load = (table, number) => {
  const key = `${table}/${number}`
  return read(key, number)
}

const read = (key, number) => {
  const text = fetchRow(key, number)
  return JSON.parse(text)
}

// Not all of it ASCII – on purpose: few programs are, and V8 keeps the whole text of such a file twice as wide.
const fetchRow = (key, number) => {
  switch (number % 4) {
    case 0:
      throw new Error(`no row ${key}`)
    case 1:
      throw new TypeError(`row ${key} is no text`)
    case 2:
      throw new RangeError(`row ${key} is out of range`)
    default:
      throw new Error(`row ${key} is locked`)
  }
}
