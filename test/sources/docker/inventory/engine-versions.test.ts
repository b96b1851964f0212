import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { firstValueFrom, NEVER, Subject, take, toArray } from 'rxjs'
import {
  componentsOf,
  engineVersions,
  installedVersion,
} from '../../../../agent/sources/docker/inventory/engine-versions.ts'
import { temporaryDirectory } from '../../../support/temporary-directory.ts'

const part = (name: string, version: unknown, commit: unknown = '') => ({
  Name: name,
  Version: version,
  Details: { GitCommit: commit },
})
const status = `Package: docker.io-doc
Status: install ok installed
Version: 1

Package: docker.io
Status: install ok installed
Maintainer: x
Version: 20.10.24+dfsg1-1+deb12u1+b6

Package: runc
Status: deinstall ok config-files
Version: 9-9
`

test('the engine’s parts are named with the packages that they come from', (t) => {
  const rows: [ReturnType<typeof part>, string, [string, string] | null][] = [
    [part('runc', '1.1.5+ds1', '1.1.5+ds1-1+deb12u1'), '', ['1.1.5+ds1', '1.1.5+ds1-1+deb12u1']],
    [part('runc', '1.1.12', 'v1.1.12-0-g51d5e94'), status, ['1.1.12', '']],
    [part('containerd', '1.6.20~ds1', '1.6.20~ds1-1+deb12u3'), '', ['1.6.20~ds1', '1.6.20~ds1-1+deb12u3']],
    [part('containerd', 'v1.7.13', '7c3aca7a610df76212171d200ca3811ff6096eb8'), '', ['v1.7.13', '']],
    [part('Engine', '20.10.24+dfsg1', '5d6db84'), status, ['20.10.24+dfsg1', '20.10.24+dfsg1-1+deb12u1+b6']],
    [part('Engine', '26.1.5', '5d6db84'), status, ['26.1.5', '']],
    [part('Engine', '20.10.24+dfsg1', '5d6db84'), '', ['20.10.24+dfsg1', '']],
    [part('docker-init', '0.19.0'), '', null],
    [part('runc', 7), '', null],
    [part('runc', 'a"b\n{}'), '', ['ab', '']],
  ]
  for (const [component, installed, expected] of rows) {
    const [found] = componentsOf({ Components: [component] }, installed)
    t.deepEqual(
      found === undefined ? null : [found.version, found.packageVersion],
      expected,
      JSON.stringify(component),
    )
  }
  t.deepEqual(componentsOf({}, status), [])
  t.deepEqual(componentsOf({ Components: 'x' }, status), [])
})

test('only an installed package has a version', (t) => {
  t.is(installedVersion(status, 'docker.io'), '20.10.24+dfsg1-1+deb12u1+b6')
  t.is(installedVersion(status, 'runc'), '')
  t.is(installedVersion(status, 'docker'), '')
  t.is(installedVersion('', 'docker.io'), '')
})

test('they are asked for at start and when something changed, and an engine that does not answer is asked again', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'status'), status)
  const changed$ = new Subject<void>()
  let asked = 0
  const client = {
    version: async () => {
      asked += 1
      if (asked === 1) throw new Error('starting')
      return { version: '', apiVersion: '', raw: { Components: [part('Engine', '20.10.24+dfsg1')] } }
    },
    info: async () => ({ Plugins: { Authorization: asked === 2 ? null : ['opa'] } }),
  }
  const told$ = engineVersions({ client, changed$, now: () => 7, dpkgStatus: join(directory, 'status') })
  const told = firstValueFrom(told$.pipe(take(2), toArray()))
  setTimeout(() => changed$.next(), 100)
  setTimeout(() => changed$.next(), 4_000)
  t.like(await told, [
    { time: 7, authorizationPlugins: false, components: [{ packageVersion: '20.10.24+dfsg1-1+deb12u1+b6' }] },
    { time: 7, authorizationPlugins: true },
  ])
})

test('without dpkg and without a word on plugins nothing is guessed', async (t) => {
  const client = {
    version: async () => ({ version: '', apiVersion: '', raw: { Components: [part('runc', '1.1.12')] } }),
    info: async () => ({}),
  }
  const told = await firstValueFrom(
    engineVersions({ client, changed$: NEVER, now: () => 7, dpkgStatus: '/nonexistent' }),
  )
  t.is(told.authorizationPlugins, null)
  t.deepEqual(told.components, [{ component: 'runc', version: '1.1.12', packageVersion: '' }])
})
