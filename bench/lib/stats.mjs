export const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** A row of the result: the ratios are taken within each round, where both sides met the same machine. */
export const compare = (row, rounds) => {
  const ours = rounds.map((round) => pick(round, row.ours))
  const peer = rounds.map((round) => pick(round, row.peer))
  const ratios = ours.map((value, index) => value / peer[index])
  const ratio = median(ratios)
  const problems = [
    ...new Set(rounds.flatMap((round) => [problemOf(round, row.ours), problemOf(round, row.peer)]))
  ].filter((problem) => problem !== undefined)
  return {
    what: row.what,
    unit: row.unit,
    ours: median(ours),
    peer: median(peer),
    ratio,
    min: Math.min(...ratios),
    max: Math.max(...ratios),
    target: row.target,
    ok: problems.length > 0 ? false : row.target === undefined ? undefined : ratio <= row.target,
    problems
  }
}

const pick = (round, path) => {
  const [sample, metric] = path.split(".")
  const value = round[sample][metric]
  if (typeof value !== "number") throw new Error(`no measurement ${path}`)
  return value
}

const problemOf = (round, path) => round[path.split(".")[0]].problem
