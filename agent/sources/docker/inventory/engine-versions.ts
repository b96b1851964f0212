import { readFile } from 'node:fs/promises'
import { catchError, debounceTime, defer, EMPTY, exhaustMap, merge, type Observable, timer } from 'rxjs'
import type { ComponentVersion, EngineComponent, EngineVersions } from '../../../model/observation.ts'
import { detached } from '../../../lib/text.ts'
import type { DockerClient } from '../client/client.ts'
import { type JsonObject, listOf, objectOf, textOf } from '../../../lib/json-object.ts'

export type EngineVersionsOptions = {
  client: Pick<DockerClient, 'version' | 'info'>
  /** Emits when the engine may have been replaced, or one of its programs was. */
  changed$: Observable<unknown>
  now: () => number
  /** dpkg's list of installed packages. */
  dpkgStatus?: string
  intervalMs?: number
}

/** The versions that the engine's components report: requested when one may have changed, and at intervals. */
export function engineVersions(options: EngineVersionsOptions): Observable<EngineVersions> {
  const { client, changed$, now, dpkgStatus = '/var/lib/dpkg/status', intervalMs = 3_600_000 } = options
  const request = async (): Promise<EngineVersions> => {
    const [{ raw }, info] = await Promise.all([client.version(), client.info()])
    const installed = await readFile(dpkgStatus, 'utf8').catch(() => '')
    return {
      kind: 'engine-versions',
      time: now(),
      components: componentsOf(raw, installed),
      authorizationPlugins: authorizationPluginsOf(info),
    }
  }
  // An upgrade replaces several files and then restarts the engine.
  const due$ = merge(timer(0, intervalMs), changed$.pipe(debounceTime(settleMs)))
  // Another source reports an engine that does not answer.
  return due$.pipe(exhaustMap(() => defer(request).pipe(catchError(() => EMPTY))))
}

const settleMs = 2_000

/** Parses the response to `GET /version`; `installed` is the text of dpkg's status file, or empty. */
export function componentsOf(raw: JsonObject, installed: string): ComponentVersion[] {
  return listOf(raw['Components'])
    .map(objectOf)
    .flatMap((entry) => {
      const component = componentNames.get(textOf(entry['Name']).toLowerCase())
      const version = clean(textOf(entry['Version']))
      if (component === undefined || version === '') return []
      const commit = clean(textOf(objectOf(entry['Details'])['GitCommit']))
      return [
        {
          component,
          version,
          packageVersion: detached(packageVersionOf(component, version, commit, installed)),
        },
      ]
    })
}

const componentNames: ReadonlyMap<string, EngineComponent> = new Map([
  ['engine', 'engine'],
  ['containerd', 'containerd'],
  ['runc', 'runc'],
])

// Versions become metric labels.
function clean(text: string): string {
  return text.replace(/[^\w.+~:-]/g, '').slice(0, 64)
}

/**
 * Debian and Ubuntu build runc and containerd with the package version in place of the commit. The engine's package
 * must be looked up, and counts only if the engine reports the same version.
 */
function packageVersionOf(
  component: EngineComponent,
  version: string,
  commit: string,
  installed: string,
): string {
  if (/^\d+[.:].*-.*/.test(commit)) return commit
  if (component !== 'engine') return ''
  const packaged = installedVersion(installed, 'docker.io')
  return packaged.startsWith(`${version}-`) ? packaged : ''
}

/** The version of an installed package, from dpkg's status file (deb-control(5)). */
export function installedVersion(status: string, name: string): string {
  const start = `\n${status}`.indexOf(`\nPackage: ${name}\n`)
  if (start < 0) return ''
  const end = status.indexOf('\n\n', start)
  const paragraph = status.slice(start, end < 0 ? undefined : end)
  if (!/^Status: \S+ \S+ installed$/m.test(paragraph)) return ''
  return clean(/^Version: (\S+)$/m.exec(paragraph)?.[1] ?? '')
}

/** Whether an authorization plugin checks requests to the engine; null if the engine does not say. */
function authorizationPluginsOf(info: JsonObject): boolean | null {
  if (typeof info['Plugins'] !== 'object' || info['Plugins'] === null) return null
  return listOf(objectOf(info['Plugins'])['Authorization']).length > 0
}
