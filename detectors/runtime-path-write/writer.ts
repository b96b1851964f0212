import type { Container } from '../../agent/model/container.ts'
import type { Json } from '../../agent/model/finding.ts'
import type { Writer } from '../../agent/model/observation.ts'
import { lineOf } from '../exec-into-container/caller.ts'
import { baseName, clipArgv } from '../../agent/lib/text.ts'

type Known = Omit<Writer, 'packageManager'> & Partial<Pick<Writer, 'packageManager'>>

/** Who did it, in words for a summary. */
export function byWhom({
  writer,
  container,
}: {
  writer: Pick<Writer, 'pid' | 'exe' | 'argv'> | null
  container: Container | null
}): string {
  if (writer === null) return 'by an unknown process'
  const program = baseName(writer.exe || (writer.argv[0] ?? ''))
  const who = program === '' ? `by process ${writer.pid}` : `by ${program} (pid ${writer.pid})`
  if (container !== null) return `${who} in container ${container.name}`
  // Of a process that ended before it could be looked at, nobody knows where it was.
  return writer.exe === '' ? who : `${who} on the host`
}

/** Who did it, as evidence: what is unknown is left out. */
export function writerEvidence(writer: Known): Json {
  const { ancestors, packageManager = '', unknownBecause } = writer
  return {
    ...ownEvidence(writer),
    ...(ancestors.length > 0 && {
      ancestors: ancestors.map((one) => lineOf(one.pid, one.exe, one.argv)),
    }),
    ...(packageManager !== '' && { package_manager: packageManager }),
    ...(unknownBecause !== undefined && { unknown_because: unknownBecause }),
  }
}

/** What there is to say of a process by itself. */
function ownEvidence({ pid, uid, user, loginUser, exe, argv }: Known) {
  return {
    pid,
    ...(uid !== null && { uid }),
    ...(user !== '' && { user }),
    ...(loginUser !== '' && { login_user: loginUser }),
    ...(exe !== '' && { exe }),
    ...(argv.length > 0 && { argv: clipArgv(argv) }),
  }
}
