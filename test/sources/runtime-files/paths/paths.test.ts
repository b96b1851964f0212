import test, { type ExecutionContext } from 'ava'
import { linkSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  findRuntimeFiles,
  type RuntimeFileSearch,
} from '../../../../agent/sources/runtime-files/paths/paths.ts'
import { temporaryFolder } from '../decoy.ts'

/** A host in a folder: programs, a /proc, and the answer of `docker info`. */
function host(t: ExecutionContext) {
  const root = temporaryFolder(t)
  const at = (path: string) => join(root, path)
  const put = (path: string, mode = 0o755) => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), path, { mode })
  }
  const link = (path: string, target: string) => {
    mkdirSync(dirname(at(path)), { recursive: true })
    symlinkSync(target, at(path))
  }
  const process = (pid: number, comm: string, about: { exe?: string; path?: string; root?: string } = {}) => {
    const folder = `proc/${pid}`
    mkdirSync(at(folder), { recursive: true })
    writeFileSync(at(`${folder}/comm`), `${comm.slice(0, 15)}\n`)
    writeFileSync(at(`${folder}/environ`), `HOME=/root\0PATH=${about.path ?? ''}\0`)
    symlinkSync(about.exe ?? '/nowhere', at(`${folder}/exe`))
    symlinkSync(about.root ?? root, at(`${folder}/root`))
  }
  const find = async (info: unknown = {}, search: Partial<RuntimeFileSearch> = {}) => {
    const files = await findRuntimeFiles({
      procRoot: at('proc'),
      engineInfo: async () => info,
      extraPaths: [],
      directories: { first: at('opt/containerd/bin'), standard: [at('usr/sbin'), at('usr/bin')] },
      ...search,
    })
    return files.map(({ path, names }) => [path, ...names].map((name) => name.slice(root.length + 1)))
  }
  mkdirSync(at('proc'))
  process(1, 'systemd', { exe: at('usr/lib/systemd/systemd') })
  return { at, put, link, process, find }
}

const runc = { Runtimes: { runc: { path: 'runc' } } }

test('the executables of running dockerd, containerd and shims are found wherever they are installed', async (t) => {
  const { at, put, process, find } = host(t)
  for (const name of ['dockerd', 'containerd', 'containerd-shim-runc-v2']) put(`opt/static/${name}`)
  process(10, 'dockerd', { exe: at('opt/static/dockerd') })
  process(11, 'containerd', { exe: at('opt/static/containerd') })
  process(12, 'containerd-shim-runc-v2', { exe: at('opt/static/containerd-shim-runc-v2') })
  process(13, 'bash', { exe: at('usr/bin/bash') })
  t.deepEqual(await find(), [
    ['opt/static/dockerd'],
    ['opt/static/containerd'],
    ['opt/static/containerd-shim-runc-v2'],
  ])
})

test('the dockerd of Docker-in-Docker is not the host’s', async (t) => {
  const { at, put, process, find } = host(t)
  put('overlay/merged/usr/bin/dockerd')
  process(10, 'dockerd', { exe: at('overlay/merged/usr/bin/dockerd'), root: at('overlay/merged') })
  t.deepEqual(await find(), [])
})

test('a bare runtime name is found first in the PATH of the shim, then in those of the daemons', async (t) => {
  const { at, put, process, find } = host(t)
  for (const folder of ['shim/bin', 'other/bin', 'daemon/bin', 'usr/sbin']) put(`${folder}/runc`)
  process(10, 'dockerd', { path: at('daemon/bin') })
  process(11, 'containerd-shim', {
    path: ['relative', at('empty'), at('shim/bin'), at('other/bin')].join(':'),
  })
  t.deepEqual(await find(runc), [['shim/bin/runc']])
})

test('without a shim a bare runtime name is looked up as containerd does, then in the PATH of dockerd', async (t) => {
  const { at, put, process, find } = host(t)
  for (const folder of ['containerd/bin', 'dockerd/bin', 'usr/sbin']) put(`${folder}/runc`)
  process(10, 'dockerd', { path: at('dockerd/bin') })
  t.deepEqual(await find(runc), [['dockerd/bin/runc']])
  process(11, 'containerd', { path: at('containerd/bin') })
  t.deepEqual(await find(runc), [['containerd/bin/runc']])
  put('opt/containerd/bin/runc')
  t.deepEqual(await find(runc), [['opt/containerd/bin/runc']])
})

test('without any process a bare runtime name is looked up in the standard directories', async (t) => {
  const { put, find } = host(t)
  put('usr/sbin/runc')
  t.deepEqual(await find(runc), [['usr/sbin/runc']])
})

test('a file that is not executable is not a runtime', async (t) => {
  const { put, find } = host(t)
  put('usr/sbin/runc', 0o644)
  put('usr/bin/runc')
  t.deepEqual(await find(runc), [['usr/bin/runc']])
})

