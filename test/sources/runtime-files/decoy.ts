import type { ExecutionContext } from 'ava'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NEVER } from 'rxjs'
import type { EventsLost, RuntimeFileObservation, SourceStatus } from '../../../agent/model/observation.ts'
import { hostUsers } from '../../../agent/linux/host-users.ts'
import { bootClock } from '../../../agent/linux/boot-clock.ts'
import type { Container } from '../../../agent/model/container.ts'
import { processTable } from '../../../agent/sources/processes/table/table.ts'
import { findRuntimeFiles } from '../../../agent/sources/runtime-files/paths/paths.ts'
import { runtimeFiles, type RuntimeFilesOptions } from '../../../agent/sources/runtime-files/source.ts'
import { identifyWriter } from '../../../agent/sources/runtime-files/watch/writer.ts'
import { until } from '../../support/until.ts'

export type Decoy = {
  folder: string
  path: string
  /** All changes so far; the baseline is not among them. */
  changes: RuntimeFileObservation[]
  found: RuntimeFileObservation[]
  verified: RuntimeFileObservation[]
  statuses: SourceStatus[]
  lost: EventsLost[]
  /** Waits for this many changes and a little longer, so that one too many is seen too. */
  settled: (count: number) => Promise<RuntimeFileObservation[]>
}

export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidewatch-runtime-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A file that imitates the runtime, watched by the real source until the test ends. */
export async function watchDecoy(
  t: ExecutionContext,
  options: Partial<RuntimeFilesOptions> & {
    links?: readonly string[]
    containerOfPid?: (pid: number) => Container | null
  } = {},
): Promise<Decoy> {
  const folder = temporaryFolder(t)
  const path = join(folder, 'runc')
  writeFileSync(path, 'the runtime')
  chmodSync(path, 0o755)
  const { links = [], containerOfPid = () => null, ...others } = options
  const decoy: Decoy = {
    folder,
    path,
    changes: [],
    found: [],
    verified: [],
    statuses: [],
    lost: [],
    async settled(count) {
      await until(() => decoy.changes.length >= count)
      await new Promise((resolve) => setTimeout(resolve, 150))
      return decoy.changes
    },
  }
  const source = runtimeFiles({
    find: () => findDecoys(folder, [path, ...links.map((name) => join(folder, name))]),
    refind$: NEVER,
    intervalMs: 60_000,
    identify: identifyWriter({
      table: processTable({ clock: bootClock() }),
      catchUp: () => false,
      containerOfPid,
      procRoot: '/proc',
      users: hostUsers(),
    }),
    now: Date.now,
    ...others,
  })
  const subscription = source.observe().subscribe((seen) => {
    if (seen.kind === 'source-status') decoy.statuses.push(seen)
    if (seen.kind === 'events-lost') decoy.lost.push(seen)
    if (seen.kind !== 'runtime-file') return
    if (seen.change === 'verified') decoy.verified.push(seen)
    else (seen.change === 'found' ? decoy.found : decoy.changes).push(seen)
  })
  t.teardown(() => subscription.unsubscribe())
  await until(() => decoy.statuses.length > 0)
  return decoy
}

/** Finds only these files: no engine runs in an empty /proc. */
export function findDecoys(emptyProc: string, extraPaths: readonly string[]) {
  return findRuntimeFiles({
    procRoot: emptyProc,
    engineInfo: async () => null,
    extraPaths,
    directories: { first: emptyProc, standard: [] },
  })
}
