import { spawnSync } from 'node:child_process'
import test from 'ava'
import {
  comparePackageVersions,
  compareVersions,
  parseVersion,
} from '../../../detectors/runtime-path-write/versions.ts'

test('versions are parsed in the notations of projects and distributions', (t) => {
  const rows: [string, readonly number[] | null, string?][] = [
    ['1.2.8', [1, 2, 8, 0, 0], ''],
    ['v1.7.13', [1, 7, 13, 0, 0], ''],
    ['1.0.0-rc93', [1, 0, 0, -1, 93], ''],
    ['1.4.0-rc.3', [1, 4, 0, -1, 3], ''],
    ['1.0.0~rc93+ds1', [1, 0, 0, -1, 93], '+ds1'],
    ['1.6.20~ds1', [1, 6, 20, 0, 0], '~ds1'],
    ['20.10.24+dfsg1', [20, 10, 24, 0, 0], '+dfsg1'],
    ['18.09.1-ce', [18, 9, 1, 0, 0], '-ce'],
    ['25.0', [25, 0, 0, 0, 0], ''],
    ['1.0.0-rc6+dev', [1, 0, 0, -1, 6], '+dev'],
    ['e6534b4', null],
    ['', null],
    ['dev', null],
    ['1', null],
  ]
  for (const [text, numbers, extra] of rows) {
    const version = parseVersion(text)
    t.deepEqual(version?.numbers ?? null, numbers, text)
    if (extra !== undefined) t.is(version?.extra, extra, text)
  }
})

test('pre-releases sort before their release', (t) => {
  const order = [
    '1.0.0-alpha',
    '1.0.0-beta.2',
    '1.0.0-rc3',
    '1.0.0-rc93',
    '1.0.0',
    '1.0.1',
    '1.1.0',
    '1.10.0',
    '2.0.0-rc.1',
    '2.0.0',
  ]
  for (const [index, text] of order.entries()) {
    const version = parseVersion(text) ?? t.fail()
    for (const [other, text2] of order.entries()) {
      t.is(
        Math.sign(compareVersions(version, parseVersion(text2) ?? t.fail())),
        Math.sign(index - other),
        `${text} ${text2}`,
      )
    }
  }
})

test('package versions are ordered as dpkg orders them', (t) => {
  const versions = [
    '1.1.5+ds1-1',
    '1.1.5+ds1-1+deb12u1',
    '1.1.5+ds1-1+deb12u2',
    '1.1.5+ds1-1+deb12u1+b6',
    '1.1.5+ds1-2',
    '1.1.5~ds1-1',
    '1.1.5-1',
    '1:1.0-1',
    '1.0~rc1-1',
    '1.0-1',
    '1.0',
    '1.0-1ubuntu1',
    '1.0a-1',
    '1.0+-1',
    '09-1',
    '9-1',
    '10-1',
    '20.10.24+dfsg1-1+deb12u1+b6',
    '1.0-1~bpo12+1',
  ]
  const dpkg = (a: string, relation: string, b: string) =>
    spawnSync('dpkg', ['--compare-versions', a, relation, b]).status === 0
  for (const [index, a] of versions.entries()) {
    t.is(comparePackageVersions(a, a), 0)
    for (const b of versions.slice(index + 1)) {
      const order = dpkg(a, 'lt', b) ? -1 : dpkg(a, 'eq', b) ? 0 : 1
      t.is(Math.sign(comparePackageVersions(a, b)), order, `${a} ${b}`)
      t.is(Math.sign(comparePackageVersions(b, a)), 0 - order, `${b} ${a}`)
    }
  }
})
