import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { run } from '../support/processes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const files = join(import.meta.dirname, '../../systemd/files')

// The project's own ceiling for what systemd calls exposure: 0 for a unit that may do nothing, 10 for one without limits.
const highestExposure = 3

/** The unit as it is installed, with a program that is there; gives its path. */
async function unit(t: ExecutionContext, dropIns: readonly string[] = []): Promise<string> {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'tidewatch.service')
  const text = await readFile(join(files, 'tidewatch.service'), 'utf8')
  await writeFile(path, text.replace('ExecStart=/usr/bin/tidewatch', 'ExecStart=/bin/true'))
  await mkdir(`${path}.d`)
  for (const name of dropIns) await copyFile(join(files, name), join(`${path}.d`, name))
  return path
}

async function security(path: string): Promise<{ exposure: number; faults: string[] }> {
  const printed = await run('systemd-analyze', 'security', '--offline=true', '--no-pager', path)
  const exposure = /exposure level for tidewatch.service: ([\d.]+)/.exec(printed)?.[1]
  return { exposure: Number(exposure), faults: printed.split('\n').filter((line) => line.startsWith('✗')) }
}

for (const dropIns of [[], ['without-ebpf.conf']]) {
  const which = dropIns.length === 0 ? 'the unit' : `the unit with ${dropIns.join()}`

  test(`${which} is no more exposed than ${highestExposure}, by systemd’s own measure`, async (t) => {
    const { exposure } = await security(await unit(t, dropIns))
    t.true(exposure > 0 && exposure <= highestExposure, String(exposure))
  })

  test(`systemd has nothing to say against ${which}`, async (t) => {
    const said = await run(
      'sh',
      '-c',
      'systemd-analyze verify --man=no "$1" 2>&1',
      'sh',
      await unit(t, dropIns),
    )
    t.is(said, '')
  })
}

test('the drop-in for hosts without eBPF takes the right to it away', async (t) => {
  const named = async (dropIns: string[]) =>
    (await security(await unit(t, dropIns))).faults.some((line) => line.includes('CAP_BPF'))
  t.true(await named([]))
  t.false(await named(['without-ebpf.conf']))
})
