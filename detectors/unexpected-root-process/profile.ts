import { z } from 'zod'
import type { Container } from '../../agent/model/container.ts'
import type { Memory } from '../../agent/model/detector.ts'

/** What was learned about an image: which programs run as root in its containers. Programs are stored separately. */
export type Profile = z.output<typeof profileSchema>

const profileSchema = z.object({
  /** The display name: that of the image, or of the container if the image has none. */
  image: z.string(),
  /** Whether a program that is not in it is a finding. */
  learned: z.boolean(),
  /** How long containers of the image were seen running. */
  ranMs: z.number(),
  /** Number of programs in the profile. */
  programs: z.number(),
  /** When a container of the image was last seen running; epoch milliseconds. */
  seenAt: z.number(),
})

/** The key of an image's profile: its digest, or the container's name if there is none. */
export function profileKey({ imageId, name }: Pick<Container, 'imageId' | 'name'>): string {
  return imageId === '' ? `container:${name}` : imageId
}

/** Null if there is no readable profile. */
export function readProfile(memory: Memory, key: string): Profile | null {
  const text = memory.get(`profile/${key}`)
  if (text === null) return null
  try {
    return profileSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}

/** Stores a profile; `addProgram` stores its programs. */
export function writeProfile(memory: Memory, key: string, profile: Profile): void {
  memory.set(`profile/${key}`, JSON.stringify(profile))
}

/** All profiles with their keys. */
export function allProfiles(memory: Memory): { key: string; profile: Profile }[] {
  return memory.keys('profile/').flatMap((stored) => {
    const key = stored.slice('profile/'.length)
    const profile = readProfile(memory, key)
    return profile === null ? [] : [{ key, profile }]
  })
}

/** For the metric: whether an image's profile is still being learned. */
export function profileStates(memory: Memory): { image: string; state: 'learning' | 'learned' }[] {
  return allProfiles(memory).map(({ profile: { image, learned } }) => ({
    image,
    state: learned ? 'learned' : 'learning',
  }))
}

/** The profile of a container's image; a new digest of a repository inherits the profile of the previous digest. */
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
    const latest = [key, ...digests.filter((digest) => digest !== key)]
    for (const digest of latest.slice(maxDigests)) forget(memory, digest)
    memory.set(`repository/${repository}`, JSON.stringify(latest.slice(0, maxDigests)))
  }
  return profile
}

// The current digest, the one that a deploy replaces, and earlier ones for rollbacks.
const maxDigests = 4

/** The programs of a profile, sorted. */
export function programsOf(memory: Memory, key: string): string[] {
  const prefix = programEntry(key, '')
  return memory.keys(prefix).map((entry) => entry.slice(prefix.length))
}

/** Called for every program that runs as root, so it needs only one lookup. */
export function hasProgram(memory: Memory, key: string, program: string): boolean {
  return memory.get(programEntry(key, program)) !== null
}

/** Adds a program to a profile; false if the profile is full. */
export function addProgram(memory: Memory, key: string, profile: Profile, program: string): boolean {
  if (profile.programs >= maxPrograms) return false
  memory.set(programEntry(key, program), '')
  writeProfile(memory, key, { ...profile, programs: profile.programs + 1 })
  return true
}

// A distribution's whole /usr/bin has some hundreds; an image with more runs programs with made-up names.
const maxPrograms = 1_000

/** Removes a profile with all its programs. */
export function forget(memory: Memory, key: string): void {
  for (const program of programsOf(memory, key)) memory.delete(programEntry(key, program))
  memory.delete(`profile/${key}`)
}

/** An image's name without its tag and digest, which change with a deploy; empty if it has no name. */
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

// Hosts that build images give each build a name of its own.
const maxProfiles = 500

function programEntry(key: string, program: string): string {
  return `program/${key}/${program}`
}
