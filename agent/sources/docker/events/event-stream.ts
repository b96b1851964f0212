import { defer, Observable } from 'rxjs'
import { messageOf } from '../../../lib/errors.ts'
import type { Observation, SourceStatus } from '../../../model/observation.ts'
import type { Source } from '../../../model/source.ts'
import type { DockerClient } from '../client/client.ts'
import { createDrain } from './drain.ts'
import { parseEvent } from './event.ts'
import { createLineSplitter } from './lines.ts'
import { createLosses } from './losses.ts'
import { createResume, type Resume } from './resume.ts'
import { type Cursor, type CursorState } from '../../../model/event-cursor.ts'

export type DockerEventsOptions = {
  client: Pick<DockerClient, 'endpoint' | 'streamEvents'>
  cursor: Cursor
  /** Epoch milliseconds. */
  now: () => number
}

/** The engine's events, from where the last subscription or the last daemon left off; errs when the stream ends. */
export function dockerEvents(options: DockerEventsOptions): Source {
  let resume: Resume | undefined
  return {
    name: 'docker-events',
    observe: () =>
      defer(() => {
        resume ??= createResume(options.cursor.load(), options.now())
        return eventStream(options, resume)
      }),
  }
}

function eventStream({ client, cursor, now }: DockerEventsOptions, resume: Resume): Observable<Observation> {
  return new Observable((subscriber) => {
    const losses = createLosses('docker-events')
    const drain = createDrain<string>({ limit: maxQueuedLines, handle, afterSlice: tellLosses })
    const saver = createSaver(saveCursor)
    let queuedCharacters = 0
    let cursorTrouble = ''

    // The reader never waits: the engine drops events of a slow one in silence, and slows all its users.
    const split = createLineSplitter({
      onLine(line) {
        if (queuedCharacters + line.length > maxQueuedCharacters || !drain.push(line))
          return lose('queue-full')
        queuedCharacters += line.length
      },
      onTooLong: () => lose('too-long'),
    })

    function lose(reason: string): void {
      losses.add(reason)
      drain.wake()
    }

    function handle(line: string): void {
      queuedCharacters -= line.length
      if (!resume.isNew(line)) return
      const event = parseEvent(line)
      if (event === null) return losses.add('invalid')
      if (resume.advance(event.timeNano)) losses.add('gap')
      saver.touch()
      subscriber.next(event)
    }

    function tellLosses(): void {
      for (const lost of losses.take(now())) subscriber.next(lost)
    }

    function saveCursor(): void {
      const trouble = troubleOfSaving(cursor, resume.state())
      if (trouble !== cursorTrouble) subscriber.next(status(now(), trouble))
      cursorTrouble = trouble
    }

    const unsubscribed = new AbortController()
    void (async () => {
      let failure: unknown = new Error(`the event stream of the Docker Engine at ${client.endpoint} ended`)
      try {
        const since = resume.since(now())
        const stream = await client.streamEvents({ since, signal: unsubscribed.signal })
        resume.attached(now())
        subscriber.next(status(now(), ''))
        stream.on('data', split)
        stream.on('error', (cause) => {
          failure = new Error(`the event stream of the Docker Engine at ${client.endpoint} broke off`, {
            cause,
          })
        })
        stream.on('close', () => drain.finish(() => subscriber.error(failure)))
      } catch (error) {
        subscriber.error(error)
      }
    })()

    return () => {
      unsubscribed.abort()
      drain.stop()
      saver.close()
    }
  })
}

// A burst of 10,000 execs, three events each; what bounds the memory is the characters.
const maxQueuedLines = 40_000
const maxQueuedCharacters = 64 * 1024 * 1024

function status(time: number, reason: string): SourceStatus {
  const best = reason === ''
  return { kind: 'source-status', time, source: 'docker-events', up: true, mode: 'stream', best, reason }
}

function troubleOfSaving(cursor: Cursor, state: CursorState | null): string {
  try {
    if (state !== null) cursor.save(state)
    return ''
  } catch (error) {
    return `the place in the event stream cannot be saved, events may be missed at a restart: ${messageOf(error)}`
  }
}

/** Saves soon after a touch, at most once a second, and at the end what is not saved yet. */
function createSaver(save: () => void) {
  let timer: NodeJS.Timeout | undefined
  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    save()
  }
  return {
    touch(): void {
      timer ??= setTimeout(flush, 1_000)
    },
    close(): void {
      if (timer !== undefined) flush()
    },
  }
}
