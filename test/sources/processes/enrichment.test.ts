import test from 'ava'
import type { HostFiles, ProcessChange } from '../../../agent/model/observation.ts'
import { enrichment, type EnrichmentOptions } from '../../../agent/sources/processes/enrichment.ts'
import { noProgram } from '../../../agent/sources/processes/table/known-process.ts'
import { hostNamespaces, knownProcess, sampleMembership } from './samples.ts'

const inside = { mount: 11, pid: 12, user: 13 }
const withHostMounts = { ...inside, mount: hostNamespaces.mount }

type DirectoryCase = {
  title: string
  change: ProcessChange
  isExact: boolean
  namespaces?: typeof inside
  /** What the kernel program found at the exec. */
  atExec?: true
  /** What /proc says. */
  now?: boolean
  isRead: boolean
  outside?: true
}

const directories: DirectoryCase[] = [
  { title: 'found in /proc: read', change: 'found', isExact: false, isRead: true },
  {
    title: 'found in /proc outside',
    change: 'found',
    isExact: false,
    now: true,
    isRead: true,
    outside: true,
  },
  { title: 'exec read late', change: 'executed', isExact: false, now: true, isRead: true, outside: true },
  { title: 'exec seen by the kernel', change: 'executed', isExact: true, now: true, isRead: false },
  {
    title: 'exec outside seen by the kernel',
    change: 'executed',
    isExact: true,
    atExec: true,
    isRead: false,
    outside: true,
  },
  { title: 'change of ids', change: 'ids-changed', isExact: true, now: true, isRead: false },
  { title: 'change of ids read late', change: 'ids-changed', isExact: false, now: true, isRead: false },
  {
    title: 'found with the host’s mounts',
    change: 'found',
    isExact: false,
    namespaces: withHostMounts,
    now: true,
    isRead: false,
  },
  {
    title: 'exec with the host’s mounts',
    change: 'executed',
    isExact: true,
    namespaces: withHostMounts,
    atExec: true,
    isRead: false,
  },
]

for (const { title, change, isExact, namespaces = inside, atExec, now, isRead, outside } of directories) {
  const verdict = `${isRead ? 'read' : 'not read'}, ${outside ? 'outside' : 'not reported'}`
  test(`working directory, ${title}: ${verdict}`, (t) => {
    const { enrich, calls } = sample({ outside: now ?? false })
    const program = () => ({ ...noProgram, ...(atExec && { workingDirectoryOutside: atExec }) })
    const { process } = enrich(knownProcess({ namespaces, program }), sampleMembership(), change, {
      prior: undefined,
      isExact,
    })
    t.is(process.workingDirectoryOutside, outside)
    t.is(calls.includes('worksOutside'), isRead)
  })
}

type HostFilesCase = {
  change: ProcessChange
  isExact: boolean
  hostFiles: HostFiles | null
  expected: readonly string[]
}

const hostFilesCases: HostFilesCase[] = [
  { change: 'executed', isExact: true, hostFiles: null, expected: ['atExec', 'recheck.add'] },
  { change: 'executed', isExact: true, hostFiles: 'root', expected: ['atExec', 'recheck.remove', 'lineage'] },
  { change: 'executed', isExact: false, hostFiles: null, expected: ['now'] },
  { change: 'executed', isExact: false, hostFiles: 'root', expected: ['now', 'recheck.remove', 'lineage'] },
  { change: 'found', isExact: false, hostFiles: null, expected: ['now'] },
  {
    change: 'found',
    isExact: false,
    hostFiles: 'mount-namespace',
    expected: ['now', 'recheck.remove', 'lineage'],
  },
  { change: 'ids-changed', isExact: true, hostFiles: null, expected: ['now'] },
  { change: 'ids-changed', isExact: true, hostFiles: 'root', expected: ['now', 'recheck.remove', 'lineage'] },
]

for (const { change, isExact, hostFiles, expected } of hostFilesCases) {
  const when = `${change}, ${isExact ? 'as it happened' : 'read later'}`
  test(`host files, ${when}, ${hostFiles ?? 'none'}: ${expected.join(', ')}`, (t) => {
    const { enrich, calls } = sample({ hostFiles })
    const seen = enrich(knownProcess({ namespaces: inside }), sampleMembership(), change, {
      prior: undefined,
      isExact,
    })
    t.is(seen.hostFiles, hostFiles)
    t.is('lineage' in seen, hostFiles !== null)
    t.deepEqual(
      calls.filter((call) => !['learn', 'worksOutside', 'credentials'].includes(call)),
      [...expected],
    )
  })
}

test('the uid map is read before it is used, and the credentials are those of the described change', (t) => {
  const changes: unknown[] = []
  const { enrich, calls } = sample({
    trackCredentials(_process, _membership, { containerUid }, change) {
      changes.push({ containerUid, ...change })
      return { raisedCapabilities: 7n }
    },
  })
  const subject = knownProcess({ uid: 100_000, namespaces: inside })
  const seen = enrich(subject, sampleMembership({ userNamespace: 13 }), 'executed', {
    prior: undefined,
    isExact: true,
  })
  t.is(calls[0], 'learn')
  t.deepEqual(changes, [{ containerUid: 0, change: 'executed', prior: null, isExact: true }])
  t.is(seen.raisedCapabilities, 7n)
})

function sample({
  outside = false,
  hostFiles = null,
  ...options
}: Partial<Omit<EnrichmentOptions, 'hostFiles'>> & { outside?: boolean; hostFiles?: HostFiles | null }) {
  const calls: string[] = []
  function recorded<Result>(call: string, result: Result): () => Result {
    return () => {
      calls.push(call)
      return result
    }
  }
  const enrich = enrichment({
    hostNamespaces,
    uidMaps: {
      learn: recorded('learn', undefined),
      inNamespace: (uid, userNamespace) => (userNamespace === inside.user ? uid - 100_000 : uid),
    },
    bootTime: 0,
    worksOutside: recorded('worksOutside', outside),
    trackCredentials: recorded('credentials', {}),
    hostFiles: { now: recorded('now', hostFiles), atExec: recorded('atExec', hostFiles) },
    lineageOf: recorded('lineage', []),
    recheck: { add: recorded('recheck.add', undefined), remove: recorded('recheck.remove', undefined) },
    ...options,
  })
  return { enrich, calls }
}
