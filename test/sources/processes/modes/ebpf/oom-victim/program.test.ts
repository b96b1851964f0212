import { readFileSync } from 'node:fs'
import test from 'ava'
import { readBtf } from '../../../../../../agent/linux/btf/btf.ts'
import type { Parameter } from '../../../../../../agent/linux/btf/parameters.ts'
import { findHierarchy } from '../../../../../../agent/ebpf/hierarchy.ts'
import {
  oomVictimProgram,
  type VictimArgument,
  victimArgument,
} from '../../../../../../agent/sources/processes/modes/ebpf/oom-victim/program.ts'
import { startRuntime } from '../../../../../../agent/ebpf/loader.ts'

const context: Parameter = { kind: 'pointer', to: '' }
const task: Parameter = { kind: 'pointer', to: 'task_struct' }
const int: Parameter = { kind: 'int', bytes: 4 }

const table: [title: string, parameters: Parameter[] | null, argument: VictimArgument | null][] = [
  ['a task and a uid, since Linux 6.9', [context, task, int], 'task'],
  ['a thread id, before Linux 6.9', [context, int], 'thread-id'],
  ['another pointer', [context, { kind: 'pointer', to: 'mm_struct' }], null],
  ['a longer number', [context, { kind: 'int', bytes: 8 }], null],
  ['nothing', [context], null],
  ['something else', [context, { kind: 'other' }], null],
  ['no such tracepoint', null, null],
]

for (const [title, parameters, argument] of table) {
  test(`the tracepoint passes ${title}: ${argument ?? 'not used'}`, (t) => {
    const requested: string[] = []
    const btf = { parameters: (name: string) => (requested.push(name), parameters) }
    t.is(victimArgument(btf), argument)
    t.deepEqual(requested, ['btf_trace_mark_victim'])
  })
}

test('this kernel has the tracepoint and accepts the program for both arguments', (t) => {
  const btf = readBtf(readFileSync('/sys/kernel/btf/vmlinux'))
  t.not(victimArgument(btf), null)
  for (const hierarchy of [findHierarchy('/proc'), { version: 2 }] as const) {
    for (const argument of ['task', 'thread-id'] as const) {
      const programs = [oomVictimProgram(argument)]
      startRuntime({ btf, programs, hierarchy, budget: 1, ringBytes: 4_096 }).close()
    }
  }
})
