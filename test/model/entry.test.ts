import test from 'ava'
import type { EnteringProcess, ProcessObservation } from '../../agent/model/observation.ts'
import { isEntry } from '../../agent/model/entry.ts'
import { sampleEnteringProcess, sampleContainer, sampleProcess } from '../support/samples.ts'

const entry = { pid: 5_000, startTicks: 100, startedAt: 1_999_990 }
const brought = (by: readonly EnteringProcess[], rest: Partial<ProcessObservation> = {}) =>
  sampleProcess({ origin: { via: 'entered', entry, execId: '', by }, ...rest })

const nsenter = sampleEnteringProcess(['nsenter', '-t', '1'])
const shim = sampleEnteringProcess(['/usr/bin/containerd-shim-runc-v2', '-id', 'x'], {
  exe: '/usr/bin/containerd-shim-runc-v2',
})
const runcInit = sampleEnteringProcess(['runc', 'init'], { exe: '/' })
const runc = (...argv: string[]) => sampleEnteringProcess(['runc', '--root', '/run/x', ...argv])

test('an entry is the first of its line, brought in by a known process that did not start the container', (t) => {
  const table: [string, ProcessObservation, boolean][] = [
    ['by nsenter', brought([nsenter]), true],
    [
      'by the runtime, from a shell',
      brought([runcInit, runc('exec', 'c', 'sh'), sampleEnteringProcess(['bash'])]),
      true,
    ],
    ['by the runtime, from its shim', brought([runcInit, runc('exec', '--pid-file', 'x', 'c'), shim]), true],
    ['a program called start', brought([runc('exec', 'c', 'service', 'nginx', 'start'), nsenter]), true],
    ['found, its tool still there', brought([nsenter], { change: 'found' }), true],
    ['a descendant of the init', sampleProcess(), false],
    [
      'a descendant of the entry',
      brought([nsenter], { process: { ...sampleProcess().process, pid: 5_001 } }),
      false,
    ],
    [
      'a later process with the entry’s pid',
      brought([nsenter], { process: { ...sampleProcess().process, startTicks: 999 } }),
      false,
    ],
    ['brought in by an unknown process', brought([]), false],
    ['found under the shim', brought([shim], { change: 'found' }), false],
    ['found under the host’s init', brought([sampleEnteringProcess(['systemd'], { pid: 1 })]), false],
    ['the container’s own init', brought([runcInit, runc('create', '--bundle', 'b', 'c'), shim]), false],
    [
      'a hook of the runtime',
      brought([sampleEnteringProcess(['nvidia-hook']), runc('create', 'c'), shim]),
      false,
    ],
    [
      'a hook of a wrapper',
      brought([
        sampleEnteringProcess(['hook']),
        sampleEnteringProcess(['/usr/bin/nvidia-container-runtime', 'create']),
      ]),
      false,
    ],
    [
      'a container unknown to the engine',
      brought([nsenter], { container: sampleContainer({ details: null }) }),
      false,
    ],
    [
      'from another container, whose own processes come from its start',
      brought([{ ...nsenter, containerId: 'c'.repeat(64) }, runcInit, runc('create', 'c'), shim]),
      true,
    ],
  ]
  for (const [what, seen, expected] of table) t.is(isEntry(seen), expected, what)
})
