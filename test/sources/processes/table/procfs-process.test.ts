import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import {
  parseArgv,
  parseStat,
  parseStatus,
  readProcess,
} from '../../../../agent/sources/processes/table/procfs-process.ts'
import { fakeProc, procStat } from '../fake-proc.ts'

test('a name with parentheses, blanks and line breaks does not shift the following fields', (t) => {
  for (const comm of ['sh', 'a) R 1 (b', ') (', '(sd-pam)', 'x\ny', '']) {
    t.deepEqual(parseStat(procStat({ comm, parentPid: 77, session: 55, startTicks: 123_456 })), {
      comm,
      parentPid: 77,
      session: 55,
      startTicks: 123_456,
      ended: false,
    })
  }
  t.true(parseStat(procStat({ state: 'Z' }))?.ended)
  t.is(parseStat('1 (cut) S'), null)
  t.is(parseStat(''), null)
})

test('ids and capabilities are read from the status', (t) => {
  const status =
    'Name:\tx\\nUid:\\t0\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t5\t6\t7\t8\nCapEff:\t000001ffffffffff\n'
  t.deepEqual(parseStatus(status), { uid: 1_000, euid: 0, gid: 5, capabilities: 0x1ff_ffff_ffff })
  t.is(parseStatus('Name:\tx\n'), null)
})

const argvs: [what: string, bytes: string, limit: number, argv: string[], argvTruncated: boolean][] = [
  ['arguments', 'sh\0-c\0x y\0', 100, ['sh', '-c', 'x y'], false],
  ['an empty argument at the end', 'sh\0\0', 100, ['sh', ''], false],
  ['no arguments', '', 100, [], false],
  ['one empty argument', '\0', 100, [''], false],
  ['a title without a NUL', 'nginx: master process', 100, ['nginx: master process'], false],
  ['more bytes than the limit', 'sh\0abcdef\0', 5, ['sh', 'ab'], true],
  ['line breaks', 'a\nb\0', 100, ['a\nb'], false],
]

for (const [what, bytes, limit, argv, argvTruncated] of argvs) {
  test(`argv is split into its arguments: ${what}`, (t) => {
    t.deepEqual(parseArgv(Buffer.from(bytes), limit), { argv, argvTruncated })
  })
}

test('parsing never throws, whatever the files contain', (t) => {
  fc.assert(
    fc.property(fc.string(), fc.uint8Array(), (text, bytes) => {
      parseStat(text)
      parseStatus(text)
      parseArgv(Buffer.from(bytes), 8)
    }),
  )
  t.pass()
})

test('a process is read completely, or is null if it has exited or is a zombie', async (t) => {
  const proc = await fakeProc(t)
  await proc.add({
    pid: 42,
    parentPid: 7,
    startTicks: 900,
    comm: 'app',
    argv: ['/app', '-v'],
    uid: 1_000,
    cgroup: '/docker/x',
  })
  t.like(readProcess(proc.root, 42), { pid: 42, parentPid: 7, startTicks: 900, uid: 1_000, euid: 1_000 })
  const program = readProcess(proc.root, 42)?.program()
  t.like(program, {
    comm: 'app',
    exe: proc.exe,
    argv: ['/app', '-v'],
    argvTruncated: false,
    workingDirectory: '/',
  })
  t.true((program?.exeFile?.inode ?? 0) > 0)
  t.is(readProcess(proc.root, 42)?.cgroup.path, '/docker/x')
  t.is(readProcess(proc.root, 43), null)
  await proc.add({ pid: 44, state: 'Z' })
  t.is(readProcess(proc.root, 44), null)
})

test('unreadable data is unknown, not an error', async (t) => {
  const proc = await fakeProc(t)
  await proc.add({ pid: 42 })
  for (const link of ['exe', 'cwd', 'ns']) await rm(join(proc.root, '42', link), { recursive: true })
  const seen = readProcess(proc.root, 42)
  t.like(seen?.program(), { exe: '', exeFile: null, workingDirectory: '' })
  t.deepEqual(seen?.namespaces, { mount: 0, pid: 0, user: 0 })
})
