import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fail, installMissing, say } from './support/debian.ts'

// Runs ava with what the end-to-end tests need: a Docker Engine, Prometheus and Alertmanager of this
// machine, or, as root on Debian, installed and started here and stopped again.

installMissing({
  dockerd: 'docker.io',
  '/bin/busybox': 'busybox-static',
  prometheus: 'prometheus',
  'prometheus-alertmanager': 'prometheus-alertmanager',
  ip: 'iproute2',
  script: 'bsdutils',
  openssl: 'openssl',
  python3: 'python3-minimal',
  gcc: 'gcc',
  '/usr/include/stdio.h': 'libc6-dev',
  setcap: 'libcap2-bin',
  '/usr/lib/chromium/chromium-headless-shell': 'chromium-headless-shell',
  '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf': 'fonts-dejavu-core',
  'systemd-analyze': 'systemd',
  'dpkg-deb': 'dpkg',
})
const engine = await startEngineIfNone()
const ava = spawn(process.execPath, [join(import.meta.dirname, 'ava.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
const status = await new Promise<number>((resolve) => ava.once('exit', (code) => resolve(code ?? 1)))
if (engine !== undefined) {
  engine.kill('SIGTERM')
  await new Promise((resolve) => engine.once('exit', resolve))
}
process.exitCode = status

async function startEngineIfNone() {
  if (answers()) return undefined
  if (process.getuid?.() !== 0) {
    return fail(
      'no Docker Engine answers, and only root can start one: run the tests as root, or start docker.service',
    )
  }
  say('starting a Docker Engine')
  const log = join(mkdtempSync(join(tmpdir(), 'tidewatch-test-engine-')), 'dockerd.log')
  const output = openSync(log, 'a')
  const dockerd = spawn('dockerd', [], { stdio: ['ignore', output, output], detached: true })
  for (let tries = 0; tries < 60; tries += 1) {
    await sleep(500)
    if (answers()) return dockerd
    if (dockerd.exitCode !== null) break
  }
  dockerd.kill('SIGTERM')
  return fail(`dockerd did not start:\n${readFileSync(log, 'utf8').split('\n').slice(-15).join('\n')}`)
}

function answers(): boolean {
  return spawnSync('docker', ['version'], { stdio: 'ignore' }).status === 0
}
