import { breakoutFiles } from '../../agent/sources/breakout-files/source.ts'
import { bootClock } from '../../agent/linux/boot-clock.ts'
import { processTable } from '../../agent/sources/processes/table/table.ts'

// The source of breakout files alone in a process of its own: answers each message with its CPU time, microseconds.

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
