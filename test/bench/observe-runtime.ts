import { createHash } from 'node:crypto'
import { readFileSync, watch } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Subject } from 'rxjs'
import { createDockerClient } from '../../agent/sources/docker/client/client.ts'
import { endpointOf } from '../../agent/sources/docker/client/endpoint.ts'
import { hostUsers } from '../../agent/linux/host-users.ts'
import { bootClock } from '../../agent/linux/boot-clock.ts'
import { processTable } from '../../agent/sources/processes/table/table.ts'
import {
  configurationPlaces,
  dropInDirectories,
} from '../../agent/sources/runtime-files/paths/configuration-files.ts'
import { hardening } from '../../agent/sources/runtime-files/integrity/hardening.ts'
import { askPackages, hostPackages } from '../../agent/sources/runtime-files/packages/packages.ts'
import { findRuntimeFiles } from '../../agent/sources/runtime-files/paths/paths.ts'
import { runtimeFiles } from '../../agent/sources/runtime-files/source.ts'
import { identifyWriter } from '../../agent/sources/runtime-files/watch/writer.ts'

// One way of watching alone in a process of its own: `source interval thorough`, `inotify path…` or `polling path…`. Prints a
// line for each change of a path, and after a line on standard input what it has used and how long the loop stood still.

const [, , way = '', ...rest] = process.argv
const say = (line: string) => process.stdout.write(`${line}\n`)
const stamp = () => performance.timeOrigin + performance.now()

if (way === 'source') {
  const [interval = '60000', thorough = '3600000'] = rest
  const client = createDockerClient(endpointOf({ host: undefined, env: process.env }))
  const procRoot = '/proc'
  const source = runtimeFiles({
    find: () =>
      findRuntimeFiles({
        procRoot,
        engineInfo: client.info,
        extraPaths: [],
        configuration: configurationPlaces,
      }),
    refind$: new Subject(),
    intervalMs: Number(interval),
    thoroughMs: Number(thorough),
    directories: dropInDirectories(configurationPlaces),
    identify: identifyWriter({
      table: processTable({ clock: bootClock() }),
      catchUp: () => false,
      containerOfPid: () => null,
      procRoot,
      users: hostUsers(),
    }),
    askPackages: askPackages(hostPackages()),
    harden: hardening({ procRoot, engineInfo: client.info }),
    now: Date.now,
  })
  source.observe().subscribe((seen) => {
    if (seen.kind === 'source-status' && seen.up) say('ready')
  })
} else if (way === 'inotify') {
  for (const path of rest) watch(path, () => say(`${path} ${stamp()}`))
  say('ready')
} else {
  const digests = new Map(rest.map((path) => [path, digestOf(path)]))
  setInterval(() => {
    for (const [path, before] of digests) {
      const now = digestOf(path)
      if (now !== before) say(`${path} ${stamp()}`)
      digests.set(path, now)
    }
  }, 1_000)
  say('ready')
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

const delay = monitorEventLoopDelay({ resolution: 1 })
process.stdin.on('data', (asked) => {
  const { user, system } = process.cpuUsage()
  // The histogram's own timer is 1 ms.
  say(
    JSON.stringify({
      cpuMs: (user + system) / 1_000,
      blockMs: delay.max / 1e6,
      p99Ms: delay.percentile(99) / 1e6,
    }),
  )
  // It costs a wake-up each millisecond, and so is not on while CPU time is measured.
  delay.reset()
  if (asked.toString().includes('delay')) delay.enable()
})
