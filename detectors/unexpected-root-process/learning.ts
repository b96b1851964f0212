import { type Container, isRootUser } from '../../agent/model/container.ts'
import type { Memory } from '../../agent/model/detector.ts'
import type { ContainerObservation, EventsLost, ProcessObservation } from '../../agent/model/observation.ts'
import {
  addProgram,
  hasProgram,
  profileKey,
  profileOf,
  readProfile,
  repositoryOf,
  writeProfile,
} from './profile.ts'
import { programNames } from './program.ts'

/** Learns which programs run as root in the containers of an image, and recognises new ones after that. */
export type Learning = {
  /** The container is running at this time: the time since the last call counts as learning time. */
  running(container: Container, time: number): void
  containerChanged(seen: ContainerObservation): void
  lost(losses: EventsLost): void
  isKnown(seen: ProcessObservation): boolean
  isLearned(container: Container): boolean
  /** Adds a program to the profile; true if the profile was learned already and did not contain it. */
  isNew(seen: ProcessObservation): boolean
  /** Stores a setuid program of an image; true the first time. */
  isFirstUse(seen: ProcessObservation): boolean
}

/** Profiles are read on every use, because `tidewatch profile` changes them while the daemon runs. */
export function learning(memory: Memory, learnForMs: (container: Container) => number): Learning {
  // When an image's containers were last seen running, and the running time since the last save.
  const ran = new Map<string, { until: number; unsavedMs: number }>()
  const bursts = new Map<string, number>()

  function running(container: Container, time: number): void {
    if (container.details === null || !isRootUser(container.details.user)) return
    const key = profileKey(container)
    const last = ran.get(key)
    if (last === undefined) profileOf(memory, container, time)
    const until = Math.max(time, last?.until ?? 0)
    const elapsed = Math.min(until - (last?.until ?? until), longestGapMs)
    const unsavedMs = (last?.unsavedMs ?? 0) + elapsed
    const isDue = unsavedMs >= Math.min(saveEveryMs, learnForMs(container) / 10)
    if (isDue) save(container, unsavedMs, until)
    ran.set(key, { until, unsavedMs: isDue ? 0 : unsavedMs })
  }

  function save(container: Container, ms: number, seenAt: number): void {
    const profile = profileOf(memory, container, seenAt)
    const ranMs = profile.ranMs + ms
    const learned = profile.learned || ranMs >= learnForMs(container)
    writeProfile(memory, profileKey(container), { ...profile, ranMs, learned, seenAt })
  }

  function containerChanged({ action, container, time }: ContainerObservation): void {
    if (action === 'died') {
      running(container, time)
      // Another container of the image may still be running: its next sample restarts the clock.
      ran.delete(profileKey(container))
    } else if (container.state === 'running') running(container, time)
  }

  function lost({ container: from, time }: EventsLost): void {
    if (from === undefined) return
    bursts.set(from.id, time)
    // The loss may be reported after the container is gone.
    for (const [id, at] of bursts) if (time - at > keepBurstsMs) bursts.delete(id)
  }

  function isInBurst({ container: { id }, time }: ProcessObservation): boolean {
    const burst = bursts.get(id)
    return burst !== undefined && Math.abs(burst - time) < burstMs
  }

  function isKnown(seen: ProcessObservation): boolean {
    const key = profileKey(seen.container)
    return programNames(seen).some((name) => hasProgram(memory, key, name))
  }

  function isNew(seen: ProcessObservation): boolean {
    const profile = profileOf(memory, seen.container, seen.time)
    if (isKnown(seen)) return false
    if (!profile.learned && isInBurst(seen)) return false
    const [name = ''] = programNames(seen)
    addProgram(memory, profileKey(seen.container), profile, name)
    return profile.learned
  }

  function isFirstUse({ container: { image, name }, gain }: ProcessObservation): boolean {
    const space = `setuid/${repositoryOf(image) || name}/`
    const entry = `${space}${gain?.by.exe.slice(0, 512)} (${gain?.file.origin})`
    if (memory.get(entry) !== null) return false
    if (memory.keys(space).length < maxSetuidPrograms) memory.set(entry, '')
    return true
  }

  return {
    running,
    containerChanged,
    lost,
    isKnown,
    isLearned: (container) => readProfile(memory, profileKey(container))?.learned === true,
    isNew,
    isFirstUse,
  }
}

// Running containers are sampled at least this often: `sources.resources.interval` is 5 minutes at most.
const longestGapMs = 300_000

// A crash loses at most this much learning time.
const saveEveryMs = 60_000

// Losses are reported once a second, for the second before.
const burstMs = 2_000
const keepBurstsMs = 60_000

const maxSetuidPrograms = 200
