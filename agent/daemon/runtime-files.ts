import type { Observable } from 'rxjs'
import type { Config } from '../config/schema.ts'
import type { Pulse, Source } from '../model/source.ts'
import { configurationPlaces, dropInDirectories } from '../sources/runtime-files/paths/configuration-files.ts'
import { hardening } from '../sources/runtime-files/integrity/hardening.ts'
import { askPackages, hostPackages } from '../sources/runtime-files/packages/packages.ts'
import { findRuntimeFiles } from '../sources/runtime-files/paths/paths.ts'
import { runtimeFiles } from '../sources/runtime-files/source.ts'
import { identifyWriter } from '../sources/runtime-files/watch/writer.ts'
import { kernel, type Surroundings } from './source-context.ts'

/** The runtime's files of this host, among them the engine's sockets, and by whom they are written. */
export function hostRuntimeFiles(
  { paths, interval, accepted }: Config['sources']['runtime_files'],
  surroundings: Surroundings,
  { refind$, pulse }: { refind$: Observable<unknown>; pulse: Pulse },
): Source {
  const { client, processes, containerOfPid, users, apiSockets, now } = surroundings
  const { procRoot } = kernel
  const configuration = {
    ...configurationPlaces,
    sockets: [...configurationPlaces.sockets, ...apiSockets],
  }
  return runtimeFiles({
    find: () => findRuntimeFiles({ procRoot, engineInfo: client.info, extraPaths: paths, configuration }),
    refind$,
    intervalMs: interval,
    directories: dropInDirectories(configurationPlaces),
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
