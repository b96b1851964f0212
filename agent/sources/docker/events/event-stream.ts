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
import { sourceUp } from '../../../model/source-reports.ts'

export type DockerEventsOptions = {
  client: Pick<DockerClient, 'endpoint' | 'streamEvents'>
  cursor: Cursor
  /** Epoch milliseconds. */
  now: () => number
}

/** The engine's events, from where the last subscription or daemon stopped. Errors when the stream ends. */
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
    const drain = createDrain<string>({ limit: maxQueuedLines, handle, afterSlice: reportLosses })
    const saver = createSaver(saveCursor)
    let queuedCharacters = 0
    let cursorProblem = ''

    // The reader never blocks: the engine silently drops the events of a slow reader, and slows down all its clients.
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

    function reportLosses(): void {
      for (const lost of losses.take(now())) subscriber.next(lost)
    }

    function saveCursor(): void {
      const problem = saveProblem(cursor, resume.state())
      if (problem !== cursorProblem) subscriber.next(status(now(), problem))
      cursorProblem = problem
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
          failure = new Error(`the event stream of the Docker Engine at ${client.endpoint} was interrupted`, {
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

// A burst of 10,000 execs, three events each. The character limit bounds the memory.
const maxQueuedLines = 40_000
const maxQueuedCharacters = 64 * 1024 * 1024

function status(time: number, reason: string): SourceStatus {
  return sourceUp('docker-events', time, 'stream', reason)
}

function saveProblem(cursor: Cursor, state: CursorState | null): string {
  try {
    if (state !== null) cursor.save(state)
    return ''
  } catch (error) {
    return `cannot save the event stream position, events may be missed after a restart: ${messageOf(error)}`
  }
}

/** Saves at most once a second after a touch, and once more on close if needed. */
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
