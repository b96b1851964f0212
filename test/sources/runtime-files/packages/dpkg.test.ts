import test, { type ExecutionContext } from 'ava'
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  digestIn,
  dpkg,
  packedNames,
  paragraphOf,
  parseDiversions,
} from '../../../../agent/sources/runtime-files/packages/dpkg.ts'
import { temporaryFolder } from '../decoy.ts'

/** A Debian host in a folder, with packages in it. */
function host(t: ExecutionContext, { merged = true } = {}) {
  const root = temporaryFolder(t)
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  put('usr/sbin/runc', 'runc')
  if (merged) symlinkSync('usr/sbin', join(root, 'sbin'))
  else put('sbin/init', '')
  mkdirSync(join(root, 'var/lib/dpkg/info'), { recursive: true })
  let version = 0
  return {
    manager: dpkg(root),
    put,
    install(name: string, files: Record<string, string>, status = 'install ok installed') {
      version += 1
      const folder = `var/lib/dpkg/info/${name}`
      put(`${folder}.list`, `/.\n${Object.keys(files).join('\n')}\n`)
      const sums = Object.entries(files).map(([path, text]) => `${md5(text)}  ${path.slice(1)}\n`)
      put(`${folder}.md5sums`, sums.join(''))
      put(
        'var/lib/dpkg/status',
        `Package: ${name.split(':')[0]}\nStatus: ${status}\nVersion: 1.${version}\n\n`,
      )
      // Two changes within one clock step would look like one.
      utimesSync(join(root, 'var/lib/dpkg/info'), version, version)
    },
  }
}

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
const digest = (text: string) => ({ algorithm: 'md5', hex: md5(text) })

test('a file’s package, version and digest are found', async (t) => {
  const { manager, install } = host(t)
  install('runc', { '/usr/sbin/runc': 'runc' })
  t.deepEqual(await manager.ownerOf('/usr/sbin/runc'), {
    name: 'runc',
    version: '1.1',
    digest: digest('runc'),
  })
})

test('a file of no package has no owner, on a host with dpkg and on one without', async (t) => {
  const { manager, install } = host(t)
  install('runc', { '/usr/sbin/runc': 'runc' })
  t.is(await manager.ownerOf('/usr/sbin/crun'), null)
  t.is(await manager.ownerOf('/opt/static/runc'), null)
  t.is(await manager.ownerOf('/opt/static/runc'), null)
  t.is(await dpkg('/nonexistent').ownerOf('/usr/sbin/runc'), null)
})

test('a package of another architecture is named without it', async (t) => {
  const { manager, install } = host(t)
  install('runc:i386', { '/usr/sbin/runc': 'runc' })
  t.like(await manager.ownerOf('/usr/sbin/runc'), { name: 'runc', version: '1.1' })
})

test('a package that still lists /sbin owns the file in /usr/sbin only where /usr is merged', async (t) => {
  for (const merged of [true, false]) {
    const { manager, install } = host(t, { merged })
    install('runc', { '/sbin/runc': 'runc' })
    const owner = await manager.ownerOf('/usr/sbin/runc')
    t.deepEqual(owner, merged ? { name: 'runc', version: '1.1', digest: digest('runc') } : null)
  }
})

test('an upgrade is noticed, and so is a package that becomes the owner of the file', async (t) => {
  const { manager, install } = host(t)
  install('other', { '/usr/sbin/other': 'x' })
  t.is(await manager.ownerOf('/usr/sbin/runc'), null)
  install('runc', { '/usr/sbin/runc': 'old' })
  t.like(await manager.ownerOf('/usr/sbin/runc'), { version: '1.2', digest: digest('old') })
  install('runc', { '/usr/sbin/runc': 'new' })
  t.like(await manager.ownerOf('/usr/sbin/runc'), { version: '1.3', digest: digest('new') })
  install('runc', { '/usr/bin/runc': 'moved' })
  t.is(await manager.ownerOf('/usr/sbin/runc'), null)
})

