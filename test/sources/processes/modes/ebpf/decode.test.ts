import test from 'ava'
import fc from 'fast-check'
import type { SeenRequest } from '../../../../../agent/sources/processes/api-requests.ts'
import { deviceNumber } from '../../../../../agent/linux/device-number.ts'
import { recordDecoder } from '../../../../../agent/sources/processes/modes/ebpf/decode.ts'
import { common } from '../../../../../agent/ebpf/layout.ts'
import { executed, flags, limits } from '../../../../../agent/sources/processes/modes/ebpf/exec/record.ts'
import { exited } from '../../../../../agent/sources/processes/modes/ebpf/exit/record.ts'
import { forked } from '../../../../../agent/sources/processes/modes/ebpf/fork/record.ts'
import { recordTypes } from '../../../../../agent/sources/processes/modes/ebpf/record-types.ts'
import { requested } from '../../../../../agent/sources/processes/modes/ebpf/request/record.ts'
import type { SeenVictim } from '../../../../../agent/sources/processes/oom-victim.ts'
import { victimRecord } from '../../../../../agent/sources/processes/modes/ebpf/oom-victim/record.ts'
import type { ExitCode, SeenProcess } from '../../../../../agent/sources/processes/table/known-process.ts'
import type { Forked } from '../../../../../agent/sources/processes/tracker.ts'

const id = 'a'.repeat(64)

test('an exec record is decoded with paths, arguments and names in order', (t) => {
  const { seen, decode } = sample()
  t.true(decode(execRecord()))
  const { program, ...rest } = seen.executed[0] ?? t.fail()
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
    cgroup: { path: `/docker/${id}`, ids: [id], build: '' },
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
})

test('truncated, deleted and unread data is marked', (t) => {
  const { seen, decode } = sample()
  decode(
    execRecord({
      flags: flags.exeTruncated | flags.cwdTruncated | flags.cgroupTruncated | flags.exeDeleted,
      argvBytes: 5_000,
    }),
  )
  const cut = seen.executed[0] ?? t.fail()
  t.like(cut.program(), {
    exe: '…/usr/bin/ls (deleted)',
    exeTruncated: true,
    workingDirectory: '…/',
    argvTruncated: true,
  })
  t.is(cut.cgroup.path, `…/docker/${id}`)
  const marked = sample()
  marked.decode(execRecord({ flags: flags.exeInUpper | flags.ambientCapabilities }))
  t.like(marked.seen.executed[0]?.atExec, { inUpper: true, hasAmbientCapabilities: true })
  const unread = sample()
  unread.decode(execRecord({ flags: flags.argvUnread, argv: '' }))
  t.like(unread.seen.executed[0]?.program(), { argv: [], argvTruncated: true })
})

test('invalid UTF-8 and deceptive arguments are decoded', (t) => {
  const { seen, decode } = sample()
  decode(execRecord({ argv: 'a\nb\0\u001b[2J\0\xff\0' }))
  t.deepEqual(seen.executed[0]?.program().argv, ['a\nb', '\u001b[2J', '\ufffd'])
})

test('a cgroup name is decoded once, and not used for another cgroup', (t) => {
  const { seen, decode, decoder } = sample()
  decode(execRecord())
  decode(execRecord())
  decode(execRecord({ cgroupId: 2n ** 33n + 5n, cgroup: 'other\0' }))
  t.is(seen.executed[0]?.cgroup, seen.executed[1]?.cgroup)
  t.is(seen.executed[2]?.cgroup.path, '/other')
  t.is([...decoder.cgroups()].length, 2)
})

test('the cgroup cache is bounded and keeps recently used entries', (t) => {
  const { seen, decode, decoder } = sample()
  for (let n = 0; n < 10_000; n += 1) {
    decode(execRecord())
    decode(execRecord({ cgroupId: BigInt(1_000 + n), cgroup: `job-${n}\0` }))
  }
  const paths = [...decoder.cgroups()].map(({ cgroup }) => cgroup.path)
  t.true(paths.length <= 1_024)
  t.is(paths.filter((path) => path === `/docker/${id}`).length, 1)
  t.true(paths.includes('/job-9999'))
  t.is(seen.executed[0]?.cgroup, seen.executed.at(-2)?.cgroup)
})

