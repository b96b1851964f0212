import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { version } from '../agent/lib/version.ts'
import { buildBundle } from './support/bundle.ts'
import { run, start } from './support/processes.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'
import { until } from './support/until.ts'

test('the bundle runs without the repository from any directory, and attaches to the engine', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const bundle = await buildBundle(join(directory, 'dist'))
  t.is(await run(process.execPath, bundle, 'version'), `tidewatch ${version}\n`)
  const daemon = start(process.execPath, [
    ...[bundle, 'run', `--state.directory=${directory}/state`, '--web.listen-address=127.0.0.1:0'],
  ])
  t.teardown(() => daemon.stop('SIGKILL'))
  const url = await until(() => /"url":"(http:[^"]+)"/.exec(daemon.output())?.[1])
  await until(async () => (await fetch(`${url}/-/ready`)).ok)
  t.regex(await (await fetch(`${url}/metrics`)).text(), /tidewatch_source_up\{source="docker-events"\} 1/)
  t.is(await daemon.stop(), 0)
})
