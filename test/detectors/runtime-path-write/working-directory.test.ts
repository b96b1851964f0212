import test from 'ava'
import { of } from 'rxjs'
import type { ContainerObservation, ProcessObservation } from '../../../agent/model/observation.ts'
import { directoryEscapes, isThroughProc } from '../../../detectors/runtime-path-write/working-directory.ts'
import { marbles } from '../../support/marbles.ts'
import { sampleContainer, sampleProcess } from '../../support/samples.ts'
import { observing } from '../../support/observed.ts'

test('a working directory through /proc is recognised in any spelling', (t) => {
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
  for (const [path, is] of rows) t.is(isThroughProc(path), is, path)
})

const seen = (workingDirectory: string): ContainerObservation => ({
  kind: 'container',
  time: 1,
  action: 'created',
  container: sampleContainer({ details: { workingDirectory } }),
  exitCode: null,
  previousName: null,
})

test('a container configured with one is reported once, even if it never runs', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    const containers$ = cold('cssn', {
      c: seen('/proc/self/fd/7'),
      s: { ...seen('/proc/self/fd/7'), action: 'started' as const },
      n: seen('/app'),
    })
    const eventKey = `working-directory:${'a'.repeat(64)}`
    const expected = {
      rule: 'working-directory-escape',
      time: 1,
      container: seen('/proc/self/fd/7').container,
      summary: 'web-1 is configured with the working directory /proc/self/fd/7 (CVE-2024-21626 pattern)',
      subject: ['/app', '/proc/self/fd/7', 'configuration'],
      eventKey,
      evidence: { working_directory: '/proc/self/fd/7', command: ['/app'] },
    }
    expectObservable(directoryEscapes(observing({ container: containers$, process: cold('') }))).toBe(
      'a---',
      { a: expected },
    )
  })
})

test('a process outside the container is reported once for all its children; one that escaped for good is not', (t) => {
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
  const reported: unknown[] = []
  directoryEscapes(observing({ container: of(), process: of(...processes) })).subscribe(
    ({ eventKey, evidence }) =>
      reported.push([eventKey, evidence['pid'], evidence['exec_id'], evidence['working_directory']]),
  )
  t.deepEqual(reported, [
    [`outside:${'a'.repeat(64)}:1000000:70:7`, 70, 'e1', '/sys/fs/cgroup'],
    [`outside:${'a'.repeat(64)}:1000000:0:0`, 80, undefined, '/sys/fs/cgroup'],
  ])
})
