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
import { duration } from '../../agent/config/units.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import { type ExecView, secondLookMs, settledExec } from '../../agent/model/exec-view.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { Process, ProcessObservation } from '../../agent/model/observation.ts'
import { entries, type Entries } from './entries.ts'
import { describe } from './describe.ts'
import { rootEvidence } from './evidence.ts'
import { beyondConfiguration, isUnexpectedRoot, rulesOnRights } from './judge.ts'
import { type Learning, learning } from './learning.ts'
import { isRootProgram } from './program.ts'

/** Processes that have root, or rights like it, where nobody expects that (MITRE ATT&CK T1548, T1068). */
export const unexpectedRootProcess = defineDetector({
  name: 'unexpected-root-process',
  rules: {
    'root-in-nonroot-container': {
      severity: 'critical',
      kind: 'event',
      summary:
        'A process is root in a container that is configured to run as another user, and neither an exec nor a setuid program of the image explains it.',
      remedy:
        'Look for a setuid program or an exploit in the container; run it with --security-opt no-new-privileges.',
    },
    'setuid-program': {
      severity: 'warning',
      kind: 'event',
      summary:
        'A setuid program of the image, or one with file capabilities, was used for the first time in the image’s containers.',
      remedy:
        'Nothing, if the image needs it; else run it with --security-opt no-new-privileges, or remove the file.',
    },
    'privilege-escalation': {
      severity: 'critical',
      kind: 'event',
      summary:
        'A process gained root or capabilities by a setuid file that is not the image’s, by changing its ids, or without anything that gives them.',
      remedy:
        'Treat the container as taken over: stop it, keep it for a look, and upgrade the host’s kernel.',
    },
    'new-root-program': {
      severity: 'warning',
      kind: 'event',
      summary:
        'A program ran as root that had not been seen in the image’s containers while they were learned.',
      remedy: 'Find out what started it; a program that belongs there is told only this once.',
    },
  },
  evidence: rootEvidence,
  settings: z.strictObject({
    settle: duration('500ms', { max: '1m' }).describe(
      'How long a root process may wait for the exec that explains it to be known.',
    ),
    learn_for: duration('24h').describe(
      'For how long an image’s containers have to run before a new program as root is a finding.',
    ),
  }),
  perContainer: ['settle', 'learn_for'],
  detect: ({ memory, ...observed }: Observed, settings, settingsOf = () => settings): Observable<Detection> =>
    defer(() => {
      const profiles = learning(memory, (container) => settingsOf(container).learn_for)
      const { processes$, execs, entriesToldAfter } = observed
      const known = entries()
      const judged$ = processes$.pipe(
        tap((seen) => {
          if (!isRuntimeInit(seen.process)) known.observe(seen)
        }),
        filter((seen) => isOfInterest(seen, profiles)),
        mergeMap((seen) =>
          of(seen).pipe(
            delay(waitFor(seen, settingsOf(seen.container).settle, profiles)),
            delayWhen(() => (isUnexplainedEntry(seen, execs) ? timer(secondLookMs) : of(true))),
            delayWhen(() => settledExec(seen, execs)),
            // Who came in as root is told as that, if he is: what he runs as root is no other act.
            delayWhen(() =>
              isUnexplainedEntry(seen, execs) && known.actOf(seen) !== null
                ? timer(entriesToldAfter(seen.container))
                : of(true),
            ),
            takeUntil(processes$.pipe(filter((later) => isSame(later, seen) && isSettledBy(seen, later)))),
          ),
        ),
        map((seen) => judge(seen, execs, profiles, known)),
        filter((detection) => detection !== null),
      )
      return merge(remembered(observed, profiles), judged$)
    }),
})

/** What is only taken note of. */
function remembered(observed: Omit<Observed, 'memory'>, profiles: Learning) {
  const { containers$, resources$, eventsLost$ } = observed
  return merge(
    containers$.pipe(tap(profiles.containerChanged)),
    resources$.pipe(tap(({ container, time }) => profiles.running(container, time))),
    eventsLost$.pipe(tap(profiles.lost)),
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
  known: Entries,
): Detection | null {
  const entry = execs.entryOf(seen)
  const onRights = rulesOnRights(seen, entry)
  // Asked of every program, for it is how they are learned.
  const onProgram = isRootProgram(seen) && profiles.isNew(seen) ? ['new-root-program'] : []
  const rules = [...onRights, ...onProgram].filter(
    (rule, index) => rule !== 'setuid-program' || index > 0 || profiles.isFirstUse(seen),
  )
  if (rules.length === 0) return null
  const detection = describe(seen, rules, beyondConfiguration(seen, entry))
  const act = entry.by === 'none' && rules.every((rule) => rule === asEntered) ? known.actOf(seen) : null
  return act === null ? detection : { ...detection, partOf: { rule: 'untracked-exec', act } }
}

// All that there is to say of who has root because he came in with it.
const asEntered = 'root-in-nonroot-container'

/** In milliseconds. What is being learned waits to be told whether it was part of a burst. */
function waitFor(seen: ProcessObservation, settle: number, profiles: Learning): number {
  if (isRuntimeInit(seen.process)) return runtimeInitMs
  if (mayBeExec(seen)) return Math.max(settle, execMs)
  const isToBeLearned = isRootProgram(seen) && !profiles.isLearned(seen.container)
  return isToBeLearned ? Math.max(settle, burstToldMs) : settle
}

/** Whether a process came in, and no exec is known that brought it: one may have been told and not read yet. */
function isUnexplainedEntry(seen: ProcessObservation, execs: ExecView): boolean {
  return seen.origin.via === 'entered' && execs.entryOf(seen).by === 'none'
}

// runc's own init is root in the container for the moment before it becomes the container's program
// (libcontainer/nsenter/nsexec.c); on a busy host with a slow disk that moment can be seconds.
const runtimeInitMs = 10_000

// From the new ids to the exec are some milliseconds, unless the program has to come from a slow disk.
const execMs = 2_000

// Losses are told once a second.
const burstToldMs = 1_500

/**
 * The runtime on its way in, found by a look into /proc: who comes from outside is as root as the host lets it. What
 * it runs then is told when it runs; it may have been too short for the next look.
 */
function isRuntimeEntering({ change, process, origin, container: { details } }: ProcessObservation): boolean {
  if (change !== 'found' || !isRuntimeInit(process)) return false
  if (details?.pid === process.pid) return true
  if (origin.via === 'entered') return origin.entry.pid === process.pid
  // The engine may not have told yet that the container runs, or runs again.
  return (details?.startedAt ?? 0) < process.startedAt
}

/** Whether it looks like the runtime before its last exec. Anything can be named so: hence the wait, not a pardon. */
export function isRuntimeInit({ exe, argv }: Process): boolean {
  return argv[1] === 'init' && (exe === '/' || /^\/memfd:runc_cloned:|\/(?:docker-)?runc$|\/crun$/.test(exe))
}

/** A setuid file's ids are told before its exec (`begin_new_exec` of the kernel's fs/exec.c). */
function mayBeExec({ change, gain, process }: ProcessObservation): boolean {
  return change === 'ids-changed' && gain?.isNew !== true && process.containerUid !== 0
}

/** Whether what comes later of the same process says better what it is. */
function isSettledBy(seen: ProcessObservation, later: ProcessObservation): boolean {
  return isRuntimeInit(seen.process) || (mayBeExec(seen) && later.change === 'executed')
}

function isSame(a: ProcessObservation, b: ProcessObservation): boolean {
  return a.process.pid === b.process.pid && a.process.startTicks === b.process.startTicks
}
