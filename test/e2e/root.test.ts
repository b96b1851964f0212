import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import {
  type Daemon,
  removeState,
  startDaemon,
  startDaemonFor,
  tidewatch,
  logIfFailed,
} from '../support/daemon.ts'
import { removeContainers } from '../support/docker.ts'
import { docker, run, start } from '../support/processes.ts'
import { rightsImage } from '../support/rights-image.ts'
import { parallelTest, isFull, patience, scaled, until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Ways to become root in real containers.

const prefix = `tidewatch-test-root-${process.pid}`
const image = `${prefix}:1`
let daemon: Daemon
let containers = 0
const undo: (() => Promise<unknown>)[] = []

test.before(async () => {
  const { remove } = await rightsImage(image)
  undo.push(remove)
  daemon = await startDaemon()
  undo.push(() => removeState(daemon), daemon.stop)
})

test.afterEach.always((t) => logIfFailed(t, daemon))

test.after.always(async () => {
  await removeContainers(prefix)
  for (const step of undo.toReversed()) await step()
})

/** Starts a container; resolves to its name. */
async function runContainer(
  options: readonly string[],
  command = ['sleep', '600'],
  from = image,
): Promise<string> {
  const name = `${prefix}-${(containers += 1)}`
  await docker('run', '-d', '--network=none', '--name', name, ...options, from, ...command)
  return name
}

function found(container: string, by = daemon): Finding[] {
  return by.findings({ container, detector: 'unexpected-root-process' })
}

/** Waits for the expected number of findings of a container, and then for unexpected ones; resolves to all. */
async function settled(container: string, expected = 0, by = daemon): Promise<Finding[]> {
  await until(() => found(container, by).length >= expected)
  await sleep(3_000)
  return found(container, by)
}

const parallel = parallelTest(test)

const rulesOf = (findings: readonly Finding[]) => findings.map(({ rule }) => rule)

parallel(
  'a setuid program of the image is reported once per image, and explains the root process and its children',
  async (t) => {
    const first = await runContainer(['--user', '1000'], ['/bin/setuid', 'as-root', '/bin/sleep', '600'])
    const [finding, ...others] = await settled(first, 1)
    t.deepEqual(others, [])
    t.like(finding, { rule: 'setuid-program', severity: 'warning' })
    t.like(finding?.evidence, {
      program: '/bin/setuid',
      uid: 1_000,
      euid: 0,
      file_origin: 'image',
      file_mode: '4755',
      file_owner: 0,
      gained_by: 'file',
      no_new_privileges_would_stop_it: true,
    })
    t.regex(await docker('top', first), /sleep 600/)
    const second = await runContainer(['--user', '1000'], ['/bin/setuid', 'as-root', '/bin/sleep', '600'])
    t.deepEqual(await settled(second), [])
  },
)

parallel(
  'a setuid file added in the container is an escalation, and has no effect with no-new-privileges',
  async (t) => {
    for (const [options, expected] of [
      [[], ['privilege-escalation']],
      [['--security-opt', 'no-new-privileges'], []],
    ] as const) {
      const container = await runContainer(['--user', '1000', ...options])
      await docker('exec', '--user', '0', container, 'sh', '-c', 'cp /bin/plain /tmp/p; chmod 4755 /tmp/p')
      await docker('exec', '--detach', container, 'sh', '-c', '/tmp/p as-root /bin/sleep 60; true')
      const findings = await settled(container, expected.length)
      t.deepEqual(rulesOf(findings), expected)
      if (findings[0] === undefined) continue
      t.like(findings[0], { severity: 'critical' })
      t.like(findings[0].evidence, {
        program: '/tmp/p',
        file_origin: 'container',
        gained_by: 'file',
        also: ['root-in-nonroot-container'],
      })
    }
  },
)

parallel('setuid files on a tmpfs or changed in the container are privilege escalations', async (t) => {
  const onTmpfs = await runContainer(['--user', '1000', '--tmpfs', '/run:exec,suid'])
  await docker('exec', '--user', '0', onTmpfs, 'sh', '-c', 'cp /bin/plain /run/p; chmod 4755 /run/p')
  await docker('exec', '--detach', onTmpfs, '/run/p', 'as-root', '/bin/sleep', '60')
  const changed = await runContainer(['--user', '1000'])
  await docker('exec', '--user', '0', changed, 'chmod', '4755', '/bin/plain')
  await docker('exec', '--detach', changed, '/bin/plain', 'as-root', '/bin/sleep', '60')
  // Setgid gives neither root nor capabilities.
  const setgid = await runContainer(['--user', '1000'])
  await docker('exec', '--user', '0', setgid, 'sh', '-c', 'cp /bin/busybox /tmp/g; chmod 2755 /tmp/g')
  await docker('exec', '--detach', setgid, '/tmp/g', 'sleep', '60')
  const [tmpfs] = await settled(onTmpfs, 1)
  const [container] = await settled(changed, 1)
  t.like(tmpfs, { rule: 'privilege-escalation', evidence: { file_origin: 'tmpfs' } })
  t.like(container, { rule: 'privilege-escalation', evidence: { file_origin: 'container' } })
  t.deepEqual(found(setgid), [])
})

parallel('setuid(0) without an exec in a non-root container is an escalation', async (t) => {
  const container = await runContainer(['--user', '1000'], ['/bin/capable', 'become-root'])
  const findings = await settled(container, 2)
  t.deepEqual(rulesOf(findings).toSorted(), ['privilege-escalation', 'setuid-program'])
  t.like(findings.find(({ rule }) => rule === 'setuid-program')?.evidence, {
    file_has_capabilities: true,
    capabilities_gained: ['SETUID'],
  })
  t.like(findings.find(({ rule }) => rule === 'privilege-escalation')?.evidence, {
    gained_by: 'setuid-call',
    uid_before: 1_000,
    uid: 0,
    no_new_privileges_would_stop_it: false,
    also: ['root-in-nonroot-container'],
  })
})

parallel(
  'becoming root in several steps is as critical as in one step, whatever gave the privilege',
  async (t) => {
    // The first use of a program is reported once per repository, and another test uses this program too.
    const ownImage = `${prefix}-steps:1`
    await docker('tag', image, ownImage)
    t.teardown(() => docker('rmi', '--force', ownImage))
    const container = await runContainer(['--user', '1000'], ['sleep', '600'], ownImage)
    await docker('exec', '--detach', container, '/bin/capable', 'as-root', '/bin/sleep', '60')
    const isCritical = ({ severity }: Finding) => severity === 'critical'
    await until(() => found(container).some(isCritical))
    const findings = await settled(container)
    const [first, ...others] = findings.filter(isCritical)
    t.like(first, { rule: 'root-in-nonroot-container', evidence: { program: '/bin/capable' } })
    t.true(others.every(({ rule }) => rule === 'root-in-nonroot-container'))
  },
)

parallel('root in a user namespace that the process created itself is not reported', async (t) => {
  const container = await runContainer(
    ['--user', '1000', '--security-opt=seccomp=unconfined', '--security-opt=apparmor=unconfined'],
    ['unshare', '-U', '-r', 'sh', '-c', 'id -u > /tmp/id; sleep 600'],
  )
  await until(async () => (await docker('exec', container, 'cat', '/tmp/id')) === '0\n')
  t.deepEqual(await settled(container), [])
})

parallel('an entry point that starts as root and drops its privileges causes no finding', async (t) => {
  const container = await runContainer([], ['/bin/plain', 'drop-root', '/bin/sleep', '600'])
  t.deepEqual(await settled(container), [])
})

test.serial(
  'entering as root without the engine is one finding, including everything run afterwards',
  async (t) => {
    const off = { detectors: { 'exec-into-container': { rules: { 'untracked-exec': { enabled: false } } } } }
    const allow = [{ reason: 'known', when: 'rule == "untracked-exec"' }]
    const isOff = await startDaemonFor(t, { config: off })
    const allows = await startDaemonFor(t, { config: { policy: { allow, throttle: { fold: '5m' } } } })
    const container = await runContainer(['--user', '1000'])
    const pid = (await docker('inspect', '--format', '{{.State.Pid}}', container)).trim()
    const script = ['/bin/sh', '-c', 'sleep 0.1; sleep 0.2; id']
    await run('nsenter', '-t', pid, '-m', '-p', ...script)
    await run('chroot', `/proc/${pid}/root`, ...script)
    const isMerged = ({ evidence }: Finding) => 'also' in evidence
    await until(() => daemon.findings({ container }).filter(isMerged).length === 2)
    const ways = () => new Set(rulesOf(found(container, isOff)))
    await until(() => ways().has('root-in-nonroot-container'))
    await until(() => found(container, allows).length > 0)
    await settled(container)
    const [first, second, ...others] = daemon.findings({ container, severity: 'critical' })
    t.deepEqual(others, [])
    for (const finding of [first, second]) {
      t.like(finding, { rule: 'untracked-exec', evidence: { user: 'root', configured_user: '1000' } })
      t.deepEqual(finding?.evidence['also'], ['root-in-nonroot-container'])
    }
    t.deepEqual(ways(), new Set(['root-in-nonroot-container']))
    const reported = allows.findings({ container, severity: 'critical', suppressed: false })
    // Each command is an act of its own, because no finding of the entry covers them.
    t.deepEqual(new Set(rulesOf(reported)), new Set(['root-in-nonroot-container']))
  },
)

parallel('a root process that outlives its exec is explained by it', async (t) => {
  const container = await runContainer(['--user', '1000'])
  await docker(
    'exec',
    '--user',
    '0',
    container,
    'sh',
    '-c',
    '(sleep 3; sh -c "sleep 60; true") >/dev/null 2>&1 &',
  )
  await sleep(4_000)
  t.deepEqual(await settled(container), [])
})

test.serial(
  'a root process that outlived its exec is still explained by it after a restart of the daemon',
  async (t) => {
    const stateDirectory = await temporaryDirectory()
    const started: Daemon[] = []
    const startOne = async () => {
      const one = await startDaemon({ stateDirectory })
      started.push(one)
      return one
    }
    t.teardown(async () => {
      for (const one of started) await one.stop()
      await removeState({ stateDirectory })
    })
    const first = await startOne()
    const container = await runContainer(['--user', '1000'])
    const asRoot = (...command: string[]) => docker('exec', '--user', '0', container, 'sh', '-c', ...command)
    const ended = () =>
      first
        .findings({ container })
        .filter(({ rule, evidence }) => rule === 'exec-as-root' && 'exit_code' in evidence)
    await asRoot('(while sleep 0.5; do id; done) >/dev/null 2>&1 &')
    await asRoot('busybox setsid sh -c "while sleep 0.5; do id; done" >/dev/null 2>&1 &')
    await until(() => ended().length === 2)
    // On a busy machine the second loop gets its own session long after its exec has ended.
    await until(async () => (await docker('top', container)).split('while sleep 0.5').length === 3)
    // Until the daemon has looked again for what the execs left behind: it waits twice as long each time.
    await sleep(3_000)
    await first.stop()
    const second = await startOne()
    await sleep(2_000)
    t.deepEqual(await settled(container, 0, second), [])
    // A root process that no exec left behind is reported.
    const pid = (await docker('inspect', '--format', '{{.State.Pid}}', container)).trim()
    await second.stop()
    // It must outlive the start of a daemon, which takes more than a minute on a busy host.
    const byHand = start('nsenter', ['-t', pid, '-m', '-p', '-S', '0', '/bin/sleep', '600'])
    t.teardown(async () => {
      // The program that nsenter started keeps its output open until the container is removed.
      await docker('rm', '--force', container)
      await byHand.exited
    })
    const third = await startOne()
    const byHandFound = () => third.findings({ container, severity: 'critical' })
    await until(() => byHandFound().some(({ evidence }) => 'also' in evidence))
    t.deepEqual(rulesOf(byHandFound()), ['untracked-exec'])
  },
)

const many = isFull ? 52 : scaled(24)
const batches = isFull ? 4 : 1

for (let batch = 0; batch < batches; batch += 1) {
  test.serial(
    `${many} containers that start and stop normally cause no findings, ${batch + 1} of ${batches}`,
    async (t) => {
      const kinds: [string[], string[]][] = [
        [[], ['/bin/plain', 'drop-root', '/bin/true']],
        [
          ['--user', '1000'],
          ['sh', '-c', 'id; ls /bin'],
        ],
        [[], ['sh', '-c', 'cp /bin/sh /tmp/sh; /tmp/sh -c id']],
        [
          ['--init', '--user', '1000:1000'],
          ['sh', '-c', 'true; sleep 0.1'],
        ],
        [
          ['--cap-drop', 'ALL', '--cap-add', 'SETUID', '--cap-add', 'SETGID'],
          ['/bin/plain', 'drop-root', '/bin/id'],
        ],
      ]
      const names: string[] = []
      const one = async (index: number) => {
        const [options, command] = kinds[index % kinds.length] ?? t.fail()
        const name = `${prefix}-normal-${batch}-${index}`
        names.push(name)
        await docker('run', '--rm', '--network=none', '--name', name, ...options, image, ...command)
      }
      for (let index = 0; index < many; index += 4) {
        await Promise.all([0, 1, 2, 3].map((lane) => one(index + lane)))
      }
      await sleep(3_000)
      t.true(names.length >= many)
      const isAlert = ({ severity }: Finding) => severity !== 'info'
      t.deepEqual(
        names.flatMap((name) => daemon.findings({ container: name }).filter(isAlert)),
        [],
      )
    },
  )
}

test.serial(
  'a profile is learned, survives a restart, is inherited by the next digest, and reveals new programs',
  async (t) => {
    const stateDirectory = await temporaryDirectory()
    // Long enough for the programs of the loop to run.
    const learnFor = `${4 * Math.min(patience, 8)}s`
    const config = { detectors: { 'unexpected-root-process': { learn_for: learnFor } } }
    const own = `${prefix}-profile:1`
    const next = `${prefix}-profile:2`
    // Removed after the containers, because removing an image that is in use only removes its name.
    for (const [name, build] of Object.entries({ [own]: 'own', [next]: 'next' }))
      undo.push((await rightsImage(name, build)).remove)
    let second: Daemon | undefined
    const first = await startDaemon({ config, stateDirectory })
    t.teardown(async () => {
      await first.stop()
      await second?.stop()
      await removeState({ stateDirectory })
      await rm(stateDirectory, { recursive: true, force: true })
    })
    const loop = ['sh', '-c', 'while sleep 0.5; do [ -e /tmp/new ] && /bin/id; done']
    const container = await runContainer([], loop, own)
    const state = (daemonNow: Daemon, name: string, word: string) =>
      daemonNow.metric(`tidewatch_profile_state{image="${name}",state="${word}"}`)
    await until(async () => (await state(first, own, 'learned')) === 1, 30_000)
    t.deepEqual(found(container, first), [])
    const programs = await tidewatch('profile', 'show', own, '--state.directory', stateDirectory)
    t.regex(programs, /\/bin\/busybox sh\n/)
    t.regex(programs, /\/bin\/busybox sleep\n/)
    await first.stop()

    second = await startDaemon({ config, stateDirectory })
    await docker('exec', container, 'sh', '-c', '> /tmp/new')
    const [finding] = await until(() => {
      const all = found(container, second)
      return all.length > 0 && all
    })
    t.like(finding, { rule: 'new-root-program', evidence: { argv: ['/bin/id'], file_origin: 'image' } })
    t.is((await settled(container, 1, second)).length, 1)

    const deployed = await runContainer(
      [],
      ['sh', '-c', 'sleep 1; /bin/cp /bin/plain /tmp/sleep; /tmp/sleep; sleep 600'],
      next,
    )
    await until(() => found(deployed, second).length === 2)
    t.deepEqual(
      found(deployed, second).map(({ evidence }) => [evidence['program'], evidence['file_origin']]),
      [
        ['/bin/busybox', 'image'],
        ['/tmp/sleep', 'container'],
      ],
    )
    // A running daemon would immediately start a new profile from the programs that still run.
    await second.stop()
    await tidewatch('profile', 'forget', next, '--state.directory', stateDirectory)
    t.notRegex(await tidewatch('profile', 'list', '--state.directory', stateDirectory), new RegExp(next))
  },
)
