import type { Observable } from 'rxjs'
import type { Config } from '../config/schema.ts'
import type { Pulse, Source } from '../model/source.ts'
import {
  configurationLocations,
  dropInDirectories,
} from '../sources/runtime-files/paths/configuration-files.ts'
import { hardening } from '../sources/runtime-files/integrity/hardening.ts'
import { askPackages, hostPackages } from '../sources/runtime-files/packages/packages.ts'
import { findRuntimeFiles } from '../sources/runtime-files/paths/paths.ts'
import { runtimeFiles } from '../sources/runtime-files/source.ts'
import { identifyWriter } from '../sources/runtime-files/watch/writer.ts'
import { kernel, type SourceContext } from './source-context.ts'

/** The source for the container runtime's files on this host, including the engine's sockets, and their writers. */
export function hostRuntimeFiles(
  { paths, interval, accepted }: Config['sources']['runtime_files'],
  context: SourceContext,
  { refind$, pulse }: { refind$: Observable<unknown>; pulse: Pulse },
): Source {
  const { client, processes, containerOfPid, users, apiSockets, now } = context
  const { procRoot } = kernel
  const configuration = {
    ...configurationLocations,
    sockets: [...configurationLocations.sockets, ...apiSockets],
  }
  return runtimeFiles({
    find: () => findRuntimeFiles({ procRoot, engineInfo: client.info, extraPaths: paths, configuration }),
    refind$,
    intervalMs: interval,
    directories: dropInDirectories(configurationLocations),
    identify: identifyWriter({
      table: processes.table,
      catchUp: processes.catchUp,
      containerOfPid,
      procRoot,
      users,
    }),
    askPackages: askPackages(hostPackages()),
    accepted,
    pulse,
    harden: hardening({ procRoot, engineInfo: client.info }),
    now,
  })
}
