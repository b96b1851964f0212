import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { until } from './until.ts'

const execute = promisify(execFile)

/** Runs a program to completion; resolves to its standard output, rejects with its standard error. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args, { maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

export const docker = (...args: string[]) => run('docker', ...args)

/** A program that runs in the background until it is stopped. */
export type Running = {
  process: ChildProcess
  /** All output so far, of both streams. */
  output: () => string
  /** Sends a signal and waits for the exit; resolves to the exit code, or the name of the signal that killed it. */
  stop: (signal?: NodeJS.Signals) => Promise<number | string>
  exited: Promise<number | string>
}

/** Starts a program in the background. */
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

/** Waits until a started program is ready. If that fails, stops it and throws an error with its output. */
export async function whenReady<T>(
  running: Running,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs?: number,
): Promise<T> {
  try {
    const ended = running.exited.then((how) => {
      throw new Error(`it has exited (${how})`)
    })
    return await Promise.race([until(look, timeoutMs), ended])
  } catch (error) {
    await running.stop('SIGKILL')
    throw new Error(`${running.process.spawnfile} did not become ready:\n${running.output()}`, {
      cause: error,
    })
  }
}

/** An unused port of the loopback interface. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
