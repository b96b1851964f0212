import { z } from 'zod'
import type { Container } from '../model/container.ts'

/** Which containers an override is for: all that is given has to fit. */
export const matchSchema = z
  .strictObject({
    image: z
      .string()
      .min(1)
      .optional()
      .describe('Pattern of the image as the container names it: postgres:*'),
    name: z.string().min(1).optional().describe('Pattern of the container’s name: shop-*'),
    label: z
      .string()
      .min(1)
      .optional()
      .describe('A label that it has, or label=pattern; whoever makes an image can set labels.'),
  })
  .refine(
    (match) => Object.values(match).some((pattern) => pattern !== undefined),
    'expected image, name or label',
  )

export type Match = z.output<typeof matchSchema>

/** What patterns are compared with. */
export type Matched = Pick<Container, 'name' | 'image' | 'labels'>

/** Whether a container is one of those an override is for. */
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
 * `*` stands for any text and `?` for one character. Not by a regular expression: names and labels are the
 * container's own, and this takes no longer than (length of pattern) x (length of text).
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
