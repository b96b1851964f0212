import { statSync } from 'node:fs'
import { messageOf } from '../../agent/lib/errors.ts'
import { loadWebConfig, type WebConfig } from './web-config.ts'

/** The configuration as it is on disk now. */
export type WatchedWebConfig = {
  current(): WebConfig
  /** Looks whether a file has changed, and reads all anew then; called for every connection and request. */
  refresh(): void
}

/** Where nothing secures the endpoint: plain HTTP, and nobody has to log in. */
export const openWebConfig: WatchedWebConfig = {
  current: () => open,
  refresh: () => undefined,
}

const open: WebConfig = { tls: null, users: new Map(), headers: {}, files: [] }

// A flood of connections must not be a flood of stat(2).
const lookEveryMs = 500

export type WatchOptions = {
  /** Undefined where nothing secures the endpoint. */
  file: string | undefined
  /** Told of what was read anew, or of why it was not and the former goes on. */
  onReload: (successful: boolean, message: string) => void
  now: () => number
}

/** Keeps up with certificates that are renewed under a running daemon. Throws where the file is wrong at the start. */
export function watchWebConfig({ file, onReload, now }: WatchOptions): WatchedWebConfig {
  if (file === undefined) return openWebConfig
  let config = loadWebConfig(file)
  let stamp = stampOf(config.files)
  let lookedAt = now()

  return {
    current: () => config,
    refresh() {
      if (Math.abs(now() - lookedAt) < lookEveryMs) return
      lookedAt = now()
      const found = stampOf(config.files)
      if (found === stamp) return
      // What could not be read is tried again when it changes again, and not with every connection.
      stamp = found
      try {
        const loaded = loadWebConfig(file)
        if (handshakeOf(loaded) !== handshakeOf(config)) throw new Error(needsRestart)
        config = loaded
        stamp = stampOf(config.files)
        onReload(true, `${file} was read anew`)
      } catch (error) {
        onReload(false, `${file} has changed, and what was in force goes on: ${messageOf(error)}`)
      }
    },
  }
}

const needsRestart =
  'whether TLS is spoken and clients are asked for certificates is decided at the start: restart tidewatch'

/** What a listening server cannot change. */
function handshakeOf({ tls }: WebConfig): string {
  return tls === null ? 'plain' : tls.clientAuth === 'NoClientCert' ? 'tls' : 'tls with client certificates'
}

/** Changes whenever one of the files does: Kubernetes and certbot replace them by rename, editors write in place. */
function stampOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false, bigint: true })
      return found === undefined ? 'none' : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}`
    })
    .join(' ')
}
