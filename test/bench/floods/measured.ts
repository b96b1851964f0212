import { setTimeout as sleep } from 'node:timers/promises'
import { type Bundled, forgetPeak, peakMiB } from '../bundled.ts'

/** The result of a flood. Values about the daemon come from its own metrics. */
export type Flood = {
  name: string
  /** Number of events sent; null if only the kernel counts them. */
  sent: number | null
  seen: number
  /** Events dropped and counted by the daemon. */
  dropped: number
  /** Operations that each cause one finding. */
  operations: number
  /** Findings that were reported, folded into others or throttled. */
  findings: number
  peakMiB: number
  /** The longest block of the event loop, in wall-clock and in CPU time. */
  blockedMs: number
  busyMs: number
  notes: string
}

/** The summary of a flood: the detector of its findings, or the number of findings if the flood counted them itself. */
type Done = Pick<Flood, 'name' | 'sent' | 'operations'> & { notes?: string } & (
    | { detector: string; findings?: undefined }
    | { detector?: undefined; findings: () => number }
  )

/** Runs a flood and waits until the daemon has processed it. */
export async function measured(daemon: Bundled, source: string, flood: () => Promise<Done>): Promise<Flood> {
  await daemon.inside()
  await forgetPeak(daemon.pid)
  const before = await account(daemon, source, '')
  const { name, sent, operations, detector = '', findings, notes = '' } = await flood()
  let after = await account(daemon, source, detector)
  // On a host with other activity the daemon is never idle.
  for (let [quiet, looks] = [0, 0]; quiet < 3 && looks < 20; looks += 1) {
    await sleep(1_000)
    const next = await account(daemon, source, detector)
    quiet = JSON.stringify(next) === JSON.stringify(after) ? quiet + 1 : 0
    after = next
  }
  const { blockedMs, busyMs } = await daemon.inside()
  return {
    ...{ name, sent, operations, notes },
    seen: after.seen - before.seen,
    dropped: after.lost - before.lost,
    findings: findings?.() ?? after.findings,
    peakMiB: peakMiB(daemon.pid),
    blockedMs,
    busyMs,
  }
}

/** The daemon was just started, so that all its findings belong to the flood. */
async function account(daemon: Bundled, source: string, detector: string) {
  const { sum } = await daemon.scrape()
  const reported = sum('tidewatch_findings_total', { detector })
  const suppressed = sum('tidewatch_findings_suppressed_total', { detector })
  return {
    seen: sum('tidewatch_source_events_total', { source }),
    lost: sum('tidewatch_source_events_lost_total', { source }),
    findings: reported + suppressed,
  }
}
