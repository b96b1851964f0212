import { defer, merge, mergeMap, type Observable } from 'rxjs'
import { z } from 'zod'
import type { Memory, Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { FileState, RuntimeFileObservation, SourceStatus } from '../../agent/model/observation.ts'
import { differences } from './describe.ts'

/** What is kept of a file that configures the engine for longer than the daemon runs; its lines may hold passwords. */
type Kept = Pick<FileState, 'sha256' | 'mode' | 'uid' | 'gid'>

/** Null for a file that was not there, undefined for one that nobody has heard of. */
type Known = Kept | null | undefined

const schema = z.object({ sha256: z.string(), mode: z.number(), uid: z.number(), gid: z.number() }).nullable()

/** Tells what configures the engine and is not what it was when tidewatch last watched it: nobody saw who did it. */
export function unwatchedConfiguration({
  runtimeFiles$,
  sourceStatuses$,
  memory,
}: Pick<Observed, 'runtimeFiles$' | 'sourceStatuses$' | 'memory'>): Observable<Detection> {
  return defer(() => {
    // There is nothing to compare with, and all of it is taken as it is.
    const isFirstRun = memory.keys(prefix).length === 0
    /** Those that were found, and of which the package manager has yet to say whether it brought them. */
    const awaited = new Set<string>()
    const found = new Set<string>()

    function look(seen: RuntimeFileObservation): Detection[] {
      const { file, path, change, after } = seen
      if (file !== 'configuration') return []
      if (change === 'found') {
        found.add(path)
        if (after === null) return compare(seen)
        awaited.add(path)
        return []
      }
      if (change === 'verified') return awaited.delete(path) ? compare(seen) : []
      // It is watched by now, and the change is told by itself.
      awaited.delete(path)
      keep(memory, path, after)
      return []
    }

    function compare({ path, after, time, package: of }: RuntimeFileObservation): Detection[] {
      const before = known(memory, path)
      keep(memory, path, after)
      const isNew = before === undefined
      if ((isNew && isFirstRun) || of?.matches === true || isSame(before ?? null, after)) return []
      return [describe(path, before ?? null, after, time)]
    }

    /** What adds to a unit is found when it is there, and all is found before the source is up. */
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

    return merge(runtimeFiles$.pipe(mergeMap(look)), sourceStatuses$.pipe(mergeMap(lookForRemoved)))
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

function keep(memory: Memory, path: string, state: FileState | null): void {
  const text = JSON.stringify(state && keptOf(state))
  if (memory.get(prefix + path) !== text) memory.set(prefix + path, text)
}

function keptOf({ sha256, mode, uid, gid }: Kept): Kept {
  return { sha256, mode, uid, gid }
}

function isSame(before: Kept | null, after: Kept | null): boolean {
  return JSON.stringify(before && keptOf(before)) === JSON.stringify(after && keptOf(after))
}

function describe(path: string, before: Kept | null, after: Kept | null, time: number): Detection {
  const [change, words] = changeBetween(before, after)
  return {
    rule: 'breakout-file-changed',
    time,
    container: null,
    summary: `${path}, which configures the engine, ${words} by an unknown process while nobody watched`,
    subject: [path],
    act: ['unwatched', path, after?.sha256, after?.mode, after?.uid, after?.gid].join(' '),
    evidence: {
      path,
      change,
      unwatched: true,
      ...differences(before && keptOf(before), after && keptOf(after)),
    },
  }
}

function changeBetween(before: Kept | null, after: Kept | null): [RuntimeFileObservation['change'], string] {
  if (before === null) return ['replaced', 'was made']
  if (after === null) return ['removed', 'was removed']
  return before.sha256 === after.sha256
    ? ['attributes', 'had its mode or owner changed']
    : ['written', 'was changed']
}
