import type { Finding } from '../model/finding.ts'

/** The view of a finding that expressions have; see `subjectOf`. */
export type Subject = ReturnType<typeof subjectOf>

/** A finding as expressions see it. Without a container, all container fields are empty. */
export function subjectOf(finding: Finding, labels: Readonly<Record<string, string>>) {
  const { rule, detector, severity, kind, summary, host, fingerprint, evidence } = finding
  const container = new ContainerValue(finding, mapOf(labels))
  return { rule, detector, severity, kind, summary, host, fingerprint, evidence, container }
}

export class ContainerValue {
  readonly id: string
  readonly name: string
  readonly image: string
  readonly image_id: string
  readonly compose_project: string
  readonly compose_service: string
  readonly labels: ReadonlyMap<string, string>

  constructor({ container }: Pick<Finding, 'container'>, labels: ReadonlyMap<string, string>) {
    this.id = container?.id ?? ''
    this.name = container?.name ?? ''
    this.image = container?.image ?? ''
    this.image_id = container?.image_id ?? ''
    this.compose_project = container?.compose_project ?? ''
    this.compose_service = container?.compose_service ?? ''
    this.labels = labels
  }
}

const labelMaps = new WeakMap<object, ReadonlyMap<string, string>>()

/** Cached: all findings of a container share one labels object. */
function mapOf(labels: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  let map = labelMaps.get(labels)
  if (map === undefined) labelMaps.set(labels, (map = new Map(Object.entries(labels))))
  return map
}
