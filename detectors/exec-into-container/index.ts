import { merge, type Observable } from 'rxjs'
import { z } from 'zod'
import type { DetectorSection } from '../../agent/config/detectors-schema.ts'
import { duration } from '../../agent/config/units.ts'
import type { Container } from '../../agent/model/container.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import { secondLookMs } from '../../agent/model/exec-view.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { execEvidence } from './evidence.ts'
import { execFindings } from './execs.ts'
import { fileCopies } from './file-copy.ts'
import { hostNamespaceEntries } from './got-out.ts'
import { execRules } from './rules.ts'
import { untrackedExecs } from './untracked.ts'

/** Who enters a running container, by the engine's exec call or without it, and who gets out (MITRE ATT&CK T1609, T1611). */
export const execIntoContainer = defineDetector({
  name: 'exec-into-container',
  rules: execRules,
  evidence: execEvidence,
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
    merge(
      execFindings(observed, (container) => settingsOf(container).learn_after),
      untrackedExecs(observed, (container) => settingsOf(container).settle),
      hostNamespaceEntries(observed),
      fileCopies(observed),
    ),
})

/** For other detectors, by how this one is configured for a container: when it tells of who came in without an exec. */
export function entriesToldAfter(
  sectionFor: (detector: string, container: Container) => DetectorSection,
): Observed['entriesToldAfter'] {
  return (container) => {
    const { enabled, rules, settle } = sectionFor(execIntoContainer.name, container)
    const isTold = enabled && rules['untracked-exec']?.enabled !== false
    return isTold ? Number(settle) + secondLookMs : 0
  }
}
