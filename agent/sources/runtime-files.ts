import type { Observable } from 'rxjs'
import type { Config } from '../config/schema.ts'
import type { Pulse, Source } from '../model/source.ts'
import { configurationPlaces, dropInDirectories } from '../runtime/configuration-files.ts'
import { hardening } from '../runtime/hardening.ts'
import { askPackages, hostPackages } from '../runtime/packages/packages.ts'
import { findRuntimeFiles } from '../runtime/paths.ts'
import { runtimeFiles } from '../runtime/source.ts'
import { identifyWriter } from '../runtime/writer.ts'
import { kernel, type Surroundings } from './surroundings.ts'

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
