import type { Container, ContainerIdentity, ContainerState } from '../../../model/container.ts'
import type { DockerEvent } from '../../../model/observation.ts'
import { detailsOf, timeOf } from './details.ts'
import { boundedTexts, engineAttributes } from '../client/bounded.ts'
import { type JsonObject, numberOf, objectOf, textOf, textsOf } from '../../../lib/json-object.ts'

/**
 * Parses the response to `GET /containers/{id}/json`. A field that is missing or of the wrong type counts as unset.
 */
export function containerOfInspect(inspect: JsonObject): Container {
  const config = objectOf(inspect['Config'])
  return {
    ...identity({
      id: textOf(inspect['Id']),
      name: textOf(inspect['Name']),
      createdAt: timeOf(inspect['Created']),
      image: textOf(config['Image']),
      imageId: textOf(inspect['Image']),
      labels: boundedTexts(config['Labels']),
    }),
    state: stateOf(textOf(objectOf(inspect['State'])['Status'])),
    details: detailsOf(inspect),
  }
}

/** Parses an entry of `GET /containers/json`; used until the container is inspected. */
export function containerOfListing(entry: JsonObject): Container {
  return {
    ...identity({
      id: textOf(entry['Id']),
      name: textsOf(entry['Names'])[0] ?? '',
      createdAt: numberOf(entry['Created']) * 1_000,
      image: textOf(entry['Image']),
      imageId: textOf(entry['ImageID']),
      labels: boundedTexts(entry['Labels']),
    }),
    state: stateOf(textOf(entry['State'])),
    details: null,
  }
}

/**
 * Builds a container from an event, if it is gone before it can be inspected. The engine mixes its own attributes
 * with the container's labels.
 */
export function containerOfEvent({ actorId, action, time, attributes }: DockerEvent): Container {
  const { name = '', image = '' } = attributes
  const labels = Object.fromEntries(Object.entries(attributes).filter(([key]) => !engineAttributes.has(key)))
  const createdAt = action === 'create' ? time : 0
  return {
    ...identity({ id: actorId, name, createdAt, image, imageId: '', labels }),
    state: 'unknown',
    details: null,
  }
}

/** A Swarm task: one of the replicas of a service. */
export type Task = { id: string; slotName: string }

/**
 * The Swarm task of a container, or null. Its container is named `service.slot.task-id`, and each task has a new id.
 * The labels count only if they match the name, which the engine sets: an image may carry any label.
 */
export function taskOf({
  engineName,
  labels,
}: Pick<ContainerIdentity, 'engineName' | 'labels'>): Task | null {
  const id = labels['com.docker.swarm.task.id']
  const isTask = id !== undefined && id !== '' && engineName === labels['com.docker.swarm.task.name']
  return isTask && engineName.endsWith(`.${id}`)
    ? { id, slotName: engineName.slice(0, -id.length - 1) }
    : null
}

type Names = Pick<ContainerIdentity, 'id' | 'name' | 'createdAt' | 'image' | 'imageId' | 'labels'>

function identity({ id, name, createdAt, image, imageId, labels }: Names): ContainerIdentity {
  const engineName = name.replace(/^\//, '')
  return {
    id,
    name: taskOf({ engineName, labels })?.slotName ?? engineName,
    engineName,
    createdAt,
    image: image.replace(/@sha256:[0-9a-f]*$/, ''),
    imageId,
    labels,
    composeProject: labels['com.docker.compose.project'] ?? '',
    composeService: labels['com.docker.compose.service'] ?? '',
    k8sNamespace: labels['io.kubernetes.pod.namespace'] ?? '',
    k8sPod: labels['io.kubernetes.pod.name'] ?? '',
  }
}

const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const

function stateOf(status: string): ContainerState {
  return states.find((state) => state === status) ?? 'unknown'
}
