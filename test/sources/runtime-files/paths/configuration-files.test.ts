import test, { type ExecutionContext } from 'ava'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { NEVER } from 'rxjs'
import {
  configurationFiles,
  dropInDirectories,
} from '../../../../agent/sources/runtime-files/paths/configuration-files.ts'
import { findRuntimeFiles } from '../../../../agent/sources/runtime-files/paths/paths.ts'
import type { EngineProcess } from '../../../../agent/sources/runtime-files/paths/engine-processes.ts'
import { temporaryFolder, watchDecoy } from '../decoy.ts'

function host(t: ExecutionContext) {
  const root = temporaryFolder(t)
  const at = (path: string) => join(root, path)
  const put = (path: string, text = 'x') => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), text)
  }
  const locations = {
    files: [at('etc/docker/daemon.json'), at('etc/containerd/config.toml')],
    unitDirectories: [at('etc/systemd/system'), at('lib/systemd/system'), at('usr/lib/systemd/system')],
    units: ['docker.service'],
    sockets: [at('run/docker.sock'), at('var/run/docker.sock')],
  }
  const find = (processes: EngineProcess[] = []) =>
    configurationFiles(processes, locations).map(({ kind, path }) => `${kind} ${path.slice(root.length + 1)}`)
  return { root, at, put, locations, find }
}

const dockerd = (configurationFile: string): EngineProcess => ({
  role: 'dockerd',
  exe: '/usr/sbin/dockerd',
  searchPath: [],
  configurationFile,
})

test('files that do not exist yet are watched if their directory exists', (t) => {
  const { put, find } = host(t)
  t.deepEqual(find(), [])
  put('etc/docker/key.json')
  t.deepEqual(find(), ['configuration etc/docker/daemon.json'])
})

test('units and their drop-in files are found, each file once', (t) => {
  const { at, put, find } = host(t)
  put('usr/lib/systemd/system/docker.service')
  symlinkSync('usr/lib', at('lib'))
  put('etc/systemd/system/docker.service.d/proxy.conf')
  put('etc/systemd/system/docker.service.d/proxy.conf.bak')
  t.deepEqual(find(), [
    'configuration etc/systemd/system/docker.service',
    'configuration usr/lib/systemd/system/docker.service',
    'configuration etc/systemd/system/docker.service.d/proxy.conf',
  ])
})

test('a file that the daemons’ arguments name is watched, unless dockerd writes it itself', (t) => {
  const { at, put, find } = host(t)
  put('opt/docker.json')
  t.deepEqual(
    find([dockerd(at('opt/docker.json')), dockerd('/run/docker/containerd/containerd.toml'), dockerd('')]),
    ['configuration opt/docker.json'],
  )
})

for (const [argv, expected] of [
  [['dockerd', '--config-file', 'FILE'], true],
  [['dockerd', '--config-file=FILE', '--debug'], true],
  [['containerd', '--config', 'FILE'], true],
  [['containerd', '-c', 'FILE'], true],
  [['dockerd', '--config-file', 'relative'], false],
  [['dockerd', '--config-file'], false],
] as const) {
  test(`the configuration of ${argv.join(' ')} is ${expected ? 'FILE' : 'unknown'}`, async (t) => {
    const { root, at, put } = host(t)
    put('proc/10/comm', `${argv[0]}\n`)
    put('proc/10/environ', '')
    put('proc/10/cmdline', argv.map((one) => `${one.replace('FILE', at('opt/docker.json'))}\0`).join(''))
    put('proc/1/comm', 'systemd\n')
    put('opt/docker.json')
    for (const pid of [1, 10]) symlinkSync(root, at(`proc/${pid}/root`))
    const files = await findRuntimeFiles({
      procRoot: at('proc'),
      engineInfo: async () => null,
      extraPaths: [],
      directories: { first: at('none'), standard: [] },
      configuration: { files: [], unitDirectories: [], units: [], sockets: [] },
    })
    t.deepEqual(
      files.map(({ path }) => path),
      expected ? [at('opt/docker.json')] : [],
    )
  })
}

test('a socket is found once whatever its names, and no other kind of file is', async (t) => {
  const { at, put, find } = host(t)
  put('run/other')
  mkdirSync(at('var'))
  symlinkSync('../run', at('var/run'))
  t.deepEqual(find(), [])
  const server = createServer().listen(at('run/docker.sock'))
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  t.deepEqual(find(), ['socket run/docker.sock'])
})

test('creating a missing file is a change, and so is adding a drop-in file to a unit', async (t) => {
  const { at, put, locations } = host(t)
  put('etc/docker/key.json')
  put('etc/systemd/system/docker.service.d/old.conf')
  const decoy = await watchDecoy(t, {
    find: async () => configurationFiles([], locations),
    directories: dropInDirectories(locations),
    refind$: NEVER,
  })
  put('etc/docker/daemon.json', '{"debug":true}')
  t.like(await decoy.settled(1), [
    {
      file: 'configuration',
      change: 'replaced',
      path: at('etc/docker/daemon.json'),
      before: null,
      after: { text: '{"debug":true}' },
      writer: { pid: process.pid },
    },
  ])
  put('etc/systemd/system/docker.service.d/evil.conf', '[Service]\n')
  put('etc/systemd/system/docker.service.d/evil.conf.swp', '')
  const [, added, ...more] = await decoy.settled(2)
  t.like(added, {
    change: 'replaced',
    path: at('etc/systemd/system/docker.service.d/evil.conf'),
    before: null,
    writer: { pid: process.pid },
  })
  t.deepEqual(more, [])
  rmSync(at('etc/systemd/system/docker.service.d/evil.conf'))
  t.like((await decoy.settled(3))[2], { change: 'removed', writer: { pid: process.pid } })
})

test('a drop-in file in a new directory is found by the next search', async (t) => {
  const { at, put, locations } = host(t)
  put('etc/systemd/system/docker.service')
  const decoy = await watchDecoy(t, {
    find: async () => configurationFiles([], locations),
    directories: dropInDirectories(locations),
    intervalMs: 300,
  })
  put('etc/systemd/system/docker.service.d/evil.conf', '[Service]\n')
  t.like(await decoy.settled(1), [
    {
      change: 'replaced',
      path: at('etc/systemd/system/docker.service.d/evil.conf'),
      before: null,
      after: { text: '[Service]\n' },
    },
  ])
})

test('opening a socket to all users is a change of its attributes', async (t) => {
  const { at, locations } = host(t)
  mkdirSync(at('run'))
  const server = createServer().listen(at('run/docker.sock'))
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  chmodSync(at('run/docker.sock'), 0o660)
  const decoy = await watchDecoy(t, { find: async () => configurationFiles([], locations) })
  chmodSync(at('run/docker.sock'), 0o666)
  t.like(await decoy.settled(1), [
    {
      file: 'socket',
      change: 'attributes',
      before: { mode: 0o660, sha256: '' },
      after: { mode: 0o666 },
      writer: { pid: process.pid },
    },
  ])
})
