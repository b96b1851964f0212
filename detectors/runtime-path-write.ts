import { filter, map, merge, type Observable } from 'rxjs'
import { z } from 'zod'
import { defineDetector, type Observed } from '../agent/model/detector.ts'
import type { Detection, Json } from '../agent/model/finding.ts'
import type { FileState, RuntimeFileObservation, Writer } from '../agent/model/observation.ts'
import { baseName, clipArgv } from '../agent/model/text.ts'
import { breakoutFileDetections, breakoutFileRules } from './runtime-path-write/breakout-files.ts'

/** Who changes the programs that start containers runs as root on the host with the next one (CVE-2019-5736). */
export const runtimePathWrite = defineDetector({
  name: 'runtime-path-write',
  rules: {
    'runtime-binary-written': {
      severity: 'critical',
      kind: 'event',
      summary:
        'A program that runs as root on the host whenever a container starts was written to, or got another mode or owner.',
      remedy:
        'Start no container; compare the file with its package (dpkg --verify, rpm -V), reinstall it, and treat the host as entered if a container wrote it.',
    },
    'runtime-binary-replaced': {
      severity: 'critical',
      kind: 'event',
      summary:
        'A program that runs as root on the host whenever a container starts was replaced by another file, or removed.',
      remedy:
        'Nothing if you upgraded it just now; else start no container, reinstall it from its package, and find out what the writer is.',
    },
    ...breakoutFileRules,
  },
  settings: z.strictObject({}),
  detect: (observed: Observed): Observable<Detection> =>
    merge(
      observed.runtimeFiles$.pipe(
        map(detectionOf),
        filter((detection) => detection !== null),
      ),
      breakoutFileDetections(observed),
    ),
})

const changes = {
  written: { rule: 'runtime-binary-written', words: 'was overwritten' },
  attributes: { rule: 'runtime-binary-written', words: 'had its mode or owner changed' },
  replaced: { rule: 'runtime-binary-replaced', words: 'was replaced' },
  removed: { rule: 'runtime-binary-replaced', words: 'was removed' },
} as const

/** What a runtime file's change means, or null for a baseline and for the rest of a write that was reported. */
export function detectionOf(seen: RuntimeFileObservation): Detection | null {
  const { change, path, before, after, writer, container, time } = seen
  if (change === 'found' || seen.continued) return null
  const { rule, words } = changes[change]
  return {
    rule,
    time,
    container,
    summary: `${baseName(path)} at ${path} ${words} ${byWhom(seen)}`,
    subject: [path],
    // The same bytes can be written twice, so the time is needed; it is the event's, which does not change.
    act: [change, path, after?.inode, after?.sha256, writer?.pid, Math.round(time)].join(' '),
    evidence: {
      path,
      change,
      ...(writer !== null && { writer: writerEvidence(writer) }),
      ...differences(before, after),
    },
  }
}

function byWhom({ writer, container }: RuntimeFileObservation): string {
  if (writer === null) return 'by an unknown process'
  const program = baseName(writer.exe || (writer.argv[0] ?? ''))
  const who = program === '' ? `by process ${writer.pid}` : `by ${program} (pid ${writer.pid})`
  if (container !== null) return `${who} in container ${container.name}`
  // Of a process that ended before it could be looked at, nobody knows where it was.
  return writer.exe === '' ? who : `${who} on the host`
}

function writerEvidence({ pid, uid, exe, argv }: Writer): Json {
  return {
    pid,
    ...(uid !== null && { uid }),
    ...(exe !== '' && { exe }),
    ...(argv.length > 0 && { argv: clipArgv(argv) }),
  }
}

/** The digests always, the rest only where it differs. */
function differences(before: FileState | null, after: FileState | null): Detection['evidence'] {
  const changed = (key: string, of: (file: FileState) => Json) =>
    before !== null && after !== null && of(before) === of(after) ? {} : beforeAndAfter(key, of)
  const beforeAndAfter = (key: string, of: (file: FileState) => Json) => ({
    ...(before !== null && { [`${key}_before`]: of(before) }),
    ...(after !== null && { [`${key}_after`]: of(after) }),
  })
  return {
    ...beforeAndAfter('sha256', (file) => file.sha256),
    ...changed('inode', (file) => file.inode),
    ...changed('mode', (file) => file.mode.toString(8).padStart(4, '0')),
    ...changed('owner', (file) => `${file.uid}:${file.gid}`),
  }
}
