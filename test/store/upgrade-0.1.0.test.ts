import { configuration } from '../../agent/daemon/configuration.ts'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { Detection, Finding } from '../../agent/model/finding.ts'
import { queueForChangedReceivers } from '../../agent/daemon/receiver-changes.ts'
import { receiversOf } from '../../exporters/receivers.ts'
import { createPolicy } from '../../agent/policy/policy.ts'
import { storedCursor } from '../../agent/store/cursor.ts'
import { memoryOf } from '../../agent/store/memory.ts'
import { readFindings } from '../../agent/store/read.ts'
import { openStore, type Store } from '../../agent/store/store.ts'
import { resourceLimitBreach } from '../../detectors/resource-limit-breach/index.ts'
import { allBinaries, isAccepted } from '../../detectors/runtime-path-write/known-binaries.ts'
import { runtimePathWrite } from '../../detectors/runtime-path-write/index.ts'
import { allProfiles, programsOf } from '../../detectors/unexpected-root-process/profile.ts'
import { startDaemonFor, tidewatch } from '../support/daemon.ts'
import { onlyOne, sampleFindings } from '../support/findings.ts'
import { sampleContainer } from '../support/samples.ts'

// The current code reads the store and configuration of release 0.1.0 (test/fixtures/0.1.0), and nothing is lost. The
// values are literal: if one changes, data of 0.1.0 was lost or read differently.

const fixture = join(import.meta.dirname, '../fixtures/0.1.0')
const configFile = join(fixture, 'tidewatch.yml')

/** Five minutes after 0.1.0 was stopped. */
const afterwards = Date.parse('2026-11-30T00:05:23.680Z')

/** A copy of the state directory, which the current code may change. */
async function stateDirectory(t: ExecutionContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tidewatch-test-upgrade-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await cp(join(fixture, 'state'), directory, { recursive: true })
  return directory
}

async function open(t: ExecutionContext, directory?: string): Promise<Store> {
  const store = openStore({
    directory: directory ?? (await stateDirectory(t)),
    onModeChange: (_mode, reason) => t.fail(reason),
    onMovedAside: t.fail,
  })
  t.teardown(store.close)
  t.is(store.mode(), 'file')
  return store
}

function subjectOf({ rule, container, evidence: { cve, path, source } }: Finding): string {
  const subject = [container?.name, cve, path, source].find((value) => typeof value === 'string')
  return `${rule} ${subject ?? 'host'}`
}

/** The number of each. */
function counts(keys: readonly string[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const key of keys) all[key] = (all[key] ?? 0) + 1
  return all
}

test('all findings of 0.1.0 are read, each with its rule, severity and state', async (t) => {
  const findings = readFindings(await stateDirectory(t), { since: 0 })
  t.deepEqual(counts(findings.map(({ rule, severity, state }) => `${rule} ${severity} ${state}`)), {
    'exec-as-root warning firing': 2,
    'exec-command info firing': 28,
    'exec-command info suppressed': 1,
    'exec-from-container warning firing': 1,
    'file-copy info firing': 1,
    'file-copy info suppressed': 1,
    'findings-throttled warning firing': 1,
    'host-namespace-entered critical firing': 1,
    'interactive-shell critical firing': 1,
    'new-root-program critical firing': 1,
    'no-limits info firing': 4,
    'no-limits info resolved': 1,
    'no-limits info suppressed': 1,
    'oom-kill warning suppressed': 1,
    'pids-near-limit warning firing': 1,
    'pids-near-limit warning resolved': 1,
    'privilege-escalation critical firing': 1,
    'privileged-exec critical firing': 1,
    'process-burst warning firing': 2,
    'restart-loop warning firing': 1,
    'runtime-binary-mismatch critical firing': 1,
    'runtime-binary-mismatch critical resolved': 1,
    'runtime-binary-replaced critical firing': 1,
    'runtime-binary-written critical firing': 1,
    'runtime-path-mounted warning firing': 1,
    'runtime-vulnerable warning firing': 7,
    'setuid-program warning firing': 1,
    'source-degraded warning firing': 1,
    'untracked-exec critical firing': 1,
  })
  t.deepEqual(new Set(findings.map(({ host }) => host)), new Set(['node-7']))
})

test('a repeated finding of 0.1.0 has its count, and an allowed one its reason', async (t) => {
  const findings = readFindings(await stateDirectory(t), { since: 0 })
  t.deepEqual(
    findings.filter(({ count }) => count > 1).map((one) => `${subjectOf(one)} ${one.count}`),
    [
      'exec-command web-1 5',
      'exec-command web-1 3',
      'exec-command web-2 2',
      'exec-command app-1 2',
      'exec-command indexer-1 2',
    ],
  )
  t.deepEqual(
    findings.filter(({ state }) => state === 'suppressed').map((one) => [subjectOf(one), one.suppressed]),
    [
      ['no-limits batch-1', { by: 'policy.allow[1]', reason: 'batch jobs run without limits' }],
      ['exec-command batch-1', { by: 'policy.allow[0]', reason: 'smoke test of the batch job' }],
      ['file-copy web-2', { by: 'label tidewatch.allow/file-copy', reason: 'static pages' }],
      [
        'oom-kill indexer-1',
        { by: 'policy.allow[2]', reason: 'the indexer is expected to run out of memory' },
      ],
    ],
  )
})

