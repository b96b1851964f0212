import { chmod, rm } from 'node:fs/promises'
import { type Alertmanager, startAlertmanager } from './alertmanager.ts'
import { type Daemon, type DaemonOptions, removeState, startDaemon } from './daemon.ts'
import { removeContainers } from './docker.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** What the tests of a file need before the first of them, and undo after the last. */
export type Preparations = {
  /** The last first, and also when a later step of the preparation fails. */
  undoLater: (step: () => Promise<unknown>) => void
  /** A new directory into which other users and containers may look. */
  directory: () => Promise<string>
  /** A daemon that tells an Alertmanager of its own. */
  watch: (options?: DaemonOptions & { minSeverity?: string }) => Promise<Watched>
  /** Removes containers by their prefix too. */
  undo: () => Promise<void>
}

export type Watched = { daemon: Daemon; alertmanager: Alertmanager }

/** Prepares nothing yet; `prefix` is that of the names of the tests' containers. */
export function preparations(prefix: string): Preparations {
  const steps: (() => Promise<unknown>)[] = []
  const undoLater = (step: () => Promise<unknown>) => void steps.push(step)
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
      undoLater(async () => {
        await daemon.stop()
        await removeState(daemon)
      })
      return { daemon, alertmanager }
    },
    async undo() {
      await removeContainers(prefix)
      for (const step of steps.toReversed()) await step()
    },
  }
}
