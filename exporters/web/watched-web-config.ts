import { statSync } from 'node:fs'
import { messageOf } from '../../agent/lib/errors.ts'
import { loadWebConfig, type WebConfig } from './web-config.ts'

/** The current configuration on disk. */
export type WatchedWebConfig = {
  current(): WebConfig
  /** Reloads the configuration if a file has changed; called for every connection and request. */
  refresh(): void
}

/** Without a web configuration file: plain HTTP without authentication. */
export const openWebConfig: WatchedWebConfig = {
  current: () => open,
  refresh: () => undefined,
}

const open: WebConfig = { tls: null, users: new Map(), headers: {}, files: [] }

// A flood of connections must not cause a flood of stat(2) calls.
const checkIntervalMs = 500

export type WatchOptions = {
  /** Undefined without a web configuration file. */
  file: string | undefined
  /** Called after a reload, or with the reason why it failed and the previous configuration stays active. */
  onReload: (successful: boolean, message: string) => void
  now: () => number
}

/** Picks up certificates that are renewed while the daemon runs. Throws if the file is invalid at start. */
export function watchWebConfig({ file, onReload, now }: WatchOptions): WatchedWebConfig {
  if (file === undefined) return openWebConfig
  let config = loadWebConfig(file)
  let stamp = stampOf(config.files)
  let checkedAt = now()

  return {
    current: () => config,
    refresh() {
      if (Math.abs(now() - checkedAt) < checkIntervalMs) return
      checkedAt = now()
      const found = stampOf(config.files)
      if (found === stamp) return
      // After a failure, the files are read again only when they change, not for every connection.
      stamp = found
      try {
        const loaded = loadWebConfig(file)
        if (handshakeOf(loaded) !== handshakeOf(config)) throw new Error(needsRestart)
        config = loaded
        stamp = stampOf(config.files)
        onReload(true, `reloaded ${file}`)
      } catch (error) {
        onReload(false, `cannot reload ${file}; the previous settings stay active: ${messageOf(error)}`)
      }
    },
  }
}

const needsRestart = 'turning TLS or client certificates on or off requires a restart of tidewatch'

/** The settings that a listening server cannot change. */
function handshakeOf({ tls }: WebConfig): string {
  return tls === null ? 'plain' : tls.clientAuth === 'NoClientCert' ? 'tls' : 'tls with client certificates'
}

/**
 * A fingerprint that changes with any of the files. Kubernetes and certbot replace files by rename, editors write in
 * place.
 */
function stampOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false, bigint: true })
      return found === undefined ? 'none' : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}`
    })
    .join(' ')
}
