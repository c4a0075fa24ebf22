const HEADER = ["what", "ours", "peer", "ratio (min–max)", "target", "ok"]

/** The rows of one measurement as lines of text. */
export const table = (rows) => {
  const cells = [HEADER, ...rows.map(cellsOf)]
  const widths = HEADER.map((_, column) => Math.max(...cells.map((row) => row[column].length)))
  const line = (row) =>
    row
      .map((cell, column) => pad(cell, widths[column], column))
      .join("  ")
      .trimEnd()
  return [line(HEADER), widths.map((width) => "─".repeat(width)).join("  "), ...cells.slice(1).map(line)].join("\n")
}

const pad = (cell, width, column) =>
  column === 0 || column === HEADER.length - 1 ? cell.padEnd(width) : cell.padStart(width)

const cellsOf = (row) => [
  row.what,
  quantity(row.ours, row.unit),
  row.peer === undefined ? "–" : quantity(row.peer, row.unit),
  row.ratio === undefined ? "–" : `${row.ratio.toFixed(3)} (${row.min.toFixed(2)}–${row.max.toFixed(2)})`,
  targetOf(row),
  row.problems.length > 0 ? `NO: ${row.problems.join("; ")}` : row.ok === undefined ? "–" : row.ok ? "yes" : "NO"
]

const targetOf = ({ atLeast, atMost, target, unit }) => {
  if (target !== undefined) return `≤ ${target.toFixed(2)}`
  if (atMost !== undefined) return `≤ ${atMost} ${unit}`
  return atLeast === undefined ? "–" : `≥ ${atLeast} ${unit}`
}

const quantity = (value, unit) => `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`
