import test from 'ava'
import { readlinkSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgv, readWriter } from '../../agent/runtime/writer.ts'

test('a running process is named with its executable and arguments', (t) => {
  const { pid, uid, exe, argv } = readWriter('/proc', process.pid)
  t.is(pid, process.pid)
  t.is(uid, process.geteuid?.() ?? null)
  t.is(exe, readlinkSync('/proc/self/exe'))
  t.true(argv.length > 1)
})

test('of a process that is gone the pid is known and nothing else', async (t) => {
  const child = spawn('true')
  await once(child, 'close')
  const pid = child.pid ?? 0
  t.deepEqual(readWriter('/proc', pid), { pid, uid: null, exe: '', argv: [] })
})

test('arguments of megabytes are cut', async (t) => {
  const child = spawn('sh', ['-c', 'read end', 'x'.repeat(100_000)])
  await once(child, 'spawn')
  const { argv } = readWriter('/proc', child.pid ?? 0)
  child.stdin.end()
  t.is(argv.join(' ').length, 4096)
})

for (const [cmdline, argv] of [
  ['', []],
  ['sh\0', ['sh']],
  ['sh\0-c\0echo\n1\0', ['sh', '-c', 'echo\n1']],
  ['sh\0\0', ['sh', '']],
  ['written over by the process', ['written over by the process']],
] as const) {
  test(`the command line ${JSON.stringify(cmdline)} has ${argv.length} arguments`, (t) => {
    t.deepEqual(parseArgv(cmdline), [...argv])
  })
}
