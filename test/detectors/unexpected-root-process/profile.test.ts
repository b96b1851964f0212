import test, { type ExecutionContext } from 'ava'
import type { Container } from '../../../agent/model/container.ts'
import type { FileOrigin, ProcessObservation } from '../../../agent/model/observation.ts'
import { learning } from '../../../detectors/unexpected-root-process/learning.ts'
import {
  forget,
  profileKey,
  profileStates,
  programsOf,
  readProfile,
  repositoryOf,
  writeProfile,
} from '../../../detectors/unexpected-root-process/profile.ts'
import { isRootProgram, programNames } from '../../../detectors/unexpected-root-process/program.ts'
import { emptyMemory } from '../../support/observed.ts'
import { sampleContainer, sampleProcess } from '../../support/samples.ts'

const minute = 60_000
const root = { containerUid: 0, containerEuid: 0 }
const container = sampleContainer()

function runs(exe: string, rest: Partial<ProcessObservation> = {}): ProcessObservation {
  return sampleProcess({ container, ...rest, process: { ...root, exe, argv: [exe] } })
}

/** Lets a container run for a time, with a sample every minute. */
function run(t: ExecutionContext, memory = emptyMemory(), learnFor = 60 * minute) {
  const profiles = learning(memory, () => learnFor)
  let time = 1_000_000
  return {
    memory,
    profiles,
    pass(minutes: number, of: Container = container) {
      for (let passed = 0; passed <= minutes; passed++)
        profiles.running(of, (time += passed === 0 ? 0 : minute))
      t.truthy(readProfile(memory, profileKey(of)))
    },
  }
}

test('a program is its path, its applet, and the origin of its file if that is not the image', (t) => {
  const table: [string, string[], FileOrigin | null, string][] = [
    ['/usr/sbin/nginx', ['nginx', '-g'], 'image', '/usr/sbin/nginx'],
    ['/usr/sbin/nginx', ['nginx'], 'container', '/usr/sbin/nginx (container)'],
    ['/bin/busybox', ['/bin/wget', 'x'], 'image', '/bin/busybox wget'],
    ['/bin/busybox', ['busybox', 'wget', 'x'], 'image', '/bin/busybox wget'],
    ['/bin/busybox', ['-sh'], 'image', '/bin/busybox sh'],
    ['/bin/busybox', [], 'image', '/bin/busybox'],
    ['/tmp/x', ['x'], 'tmpfs', '/tmp/x (tmpfs)'],
    ['/usr/bin/id', ['id'], null, '/usr/bin/id'],
  ]
  for (const [exe, argv, origin, expected] of table) {
    const file = origin === null ? {} : { file: { origin, status: null } }
    t.is(programNames(sampleProcess({ process: { exe, argv }, ...file }))[0], expected)
  }
})

test('a profile contains the container’s own programs that run as root where root is configured', (t) => {
  const entry = { pid: 7, startTicks: 1, startedAt: 1 }
  const user = sampleContainer({ details: { user: 'app' } })
  const table: [string, ProcessObservation, boolean][] = [
    ['root', runs('/app'), true],
    ['by an exec', runs('/app', { origin: { via: 'entered', entry, execId: 'e', by: [] } }), false],
    ['another user', sampleProcess({ container }), false],
    ['a container of another user', runs('/app', { container: user }), false],
    ['only ids changed', runs('/app', { change: 'ids-changed' }), false],
    ['an unknown program', runs(''), false],
  ]
  for (const [what, seen, expected] of table) t.is(isRootProgram(seen), expected, what)
})

test('programs are learned for a period of running time, and after that a new one is reported once', (t) => {
  const { memory, profiles, pass } = run(t)
  pass(0)
  t.false(profiles.isNew(runs('/app')))
  t.deepEqual(profileStates(memory), [{ image: 'nginx:1.27', state: 'learning' }])
  pass(59)
  t.false(profiles.isLearned(container))
  pass(1)
  t.true(profiles.isLearned(container))
  t.deepEqual(profileStates(memory), [{ image: 'nginx:1.27', state: 'learned' }])
  t.false(profiles.isNew(runs('/app')))
  t.true(profiles.isNew(runs('/tmp/miner')))
  t.false(profiles.isNew(runs('/tmp/miner')))
  // The same path, but another file.
  t.true(profiles.isNew(runs('/app', { file: { origin: 'container', status: null } })))
})

