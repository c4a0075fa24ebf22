export const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * A row of the result: ratios and differences are taken within each round, where both sides met the same machine.
 *
 * @param row `without`: what is to be taken off both sides, a measurement of the same round; `target` is for the ratio, `atMost`
 * and `atLeast` for our own figure
 */
export const compare = (row, rounds) => {
  const over = (path) => (path === undefined ? undefined : rounds.map((round) => pick(round, path) - base(round, row)))
  const ours = over(row.ours)
  const peer = over(row.peer)
  const ratios = peer === undefined ? [] : ours.map((value, index) => value / peer[index])
  const problems = [
    ...new Set(rounds.flatMap((round) => [row.ours, row.peer, row.without].map((path) => problemOf(round, path))))
  ].filter((problem) => problem !== undefined)
  return {
    what: row.what,
    unit: row.unit,
    ours: median(ours),
    ...(peer === undefined
      ? undefined
      : { peer: median(peer), ratio: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }),
    target: row.target,
    atMost: row.atMost,
    atLeast: row.atLeast,
    ok: problems.length > 0 ? false : verdict(row, median(ours), median(ratios)),
    problems
  }
}

const verdict = ({ atLeast, atMost, target }, value, ratio) => {
  if (target !== undefined) return ratio <= target
  if (atMost !== undefined) return value <= atMost
  return atLeast === undefined ? undefined : value >= atLeast
}

const base = (round, { without }) => (without === undefined ? 0 : pick(round, without))

const pick = (round, path) => {
  const [sample, metric] = path.split(".")
  const value = round[sample][metric]
  if (typeof value !== "number") throw new Error(`no measurement ${path}`)
  return value
}

const problemOf = (round, path) => (path === undefined ? undefined : round[path.split(".")[0]].problem)
