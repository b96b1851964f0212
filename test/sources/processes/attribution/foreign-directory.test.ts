import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'ava'
import { worksOutside } from '../../../../agent/sources/processes/attribution/foreign-directory.ts'
import { docker, runContainer } from '../../../support/docker.ts'
import { until } from '../../../support/until.ts'
import { watchProcesses } from '../watch.ts'

const serial = test.serial

serial(
  'a working directory opened in another mount namespace is detected, by eBPF and from /proc',
  async (t) => {
    const { of } = await watchProcesses(t, { mode: 'ebpf' })
    const { name } = await runContainer(t)
    const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).stdout.trim()
    t.false(worksOutside('/proc', Number(pid)))
    t.false(worksOutside('/proc', process.pid))
    // nsenter opens the directory of --wd before it enters, like the descriptor that runc leaked into the container.
    const inside = spawn('nsenter', ['-t', pid, '-m', '-p', '--wd=/sys/fs/cgroup', '/bin/sleep', '61'])
    t.teardown(() => inside.kill())
    const seen = await until(() => of(name).find((one) => one.process.argv[1] === '61'))
    t.true(seen.process.workingDirectoryOutside)
    t.true(worksOutside('/proc', seen.process.pid))

    const later = await watchProcesses(t, { mode: 'procfs' })
    const found = await until(() => later.of(name).find((one) => one.process.argv[1] === '61'))
    t.true(found.process.workingDirectoryOutside)
    process.kill(seen.process.pid)
    await once(inside, 'exit')
  },
)

serial(
  'ordinary working directory changes and container entries are not reported as foreign directories',
  async (t) => {
    const { of } = await watchProcesses(t, { mode: 'ebpf' })
    const { name } = await runContainer(t)
    const pid = (await docker('inspect', '--format', '{{.State.Pid}}', name)).stdout.trim()
    await docker('exec', '-w', '/tmp', name, 'true', 'marked-exec')
    await docker(
      'exec',
      name,
      'sh',
      '-c',
      'cd /proc/self && true marked-cd; cd /dev/shm && /bin/true marked-shm',
    )
    for (const options of [['-m'], ['-m', '-p'], ['-p'], ['-a']]) {
      const entered = spawn('nsenter', ['-t', pid, ...options, '/bin/true', `marked${options.join('')}`])
      await once(entered, 'exit')
    }
    const marked = () => of(name).filter(({ process }) => process.argv.at(-1)?.startsWith('marked') === true)
    await until(() => marked().length >= 5)
    t.deepEqual(
      marked().filter(({ process }) => process.workingDirectoryOutside === true),
      [],
    )
  },
)