test('the owner of a file is found whether or not its name resembles the file’s', async (t) => {
  const { manager, install, put } = host(t)
  put('usr/bin/containerd-shim', 'shim')
  install('runc', { '/usr/sbin/runc': 'runc' })
  install('containerd', { '/usr/bin/containerd': 'containerd', '/usr/bin/containerd-shim': 'shim' })
  install('a-package', { '/usr/bin/ctr': 'ctr' })
  for (const [path, name] of [
    ['/usr/sbin/runc', 'runc'],
    ['/usr/bin/containerd-shim', 'containerd'],
    ['/usr/bin/ctr', 'a-package'],
  ] as const)
    t.is((await manager.ownerOf(path))?.name, name)
})

test('unfinished operations of dpkg take precedence over its status file', async (t) => {
  const { manager, install, put } = host(t)
  install('runc', { '/usr/sbin/runc': 'runc' })
  put('var/lib/dpkg/updates/0000', 'Package: runc\nStatus: install reinstreq half-installed\nVersion: 1.1\n')
  t.like(await manager.ownerOf('/usr/sbin/runc'), { version: '1.1', digest: null })
  put('var/lib/dpkg/updates/0001', 'Package: runc\nStatus: install ok unpacked\nVersion: 2.0\n')
  put('var/lib/dpkg/updates/tmp.i', 'Package: runc\nVersion: 9\n')
  t.like(await manager.ownerOf('/usr/sbin/runc'), { version: '2.0', digest: digest('runc') })
})

test('a configuration file without a digest still belongs to its package', async (t) => {
  const { manager, install, put } = host(t)
  install('docker.io', { '/etc/default/docker': 'x' })
  put('var/lib/dpkg/info/docker.io.md5sums', '')
  t.like(await manager.ownerOf('/etc/default/docker'), { name: 'docker.io', digest: null })
})

test('the diverting package owns the diverted path, and the other package owns the path it was diverted to', async (t) => {
  const { manager, install, put } = host(t)
  put('var/lib/dpkg/diversions', '/usr/sbin/runc\n/usr/sbin/runc.distrib\nmine\n')
  install('runc', { '/usr/sbin/runc': 'runc' })
  t.is(await manager.ownerOf('/usr/sbin/runc'), null)
  t.like(await manager.ownerOf('/usr/sbin/runc.distrib'), { name: 'runc', digest: digest('runc') })
  install('mine', { '/usr/sbin/runc': 'mine' })
  t.like(await manager.ownerOf('/usr/sbin/runc'), { name: 'mine', digest: digest('mine') })
})

test('diversions are three lines each', (t) => {
  t.deepEqual(parseDiversions('/a\n/b\n:\n/c\n/d\nx\n'), [
    { from: '/a', to: '/b', by: ':' },
    { from: '/c', to: '/d', by: 'x' },
  ])
  t.deepEqual(parseDiversions(''), [])
  t.deepEqual(packedNames('/b', [{ from: '/a', to: '/b', by: ':' }]), [
    { path: '/b' },
    { path: '/a', except: ':' },
  ])
})

test('a package whose name starts with another’s is a different package', (t) => {
  const text =
    'Package: runc-extra\nVersion: 2\n\nPackage: runc\nStatus: x\nVersion: 1\n\nPackage: z\nVersion: 3\n'
  t.deepEqual(paragraphOf(text, 'runc'), { version: '1', status: 'x', conffiles: '' })
  t.is(paragraphOf(text, 'run'), null)
})

test('the digests of configuration files are in the status of the package', (t) => {
  const text = `Package: docker.io
Status: install ok installed
Conffiles:
 /etc/default/docker 5926ad49aecc032181fe29e9e1f334ab
 /etc/gone 4762ef7fc3cdc8b2b43d02a413649c3a obsolete
Version: 1
Description: engine
 /etc/no 4762ef7fc3cdc8b2b43d02a413649c3a
`
  const conffiles = paragraphOf(text, 'docker.io')?.conffiles ?? ''
  t.is(digestIn(conffiles, [{ path: '/etc/default/docker' }]), '5926ad49aecc032181fe29e9e1f334ab')
  t.is(digestIn(conffiles, [{ path: '/etc/gone' }]), undefined)
  t.is(digestIn(conffiles, [{ path: '/etc/no' }]), undefined)
})

test('the result agrees with dpkg on this host', async (t) => {
  const [name, version] = execFileSync('dpkg-query', ['-W', '-f', '${Package} ${Version}', 'dpkg'])
    .toString()
    .split(' ')
  t.like(await dpkg().ownerOf('/usr/bin/dpkg'), { name, version })
})
