import {
  defer,
  exhaustMap,
  filter,
  ignoreElements,
  interval,
  map,
  merge,
  type MonoTypeOperatorFunction,
  Subject,
  takeUntil,
  takeWhile,
  tap,
} from 'rxjs'
import { type Container, type ContainerLookup, isOnlyId } from '../model/container.ts'
import { containerWaitQueue, defaultNameWaitMs } from '../sources/processes/container-wait-queue.ts'
import type { Detected } from './detected.ts'

export type NameContainersOptions = {
  containers: ContainerLookup
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * Gives each detection the name of its container. The kernel reports what a container does before the engine's events
 * about it are read, and the container may be gone when the engine is asked. Such a detection waits for the name, and
 * those of the same container after it keep their order. A container that the engine does not report in time is
 * published by its id.
 */
export function nameContainers({
  containers,
  now,
}: NameContainersOptions): MonoTypeOperatorFunction<Detected> {
  return (detected$) =>
    defer(() => {
      const released$ = new Subject<Detected>()
      const held$ = new Subject<void>()
      const ended$ = new Subject<void>()
      const waiting = containerWaitQueue<Held>({
        isKnown: (id, { needsName }) => !needsName || isNamed(id),
        isNamed,
        isPending: containers.isPending,
        release: ({ detected }) => released$.next(detected),
        now,
      })

      function isNamed(id: string): boolean {
        return containers.get(id) !== undefined
      }

      function hold(detected: Detected): boolean {
        const { container, time, lastSeen = time } = detected.detection
        if (container === null) return false
        // The source of an older one has waited already.
        const needsName = isOnlyId(container) && now() - lastSeen < defaultNameWaitMs
        return waiting.hold(container.id, { detected, needsName })
      }

      function end(): void {
        waiting.releaseAll()
        released$.complete()
        ended$.next()
      }

      const passed$ = detected$.pipe(
        tap({ complete: end }),
        filter((detected) => {
          const isHeld = hold(detected)
          if (isHeld) held$.next()
          return !isHeld
        }),
      )
      const releases$ = held$.pipe(
        exhaustMap(() =>
          interval(releaseMs).pipe(
            tap(waiting.release),
            takeWhile(() => waiting.size > 0),
          ),
        ),
        takeUntil(ended$),
        ignoreElements(),
      )
      return merge(released$, releases$, passed$).pipe(map((detected) => named(detected, containers)))
    })
}

type Held = { detected: Detected; needsName: boolean }

// Only detections of containers without a name wait for it.
const releaseMs = 50

function named(detected: Detected, containers: ContainerLookup): Detected {
  const { detector, detection } = detected
  const { container, summary } = detection
  const known = container !== null && isOnlyId(container) ? containers.get(container.id) : undefined
  if (container === null || known === undefined) return detected
  return {
    detector,
    detection: { ...detection, container: known, summary: withName(summary, container, known) },
  }
}

function withName(summary: string, { name: id }: Container, { name }: Container): string {
  return summary.replaceAll(id, () => name)
}
