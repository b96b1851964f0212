import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Installs the Debian packages of missing programs; exits with an error message if that is impossible. */
export function installMissing(programs: Readonly<Record<string, string>>): void {
  const missing = Object.entries(programs).flatMap(([program, name]) => (isThere(program) ? [] : [name]))
  if (missing.length === 0) return
  const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    fail(`these tests need ${missing.join(', ')}. On Debian, as root: ${command}`)
  }
  say(`installing required packages: ${missing.join(' ')}`)
  for (const line of ['apt-get update -qq', `${command} -qq`]) {
    const [program = '', ...args] = line.split(' ')
    const ended = spawnSync(program, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
    if (ended.status !== 0) fail(`\`${line}\` failed`)
  }
}

/** Prints a message to the developer. */
export function say(line: string): void {
  process.stderr.write(`tidewatch tests: ${line}\n`)
}

export function fail(reason: string): never {
  say(reason)
  process.exit(1)
}

function isThere(program: string): boolean {
  if (program.startsWith('/')) return existsSync(program)
  const folders = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`.split(':')
  return folders.some((folder) => existsSync(join(folder, program)))
}
