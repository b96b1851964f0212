import test, { type ExecutionContext } from 'ava'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isImmutable } from '../../../../agent/linux/file-flags.ts'
import { securityOptions } from '../../../../agent/sources/runtime-files/paths/engine-info.ts'
import { hardening } from '../../../../agent/sources/runtime-files/integrity/hardening.ts'
import { mountOf, parseMounts } from '../../../../agent/linux/mountinfo.ts'
import { run } from '../../../support/processes.ts'
import { temporaryFolder } from '../decoy.ts'

const mountinfo = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 8:2 / /usr ro,nodev shared:2 - ext4 /dev/sda2 rw
24 22 8:3 / /opt\\040two rw - ext4 /dev/sda3 ro
25 22 7:1 / /snap/docker/2915 rw shared:9 - squashfs /dev/loop1 ro
26 22 0:40 / /over rw - tmpfs tmpfs rw
27 26 0:41 / /over ro - tmpfs tmpfs rw
`

for (const [path, readOnly] of [
  ['/opt/runc', false],
  ['/usr/sbin/runc', true],
  ['/usrlocal/runc', false],
  ['/opt two/runc', true],
  ['/snap/docker/2915/bin/runc', true],
  ['/over/runc', true],
] as const) {
  test(`${path} is on a mount that is ${readOnly ? 'read-only' : 'writable'}`, (t) => {
    t.is(mountOf(path, parseMounts(mountinfo))?.readOnly, readOnly)
  })
}

function measures(t: ExecutionContext, info: unknown, paths: readonly string[], immutable: boolean | null) {
  const procRoot = temporaryFolder(t)
  mkdirSync(join(procRoot, '1'))
  writeFileSync(join(procRoot, '1/mountinfo'), mountinfo)
  const files = paths.map((path) => ({ kind: 'binary' as const, path, names: [], device: 1, inode: 1 }))
  const harden = hardening({ procRoot, engineInfo: async () => info, isImmutable: () => immutable })
  return harden(files)
}

test('a measure is in force when it protects every program or when the engine reports it', async (t) => {
  const info = { SecurityOptions: ['name=apparmor', 'name=seccomp,profile=default', 'name=userns'] }
  t.deepEqual(await measures(t, info, ['/usr/sbin/runc', '/usr/bin/dockerd'], true), {
    'runtime-path-read-only': true,
    'runtime-file-immutable': true,
    'userns-remap': true,
    selinux: false,
    apparmor: true,
    seccomp: true,
  })
  t.like(await measures(t, {}, ['/usr/sbin/runc', '/opt/runc'], false), {
    'runtime-path-read-only': false,
    'runtime-file-immutable': false,
  })
})

test('a measure that cannot be determined is left out', async (t) => {
  t.deepEqual(await measures(t, null, ['/usr/sbin/runc'], null), { 'runtime-path-read-only': true })
  t.deepEqual(await measures(t, null, [], true), {})
  t.is(securityOptions({ SecurityOptions: 'name=apparmor' }), null)
})

test('the immutable flag of a file is read, and is null where there is none', async (t) => {
  // On a file system with this flag: a tmpfs may not have it.
  const folder = await run('mktemp', '-d', '/var/tmp/tidewatch-test-XXXXXX')
  const path = join(folder.trim(), 'runc')
  writeFileSync(path, 'runc')
  t.teardown(async () => {
    await run('chattr', '-i', path)
    await run('rm', '-r', folder.trim())
  })
  t.false(isImmutable(path))
  await run('chattr', '+i', path)
  t.true(isImmutable(path))
  t.is(isImmutable('/proc/self/status'), null)
  t.is(isImmutable('/nonexistent'), null)
})
