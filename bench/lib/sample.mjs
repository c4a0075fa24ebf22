// One sample, in a process of its own: `node sample.mjs <case> <sample>`. The result leaves through descriptor 3, since the
// SDKs may write to the others.
import { writeSync } from "node:fs"

const [caseName, sampleName] = process.argv.slice(2)
const { samples } = await import(`../cases/${caseName}.mjs`)
writeSync(3, JSON.stringify(await samples[sampleName]()))
process.exit(0)
