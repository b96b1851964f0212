import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { until } from './until.ts'

const execute = promisify(execFile)

/** Runs a program to its end; resolves to what it printed, rejects with what it complained about. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args, { maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

export const docker = (...args: string[]) => run('docker', ...args)

/** A program that runs beside the test until it is stopped. */
export type Running = {
  process: ChildProcess
  /** Everything it has printed so far, both streams. */
  output: () => string
  /** Sends a signal and waits for the end; resolves to the exit code, or the name of the signal that ended it. */
  stop: (signal?: NodeJS.Signals) => Promise<number | string>
  exited: Promise<number | string>
}

/** Starts a program beside the test. */
export function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const exited = once(child, 'close').then(
    ([code, signal]: (number | string | null)[]) => code ?? signal ?? 'unknown',
  )
  return {
    process: child,
    output: () => text,
    exited,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      return await exited
    },
  }
}

/** Waits until a program that was started does its work; one that does not is ended, and its output is the error. */
export async function whenReady<T>(
  running: Running,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs?: number,
): Promise<T> {
  try {
    const ended = running.exited.then((how) => {
      throw new Error(`it has ended (${how})`)
    })
    return await Promise.race([until(look, timeoutMs), ended])
  } catch (error) {
    await running.stop('SIGKILL')
    throw new Error(`${running.process.spawnfile} does not get ready:\n${running.output()}`, { cause: error })
  }
}

/** A port of the loopback interface that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
