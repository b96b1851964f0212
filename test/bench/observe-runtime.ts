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
  configurationLocations,
  dropInDirectories,
} from '../../agent/sources/runtime-files/paths/configuration-files.ts'
import { hardening } from '../../agent/sources/runtime-files/integrity/hardening.ts'
import { askPackages, hostPackages } from '../../agent/sources/runtime-files/packages/packages.ts'
import { findRuntimeFiles } from '../../agent/sources/runtime-files/paths/paths.ts'
import { runtimeFiles } from '../../agent/sources/runtime-files/source.ts'
import { identifyWriter } from '../../agent/sources/runtime-files/watch/writer.ts'

// Runs one monitoring method in a separate process: `source interval thorough`, `inotify path…` or `polling path…`.
// Prints a line for each change of a path, and for each line on standard input its resource usage and how long the
// loop was blocked.

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
        configuration: configurationLocations,
      }),
    refind$: new Subject(),
    intervalMs: Number(interval),
    thoroughMs: Number(thorough),
    directories: dropInDirectories(configurationLocations),
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
  // The histogram's timer has an interval of 1 ms.
  say(
    JSON.stringify({
      cpuMs: (user + system) / 1_000,
      blockMs: delay.max / 1e6,
      p99Ms: delay.percentile(99) / 1e6,
    }),
  )
  // It causes a wake-up every millisecond, so it is off while CPU time is measured.
  delay.reset()
  if (asked.toString().includes('delay')) delay.enable()
})
