import test from 'ava'
import { map, of } from 'rxjs'
import type { PackageFile } from '../../../../agent/model/observation.ts'
import { askPackages } from '../../../../agent/sources/runtime-files/packages/packages.ts'
import { type Settled, verifications } from '../../../../agent/sources/runtime-files/integrity/verify.ts'
import { sampleFileState as state } from '../../../support/samples.ts'
import type { OwnedFile, PackageManager } from '../../../../agent/sources/runtime-files/packages/manager.ts'

const packed = (matches: boolean | null): PackageFile => ({
  manager: 'dpkg',
  name: 'runc',
  version: '1',
  matches,
})

/**
 * Collects the results for these answers, given one after the other and the last one forever, until the requests
 * stop.
 */
async function matchesSeen(
  settled: Settled,
  answers: readonly (PackageFile | null | Error)[],
): Promise<unknown[]> {
  const seen: unknown[] = []
  let turn = 0
  const ask = async () => {
    const answer = answers[Math.min(turn++, answers.length - 1)] ?? null
    if (answer instanceof Error) throw answer
    return answer
  }
  await new Promise<void>((resolve) => {
    const subscription = verifications('/usr/sbin/runc', of(settled), ask)
      .pipe(map((one) => one.package?.matches))
      .subscribe({ next: (one) => void seen.push(one), complete: resolve })
    // Further requests follow after 10 and 60 seconds.
    setTimeout(() => {
      subscription.unsubscribe()
      resolve()
    }, 2_500)
  })
  return seen
}

test('a file that was merely found is verified once', async (t) => {
  t.deepEqual(await matchesSeen({ state, changed: false }, [packed(true)]), [true])
  t.deepEqual(await matchesSeen({ state, changed: false }, [packed(false)]), [false])
  t.deepEqual(await matchesSeen({ state, changed: false }, [null]), [undefined])
})

test('a changed file is verified until it is as packed', async (t) => {
  t.deepEqual(await matchesSeen({ state, changed: true }, [packed(false), packed(true)]), [false, true])
  t.deepEqual(await matchesSeen({ state, changed: true }, [null, packed(false)]), [undefined, false, false])
})

test('a package that is being unpacked is verified again, whether or not the file was changed', async (t) => {
  t.deepEqual(await matchesSeen({ state, changed: false }, [packed(null), packed(true)]), [null, true])
})

test('a database that cannot be read gives no package and is read again', async (t) => {
  t.deepEqual(await matchesSeen({ state, changed: true }, [new Error('locked'), packed(true)]), [
    undefined,
    true,
  ])
})

const owning = (digest: OwnedFile['digest'] | undefined): PackageManager => ({
  name: 'dpkg',
  ownerOf: async () => (digest === undefined ? null : { name: 'runc', version: '1', digest }),
})
const md5 = { algorithm: 'md5', hex: '11' } as const

for (const [what, digest, actual, matches] of [
  ['the SHA-256 of the file', { algorithm: 'sha256', hex: 'aa' }, null, true],
  ['another SHA-256', { algorithm: 'sha256', hex: 'bb' }, null, false],
  ['the MD5 of the file', md5, '11', true],
  ['another MD5', md5, '22', false],
  ['an MD5, when the file is gone or has changed since,', md5, null, null],
  ['no digest', null, null, null],
  ['a read-only file system', 'unchangeable', null, true],
] as const) {
  test(`a package with ${what} ${matches === null ? 'gives no answer' : matches ? 'matches' : 'differs'}`, async (t) => {
    const ask = askPackages([owning(undefined), owning(digest)], {
      read: async () => actual,
    })
    t.deepEqual(await ask('/usr/sbin/runc', state), packed(matches))
  })
}

test('a digest is computed once for each content', async (t) => {
  let computed = 0
  const ask = askPackages([owning(md5)], {
    read: async () => {
      computed += 1
      return '11'
    },
  })
  await ask('/usr/sbin/runc', state)
  await ask('/usr/sbin/runc', state)
  t.is(computed, 1)
})

test('files are verified one at a time', async (t) => {
  let running = 0
  let most = 0
  const ask = askPackages([owning(md5)], {
    read: async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 5))
      running -= 1
      return '11'
    },
  })
  await Promise.all(['/a', '/b', '/c'].map((path) => ask(path, state)))
  t.is(most, 1)
})

test('a failure for one file does not prevent the verification of the next', async (t) => {
  let turn = 0
  const failing: PackageManager = {
    name: 'rpm',
    ownerOf: async () => {
      if (turn++ === 0) throw new Error('locked')
      return null
    },
  }
  const ask = askPackages([failing])
  await t.throwsAsync(ask('/a', state))
  t.is(await ask('/a', state), null)
})
