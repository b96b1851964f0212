import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { busyboxImage } from '../support/busybox-image.ts'
import { fail, say } from '../support/debian.ts'
import { containerFailure } from './preflight.ts'

/** Uses the Docker Engine of this machine, or starts one. Resolves to a function that stops it again. */
export async function startEngineIfNone(): Promise<() => Promise<void>> {
  if (answers()) return async () => undefined
  if (process.getuid?.() !== 0) {
    return fail(
      'no Docker Engine is running, and only root can start one: run the tests as root, or start docker.service',
    )
  }
  say('starting a Docker Engine')
  const log = join(mkdtempSync(join(tmpdir(), 'tidewatch-test-engine-')), 'dockerd.log')
  const output = openSync(log, 'a')
  const dockerd = spawn('dockerd', [], { stdio: ['ignore', output, output], detached: true })
  for (let tries = 0; tries < 60; tries += 1) {
    await sleep(500)
    if (answers()) return () => stop(dockerd)
    if (dockerd.exitCode !== null) break
  }
  dockerd.kill('SIGTERM')
  return fail(`dockerd did not start:\n${readFileSync(log, 'utf8').split('\n').slice(-15).join('\n')}`)
}

/** Runs a container to its end; resolves to an error message if the engine cannot. */
export async function runFirstContainer(): Promise<string | undefined> {
  const image = await busyboxImage()
  return containerFailure(spawnSync('docker', ['run', '--rm', image, 'true'], { encoding: 'utf8' }))
}

function answers(): boolean {
  return spawnSync('docker', ['version'], { stdio: 'ignore' }).status === 0
}

async function stop(dockerd: ChildProcess): Promise<void> {
  dockerd.kill('SIGTERM')
  await new Promise((resolve) => dockerd.once('exit', resolve))
}
