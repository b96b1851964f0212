import { chmod, rm } from 'node:fs/promises'
import { type Alertmanager, startAlertmanager } from './alertmanager.ts'
import { type Daemon, type DaemonOptions, removeState, startDaemon } from './daemon.ts'
import { removeContainers } from './docker.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** Setup before the first test of a file, which is undone after the last one. */
export type Preparations = {
  /** Undone in reverse order, also if a later setup step fails or another cannot be undone. */
  undoLater: (step: () => Promise<unknown>) => void
  /** A new directory that other users and containers can read. */
  directory: () => Promise<string>
  /** A daemon that sends alerts to its own Alertmanager. */
  watch: (options?: DaemonOptions & { minSeverity?: string }) => Promise<Watched>
  /** Also removes containers by their prefix. */
  undo: () => Promise<void>
}

export type Watched = { daemon: Daemon; alertmanager: Alertmanager }

/** Creates an empty setup; `prefix` is the name prefix of the tests' containers. */
export function preparations(prefix: string): Preparations {
  const steps = new AsyncDisposableStack()
  const undoLater = (step: () => Promise<unknown>) => {
    steps.defer(async () => void (await step()))
  }
  return {
    undoLater,
    async directory() {
      const directory = await temporaryDirectory()
      undoLater(() => rm(directory, { recursive: true, force: true }))
      await chmod(directory, 0o755)
      return directory
    },
    async watch({ minSeverity = 'warning', config, ...options } = {}) {
      const alertmanager = await startAlertmanager()
      undoLater(alertmanager.remove)
      const alertmanagers = [{ url: alertmanager.url, min_severity: minSeverity }]
      const daemon = await startDaemon({ ...options, config: { alertmanagers, ...config } })
      undoLater(() => removeState(daemon))
      undoLater(() => daemon.stop())
      return { daemon, alertmanager }
    },
    undo: async () => {
      undoLater(() => removeContainers(prefix))
      await steps.disposeAsync()
    },
  }
}
