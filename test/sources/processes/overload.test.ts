import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { EventsLost, Observation, ProcessObservation } from '../../../agent/model/observation.ts'
import { readPids, readStat } from '../../../agent/sources/processes/table/procfs-process.ts'
import { docker, runContainer } from '../../support/docker.ts'
import { until } from '../../support/until.ts'
import type { Answer } from './stoppable.ts'

const serial = test.serial

for (const [mode, ringBytes] of [
  ['ebpf', 65_536],
  ['connector', 0],
] as const) {
  serial(
    `${mode}: events while the daemon is stopped are reported or counted as lost, and the table is correct afterwards`,
    async (t) => {
      const { name, id } = await runContainer(t)
      const source = watchInChild(t, mode, id, ringBytes)
      await until(() => source.seen.some(({ kind }) => kind === 'source-status'))

      process.kill(source.pid, 'SIGSTOP')
      const execs = 1_000
      await docker(
        'exec',
        name,
        'sh',
        '-c',
        `i=0; while [ $i -lt ${execs} ]; do /bin/true n-$i; i=$((i+1)); done`,
      )
      await sleep(2_000)
      process.kill(source.pid, 'SIGCONT')
      await until(() => source.lost() > 0)
      await docker('exec', name, 'sleep', '1')
      const after = () =>
        source.ofContainer().some(({ process: { argv } }) => argv[0] === 'sleep' && argv[1] === '1')
      await until(after)
      // The losses of a second are reported after it.
      const reported = () =>
        source.ofContainer().filter(({ process: { argv } }) => argv[1]?.startsWith('n-') === true).length
      if (mode === 'ebpf') {
        // The fork and exit of each were also reported or lost; other processes of this host may have lost events too.
        await until(() => reported() * 3 + source.lost() >= execs * 3)
        t.true(reported() < execs)
      } else {
        // The socket has the pids of all of them, but the processes have exited.
        await until(() => source.lost() >= execs - reported())
      }
      const times = source.ofContainer().map(({ time }) => time)
      t.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      )
      // On a busy machine exits are read late.
      await until(async () => (await source.ghosts()).length === 0)
    },
  )
}

function watchInChild(t: ExecutionContext, mode: string, containerId: string, ringBytes: number) {
  const path = fileURLToPath(new URL('stoppable.ts', import.meta.url))
  const child = fork(path, [mode, containerId, String(ringBytes)])
  t.teardown(() => child.kill('SIGKILL'))
  const seen: Observation[] = []
  let living: [number, number][] | undefined
  child.on('message', (answer: Answer) => {
    if ('living' in answer) living = answer.living
    else seen.push(answer.observation)
  })

  async function livingInTable(): Promise<[number, number][]> {
    living = undefined
    child.send('living')
    return await until(() => living)
  }

  /** Processes that are alive only in the table: at two looks, because the table is a moment late. */
  async function ghosts(): Promise<[number, number][]> {
    const before = await livingInTable()
    const alive = new Map(readPids('/proc').map((pid) => [pid, readStat('/proc', pid)?.startTicks]))
    await sleep(1_000)
    const after = await livingInTable()
    return before.filter(
      ([pid, startTicks]) =>
        alive.get(pid) !== startTicks && after.some((one) => one[0] === pid && one[1] === startTicks),
    )
  }

  return {
    pid: child.pid ?? t.fail(),
    seen,
    ghosts,
    ofContainer: () => seen.filter((one): one is ProcessObservation => one.kind === 'process'),
    lost: () =>
      seen
        .filter((one): one is EventsLost => one.kind === 'events-lost')
        .reduce((sum, { count }) => sum + count, 0),
  }
}
