import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { listen, type Qmp, qmpOver } from './qmp.ts'

// A throw-away Debian host in QEMU's software emulation: no KVM and no network are needed.
//
// Two things are cached. The base is the disk that test/host/base.sh builds. The snapshot is the state of a host that has
// booted from it: a disk layer and the memory. A run with a snapshot continues from there in seconds; a run without one boots,
// stores the snapshot and continues in the same virtual machine. Every run writes to its own disk layer.

export type HostOptions = {
  /** The Debian release. */
  suite: string
  /** The Debian packages of the base. */
  packages: readonly string[]
  cache: string
  /** Seconds until the command is aborted. */
  timeoutSeconds: number
  /** Reports how long a stage took and, for stages in QEMU, how much CPU time QEMU has used since its start. */
  onStage: (stage: string, seconds: number, cpuSeconds?: number) => void
  /** Prints a message for developers, such as a rebuild of the cache. */
  say: (line: string) => void
}

/** A booted host that waits for its command. */
export type Host = {
  /** Runs a shell command in a copy of a directory; resolves to its exit status. */
  run: (payload: string, command: string, onOutput: (text: string) => void) => Promise<number>
  /** The CPU time that QEMU has used. On a busy machine it is more meaningful than wall-clock time. */
  cpuSeconds: () => number
  stop: () => Promise<void>
}

// Under load a boot takes several minutes instead of one.
const bootSeconds = 600
const restoreSeconds = 120
// The guest reports every 15 seconds that it is alive.
const silenceSeconds = 240
const unusedDays = 30

const memoryMb = 3072
const machine = [
  ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
  ...['-machine', 'pc', '-accel', 'tcg,thread=multi', '-smp', '2', '-m', String(memoryMb)],
  // Protection keys are slow to emulate.
  ...['-cpu', 'max,-pku'],
  ...(process.env['HOST_VM_QEMU'] ?? '').split(' ').filter(Boolean),
]
const kernelArguments = `console=ttyS0 root=/dev/vda rw quiet panic=-1 systemd.show_status=false ${process.env['HOST_VM_APPEND'] ?? ''}`

/** The host failed; the message is the reason. */
export class HostError extends Error {}

/** Starts a host: from the snapshot, or by booting it, which creates the snapshot. */
export async function startHost(options: HostOptions): Promise<Host> {
  const { cache, suite, packages, onStage, say } = options
  mkdirSync(cache, { recursive: true })
  const qemuVersion = execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' })
  const builder = join(import.meta.dirname, 'base.sh')
  const baseKey = keyOf(suite, ...packages, readFileSync(builder, 'utf8'))
  const base = join(cache, `base-${suite}-${baseKey}`)
  // A snapshot is only valid with the disk it was booted from, and is removed with it.
  const snapshot = join(base, `snapshot-${keyOf(qemuVersion, kernelArguments, ...machine)}`)

  // Another run may be building the same entry; the lock is held until the snapshot is complete.
  const unlock = await lock(join(cache, `${suite}.lock`))
  try {
    removeUnused(cache, base)
    if (!isComplete(base)) {
      const started = performance.now()
      create(base)
      execFileSync(builder, [suite, packages.join(','), base], { stdio: ['ignore', 'inherit', 'inherit'] })
      complete(base, ['disk.raw', 'vmlinuz', 'initrd'])
      onStage('base built', (performance.now() - started) / 1_000)
    }
    if (isComplete(snapshot)) {
      const started = performance.now()
      const host = new VirtualMachine(options, base)
      try {
        await host.restore(snapshot)
        onStage('snapshot restored', (performance.now() - started) / 1_000, host.cpuSeconds())
        return host
      } catch (error) {
        await host.stop()
        say(`the snapshot is unusable and will be recreated: ${String(error)}`)
      }
    }
    let started = performance.now()
    const host = new VirtualMachine(options, base)
    try {
      create(snapshot)
      await host.boot(join(snapshot, 'disk.qcow2'))
      onStage('booted', (performance.now() - started) / 1_000, host.cpuSeconds())
      started = performance.now()
      await host.save(join(snapshot, 'memory'))
      complete(snapshot, ['disk.qcow2', 'memory'])
      onStage('snapshot stored', (performance.now() - started) / 1_000, host.cpuSeconds())
      return host
    } catch (error) {
      await host.stop()
      throw error
    }
  } finally {
    unlock()
  }
}

class VirtualMachine implements Host {
  readonly #options: HostOptions
  readonly #base: string
  readonly #work = mkdtempSync(join(tmpdir(), 'host-vm-'))
  #qmp: Qmp | undefined
  #exited: Promise<unknown> = Promise.resolve()
  #pid = 0
  #hasExited = false
  #stderr = ''
  #lastSign = performance.now()
  #send: (text: string) => void = () => {}
  #onOutput: (text: string) => void = () => {}
  readonly #messages = new Set<string>()

