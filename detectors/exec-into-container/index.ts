import { merge, type Observable } from 'rxjs'
import { z } from 'zod'
import { duration } from '../../agent/config/units.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { execEvidence } from './evidence.ts'
import { execFindings } from './execs.ts'
import { fileCopies } from './file-copy.ts'
import { hostEscapes } from './host-escape.ts'
import { execRules } from './rules.ts'
import { untrackedExecs } from './untracked.ts'

/**
 * Entries into running containers, through the Docker API or without it, and escapes from them (MITRE ATT&CK T1609,
 * T1611).
 */
export const execIntoContainer = defineDetector({
  name: 'exec-into-container',
  rules: execRules,
  evidence: execEvidence,
  settings: z.strictObject({
    settle: duration('2s', { max: '1m' }).describe(
      'How long to wait for the exec that explains a process that entered a container.',
    ),
    learn_after: z
      .int()
      .min(0)
      .default(20)
      .describe(
        'Number of execs after which clients of one image are no longer reported as `exec-from-container`.',
      ),
  }),
  perContainer: ['settle', 'learn_after'],
  detect: (observed: Observed, settings, settingsOf = () => settings): Observable<Detection> =>
    merge(
      execFindings(observed, (container) => settingsOf(container).learn_after),
      untrackedExecs(observed, (container) => settingsOf(container).settle),
      hostEscapes(observed),
      fileCopies(observed),
    ),
})