test('runtimes with a path, of a shim type and the init program are found', async (t) => {
  const { at, put, find } = host(t)
  for (const path of ['opt/crun', 'usr/bin/containerd-shim-kata-v2', 'usr/bin/tini']) put(path)
  const info = {
    Runtimes: { crun: { path: at('opt/crun') }, kata: { runtimeType: 'io.containerd.kata.v2' } },
    InitBinary: 'tini',
  }
  t.deepEqual(await find(info), [['opt/crun'], ['usr/bin/containerd-shim-kata-v2'], ['usr/bin/tini']])
})

test('docker-init, docker-proxy and docker-runc are found next to the daemon and in the standard directories', async (t) => {
  const { at, put, process, find } = host(t)
  for (const path of [
    'opt/docker/dockerd',
    'opt/docker/docker-init',
    'usr/bin/docker-proxy',
    'usr/bin/docker-runc',
  ])
    put(path)
  process(10, 'dockerd', { exe: at('opt/docker/dockerd') })
  t.deepEqual(await find(), [
    ['opt/docker/dockerd'],
    ['opt/docker/docker-init'],
    ['usr/bin/docker-proxy'],
    ['usr/bin/docker-runc'],
  ])
})

test('symbolic links are followed to the file, and every name on the way is recorded', async (t) => {
  const { put, link, find } = host(t)
  put('opt/runc-1.1/runc')
  link('usr/bin/runc', '../../etc/alternatives/runc')
  link('etc/alternatives/runc', '../../opt/runc-1.1/runc')
  t.deepEqual(await find(runc), [['opt/runc-1.1/runc', 'usr/bin/runc', 'etc/alternatives/runc']])
})

test('one file under two names is found once', async (t) => {
  const { at, put, find } = host(t)
  put('usr/sbin/runc')
  linkSync(at('usr/sbin/runc'), at('usr/sbin/docker-runc'))
  t.deepEqual(await find(runc), [['usr/sbin/runc', 'usr/sbin/docker-runc']])
})

test('device and inode are those of the file', async (t) => {
  const { at, put } = host(t)
  put('usr/sbin/runc')
  const { dev, ino } = statSync(at('usr/sbin/runc'))
  const [file] = await findRuntimeFiles({
    procRoot: at('proc'),
    engineInfo: async () => runc,
    extraPaths: [],
    directories: { first: at('opt/containerd/bin'), standard: [at('usr/sbin')] },
  })
  t.like(file, { device: dev, inode: ino })
})

test('a configured path is always included, even before the file exists', async (t) => {
  const { at, put, find } = host(t)
  put('opt/mine')
  t.deepEqual(await find({}, { extraPaths: [at('opt/mine'), at('opt/later')] }), [
    ['opt/mine'],
    ['opt/later'],
  ])
})

for (const [what, exe] of Object.entries({
  'the self-bind of runc': () => '/',
  'a program in memory': () => '/memfd:dockerd (deleted)',
  'not a path': () => 'pipe:[42]',
  'a file that is gone': (at: (path: string) => string) => at('usr/sbin/old (deleted)'),
})) {
  test(`an executable that is ${what} is skipped`, async (t) => {
    const { at, process, find } = host(t)
    process(10, 'dockerd', { exe: exe(at) })
    t.deepEqual(await find(), [])
  })
}

test('for a daemon that was upgraded while running, the new file at its path is found', async (t) => {
  const { at, put, process, find } = host(t)
  put('opt/dockerd')
  process(10, 'dockerd', { exe: `${at('opt/dockerd')} (deleted)` })
  t.deepEqual(await find(), [['opt/dockerd']])
})

test('a process that exits while it is inspected is skipped', async (t) => {
  const { at, process, find } = host(t)
  process(10, 'dockerd', { exe: at('opt/dockerd') })
  for (const file of ['environ', 'exe', 'root']) rmSync(at(`proc/10/${file}`))
  t.deepEqual(await find(), [])
})

for (const [what, info] of Object.entries({
  nothing: null,
  'a text': 'runc',
  'malformed runtimes': { Runtimes: ['runc', null, 7, {}, { path: 7 }, { path: '' }], InitBinary: {} },
})) {
  test(`with an engine that answers ${what}, the files known without it are found`, async (t) => {
    const { put, find } = host(t)
    put('usr/bin/docker-proxy')
    t.deepEqual(await find(info), [['usr/bin/docker-proxy']])
  })
}

test('with an engine that does not answer, the files known without it and runc, the default, are found', async (t) => {
  const { put, find } = host(t)
  put('usr/bin/docker-proxy')
  put('usr/sbin/runc')
  const engineInfo = () => Promise.reject(new Error('no engine'))
  t.deepEqual(await find({}, { engineInfo }), [['usr/sbin/runc'], ['usr/bin/docker-proxy']])
})

test('a cycle of links is not a file', async (t) => {
  const { at, link, find } = host(t)
  link('usr/bin/docker-init', 'docker-proxy')
  link('usr/bin/docker-proxy', 'docker-init')
  t.deepEqual(await find({}, { extraPaths: [at('usr/bin/docker-init')] }), [['usr/bin/docker-init']])
})