test('a finding of 0.1.0 is read completely', async (t) => {
  const store = await open(t)
  t.deepEqual(store.find('01M8MVT8V4G4FRQD75WYM84D4R'), {
    id: '01M8MVT8V4G4FRQD75WYM84D4R',
    time: '2026-11-29T23:56:30.664Z',
    detected_at: '2026-11-29T23:56:30.949Z',
    detector: 'exec-into-container',
    rule: 'exec-command',
    severity: 'info',
    kind: 'event',
    state: 'firing',
    summary: 'root ran cat /etc/image in web-1, called by root (exit code 0 after 1.899 s)',
    host: 'node-7',
    container: {
      id: 'a64217f088e54009bb0dc6a1c5674abcf836bf23246634f032e5cdbf2b16112b',
      name: 'web-1',
      image: 'shop/web:1.4',
      image_id: 'sha256:7ad94984f1c939c5902ea14d886c1b8f5aada06aec0bb94be9e521a01d95e5dc',
      compose_project: 'shop',
      compose_service: 'web',
    },
    evidence: {
      argv: ['cat', '/etc/image'],
      argv_exact: true,
      user: 'root',
      tty: false,
      open_stdin: false,
      privileged: false,
      configured_user: '',
      exec_id: '1f085e90333df9202fa4b0c99a2bd5301265bb98e0071d987258a3c9308bd5d1',
      caller: {
        confidence: 'exact',
        pid: 24462,
        user: 'root',
        argv: ['docker', 'exec', 'web-1', 'cat', '/etc/image'],
        ancestors: ['/sbin/init (pid 1)'],
      },
      pid: 24548,
      programs: [{ argv: ['cat', '/etc/image'], pid: 24548, uid: 0 }],
      exit_code: 0,
      duration_seconds: 1.899,
      repeated: ['root ran cat /etc/image in web-1', 'root ran cat /etc/image in web-1, called by root'],
    },
    count: 5,
    first_seen: '2026-11-29T23:56:30.664Z',
    last_seen: '2026-11-29T23:56:45.117Z',
    resolved_at: null,
    resolution: null,
    fingerprint: 'a568e6dfa814',
  })
})

test('conditions that fired under 0.1.0 are firing, under their ids', async (t) => {
  const store = await open(t)
  t.deepEqual(
    store.firing().map((one) => [one.id, subjectOf(one)]),
    [
      ['01M8MVPGJPYR057F0GZ66N09TC', 'runtime-vulnerable CVE-2025-31133'],
      ['01M8MVPGKJ1JZGT11GNYAK49PS', 'runtime-vulnerable CVE-2025-52565'],
      ['01M8MVPGKQPXCC01Q5RD08RSV9', 'runtime-vulnerable CVE-2025-52881'],
      ['01M8MVPGKRNC75RFT98ZDTSH4R', 'runtime-vulnerable CVE-2024-23651'],
      ['01M8MVPGNQCWRJQZRTF7FJC3XF', 'runtime-vulnerable CVE-2024-23652'],
      ['01M8MVPGNSSNBQESRZ52P58BCN', 'runtime-vulnerable CVE-2024-23653'],
      ['01M8MVPGNVE19EZ593CVB2F5CP', 'runtime-vulnerable CVE-2026-41567'],
      ['01M8MVQS7C01X0EJSM3SGQMRCC', 'no-limits web-1'],
      ['01M8MVR168X1A8RDK0A83RQKFX', 'no-limits web-2'],
      ['01M8MVRGRS68YX5PD7KCNB6MK3', 'no-limits db-1'],
      ['01M8MVS4QFG3TPF0R5Y3V7Z3ZB', 'source-degraded runtime-files'],
      ['01M8MVS79QNGFAVJ7J3WZP4753', 'runtime-binary-mismatch /opt/acme/bin/crun'],
      ['01M8MVSACS754EZ8QH9MYG025A', 'runtime-path-mounted ci-1'],
      ['01M8MVSAXBRDCMH7BY4VFPS83F', 'no-limits ci-1'],
      ['01M8MVVCNJ4XSRBCD5Z93AG9M2', 'restart-loop flaky-1'],
      ['01M8MVYQ097DHPF2GPVDEY77B6', 'pids-near-limit app-1'],
    ],
  )
})

