import { breakoutFiles } from '../../agent/sources/breakout-files/source.ts'
import { bootClock } from '../../agent/linux/boot-clock.ts'
import { processTable } from '../../agent/sources/processes/table/table.ts'

// Runs only the breakout-files source in a separate process; answers each message with its CPU time in microseconds.

const containers = { get: () => undefined, all: () => [], running: () => [] }
const table = processTable({ clock: bootClock() })
let seen = 0
breakoutFiles({ table, containers, isBehind: () => false, now: Date.now })
  .observe()
  .subscribe(({ kind }) => {
    if (kind === 'source-status') process.send?.('ready')
    else seen += 1
  })
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpu: user + system, seen })
})
