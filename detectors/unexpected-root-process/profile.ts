import { z } from 'zod'
import type { Container } from '../../agent/model/container.ts'
import type { Memory } from '../../agent/model/detector.ts'

/** What is learned of an image: which programs run as root in its containers. Its programs are entries of their own. */
export type Profile = z.output<typeof profileSchema>

const profileSchema = z.object({
  /** As people call it: the image, or the container where that has no name. */
  image: z.string(),
  /** Whether a program that is not in it is a finding. */
  learned: z.boolean(),
  /** For how long containers of the image have been seen to run. */
  ranMs: z.number(),
  /** How many programs it has. */
  programs: z.number(),
  /** When a container of it was last seen to run; epoch milliseconds. */
  seenAt: z.number(),
})

/** What an image's profile is kept under: its digest, or the container's name where there is none. */
export function profileKey({ imageId, name }: Pick<Container, 'imageId' | 'name'>): string {
  return imageId === '' ? `container:${name}` : imageId
}

/** Null where there is none, or none that can be read. */
export function readProfile(memory: Memory, key: string): Profile | null {
  const text = memory.get(`profile/${key}`)
  if (text === null) return null
  try {
    return profileSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** Keeps a profile; its programs are kept by `addProgram`. */
export function writeProfile(memory: Memory, key: string, profile: Profile): void {
  memory.set(`profile/${key}`, JSON.stringify(profile))
}

/** Every profile there is, by its key. */
export function allProfiles(memory: Memory): { key: string; profile: Profile }[] {
  return memory.keys('profile/').flatMap((stored) => {
    const key = stored.slice('profile/'.length)
    const profile = readProfile(memory, key)
    return profile === null ? [] : [{ key, profile }]
  })
}

/** What the metric shows: whether an image's profile is still being learned. */
export function profileStates(memory: Memory): { image: string; state: 'learning' | 'learned' }[] {
  return allProfiles(memory).map(({ profile: { image, learned } }) => ({
    image,
    state: learned ? 'learned' : 'learning',
  }))
}

/** The profile of a container's image; a new digest of a repository begins with what the one before it had learned. */
export function profileOf(memory: Memory, container: Container, time: number): Profile {
  const key = profileKey(container)
  const known = readProfile(memory, key)
  if (known !== null) return known
  makeRoom(memory)
  const repository = repositoryOf(container.image)
  const digests = repository === '' ? [] : digestsOf(memory, repository)
  const previous = digests.find((digest) => readProfile(memory, digest) !== null)
  const inherited = previous === undefined ? null : readProfile(memory, previous)
  const profile = {
    learned: false,
    ranMs: 0,
    programs: 0,
    ...inherited,
    image: container.image || container.name,
    seenAt: time,
  }
  for (const program of previous === undefined ? [] : programsOf(memory, previous)) {
    memory.set(programEntry(key, program), '')
  }
  writeProfile(memory, key, profile)
  if (repository !== '') {
    const kept = [key, ...digests.filter((digest) => digest !== key)]
    for (const digest of kept.slice(keptDigests)) forget(memory, digest)
    memory.set(`repository/${repository}`, JSON.stringify(kept.slice(0, keptDigests)))
  }
  return profile
}

// The one in use, the one a deploy replaces, and what a rollback goes back to.
const keptDigests = 4

/** The programs of a profile, in order. */
export function programsOf(memory: Memory, key: string): string[] {
  const prefix = programEntry(key, '')
  return memory.keys(prefix).map((entry) => entry.slice(prefix.length))
}

/** Asked of every program that runs as root, and so by one look at the store. */
export function hasProgram(memory: Memory, key: string, program: string): boolean {
  return memory.get(programEntry(key, program)) !== null
}

/** Takes a program into a profile; false when the profile is full. */
export function addProgram(memory: Memory, key: string, profile: Profile, program: string): boolean {
  if (profile.programs >= maxPrograms) return false
  memory.set(programEntry(key, program), '')
  writeProfile(memory, key, { ...profile, programs: profile.programs + 1 })
  return true
}

// A distribution's whole /usr/bin has some hundreds; an image that goes on beyond runs programs with made-up names.
const maxPrograms = 1_000

/** Removes a profile with all its programs. */
export function forget(memory: Memory, key: string): void {
  for (const program of programsOf(memory, key)) memory.delete(programEntry(key, program))
  memory.delete(`profile/${key}`)
}

/** An image's name without what changes with a deploy, its tag and digest; empty where it has no name. */
export function repositoryOf(image: string): string {
  const name = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  return name === 'sha256' ? '' : name
}

function digestsOf(memory: Memory, repository: string): string[] {
  try {
    return z.array(z.string()).parse(JSON.parse(memory.get(`repository/${repository}`) ?? '[]'))
  } catch {
    return []
  }
}

function makeRoom(memory: Memory): void {
  const all = allProfiles(memory)
  if (all.length < maxProfiles) return
  const [oldest] = all.toSorted((a, b) => a.profile.seenAt - b.profile.seenAt)
  if (oldest !== undefined) forget(memory, oldest.key)
}

// Of hosts that build images: those are named for each build.
const maxProfiles = 500

function programEntry(key: string, program: string): string {
  return `program/${key}/${program}`
}
