import type { Container, ContainerIdentity, ContainerState } from '../../../model/container.ts'
import type { DockerEvent } from '../../../model/observation.ts'
import { detailsOf } from './details.ts'
import { boundedTexts, engineWords } from '../client/bounded.ts'
import { type JsonObject, objectOf, textOf, textsOf } from '../../../lib/json-object.ts'

/** Reads what `GET /containers/{id}/json` answered; whatever field is missing or of another type is as if unset. */
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

/** What one entry of `GET /containers/json` tells, until the container is inspected. */
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
 * What an event alone tells of its container, for one that was gone before it could be inspected. The engine mixes what it
 * has to say with the container's labels.
 */
export function containerOfEvent({ actorId, attributes }: DockerEvent): Container {
  const { name = '', image = '' } = attributes
  const labels = Object.fromEntries(Object.entries(attributes).filter(([key]) => !engineWords.has(key)))
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
 * A Swarm task's container is called `service.slot.task-id`, and the id is new with each task. The labels only
 * count when they agree with the name, which is the engine's: an image may carry any label.
 */
function nameOf(name: string, labels: Readonly<Record<string, string>>): string {
  const taskId = labels['com.docker.swarm.task.id']
  const isTask = taskId !== undefined && taskId !== '' && name === labels['com.docker.swarm.task.name']
  return isTask && name.endsWith(`.${taskId}`) ? name.slice(0, -taskId.length - 1) : name
}

const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const

function stateOf(word: string): ContainerState {
  return states.find((state) => state === word) ?? 'unknown'
}
