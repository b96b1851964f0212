import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { run } from '../support/processes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const files = join(import.meta.dirname, '../../systemd/files')

// The project's upper limit for systemd's exposure level: 0 for a fully confined unit, 10 for an unrestricted one.
const highestExposure = 3

/** Installs the unit with an existing program; returns its path. */
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

  test(`${which} has an exposure level of at most ${highestExposure}, measured by systemd`, async (t) => {
    const { exposure } = await security(await unit(t, dropIns))
    t.true(exposure > 0 && exposure <= highestExposure, String(exposure))
  })

  test(`systemd reports no problems with ${which}`, async (t) => {
    const printed = await run(
      'sh',
      '-c',
      'systemd-analyze verify --man=no "$1" 2>&1',
      'sh',
      await unit(t, dropIns),
    )
    t.is(printed, '')
  })
}

test('the drop-in for hosts without eBPF removes the capability', async (t) => {
  const isNamed = async (dropIns: string[]) =>
    (await security(await unit(t, dropIns))).faults.some((line) => line.includes('CAP_BPF'))
  t.true(await isNamed([]))
  t.false(await isNamed(['without-ebpf.conf']))
})
