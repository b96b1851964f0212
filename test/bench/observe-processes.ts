import type { Container } from '../../agent/model/container.ts'
import type { Observation } from '../../agent/model/observation.ts'
import type { ModeName } from '../../agent/sources/processes/modes/mode.ts'
import { processes } from '../../agent/sources/processes/source.ts'
import { sampleContainer } from '../support/samples.ts'
import { answerReports, type Tally } from './observer.ts'

// Runs only the processes source in a separate process: `mode container-id nonce user`.
const [, , mode = '', id = '', nonce = '', user = ''] = process.argv

const container: Container = sampleContainer({ id, details: { pid: 0 } })
const tally: Tally = { right: 0, seen: 0, lost: 0, latencies: [] }

const source = processes({
  mode: mode as ModeName,
  containers: {
    get: (wanted) => (wanted === id ? container : undefined),
    all: () => [container],
    running: () => [container],
    isPending: () => false,
  },
  now: Date.now,
})
source.observe().subscribe(count)
answerReports(tally)

function count(seen: Observation): void {
  if (seen.kind === 'source-status' && seen.up) process.stdout.write('ready\n')
  if (seen.kind === 'events-lost') tally.lost += seen.count
  if (seen.kind !== 'process' || seen.process.argv[1] !== nonce) return
  tally.seen += 1
  tally.latencies.push(performance.timeOrigin + performance.now() - seen.time)
  const { argv, uid, euid, exe, pid } = seen.process
  const isRight =
    argv.length === 3 &&
    argv[0] === '/bin/true' &&
    uid === Number(user) &&
    euid === uid &&
    exe === '/bin/busybox' &&
    pid > 0 &&
    seen.container.id === id
  if (isRight) tally.right += 1
}