test('forks and exits are decoded', (t) => {
  const { seen, decode } = sample()
  const fork = begin(recordTypes.forked, forked.length)
  fork.writeUInt32LE(6, forked.creatorPid)
  t.true(decode(fork))
  t.deepEqual(seen.forked, [
    { pid: 42, startTicks: 12_345, parentPid: 7, uid: 1_000, euid: 0, creatorPid: 6 },
  ])

  for (const [leader, group, code] of [
    [0x0700, 0, { status: 7, signal: 0 }],
    [0, 0x0300, { status: 3, signal: 0 }],
    [9, 9, { status: 0, signal: 9 }],
    [0x8b, 0x8b, { status: 0, signal: 11 }],
  ] as const) {
    const exit = begin(recordTypes.exited, exited.length)
    exit.writeUInt32LE(leader, exited.leaderCode)
    exit.writeUInt32LE(group, exited.groupCode)
    t.true(decode(exit))
    t.deepEqual(seen.exits.at(-1), code)
  }
})

test('an OOM victim is decoded, by its task or only by its thread id', (t) => {
  const { seen, decode } = sample()
  const cgroup = `${id}\0docker\0`
  const record = begin(recordTypes.oomVictim, victimRecord.length)
  record.writeUInt32LE(1, victimRecord.isGroup)
  record.writeUInt32LE(1, victimRecord.namespaceLevel)
  record.writeUInt32LE(1, victimRecord.namespacePid)
  record.writeUInt32LE(9, executed.cgroupId)
  record.writeUInt32LE(cgroup.length, executed.cgroupEnd)
  record.write(cgroup, executed.tail)
  t.true(decode(record))
  const whose = { path: `/docker/${id}`, ids: [id], build: '' }
  const victim = { pid: 42, startTicks: 12_345, cgroup: whose, isGroup: true, isNamespaceInit: true }
  t.deepEqual(seen.victims, [victim])
  record.writeUInt32LE(2, victimRecord.namespaceLevel)
  t.true(decode(record))
  t.like(seen.victims[1], { isNamespaceInit: false })

  const old = Buffer.alloc(victimRecord.length)
  old.writeUInt32LE(recordTypes.oomVictim, common.type)
  old.writeUInt32LE(77, victimRecord.threadId)
  t.true(decode(old))
  t.deepEqual(seen.victims[2], { threadId: 77 })

  t.false(decode(record.subarray(0, victimRecord.length - 1)))
  record.writeUInt32LE(limits.cgroupEnd + 1, executed.cgroupEnd)
  t.false(decode(record))
})

test('a request is decoded with its writer, its connection and only the written bytes', (t) => {
  const { seen, decode } = sample()
  t.true(decode(requestRecord('POST /x\0\xff', `${id}\0docker\0`)))
  t.deepEqual(seen.requests, [
    {
      pid: 42,
      startTicks: 12_345,
      uid: 1_000,
      euid: 0,
      cgroup: { path: `/docker/${id}`, ids: [id], build: '' },
      connection: 2n ** 64n - 1n,
      text: 'POST /x\0\xff',
    },
  ])
  const tooLong = requestRecord('POST')
  tooLong.writeUInt32LE(requested.maxText + 1, requested.textBytes)
  const cgroupTooLong = requestRecord('POST')
  cgroupTooLong.writeUInt32LE(limits.cgroupEnd + 1, executed.cgroupEnd)
  for (const bytes of [tooLong, cgroupTooLong, requestRecord('POST').subarray(1)]) t.false(decode(bytes))
})

test('start times are exact after months of uptime', (t) => {
  const { seen, decode } = sample()
  const record = execRecord()
  record.writeBigUInt64LE(2n ** 60n - 1n, common.startTime)
  decode(record)
  t.is(seen.executed[0]?.startTicks, Number((2n ** 60n - 1n) / 10_000_000n))
})

