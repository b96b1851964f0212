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

const componentEntry = (name: string, version: unknown, commit: unknown = '') => ({
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

test('the engine’s components are reported with their package versions', (t) => {
  const rows: [ReturnType<typeof componentEntry>, string, [string, string] | null][] = [
    [componentEntry('runc', '1.1.5+ds1', '1.1.5+ds1-1+deb12u1'), '', ['1.1.5+ds1', '1.1.5+ds1-1+deb12u1']],
    [componentEntry('runc', '1.1.12', 'v1.1.12-0-g51d5e94'), status, ['1.1.12', '']],
    [
      componentEntry('containerd', '1.6.20~ds1', '1.6.20~ds1-1+deb12u3'),
      '',
      ['1.6.20~ds1', '1.6.20~ds1-1+deb12u3'],
    ],
    [
      componentEntry('containerd', 'v1.7.13', '7c3aca7a610df76212171d200ca3811ff6096eb8'),
      '',
      ['v1.7.13', ''],
    ],
    [
      componentEntry('Engine', '20.10.24+dfsg1', '5d6db84'),
      status,
      ['20.10.24+dfsg1', '20.10.24+dfsg1-1+deb12u1+b6'],
    ],
    [componentEntry('Engine', '26.1.5', '5d6db84'), status, ['26.1.5', '']],
    [componentEntry('Engine', '20.10.24+dfsg1', '5d6db84'), '', ['20.10.24+dfsg1', '']],
    [componentEntry('docker-init', '0.19.0'), '', null],
    [componentEntry('runc', 7), '', null],
    [componentEntry('runc', 'a"b\n{}'), '', ['ab', '']],
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

test('versions are requested at start and on changes, and a failed request is repeated', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'status'), status)
  const changed$ = new Subject<void>()
  let requests = 0
  const client = {
    version: async () => {
      requests += 1
      if (requests === 1) throw new Error('starting')
      return {
        version: '',
        apiVersion: '',
        raw: { Components: [componentEntry('Engine', '20.10.24+dfsg1')] },
      }
    },
    info: async () => ({ Plugins: { Authorization: requests === 2 ? null : ['opa'] } }),
  }
  const versions$ = engineVersions({ client, changed$, now: () => 7, dpkgStatus: join(directory, 'status') })
  const versions = firstValueFrom(versions$.pipe(take(2), toArray()))
  setTimeout(() => changed$.next(), 100)
  setTimeout(() => changed$.next(), 4_000)
  t.like(await versions, [
    { time: 7, authorizationPlugins: false, components: [{ packageVersion: '20.10.24+dfsg1-1+deb12u1+b6' }] },
    { time: 7, authorizationPlugins: true },
  ])
})

test('without dpkg and plugin data nothing is guessed', async (t) => {
  const client = {
    version: async () => ({
      version: '',
      apiVersion: '',
      raw: { Components: [componentEntry('runc', '1.1.12')] },
    }),
    info: async () => ({}),
  }
  const versions = await firstValueFrom(
    engineVersions({ client, changed$: NEVER, now: () => 7, dpkgStatus: '/nonexistent' }),
  )
  t.is(versions.authorizationPlugins, null)
  t.deepEqual(versions.components, [{ component: 'runc', version: '1.1.12', packageVersion: '' }])
})
