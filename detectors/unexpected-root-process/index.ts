import {
  defer,
  delay,
  delayWhen,
  filter,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  takeUntil,
  tap,
  timer,
} from 'rxjs'
import { z } from 'zod'
import { processActor } from '../../agent/model/actor.ts'
import { duration } from '../../agent/config/units.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import { type ExecView, recheckDelayMs, settledExec } from '../../agent/model/exec-view.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { Process, ProcessObservation } from '../../agent/model/observation.ts'
import { entries, type Entries } from './entries.ts'
import { describe } from './describe.ts'
import { rootEvidence } from './evidence.ts'
import { beyondConfiguration, isUnexpectedRoot, rulesOnRights } from './judge.ts'
import { type Learning, learning } from './learning.ts'
import { isRootProgram } from './program.ts'

/** Processes with root or root-like rights that they should not have (MITRE ATT&CK T1548, T1068). */
export const unexpectedRootProcess = defineDetector({
  name: 'unexpected-root-process',
  rules: {
    'root-in-nonroot-container': {
      severity: 'critical',
      kind: 'event',
      technique: 'T1068',
      summary:
        'A process runs as root in a container that is configured for another user, and neither an exec nor a setuid program of the image explains it.',
      remedy:
        'Look for a setuid program or an exploit in the container. Run it with --security-opt no-new-privileges.',
      // A process that entered as root is part of its entry.
      supersededBy: ['untracked-exec'],
    },
    'setuid-program': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1548.001',
      summary:
        'A setuid program of the image, or one with file capabilities, was used for the first time in the image’s containers.',
      remedy:
        'Nothing, if the image needs it. Otherwise run it with --security-opt no-new-privileges, or remove the file.',
    },
    'privilege-escalation': {
      severity: 'critical',
      kind: 'event',
      technique: 'T1068',
      summary:
        'A process gained root or capabilities through a setuid file that is not part of the image, by changing its ids, or without any visible cause.',
      remedy:
        'Assume the container is compromised: stop it, keep it for forensics, and upgrade the host’s kernel.',
    },
    'new-root-program': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1059',
      summary:
        'A program ran as root that was not seen in the image’s containers during the learning period.',
      remedy: 'Find out what started it. A legitimate program is reported only this once.',
    },
  },
  evidence: rootEvidence,
  settings: z.strictObject({
    settle: duration('500ms', { max: '1m' }).describe(
      'How long to wait for the exec that explains a root process; at least 2s if the process entered from outside.',
    ),
    learn_for: duration('24h').describe(
      'How long an image’s containers must run before a new program as root is a finding.',
    ),
  }),
  perContainer: ['settle', 'learn_for'],
  detect: ({ memory, ...observed }: Observed, settings, settingsOf = () => settings): Observable<Detection> =>
    defer(() => {
      const profiles = learning(memory, (container) => settingsOf(container).learn_for)
      const { on, execs } = observed
      const rootEntries = entries()
      const judged$ = on('process').pipe(
        tap((seen) => {
          if (!isRuntimeInit(seen.process)) rootEntries.observe(seen)
        }),
        filter((seen) => isOfInterest(seen, profiles)),
        mergeMap((seen) => {
          const settleMs = waitFor(seen, settingsOf(seen.container).settle, profiles)
          return of(seen).pipe(
            delay(settleMs),
            delayWhen(() => {
              if (!isUnexplainedEntry(seen, execs)) return of(true)
              const isRootEntry = rootEntries.rootEntryOf(seen) !== null
              return timer((isRootEntry ? Math.max(0, rootEntryMs - settleMs) : 0) + recheckDelayMs)
            }),
            delayWhen(() => settledExec(seen, execs)),
            takeUntil(on('process').pipe(filter((later) => isSame(later, seen) && isSettledBy(seen, later)))),
          )
        }),
        map((seen) => judge(seen, execs, profiles, rootEntries)),
        filter((detection) => detection !== null),
      )
      return merge(profileUpdates(observed, profiles), judged$)
    }),
})

/** Observations that only update the profiles. */
function profileUpdates(observed: Omit<Observed, 'memory'>, profiles: Learning) {
  const { on } = observed
  return merge(
    on('container').pipe(tap(profiles.containerChanged)),
    on('resources').pipe(tap(({ container, time }) => profiles.running(container, time))),
    on('events-lost').pipe(tap(profiles.lost)),
  ).pipe(ignoreElements())
}

