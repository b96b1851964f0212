import { defer, filter, ignoreElements, merge, type Observable, tap } from 'rxjs'
import { z } from 'zod'
import { duration } from '../agent/config/units.ts'
import { defineDetector, type Observed } from '../agent/model/detector.ts'
import type { Detection } from '../agent/model/finding.ts'
import { execFindings } from './exec-into-container/execs.ts'
import { fileCopies } from './exec-into-container/file-copy.ts'
import { hostNamespaceEntries } from './exec-into-container/got-out.ts'
import { type ExecLedger, execLedger } from './exec-into-container/ledger.ts'
import { execRules } from './exec-into-container/rules.ts'
import { untrackedExecs } from './exec-into-container/untracked.ts'

/** Who enters a running container, by the engine's exec call or without it, and who gets out (MITRE ATT&CK T1609, T1611). */
export const execIntoContainer = defineDetector({
  name: 'exec-into-container',
  rules: execRules,
  settings: z.strictObject({
    settle: duration('2s', { max: '1m' }).describe(
      'How long a process that entered a container may wait for the exec that explains it to be known.',
    ),
    learn_after: z
      .int()
      .min(0)
      .default(20)
      .describe('After how many execs the clients of one image are expected to run commands in containers.'),
  }),
  perContainer: ['settle', 'learn_after'],
  detect: (observed: Observed, settings, settingsOf = () => settings): Observable<Detection> =>
    defer(() => {
      const ledger = execLedger()
      return merge(
        announced(observed, ledger),
        execFindings(observed, ledger, (container) => settingsOf(container).learn_after),
        untrackedExecs(observed, ledger, (container) => settingsOf(container).settle),
        hostNamespaceEntries(observed),
        fileCopies(observed),
      )
    }),
})

/** The engine's event comes at once; what else it knows of the exec has to be asked for. */
function announced({ dockerEvents$ }: Observed, ledger: ExecLedger): Observable<never> {
  return dockerEvents$.pipe(
    filter(
      ({ type, action }) => type === 'container' && (action === 'exec_create' || action === 'exec_start'),
    ),
    tap(({ actorId, attributes }) => {
      const execId = attributes['execID'] ?? ''
      if (/^[0-9a-f]{64}$/.test(execId)) ledger.of(execId).announcedIn = actorId
    }),
    ignoreElements(),
  )
}
