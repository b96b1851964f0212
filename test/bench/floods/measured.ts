import { setTimeout as sleep } from 'node:timers/promises'
import { type Bundled, forgetPeak, peakMiB } from '../bundled.ts'

/** What came of a flood, by the daemon's own account where it is the daemon's. */
export type Flood = {
  name: string
  /** Events that were sent; null where nobody but the kernel counts them. */
  sent: number | null
  seen: number
  /** Dropped, and counted by the daemon. */
  dropped: number
  /** Acts that are each a finding. */
  acts: number
  /** Findings that were told, folded into others or held back by a budget. */
  findings: number
  peakMiB: number
  /** The longest the event loop stood, on the clock and in its own processor time. */
  blockedMs: number
  busyMs: number
  notes: string
}

/** What a flood did; which of the daemon's findings are of it, or how many, where it has counted them itself. */
type Done = Pick<Flood, 'name' | 'sent' | 'acts'> & { notes?: string } & (
    | { detector: string; findings?: undefined }
    | { detector?: undefined; findings: () => number }
  )

/** Runs a flood and waits until the daemon has nothing left to do of it. */
export async function measured(daemon: Bundled, source: string, flood: () => Promise<Done>): Promise<Flood> {
  await daemon.inside()
  await forgetPeak(daemon.pid)
  const before = await account(daemon, source, '')
  const { name, sent, acts, detector = '', findings, notes = '' } = await flood()
  let after = await account(daemon, source, detector)
  // On a host where other things happen it is never quiet.
  for (let [quiet, looks] = [0, 0]; quiet < 3 && looks < 20; looks += 1) {
    await sleep(1_000)
    const next = await account(daemon, source, detector)
    quiet = JSON.stringify(next) === JSON.stringify(after) ? quiet + 1 : 0
    after = next
  }
  const { blockedMs, busyMs } = await daemon.inside()
  return {
    ...{ name, sent, acts, notes },
    seen: after.seen - before.seen,
    dropped: after.lost - before.lost,
    findings: findings?.() ?? after.findings,
    peakMiB: peakMiB(daemon.pid),
    blockedMs,
    busyMs,
  }
}

/** The daemon is new, so that all its findings are of the flood. */
async function account(daemon: Bundled, source: string, detector: string) {
  const { sum } = await daemon.scrape()
  const told = sum('tidewatch_findings_total', { detector })
  const suppressed = sum('tidewatch_findings_suppressed_total', { detector })
  return {
    seen: sum('tidewatch_source_events_total', { source }),
    lost: sum('tidewatch_source_events_lost_total', { source }),
    findings: told + suppressed,
  }
}
