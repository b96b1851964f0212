import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { type FindingsQuery, readFindings } from '../../agent/store/read.ts'
import { asDeclared } from './evidence.ts'
import { run, type Running, start, whenReady } from './processes.ts'
import { temporaryDirectory } from './temporary-directory.ts'

// On a loaded machine, starting Node and the self-test of the processes source take long.
const startMs = 60_000

// The bundle, on hosts where Node cannot load TypeScript.
const main = process.env['TIDEWATCH_TEST_DAEMON'] ?? join(import.meta.dirname, '../../agent/main.ts')

export type DaemonOptions = {
  /** The configuration file's content; JSON is YAML. */
  config?: object
  args?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** To run a second daemon with the state of an earlier one. */
  stateDirectory?: string
}

/** A real daemon in its own process, with its own state directory. */
export type Daemon = Running & {
  url: string
  stateDirectory: string
  configFile: string
  /** Reads the store like `tidewatch findings`, and checks that the evidence matches its declaration. */
  findings: (query?: Partial<FindingsQuery>) => Finding[]
  metrics: (accept?: string) => Promise<string>
  /** The value of one series, by its exact text: `name{a="b"}`; undefined if it does not exist. */
  metric: (series: string) => Promise<number | undefined>
}

/**
 * Tests count operations and often repeat the same one, so nothing is folded or throttled. Tests of the policy
 * override this.
 */
const unthrottled = { throttle: { fold: '0s', per_container: 100_000, per_rule: 100_000 } }

/** Runs the command line from its sources. */
export function tidewatch(...args: string[]): Promise<string> {
  return run(process.execPath, main, ...args)
}

/** Starts a daemon and waits until all its sources are attached. */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const stateDirectory = options.stateDirectory ?? (await temporaryDirectory())
  const configFile = `${stateDirectory}.yml`
  await writeFile(configFile, JSON.stringify({ policy: unthrottled, ...options.config }))
  const running = start(
    process.execPath,
    [
      main,
      'run',
      `--config.file=${configFile}`,
      `--state.directory=${stateDirectory}`,
      '--web.listen-address=127.0.0.1:0',
      '--log.format=json',
      ...(options.args ?? []),
    ],
    options.env,
  )
  const url = await whenReady(running, () => /"url":"(http:[^"]+)"/.exec(running.output())?.[1], startMs)
  await whenReady(running, async () => (await fetch(`${url}/-/ready`)).ok, startMs)
  const metrics = async (accept = 'text/plain') =>
    await (await fetch(`${url}/metrics`, { headers: { accept } })).text()
  return {
    ...running,
    url,
    stateDirectory,
    configFile,
    findings: (query) => asDeclared(readFindings(stateDirectory, { since: 0, ...query })),
    metrics,
    metric: async (series) => {
      const line = (await metrics()).split('\n').find((text) => text.startsWith(`${series} `))
      return line === undefined ? undefined : Number(line.slice(series.length + 1))
    },
  }
}

/** The same for one test, which stops it and removes its state. */
export async function startDaemonFor(
  t: Pick<ExecutionContext, 'log' | 'passed' | 'teardown'>,
  options: DaemonOptions = {},
): Promise<Daemon> {
  const daemon = await startDaemon(options)
  t.teardown(async () => {
    await logIfFailed(t, daemon)
    await daemon.stop()
    await removeState(daemon)
  })
  return daemon
}

/** For a test that failed: how the daemon's sources worked, and the end of its log. */
export async function logIfFailed(
  t: Pick<ExecutionContext, 'log' | 'passed'>,
  { metrics, output }: Daemon,
): Promise<void> {
  if (t.passed) return
  const series = await metrics().catch(() => '')
  const lines = series.split('\n').filter((line) => aboutSources.test(line))
  t.log([...lines, ...output().trimEnd().split('\n').slice(-30)].join('\n'))
}

const aboutSources =
  /^(tidewatch_(source_|detector_errors|findings_throttled)|nodejs_eventloop_lag_(max|p99)_)/

/** Removes the files of a daemon. */
export async function removeState({ stateDirectory }: Pick<Daemon, 'stateDirectory'>): Promise<void> {
  await rm(stateDirectory, { recursive: true, force: true })
  await rm(`${stateDirectory}.yml`, { force: true })
}
