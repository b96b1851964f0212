import test from 'ava'
import fc from 'fast-check'
import { common } from '../../../../../../agent/ebpf/layout.ts'
import { deviceNumber } from '../../../../../../agent/linux/device-number.ts'
import { cgroupCache } from '../../../../../../agent/sources/processes/modes/ebpf/cgroup-cache.ts'
import { execDecoder } from '../../../../../../agent/sources/processes/modes/ebpf/exec/decode.ts'
import { executed, flags } from '../../../../../../agent/sources/processes/modes/ebpf/exec/record.ts'
import type { SeenProcess } from '../../../../../../agent/sources/processes/table/known-process.ts'
import { execRecord, sampleCgroup } from '../records.ts'

test('an exec record is decoded with paths, arguments and names in order', (t) => {
  const { seen, times, decode } = sample()
  t.true(decode(execRecord()))
  const { program, ...rest } = seen[0] ?? t.fail()
  t.deepEqual(rest, {
    pid: 42,
    startTicks: 12_345,
    parentPid: 7,
    uid: 1_000,
    euid: 0,
    gid: 5,
    capabilities: 0x1ff_ffff_ffff,
    namespaces: { mount: 11, pid: 12, user: 13 },
    exeDevice: deviceNumber(8, 1),
    rootDevice: deviceNumber(0, 57),
    atExec: { magic: 0x794c7630, inUpper: false, owner: 33, mode: 0o4755, hasAmbientCapabilities: false },
    cgroup: sampleCgroup,
  })
  t.deepEqual(program(), {
    comm: 'ls',
    exe: '/usr/bin/ls',
    exeTruncated: false,
    exeFile: { device: deviceNumber(8, 1), inode: 99 },
    argv: ['ls', '-l', ''],
    argvTruncated: false,
    workingDirectory: '/',
  })
  t.deepEqual(times, [200_000])
})

test('truncated, deleted and unread data is marked', (t) => {
  const { seen, decode } = sample()
  decode(
    execRecord({
      flags: flags.exeTruncated | flags.cwdTruncated | flags.cgroupTruncated | flags.exeDeleted,
      argvBytes: 5_000,
    }),
  )
  const cut = seen[0] ?? t.fail()
  t.like(cut.program(), {
    exe: '…/usr/bin/ls (deleted)',
    exeTruncated: true,
    workingDirectory: '…/',
    argvTruncated: true,
  })
  t.is(cut.cgroup.path, `…${sampleCgroup.path}`)
  const marked = sample()
  marked.decode(execRecord({ flags: flags.exeInUpper | flags.ambientCapabilities }))
  t.like(marked.seen[0]?.atExec, { inUpper: true, hasAmbientCapabilities: true })
  const unread = sample()
  unread.decode(execRecord({ flags: flags.argvUnread, argv: '' }))
  t.like(unread.seen[0]?.program(), { argv: [], argvTruncated: true })
})

test('invalid UTF-8 and deceptive arguments are decoded', (t) => {
  const { seen, decode } = sample()
  decode(execRecord({ argv: 'a\nb\0\u001b[2J\0\xff\0' }))
  t.deepEqual(seen[0]?.program().argv, ['a\nb', '\u001b[2J', '\ufffd'])
})

test('what is the same for each exec of a program in a container is decoded once, until it is forgotten', (t) => {
  const { seen, decode, forgetPlaces } = sample()
  decode(execRecord({ argv: 'ls\0' }))
  decode(execRecord({ argv: 'ls\0-a\0' }))
  forgetPlaces()
  decode(execRecord())
  const [first, second, third] = seen
  t.is(first?.namespaces, second?.namespaces)
  t.not(second?.namespaces, third?.namespaces)
  t.deepEqual(second?.namespaces, third?.namespaces)
  t.deepEqual(
    seen.map(({ program }) => program().argv),
    [['ls'], ['ls', '-a'], ['ls', '-l', '']],
  )
})

test('start times are exact after months of uptime', (t) => {
  const { seen, decode } = sample()
  const record = execRecord()
  record.writeBigUInt64LE(2n ** 60n - 1n, common.startTime)
  decode(record)
  t.is(seen[0]?.startTicks, Number((2n ** 60n - 1n) / 10_000_000n))
})

test('a malformed record is rejected and never throws', (t) => {
  const { decode } = sample()
  const backwards = execRecord()
  backwards.writeUInt32LE(10_000, executed.cgroupEnd)
  for (const bytes of [
    Buffer.alloc(0),
    execRecord().subarray(0, 100),
    execRecord().subarray(0, -1),
    backwards,
  ])
    t.false(decode(bytes))

  const good = execRecord()
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 20 }), (changes) => {
      const { seen, decode: decodeNoise } = sample()
      const bytes = Buffer.from(good)
      for (const [at, value] of changes) bytes[at] = value
      decodeNoise(bytes)
      for (const one of seen) one.program()
    }),
    { numRuns: 2_000 },
  )
})

function sample() {
  const seen: SeenProcess[] = []
  const times: number[] = []
  const { decode, forgetPlaces } = execDecoder(
    cgroupCache(() => undefined),
    { executed: (one, sinceBoot) => void (seen.push(one), times.push(sinceBoot)) },
  )
  return { seen, times, decode: (bytes: Buffer) => decode(bytes, 0, bytes.length), forgetPlaces }
}
