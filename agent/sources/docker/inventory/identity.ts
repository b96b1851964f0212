import type { Container, ContainerIdentity, ContainerState } from '../../../model/container.ts'
import type { DockerEvent } from '../../../model/observation.ts'
import { detailsOf } from './details.ts'
import { boundedTexts, engineAttributes } from '../client/bounded.ts'
import { type JsonObject, objectOf, textOf, textsOf } from '../../../lib/json-object.ts'

/**
 * Parses the response to `GET /containers/{id}/json`. A field that is missing or of the wrong type counts as unset.
 */
export function containerOfInspect(inspect: JsonObject): Container {
  const config = objectOf(inspect['Config'])
  return {
    ...identity({
      id: textOf(inspect['Id']),
      name: textOf(inspect['Name']),
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
export function containerOfEvent({ actorId, attributes }: DockerEvent): Container {
  const { name = '', image = '' } = attributes
  const labels = Object.fromEntries(Object.entries(attributes).filter(([key]) => !engineAttributes.has(key)))
  return {
    ...identity({ id: actorId, name, image, imageId: '', labels }),
    state: 'unknown',
    details: null,
  }
}

type Names = Pick<ContainerIdentity, 'id' | 'name' | 'image' | 'imageId' | 'labels'>

function identity({ id, name, image, imageId, labels }: Names): ContainerIdentity {
  return {
    id,
    name: nameOf(name.replace(/^\//, ''), labels),
    image: image.replace(/@sha256:[0-9a-f]*$/, ''),
    imageId,
    labels,
    composeProject: labels['com.docker.compose.project'] ?? '',
    composeService: labels['com.docker.compose.service'] ?? '',
    k8sNamespace: labels['io.kubernetes.pod.namespace'] ?? '',
    k8sPod: labels['io.kubernetes.pod.name'] ?? '',
  }
}

/**
 * A Swarm task's container is named `service.slot.task-id`, and each task has a new id. The labels count only if they
 * match the name, which the engine sets: an image may carry any label.
 */
function nameOf(name: string, labels: Readonly<Record<string, string>>): string {
  const taskId = labels['com.docker.swarm.task.id']
  const isTask = taskId !== undefined && taskId !== '' && name === labels['com.docker.swarm.task.name']
  return isTask && name.endsWith(`.${taskId}`) ? name.slice(0, -taskId.length - 1) : name
}

const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const

function stateOf(status: string): ContainerState {
  return states.find((state) => state === status) ?? 'unknown'
}