test('undelivered findings of 0.1.0 stay queued', async (t) => {
  const store = await open(t)
  t.deepEqual(
    [
      'alertmanager/127.0.0.1:29093',
      'alertmanager/alertmanager-2.invalid:9093/alerts',
      'alertmanager/alertmanager.invalid:9093',
      'webhook/falcosidekick.invalid:2801',
      'webhook/hooks.invalid/…',
    ].map((name) => [name, store.pending(name), store.due(name, afterwards, 1_000).length]),
    [
      ['alertmanager/127.0.0.1:29093', 0, 29],
      ['alertmanager/alertmanager-2.invalid:9093/alerts', 10, 10],
      ['alertmanager/alertmanager.invalid:9093', 29, 29],
      ['webhook/falcosidekick.invalid:2801', 10, 10],
      ['webhook/hooks.invalid/…', 63, 63],
    ],
  )
})

test('learned profiles and accepted digests of 0.1.0 are known', async (t) => {
  const store = await open(t)
  const learned = memoryOf(store, 'unexpected-root-process')
  const runtime = memoryOf(store, 'runtime-path-write')
  const profiles = allProfiles(learned)
  t.deepEqual(
    profiles.map(({ profile: { image, learned: isLearned, programs } }) => [image, isLearned, programs]),
    [
      ['shop/batch:2', false, 2],
      ['shop/web:1.4', false, 1],
      ['shop/db:16', true, 3],
      ['shop/web:1.5', false, 1],
      ['acme/ci:7', false, 1],
    ],
  )
  t.deepEqual(
    profiles
      .filter(({ profile }) => profile.image === 'shop/db:16')
      .flatMap(({ key }) => programsOf(learned, key)),
    ['/bin/busybox id', '/bin/busybox sh', '/bin/busybox sleep'],
  )
  t.deepEqual(
    allBinaries(runtime).map(({ path, binary }) => [path, binary.trust, binary.package]),
    [
      ['/opt/acme/bin/crun', 'differs', ''],
      ['/opt/acme/bin/runc', 'accepted', ''],
      ['/usr/bin/containerd', 'package', 'containerd'],
      ['/usr/bin/containerd-shim', 'package', 'containerd'],
      ['/usr/bin/containerd-shim-runc-v1', 'package', 'containerd'],
      ['/usr/bin/containerd-shim-runc-v2', 'package', 'containerd'],
      ['/usr/bin/tini-static', 'package', 'tini'],
      ['/usr/sbin/docker-proxy', 'package', 'docker.io'],
      ['/usr/sbin/dockerd', 'package', 'docker.io'],
      ['/usr/sbin/runc', 'package', 'runc'],
    ],
  )
  t.true(
    isAccepted(
      runtime,
      '/opt/acme/bin/runc',
      '9a56b02be1a24df6952cc341385d0a41e92f9c8255f96b25de4a59e4670486a6',
    ),
  )
})

test('the detector memory of 0.1.0 is read', async (t) => {
  const store = await open(t)
  const keys = (detector: string, prefix: string) => memoryOf(store, detector).keys(prefix)
  t.deepEqual(keys('exec-into-container', ''), ['client/acme/ci:7'])
  t.deepEqual(keys('unexpected-root-process', 'setuid/'), ['setuid/shop/web//bin/su (image)'])
  t.deepEqual(keys('unexpected-root-process', 'repository/'), [
    'repository/acme/ci',
    'repository/shop/batch',
    'repository/shop/db',
    'repository/shop/web',
  ])
  t.deepEqual(keys('runtime-path-write', 'configuration/'), [
    'configuration//etc/containerd/config.toml',
    'configuration//etc/default/docker',
    'configuration//etc/docker/daemon.json',
    'configuration//etc/init.d/docker',
    'configuration//etc/systemd/system/containerd.service',
    'configuration//etc/systemd/system/docker.service',
    'configuration//etc/systemd/system/docker.socket',
    'configuration//usr/lib/systemd/system/containerd.service',
    'configuration//usr/lib/systemd/system/docker.service',
    'configuration//usr/lib/systemd/system/docker.socket',
  ])
  t.deepEqual(keys('execs', 'exec/'), [
    'exec/08e1f5c3dcc818f0368b5b45320dd6030b1630db93c33af2804c8bf178576c7f',
    'exec/45d06c22fd1a062ab625e485d8c7156abf789988cce1b5e1fb408f0bcc482570',
    'exec/6a8953ee772abd5f15f7cb95c4d0cba98d7cf4356f15061f79c4c3aa9e9ab069',
    'exec/a64217f088e54009bb0dc6a1c5674abcf836bf23246634f032e5cdbf2b16112b',
  ])
  const cursor = storedCursor(store, Date.now).load()
  t.is(cursor?.timeNano, '1795996837544277064')
  t.is(cursor?.recent.length, 207)
})

