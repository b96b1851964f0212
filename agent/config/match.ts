import { z } from 'zod'
import type { Container } from '../model/container.ts'

/** The containers that an override applies to: every given pattern must match. */
export const matchSchema = z
  .strictObject({
    image: z.string().min(1).optional().describe('Pattern for the image name: postgres:*'),
    name: z.string().min(1).optional().describe('Pattern for the container name: shop-*'),
    label: z
      .string()
      .min(1)
      .optional()
      .describe('Label name, or label=pattern. Image authors can set labels.'),
  })
  .refine(
    (match) => Object.values(match).some((pattern) => pattern !== undefined),
    'expected image, name or label',
  )

export type Match = z.output<typeof matchSchema>

/** The container fields that patterns are compared with. */
export type Matched = Pick<Container, 'name' | 'image' | 'labels'>

/** Whether an override applies to a container. */
export function isMatch({ image, name, label }: Match, container: Matched): boolean {
  if (image !== undefined && !fitsPattern(image, container.image)) return false
  if (name !== undefined && !fitsPattern(name, container.name)) return false
  return label === undefined || hasLabel(label, container.labels)
}

function hasLabel(label: string, labels: Matched['labels']): boolean {
  const sign = label.indexOf('=')
  const key = sign === -1 ? label : label.slice(0, sign)
  if (!Object.hasOwn(labels, key)) return false
  return sign === -1 || fitsPattern(label.slice(sign + 1), labels[key] ?? '')
}

/**
 * `*` matches any text and `?` one character. Not a regular expression: names and labels come from the container, and
 * this takes at most (length of pattern) x (length of text) steps.
 */
export function fitsPattern(pattern: string, text: string): boolean {
  let at = 0
  let of = 0
  let star = -1
  let resumeAt = 0
  while (at < text.length) {
    if (pattern[of] === '*') {
      star = of
      resumeAt = at
      of += 1
    } else if (of < pattern.length && (pattern[of] === '?' || pattern[of] === text[at])) {
      at += 1
      of += 1
    } else if (star !== -1) {
      resumeAt += 1
      at = resumeAt
      of = star + 1
    } else return false
  }
  while (pattern[of] === '*') of += 1
  return of === pattern.length
}
