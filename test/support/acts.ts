import type { Detection } from '../../agent/model/finding.ts'

/** What identifies the act of an event: two detections with the same value are repeats of one act. */
export function actOf({ rule, container, subject, targetUser, actor }: Detection): string {
  return JSON.stringify([rule, container?.id, subject, targetUser, actor])
}
