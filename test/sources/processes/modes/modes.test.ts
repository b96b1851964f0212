import { execFile } from 'node:child_process'
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { docker, runContainer } from '../../../support/docker.ts'
import { until } from '../../../support/until.ts'
import { cgroupDirectory } from '../cgroup-directory.ts'
import { watchProcesses } from '../watch.ts'

const execute = promisify(execFile)

const serial = test.serial

serial('eBPF is the first choice', async (t) => {
  const { statuses } = await watchProcesses(t)
  t.like(statuses()[0], { up: true, mode: 'ebpf', best: true, reason: '' })
})

for (const mode of ['connector', 'procfs'] as const) {
  serial(`${mode}: a program that runs for seconds is reported with all identifying data`, async (t) => {
    const { of, statuses } = await watchProcesses(t, { mode, intervalMs: 100 })
    t.like(statuses()[0], { up: true, mode, best: true, reason: '' })
    const { name, id } = await runContainer(t, ['--user', '1000'])
    await docker('exec', '--detach', '--user', '0', name, 'sleep', '30')
    const seen = () => of(name).find(({ process }) => process.argv[1] === '30')
    await until(() => seen() !== undefined)
    const { process, origin } = seen() ?? t.fail()
    t.like(process, { uid: 0, euid: 0, containerUid: 0, exe: '/bin/busybox', workingDirectory: '/' })
    t.like(origin, { via: 'entered', entry: { pid: process.pid, startedAt: process.startedAt } })
    t.true(process.cgroup.includes(id))
    t.true(of(name).some((one) => one.process.argv[1] === '600' && one.origin.via === 'init'))
  })
}

for (const mode of ['ebpf', 'connector', 'procfs'] as const) {
  serial(`${mode}: a process that becomes root without an exec is reported`, async (t) => {
    const { of } = await watchProcesses(t, { mode, intervalMs: 100 })
    const { name, id } = await runContainer(t)
    const init = Number((await docker('inspect', '--format', '{{.State.Pid}}', id)).stdout)
    const script =
      'process.seteuid(1234); setTimeout(() => process.seteuid(0), 500); setTimeout(() => {}, 1500)'
    // In the container's cgroup and outside the host's mount namespace, like processes started by the runtime.
    const join = `echo $$ > ${cgroupDirectory(init)}/cgroup.procs; exec "$0" --eval "$1"`
    const running = execute('unshare', ['--mount', 'sh', '-c', join, process.execPath, script])
    t.teardown(() => running.catch(() => undefined))

    const changes = () => of(name).filter(({ change }) => change === 'ids-changed')
    await until(() => changes().some((one) => one.process.euid === 0))
    const became = changes().find((one) => one.process.euid === 0) ?? t.fail()
    t.is(became.process.argv[1], '--eval')
    t.is(became.origin.via, 'entered')
    t.true(became.process.capabilities > 0n)
    const before = of(name).findLast(
      (one) => one.process.pid === became.process.pid && one.time < became.time,
    )
    t.is(before?.process.euid, 1234)
    t.is(before?.process.capabilities, 0n)
  })
}

serial('a mode that stops seeing events is replaced by the next, which reports why', async (t) => {
  const { statuses, of } = await watchProcesses(t, { selfTestMs: 500 })
  t.is(statuses()[0]?.mode, 'ebpf')
  for (const fd of descriptorsOf('anon_inode:bpf_link', 'anon_inode:bpf-raw-tracepoint')) {
    closeSync(fd)
    // The source closes this descriptor number later: it must not belong to another file by then.
    t.is(openSync('/dev/null', 'r'), fd)
  }
  await until(() => statuses().length > 1, 20_000)
  t.like(statuses()[1], { up: true, mode: 'connector', best: false })
  t.regex(statuses()[1]?.reason ?? '', /^ebpf: the self-test program was not seen/)
  const { name } = await runContainer(t)
  await until(() => of(name).length > 0)
})

serial('no kernel resources remain after unsubscribing', async (t) => {
  const before = descriptorsOf('anon_inode:').length
  const { stop } = await watchProcesses(t)
  t.true(descriptorsOf('anon_inode:').length > before)
  stop()
  t.is(descriptorsOf('anon_inode:').length, before)
})

serial('without privileges the mode is procfs, and the reasons are reported', async (t) => {
  const path = fileURLToPath(new URL('../stoppable.ts', import.meta.url))
  const script = `process.send = ({ observation }) => { if (observation?.kind === 'source-status') { console.log(JSON.stringify(observation)); process.exit() } }
    process.argv = ['', '', 'auto', '${'0'.repeat(64)}', '4194304']
    await import(${JSON.stringify(path)})`
  const { stdout } = await execute('setpriv', [
    ...['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'],
    ...[process.execPath, '--input-type=module', '--eval', script],
  ])
  const status = JSON.parse(stdout) as { mode: string; best: boolean; reason: string }
  t.is(status.mode, 'procfs')
  t.false(status.best)
  t.regex(status.reason, /ebpf: .*EPERM.*; connector: .*EPERM/)
})

/** Our open descriptors that refer to one of these. */
function descriptorsOf(...targets: string[]): number[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return targets.some((wanted) => target.startsWith(wanted)) ? Number(fd) : []
    } catch {
      return []
    }
  })
}