test('only running time counts as learning time, and a gap between samples for at most 5 minutes', (t) => {
  const { profiles, memory } = run(t)
  profiles.running(container, 0)
  profiles.running(container, 10 * 60 * minute)
  t.is(readProfile(memory, profileKey(container))?.ranMs, 5 * minute)
  profiles.containerChanged({
    kind: 'container',
    time: 10 * 60 * minute,
    action: 'died',
    container,
    exitCode: 0,
    previousName: null,
  })
  profiles.running(container, 20 * 60 * minute)
  t.is(readProfile(memory, profileKey(container))?.ranMs, 5 * minute)
})

test('a profile survives a restart of the daemon and continues to be learned', (t) => {
  const first = run(t)
  first.pass(40)
  t.false(first.profiles.isNew(runs('/app')))
  const second = run(t, first.memory)
  second.pass(21)
  t.true(second.profiles.isLearned(container))
  t.false(second.profiles.isNew(runs('/app')))
  t.true(second.profiles.isNew(runs('/other')))
})

test('a new digest of a repository inherits the profile of the previous one', (t) => {
  const { profiles, pass } = run(t)
  pass(0)
  profiles.isNew(runs('/app'))
  pass(60)
  const next = sampleContainer({ imageId: `sha256:${'d'.repeat(64)}`, image: 'nginx:1.28' })
  const other = sampleContainer({ imageId: `sha256:${'e'.repeat(64)}`, image: 'redis:7' })
  t.false(profiles.isNew(runs('/app', { container: next })))
  t.true(profiles.isNew(runs('/other', { container: next })))
  t.false(profiles.isNew(runs('/other', { container: other })))
})

test('only the latest digests of a repository have profiles', (t) => {
  const { memory, pass } = run(t)
  const digest = (number: number) => sampleContainer({ imageId: `sha256:${String(number).repeat(64)}` })
  for (let number = 1; number <= 6; number++) pass(0, digest(number))
  t.is(readProfile(memory, profileKey(digest(2))), null)
  t.is(profileStates(memory).length, 4)
})

test('nothing is learned from a burst beyond the budget', (t) => {
  const { profiles, memory, pass } = run(t)
  pass(0)
  const seen = runs('/noise')
  profiles.lost({
    kind: 'events-lost',
    time: seen.time + 900,
    source: 'processes',
    reason: 'x',
    count: 9,
    container,
  })
  t.false(profiles.isNew(seen))
  t.deepEqual(programsOf(memory, profileKey(container)), [])
  t.false(profiles.isNew(runs('/quiet', { time: seen.time + 10_000 })))
  t.deepEqual(programsOf(memory, profileKey(container)), ['/quiet'])
})

test('a change by a command takes effect immediately', (t) => {
  const { profiles, memory, pass } = run(t)
  pass(1)
  const key = profileKey(container)
  const profile = readProfile(memory, key) ?? t.fail()
  writeProfile(memory, key, { ...profile, learned: true })
  t.true(profiles.isNew(runs('/app')))
  forget(memory, key)
  t.false(profiles.isNew(runs('/app')))
  t.like(readProfile(memory, key), { learned: false, programs: 1 })
})

test('a profile stays bounded, whatever names a container makes up', (t) => {
  const { profiles, memory, pass } = run(t)
  pass(0)
  for (let number = 0; number < 1_100; number++) profiles.isNew(runs(`/tmp/${number}`))
  t.is(programsOf(memory, profileKey(container)).length, 1_000)
})

test('an unreadable profile is started again', (t) => {
  const { profiles, memory } = run(t)
  memory.set(`profile/${profileKey(container)}`, '{nonsense')
  t.false(profiles.isNew(runs('/app')))
  t.like(readProfile(memory, profileKey(container)), { learned: false, programs: 1 })
})

test('a repository is the image without its tag and digest', (t) => {
  const table: [string, string][] = [
    ['nginx:1.27', 'nginx'],
    ['nginx', 'nginx'],
    ['registry:5000/shop/web:2', 'registry:5000/shop/web'],
    ['registry:5000/shop/web', 'registry:5000/shop/web'],
    [`web@sha256:${'a'.repeat(64)}`, 'web'],
    [`sha256:${'a'.repeat(64)}`, ''],
    ['', ''],
  ]
  for (const [image, expected] of table) t.is(repositoryOf(image), expected, image)
})
