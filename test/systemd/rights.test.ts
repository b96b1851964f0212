import { chmod, chown, cp, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { buildBundle } from '../support/bundle.ts'
import { run, start, whenReady } from '../support/processes.ts'
import { buildFilter, unitRights } from '../support/unit-rights.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

// Simulates the unit's restrictions without systemd, which needs a booted host (test/host/service.test.ts): an
// unprivileged user with the unit's capabilities and system calls, and a file system that is read-only except for the
// state directory.

const root = join(import.meta.dirname, '../..')
const nobodyUid = 65_534

test('with exactly the privileges of the unit, every source is up in its best mode', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  const state = join(directory, 'state')
  await mkdir(state)
  await chown(state, nobodyUid, nobodyUid)
  // The directory of the checkout may be readable only by its owner.
  const bundle = await buildBundle(join(directory, 'dist'))
  await cp(process.execPath, join(directory, 'node'), { dereference: true })
  const rights = await unitRights(join(root, 'systemd/files/tidewatch.service'))
  await buildFilter(join(directory, 'filtered'), rights)
  await run('chmod', '-R', 'a+rX', directory)
  const capabilities = ['-all', ...rights.capabilities.map((name) => `+${name}`)].join(',')
  const { gid } = await stat('/var/run/docker.sock')
  const script = join(directory, 'run.sh')
  await writeFile(
    script,
    `mount --make-rprivate /
    mount --bind ${state} ${state}
    for place in $(awk '$5 !~ "^${state}" { print $5 }' /proc/self/mountinfo); do
      mount -o remount,bind,ro "$place" 2>/dev/null
    done
    exec setpriv --reuid=${nobodyUid} --regid=${gid} --clear-groups --no-new-privs --inh-caps=${capabilities} \\
      --ambient-caps=${capabilities} --bounding-set=${capabilities} ${directory}/filtered ${directory}/node \\
      ${bundle} run --log.format=json --state.directory=${state} --web.listen-address=127.0.0.1:0`,
  )
  const daemon = start('unshare', ['--mount', 'sh', script])
  t.teardown(() => daemon.stop('SIGKILL'))
  const url = await whenReady(daemon, () => /"url":"(http:[^"]+)"/.exec(daemon.output())?.[1], 60_000)
  await whenReady(daemon, async () => (await fetch(`${url}/-/ready`)).ok, 60_000)
  const page = await (await fetch(`${url}/metrics`)).text()
  const modes = [...page.matchAll(/^tidewatch_source_mode\{source="([^"]+)",mode="([^"]+)"\} 1$/gm)]
  const modeOf = Object.fromEntries(modes.map(([, source = '', mode = '']) => [source, mode]))
  const { resources, ...others } = modeOf
  t.regex(resources ?? '', /^cgroup-v[12]$/)
  t.deepEqual(others, {
    'docker-events': 'stream',
    containers: 'api',
    processes: 'ebpf',
    'runtime-files': 'fanotify',
    'container-masks': 'mountinfo',
    'breakout-files': 'bpf+fanotify',
  })
  t.notRegex(daemon.output(), /"message":"source [a-z-]+ is (?:down|degraded)/)
})