function isOfInterest(seen: ProcessObservation, profiles: Learning): boolean {
  if (isRuntimeEntering(seen)) return false
  const { gain, raisedCapabilities = 0n } = seen
  if (isUnexpectedRoot(seen) || gain?.isNew === true || raisedCapabilities !== 0n) return true
  return isRootProgram(seen) && !profiles.isKnown(seen)
}

function judge(
  seen: ProcessObservation,
  execs: ExecView,
  profiles: Learning,
  rootEntries: Entries,
): Detection | null {
  const entry = execs.entryOf(seen)
  const onRights = rulesOnRights(seen, entry)
  // Called for every program, because this is how programs are learned.
  const onProgram = isRootProgram(seen) && profiles.isNew(seen) ? ['new-root-program'] : []
  const rules = [...onRights, ...onProgram].filter(
    (rule, index) => rule !== 'setuid-program' || index > 0 || profiles.isFirstUse(seen),
  )
  if (rules.length === 0) return null
  const detection = describe(seen, rules, beyondConfiguration(seen, entry), processActor(seen, execs))
  const eventKey =
    entry.by === 'none' && rules.every((rule) => rule === asEntered) ? rootEntries.rootEntryOf(seen) : null
  return eventKey === null ? detection : { ...detection, supersedingEventKey: eventKey }
}

// The only rule that applies to a process that has root because it entered with it.
const asEntered = 'root-in-nonroot-container'

/** In milliseconds. A program that is still being learned waits for news of whether it was part of a burst. */
function waitFor(seen: ProcessObservation, settle: number, profiles: Learning): number {
  if (isRuntimeInit(seen.process)) return runtimeInitMs
  if (mayBeExec(seen)) return Math.max(settle, execMs)
  const isLearning = isRootProgram(seen) && !profiles.isLearned(seen.container)
  return isLearning ? Math.max(settle, burstReportMs) : settle
}

/** Whether a process entered and no known exec explains it; one may have been reported and not read yet. */
function isUnexplainedEntry(seen: ProcessObservation, execs: ExecView): boolean {
  return seen.origin.via === 'entered' && execs.entryOf(seen).by === 'none'
}

// runc's own init is root in the container for a moment before it executes the container's program
// (libcontainer/nsenter/nsexec.c); on a busy host with a slow disk this can take seconds.
const runtimeInitMs = 10_000

// On a busy host the exec that explains an entry may be read this late; until then the entry looks like an intruder's.
const rootEntryMs = 2_000

// The exec follows the new ids within milliseconds, unless the program is read from a slow disk.
const execMs = 2_000

// Losses are reported once a second.
const burstReportMs = 1_500

/**
 * The runtime on its way into the container, found by a scan of /proc: until its exec it has the rights that the host
 * gave it. The program that it executes is observed separately; it may end before the next scan.
 */
function isRuntimeEntering({ change, process, origin, container: { details } }: ProcessObservation): boolean {
  if (change !== 'found' || !isRuntimeInit(process)) return false
  if (details?.pid === process.pid) return true
  if (origin.via === 'entered') return origin.entry.pid === process.pid
  // The engine may not have reported yet that the container was started or restarted.
  return (details?.startedAt ?? 0) < process.startedAt
}

/**
 * Whether it looks like the runtime before its last exec. Any program can imitate that: it is delayed, not ignored.
 */
export function isRuntimeInit({ exe, argv }: Process): boolean {
  return argv[1] === 'init' && (exe === '/' || /^\/memfd:runc_cloned:|\/(?:docker-)?runc$|\/crun$/.test(exe))
}

/** When a setuid file is executed, its ids are reported before the exec (`begin_new_exec` of the kernel's fs/exec.c). */
function mayBeExec({ change, gain, process }: ProcessObservation): boolean {
  return change === 'ids-changed' && gain?.isNew !== true && process.containerUid !== 0
}

/** Whether a later observation of the same process replaces this one. */
function isSettledBy(seen: ProcessObservation, later: ProcessObservation): boolean {
  return isRuntimeInit(seen.process) || (mayBeExec(seen) && later.change === 'executed')
}

function isSame(a: ProcessObservation, b: ProcessObservation): boolean {
  return a.process.pid === b.process.pid && a.process.startTicks === b.process.startTicks
}