  constructor(options: HostOptions, base: string) {
    this.#options = options
    this.#base = base
  }

  /** Boots from the base; the disk's changes go to a new layer. */
  async boot(layer: string): Promise<void> {
    createLayer(layer, join(this.#base, 'disk.raw'), 'raw')
    await this.#start(layer, [])
    await this.#message('ready', bootSeconds, 'the host did not finish booting')
  }

  /** Stores the state of the stopped machine, which then continues on its own disk layer. */
  async save(memory: string): Promise<void> {
    await this.#execute('stop')
    await this.#execute('blockdev-snapshot-sync', {
      device: 'system',
      'snapshot-file': join(this.#work, 'disk.qcow2'),
      format: 'qcow2',
    })
    await this.#execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 })
    await this.#execute('migrate', { uri: `exec:cat >'${memory}'` })
    for (;;) {
      const { status } = await this.#execute<{ status?: string }>('query-migrate')
      if (status === 'completed') break
      if (status === 'failed' || status === 'cancelled')
        throw new HostError('QEMU could not store the snapshot')
      await sleep(100)
    }
    await this.#execute('cont')
  }

  /** Continues from a snapshot without changing it. */
  async restore(snapshot: string): Promise<void> {
    const layer = join(this.#work, 'disk.qcow2')
    createLayer(layer, join(snapshot, 'disk.qcow2'), 'qcow2')
    await this.#start(layer, ['-incoming', `exec:cat '${join(snapshot, 'memory')}'`])
    const end = performance.now() + restoreSeconds * 1_000
    while ((await this.#execute<{ status: string }>('query-status')).status === 'inmigrate') {
      if (performance.now() > end) throw this.#failure('QEMU did not load the snapshot')
      await sleep(50)
    }
    // The snapshot contains a stopped machine, and data sent to the guest before it runs is lost.
    await this.#execute('cont')
    await this.#begin()
  }

  async run(payload: string, command: string, onOutput: (text: string) => void): Promise<number> {
    const { timeoutSeconds } = this.#options
    const disk = join(this.#work, 'payload.raw')
    writeFileSync(join(payload, '.command'), `${command}\n`)
    createDisk(disk, payload)
    this.#onOutput = onOutput
    if (!this.#messages.has('started')) await this.#begin()
    const file = { driver: 'file', filename: disk, cache: { 'no-flush': true } }
    await this.#execute('blockdev-add', { driver: 'raw', 'node-name': 'payload', file })
    await this.#execute('device_add', { driver: 'virtio-blk-pci', drive: 'payload', id: 'payload' })
    const exit = await this.#message(/^exit \d+$/, timeoutSeconds, 'the tests did not finish', silenceSeconds)
    return Number(exit.slice('exit '.length))
  }

  cpuSeconds(): number {
    try {
      // proc_pid_stat(5): utime and stime, in hundredths of a second, are fields 14 and 15; the name in field 2 may
      // hold spaces.
      const fields = readFileSync(`/proc/${this.#pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
      return (Number(fields[11]) + Number(fields[12])) / 100
    } catch {
      return 0
    }
  }

  async stop(): Promise<void> {
    if (this.#qmp !== undefined) {
      await Promise.race([this.#qmp.execute('quit').catch(() => {}), sleep(5_000, undefined, { ref: false })])
    }
    if (!this.#hasExited) this.#kill()
    await this.#exited
    process.off('exit', this.#cleanUp)
    this.#cleanUp()
  }

  /** Cleanup that also runs when this process is interrupted. */
  readonly #cleanUp = (): void => {
    if (!this.#hasExited) this.#kill()
    rmSync(this.#work, { recursive: true, force: true })
  }

  #kill: () => void = () => {}

  /** Sends the current time to the guest, whose clock stopped in the snapshot, and waits for its answer. */
  async #begin(): Promise<void> {
    this.#send(`${(Date.now() / 1_000).toFixed(3)}\n`)
    await this.#message('started', restoreSeconds, 'the host does not answer')
  }

  async #start(layer: string, args: readonly string[]): Promise<void> {
    const [qmp, control] = [join(this.#work, 'qmp'), join(this.#work, 'control')]
    const [qmpServer, controlServer] = [await listen(qmp), await listen(control)]
    const qemu = spawn(
      'qemu-system-x86_64',
      [
        ...machine,
        ...['-kernel', join(this.#base, 'vmlinuz'), '-initrd', join(this.#base, 'initrd')],
        ...['-append', kernelArguments],
        ...['-drive', `id=system,file=${layer},format=qcow2,if=none,cache=unsafe`],
        ...['-device', 'virtio-blk-pci,drive=system'],
        ...['-serial', `file:${join(this.#work, 'console.log')}`],
        ...['-chardev', `socket,id=control,path=${control}`, '-serial', 'chardev:control'],
        ...['-chardev', `socket,id=qmp,path=${qmp}`, '-mon', 'chardev=qmp,mode=control'],
        ...args,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    this.#pid = qemu.pid ?? 0
    this.#kill = () => void qemu.kill('SIGKILL')
    process.once('exit', this.#cleanUp)
    qemu.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    const exited = new Promise<void>((resolve) => {
      qemu.once('error', (error) => {
        this.#stderr += error.message
        resolve()
      })
      qemu.once('close', () => resolve())
    }).then(() => (this.#hasExited = true))
    this.#exited = exited
    const failed = exited.then(() => {
      throw this.#failure('QEMU exited')
    })
    failed.catch(() => {})
    const socket = await Promise.race([controlServer.connected, failed])
    let text = ''
    socket.on('error', () => {})
    socket.setEncoding('utf8').on('data', (data: string) => {
      this.#lastSign = performance.now()
      text = this.#read(text + data)
    })
    this.#send = (line) => void socket.write(line)
    this.#qmp = await Promise.race([qmpServer.connected.then(qmpOver), failed])
  }

  /** Separates messages (lines that start with the byte 1) from output; returns the incomplete rest. */
  #read(text: string): string {
    let rest = text
    for (;;) {
      const start = rest.indexOf('\u0001')
      if (start === -1) {
        if (rest !== '') this.#onOutput(rest)
        return ''
      }
      if (start > 0) this.#onOutput(rest.slice(0, start))
      const end = rest.indexOf('\n', start)
      if (end === -1) return rest.slice(start)
      this.#messages.add(rest.slice(start + 1, end))
      rest = rest.slice(end + 1)
    }
  }

  /** Waits for a message of the guest. */
  async #message(
    wanted: string | RegExp,
    seconds: number,
    what: string,
    silence = Infinity,
  ): Promise<string> {
    this.#lastSign = performance.now()
    const end = performance.now() + seconds * 1_000
    for (;;) {
      for (const message of this.#messages)
        if (typeof wanted === 'string' ? message === wanted : wanted.test(message)) return message
      if (this.#hasExited) throw this.#failure(`${what}: QEMU exited`)
      if (performance.now() > end) throw this.#failure(`${what} within ${seconds} s`)
      if (performance.now() > this.#lastSign + silence * 1_000)
        throw this.#failure(`the host hangs: no heartbeat for ${silence} s`)
      await sleep(50)
    }
  }

  async #execute<T>(command: string, args?: object): Promise<T> {
    if (this.#qmp === undefined) throw new HostError('the virtual machine is not running')
    return await this.#qmp.execute<T>(command, args)
  }

  #failure(reason: string): HostError {
    let console = ''
    try {
      console = readFileSync(join(this.#work, 'console.log'), 'utf8')
    } catch {
      // It was not started.
    }
    const details = [this.#stderr.trim(), console.trim().split('\n').slice(-30).join('\n').trim()].filter(
      Boolean,
    )
    return new HostError([reason, ...details].join('\n'))
  }
}

function keyOf(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 12)
}

/** The sizes of the files in a complete cache entry. */
const marker = 'complete.json'

function create(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
}

function complete(directory: string, files: readonly string[]): void {
  const sizes = Object.fromEntries(files.map((file) => [file, statSync(join(directory, file)).size]))
  writeFileSync(join(directory, marker), JSON.stringify(sizes))
}

/** An interrupted build has no marker, and a truncated file has another size. */
function isComplete(directory: string): boolean {
  try {
    const path = join(directory, marker)
    const sizes = JSON.parse(readFileSync(path, 'utf8')) as Record<string, number>
    const now = new Date()
    utimesSync(path, now, now)
    return Object.entries(sizes).every(([file, size]) => statSync(join(directory, file)).size === size)
  } catch {
    return false
  }
}

/** Removes cache entries that were not used for a month. */
function removeUnused(cache: string, base: string): void {
  for (const name of readdirSync(cache)) {
    const directory = join(cache, name)
    if (!name.startsWith('base-') || directory === base) continue
    const used = statSync(join(directory, marker), { throwIfNoEntry: false })?.mtimeMs
    if (used !== undefined && Date.now() - used > unusedDays * 86_400_000)
      rmSync(directory, { recursive: true, force: true })
  }
}

/** Locks a file until the returned function is called or this process exits. */
async function lock(path: string): Promise<() => void> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; read -r line'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  return () => void holder.stdin.end()
}

function createLayer(path: string, backing: string, format: string): void {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', backing, '-F', format, path])
}

/** An ext4 file system with the content of a directory and space for files that the tests write. */
function createDisk(path: string, directory: string): void {
  execFileSync('truncate', ['-s', '2G', path])
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', '-d', directory, path])
}