test('a malformed record is rejected and never throws', (t) => {
  const { decode } = sample()
  const backwards = execRecord()
  backwards.writeUInt32LE(10_000, executed.cgroupEnd)
  for (const bytes of [Buffer.alloc(0), begin(9, 200), execRecord().subarray(0, 100), backwards])
    t.false(decode(bytes))

  const good = execRecord()
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 20 }), (changes) => {
      const { seen, decode: decodeNoise } = sample()
      const bytes = Buffer.from(good)
      for (const [at, value] of changes) bytes[at] = value
      decodeNoise(bytes)
      for (const one of seen.executed) one.program()
    }),
    { numRuns: 2_000 },
  )
})

function sample() {
  const seen = {
    executed: [] as SeenProcess[],
    forked: [] as Forked[],
    exits: [] as (ExitCode | null)[],
    requests: [] as SeenRequest[],
    victims: [] as SeenVictim[],
  }
  const decoder = recordDecoder({
    executed: (one) => void seen.executed.push(one),
    forked: (one) => void seen.forked.push(one),
    exited: (_pid, _startTicks, _time, code) => void seen.exits.push(code),
    idsChanged: () => undefined,
    oomVictim: (victim) => void seen.victims.push(victim),
    requested: (request) => void seen.requests.push(request),
  })
  return { seen, decoder, decode: (bytes: Buffer) => decoder.decode(bytes, 0, bytes.length) }
}

function begin(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32LE(type, common.type)
  bytes.writeUInt32LE(42, common.pid)
  bytes.writeBigUInt64LE(200_000_000_000n, common.time)
  bytes.writeBigUInt64LE(123_456_789_000n, common.startTime)
  bytes.writeUInt32LE(7, common.parentPid)
  bytes.writeUInt32LE(1_000, common.uid)
  bytes.writeUInt32LE(0, common.euid)
  return bytes
}

function requestRecord(text: string, cgroup = ''): Buffer {
  const bytes = begin(recordTypes.requested, requested.length)
  bytes.writeBigUInt64LE(2n ** 64n - 1n, requested.connection)
  bytes.writeUInt32LE(text.length, requested.textBytes)
  bytes.write('rest of an earlier record', requested.text, 'latin1')
  bytes.write(text, requested.text, 'latin1')
  bytes.write(cgroup, executed.tail, 'latin1')
  bytes.writeUInt32LE(cgroup.length, executed.cgroupEnd)
  return bytes
}

type ExecParts = { cgroup?: string; cgroupId?: bigint; argv?: string; argvBytes?: number; flags?: number }

function execRecord(parts: ExecParts = {}): Buffer {
  const { cgroup = `${id}\0docker\0`, cgroupId = 5n, argv = 'ls\0-l\0\0' } = parts
  const sections = [cgroup, 'ls\0bin\0usr\0', '', argv]
  const bytes = begin(recordTypes.executed, executed.tail + sections.join('').length)
  bytes.writeUInt32LE(5, executed.gid)
  bytes.writeBigUInt64LE(0x1ff_ffff_ffffn, executed.capabilities)
  bytes.writeUInt32LE(11, executed.mountNamespace)
  bytes.writeUInt32LE(12, executed.pidNamespace)
  bytes.writeUInt32LE(13, executed.userNamespace)
  bytes.writeUInt32LE((8 << 20) | 1, executed.device)
  bytes.writeBigUInt64LE(99n, executed.inode)
  bytes.writeUInt32LE(57, executed.rootDevice)
  bytes.writeUInt32LE(0x794c7630, executed.magic)
  bytes.writeUInt32LE(33, executed.owner)
  // The kernel's mode includes S_IFREG of inode(7).
  bytes.writeUInt16LE(0o104755, executed.mode)
  bytes.writeBigUInt64LE(cgroupId, executed.cgroupId)
  bytes.write('ls\0', executed.comm, 'latin1')
  bytes.writeUInt32LE(parts.argvBytes ?? argv.length, executed.argvBytes)
  bytes.writeUInt32LE(parts.flags ?? 0, executed.flags)
  let end = 0
  for (const [index, field] of [
    executed.cgroupEnd,
    executed.exeEnd,
    executed.cwdEnd,
    executed.argvEnd,
  ].entries()) {
    bytes.write(sections[index] ?? '', executed.tail + end, 'latin1')
    end += (sections[index] ?? '').length
    bytes.writeUInt32LE(end, field)
  }
  return bytes
}
