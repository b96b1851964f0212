import { withProgram } from '../../agent/model/actor.ts'
import type { Container } from '../../agent/model/container.ts'
import type { Json } from '../../agent/model/finding.ts'
import type { Writer } from '../../agent/model/observation.ts'
import { baseName, clipArgv } from '../../agent/lib/text.ts'
import { processLine } from '../../agent/model/process-evidence.ts'

type Known = Omit<Writer, 'packageManager'> & Partial<Pick<Writer, 'packageManager'>>

/** The process that did it, as the subject of a summary: `sh (pid 7) in web`. */
export function actorOf({
  writer,
  container,
}: {
  writer: Pick<Writer, 'pid' | 'exe' | 'argv'> | null
  container: Container | null
}): string {
  if (writer === null) return container === null ? 'an unknown process' : `a process in ${container.name}`
  const program = baseName(writer.exe || (writer.argv[0] ?? ''))
  const actor = program === '' ? `process ${writer.pid}` : `${program} (pid ${writer.pid})`
  if (container !== null) return `${actor} in ${container.name}`
  // A process that exited before it was read may have been anywhere.
  return writer.exe === '' ? actor : `${actor} on the host`
}

/** The writer, in words that are the same for each of its acts; undefined if its user is unknown. */
export function writerActor(writer: Known | null): string | undefined {
  if (writer === null) return undefined
  const { user, loginUser, uid } = writer
  const name = loginUser || user || (uid === null ? '' : `uid ${uid}`)
  return name === '' ? undefined : withProgram(name, writer)
}

/** The process that did it, as evidence; unknown fields are omitted. */
export function writerEvidence(writer: Known): Json {
  const { ancestors, packageManager = '', unknownBecause } = writer
  return {
    ...ownEvidence(writer),
    ...(ancestors.length > 0 && {
      ancestors: ancestors.map((one) => processLine(one.pid, one.exe, one.argv)),
    }),
    ...(packageManager !== '' && { package_manager: packageManager }),
    ...(unknownBecause !== undefined && { unknown_because: unknownBecause }),
  }
}

/** The evidence about the process itself, without its ancestors. */
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