test('a configuration of 0.1.0 is valid', async (t) => {
  t.is(await tidewatch('check-config', configFile), `${configFile}: the configuration is valid\n`)
})

test('findings that repeat after the upgrade are the same findings', async (t) => {
  const store = await open(t)
  const config = configuration.load(configFile).config
  const now = () => afterwards
  const notices: string[] = []
  const policy = createPolicy({ config: config.policy, now, onNotice: (notice) => notices.push(notice) })
  t.deepEqual(notices, [
    'policy.allow[2] uses evidence.told_by, which is deprecated: use evidence.seen_by instead',
  ])
  const findings = sampleFindings({
    config: () => config,
    now,
    newId: () => 'new',
    allowedBy: policy.allowedBy,
    firing: store.firing(),
    findByEventKey: store.findByEventKey,
  })
  const found = (detector: Parameters<typeof findings.from>[0], detection: Partial<Detection>) => {
    const whole = {
      rule: '',
      time: afterwards,
      container: null,
      summary: '',
      subject: [],
      evidence: {},
      ...detection,
    }
    const publication = onlyOne(findings.from(detector, whole))
    // The fingerprint is a label of its alert, which must stay the same.
    t.is(publication?.finding.fingerprint, store.find(publication?.finding.id ?? '')?.fingerprint)
    return [publication?.change, publication?.finding.id]
  }
  const container = sampleContainer({
    id: 'a64217f088e54009bb0dc6a1c5674abcf836bf23246634f032e5cdbf2b16112b',
    name: 'web-1',
    image: 'shop/web:1.4',
  })
  t.deepEqual(found(resourceLimitBreach, { rule: 'no-limits', container }), [
    'updated',
    '01M8MVQS7C01X0EJSM3SGQMRCC',
  ])
  t.deepEqual(found(runtimePathWrite, { rule: 'runtime-binary-mismatch', subject: ['/opt/acme/bin/crun'] }), [
    'updated',
    '01M8MVS79QNGFAVJ7J3WZP4753',
  ])
  t.deepEqual(found(runtimePathWrite, { rule: 'runtime-vulnerable', subject: ['CVE-2025-31133', 'runc'] }), [
    'updated',
    '01M8MVPGJPYR057F0GZ66N09TC',
  ])
  // The others are not confirmed, so they end.
  const over = findings.resolveUnconfirmed()
  t.is(over.length, 13)
  t.true(over.every(({ change }) => change === 'resolved'))
})

test('an event of 0.1.0 that the engine reports again is the same finding', async (t) => {
  const store = await open(t)
  const execId = '765b98281d1602b89274c6cddc87dd5368d070d546eec4eb0ce3e009926dae78'
  const known = store.findByEventKey('privileged-exec', execId)
  t.like(known, { id: '01M8MVV42D8DE1WQ0Y2PGZAZ5M', severity: 'critical', container: { name: 'web-1' } })
  t.false(known === null || store.save({ ...known, id: 'another' }, execId, [], afterwards))
})

test('the receivers of 0.1.0 are not notified again of what is firing', async (t) => {
  const store = await open(t)
  const { config } = configuration.load(configFile)
  const receivers = receiversOf(config)
  const queued = () => receivers.map(({ name }) => [name, store.pending(name)])
  const before = queued()
  t.deepEqual(
    before.map(([, count]) => count),
    [0, 29, 10, 63, 10],
  )
  queueForChangedReceivers({
    store,
    receivers: () => receivers,
    firing: store.firing,
    now: () => afterwards,
  })()
  t.deepEqual(queued(), before)
})

test('a daemon that starts with the state of 0.1.0 neither repeats nor loses any finding', async (t) => {
  const directory = await stateDirectory(t)
  const before = readFindings(directory, { since: 0 })
  const off = { enabled: false }
  const daemon = await startDaemonFor(t, {
    stateDirectory: directory,
    // No engine, and only the detector that needs one, so that nothing on this host is found.
    args: [`--docker.host=unix://${directory}/no-engine.sock`],
    config: {
      host_name: 'node-7',
      findings: { retention: '3650d' },
      sources: { processes: { mode: 'procfs' } },
      detectors: {
        'exec-into-container': off,
        'unexpected-root-process': off,
        'runtime-path-write': off,
        'monitor-integrity': off,
      },
    },
  })
  const active = (await daemon.metrics())
    .split('\n')
    .filter((line) => line.startsWith('tidewatch_findings_active{') && !line.endsWith(' 0'))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  t.is(active, 16)
  t.is(await daemon.stop(), 0)
  t.deepEqual(readFindings(directory, { since: 0 }), before)
  const store = await open(t, directory)
  t.is(store.pending('webhook/hooks.invalid/…'), 63)
  t.is(store.pending('alertmanager/alertmanager.invalid:9093'), 29)
})
