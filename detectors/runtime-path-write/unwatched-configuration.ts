import { defer, merge, mergeMap, type Observable } from 'rxjs'
import { z } from 'zod'
import type { Memory, Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { FileState, RuntimeFileObservation, SourceStatus } from '../../agent/model/observation.ts'
import { changeSubject, differences } from './describe.ts'

/** The persistent record of an engine configuration file; not its lines, because they can hold passwords. */
type Recorded = Pick<FileState, 'sha256' | 'mode' | 'uid' | 'gid'>

/** Null for a file that did not exist, undefined for a file without a record. */
type Known = Recorded | null | undefined

const schema = z.object({ sha256: z.string(), mode: z.number(), uid: z.number(), gid: z.number() }).nullable()

/** Reports engine configuration that changed while tidewatch was not watching; the writer is unknown. */
export function unwatchedConfiguration({
  on,
  memory,
}: Pick<Observed, 'on' | 'memory'>): Observable<Detection> {
  return defer(() => {
    // There is nothing to compare with, so everything is accepted as found.
    const isFirstRun = memory.keys(prefix).length === 0
    /** Files that were found, and that the package manager has not been asked about yet. */
    const awaited = new Set<string>()
    const found = new Set<string>()

    function examine(seen: RuntimeFileObservation): Detection[] {
      const { file, path, change, after } = seen
      if (file !== 'configuration') return []
      if (change === 'found') {
        found.add(path)
        if (after === null) return compare(seen)
        awaited.add(path)
        return []
      }
      if (change === 'verified') return awaited.delete(path) ? compare(seen) : []
      // The file is watched by now, and the change is reported separately.
      awaited.delete(path)
      store(memory, path, after)
      return []
    }

    function compare({ path, after, time, package: of }: RuntimeFileObservation): Detection[] {
      const before = known(memory, path)
      store(memory, path, after)
      const isNew = before === undefined
      if ((isNew && isFirstRun) || of?.matches === true || isSame(before ?? null, after)) return []
      return [describe(path, before ?? null, after, time)]
    }

    /** Unit drop-ins are found only if they exist, and all files are found before the source is up. */
    function lookForRemoved({ source, up, time }: SourceStatus): Detection[] {
      if (source !== 'runtime-files') return []
      if (!up) {
        found.clear()
        return []
      }
      return memory.keys(prefix).flatMap((key) => {
        const path = key.slice(prefix.length)
        if (found.has(path) || !dropIn.test(path)) return []
        const before = known(memory, path)
        memory.delete(key)
        return before ? [describe(path, before, null, time)] : []
      })
    }

    return merge(
      on('runtime-file').pipe(mergeMap(examine)),
      on('source-status').pipe(mergeMap(lookForRemoved)),
    )
  })
}

const prefix = 'configuration/'

const dropIn = /\.(?:service|socket)\.d\/[^/]+\.conf$/

function known(memory: Memory, path: string): Known {
  const text = memory.get(prefix + path)
  if (text === null) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

function store(memory: Memory, path: string, state: FileState | null): void {
  const text = JSON.stringify(state && recordOf(state))
  if (memory.get(prefix + path) !== text) memory.set(prefix + path, text)
}

function recordOf({ sha256, mode, uid, gid }: Recorded): Recorded {
  return { sha256, mode, uid, gid }
}

function isSame(before: Recorded | null, after: Recorded | null): boolean {
  return JSON.stringify(before && recordOf(before)) === JSON.stringify(after && recordOf(after))
}

function describe(path: string, before: Recorded | null, after: Recorded | null, time: number): Detection {
  const [change, verb] = changeBetween(before, after)
  return {
    rule: 'breakout-file-changed',
    time,
    container: null,
    summary: `an unknown process ${verb} ${path} (engine configuration) while tidewatch was not watching`,
    subject: [...changeSubject({ path, change, after }), 'unwatched'],
    eventKey: ['unwatched', path, after?.sha256, after?.mode, after?.uid, after?.gid].join(' '),
    evidence: {
      path,
      change,
      unwatched: true,
      ...differences(before && recordOf(before), after && recordOf(after)),
    },
  }
}

function changeBetween(
  before: Recorded | null,
  after: Recorded | null,
): [RuntimeFileObservation['change'], string] {
  if (before === null) return ['replaced', 'created']
  if (after === null) return ['removed', 'removed']
  return before.sha256 === after.sha256
    ? ['attributes', 'changed the mode or owner of']
    : ['written', 'changed']
}
