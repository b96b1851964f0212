import test from 'ava'
import { of } from 'rxjs'
import type { ContainerObservation, ProcessObservation } from '../../../agent/model/observation.ts'
import {
  directoryEscapes,
  leadsToDescriptor,
} from '../../../detectors/runtime-path-write/working-directory.ts'
import { marbles } from '../../support/marbles.ts'
import { sampleContainer, sampleProcess } from '../../support/samples.ts'

test('a working directory leads to a descriptor, whichever way it is written', (t) => {
  const rows: [string, boolean][] = [
    ['/proc/self/fd/7', true],
    ['/proc/self/fd', true],
    ['/proc/1/fd/8/../..', false],
    ['/proc/self/fd/7/../../../etc', false],
    ['/proc/self/fd/8/sub', true],
    ['//proc/./self//fd/7/', true],
    ['/x/../proc/self/fd/7', true],
    ['/proc/thread-self/fd/7', true],
    ['/proc/12/task/12/fd/7', true],
    ['/proc/1/root', true],
    ['/proc/1/cwd/x', true],
    ['/dev/fd/7', true],
    ['/proc/self/fdinfo/7', false],
    ['/proc', false],
    ['/app/proc/self/fd/7', false],
    ['', false],
    ['/', false],
  ]
  for (const [path, leads] of rows) t.is(leadsToDescriptor(path), leads, path)
})

const seen = (workingDirectory: string): ContainerObservation => ({
  kind: 'container',
  time: 1,
  action: 'created',
  container: sampleContainer({ details: { workingDirectory } }),
  exitCode: null,
  previousName: null,
})

test('a container that is configured so is told once, also when it never runs', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const containers$ = cold('cssn', {
      c: seen('/proc/self/fd/7'),
      s: { ...seen('/proc/self/fd/7'), action: 'started' as const },
      n: seen('/app'),
    })
    const act = `working-directory:${'a'.repeat(64)}`
    const told = {
      rule: 'working-directory-escape',
      time: 1,
      container: seen('/proc/self/fd/7').container,
      summary: 'web-1 is configured to work in /proc/self/fd/7',
      subject: ['configuration'],
      act,
      evidence: { working_directory: '/proc/self/fd/7', command: ['/app'] },
    }
    expectObservable(directoryEscapes({ containers$, processes$: cold('') })).toBe('a---', { a: told })
  })
})

test('a process that is outside is told once with all that it makes, and not who is out on the host for good', (t) => {
  const outside = { workingDirectoryOutside: true as const, workingDirectory: '/sys/fs/cgroup' }
  const origin = {
    via: 'entered' as const,
    entry: { pid: 70, startTicks: 7, startedAt: 1 },
    execId: 'e1',
    by: [],
  }
  const processes: ProcessObservation[] = [
    sampleProcess({}),
    sampleProcess({ process: outside, hostFiles: 'root' }),
    sampleProcess({ process: { ...outside, pid: 70 }, origin }),
    sampleProcess({ process: { ...outside, pid: 71, parentPid: 70 }, origin }),
    sampleProcess({ process: { ...outside, pid: 80 } }),
  ]
  const told: unknown[] = []
  directoryEscapes({ containers$: of(), processes$: of(...processes) }).subscribe(({ act, evidence }) =>
    told.push([act, evidence['pid'], evidence['exec_id'], evidence['working_directory']]),
  )
  t.deepEqual(told, [
    [`outside:${'a'.repeat(64)}:1000000:70:7`, 70, 'e1', '/sys/fs/cgroup'],
    [`outside:${'a'.repeat(64)}:1000000:0:0`, 80, undefined, '/sys/fs/cgroup'],
  ])
})
