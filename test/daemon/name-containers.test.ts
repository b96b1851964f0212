import test, { type ExecutionContext } from 'ava'
import { asyncScheduler, map, Subject, tap } from 'rxjs'
import type { Detected } from '../../agent/daemon/detected.ts'
import { nameContainers } from '../../agent/daemon/name-containers.ts'
import { type Container, containerOfId } from '../../agent/model/container.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { marbles } from '../support/marbles.ts'
import { sampleContainer, sampleDetection } from '../support/samples.ts'

const [web, other] = ['a'.repeat(64), 'b'.repeat(64)]
const named = (id: string, name: string) => sampleContainer({ id, name, details: null })

const detected = (
  container: Container | null,
  summary = `a setuid program ran in ${container?.name}`,
): Detected => ({
  detector: unexpectedRootProcess,
  detection: sampleDetection({ rule: 'setuid-program', container, summary, time: 0 }),
})

// `w` and `v` are of a container without a name, `o` of another; `k` is of a named one, `h` of the host.
const values: Record<string, Detected> = {
  w: detected(containerOfId(web)),
  v: detected(containerOfId(web), 'again'),
  o: detected(containerOfId(other)),
  k: detected(named(web, 'web')),
  h: detected(null),
}

/** `events` name the container `web` at `n`; `result` are the summaries in `texts`. */
function names(
  t: ExecutionContext,
  {
    given,
    events = '-',
    result,
    texts,
    isPending = () => false,
  }: {
    given: string
    events?: string
    result: string
    texts: Record<string, string>
    isPending?: (id: string) => boolean
  },
): void {
  marbles(t, ({ hot, expectObservable }) => {
    const known = new Map<string, Container>()
    const containers = { get: (id: string) => known.get(id), all: () => [], running: () => [], isPending }
    expectObservable(hot(events).pipe(tap(() => known.set(web, named(web, 'web')))))
    const now = () => asyncScheduler.now()
    const passed$ = hot(given, values).pipe(
      nameContainers({ containers, now }),
      map(({ detection }) => detection.summary),
    )
    expectObservable(passed$).toBe(result, texts)
  })
}

const [ofWeb, ofId] = ['a setuid program ran in web', `a setuid program ran in ${web.slice(0, 12)}`]

test('a detection waits until its container has a name, and is published with it', (t) => {
  names(t, { given: 'w', events: '2s n', result: '2s w', texts: { w: ofWeb } })
})

test('detections of one container keep their order, and do not delay those of others', (t) => {
  const texts = { w: ofWeb, v: 'again', h: 'a setuid program ran in undefined', k: ofWeb }
  names(t, { given: 'w-v-h-k', events: '1s n', result: '----h 995ms (wvk)', texts })
})

test('a container that the engine never reports is published by its id after five seconds', (t) => {
  const texts = { o: `a setuid program ran in ${other.slice(0, 12)}` }
  names(t, { given: 'o', result: '5s o', texts })
  names(t, { given: 'o 6s o', result: '5s o 1s o', texts })
})

test('while the engine has not answered, a detection waits longer', (t) => {
  const texts = { w: ofWeb }
  names(t, { given: 'w', events: '10s n', result: '10s w', texts, isPending: () => true })
})

test('a detection whose source has waited for the name already is not delayed again', (t) => {
  names(t, { given: '5s w', result: '5s w', texts: { w: ofId } })
})

test('what waits is published when the detections end', (t) => {
  names(t, { given: 'w-|', result: '--(w|)', texts: { w: ofId } })
})

test('a detection of a container with a name passes in the same call', (t) => {
  const passed: Detected[] = []
  const detected$ = new Subject<Detected>()
  const containers = { get: () => undefined, all: () => [], running: () => [], isPending: () => true }
  const subscription = detected$
    .pipe(nameContainers({ containers, now: () => 0 }))
    .subscribe((one) => passed.push(one))
  for (const one of ['k', 'h']) detected$.next(values[one] as Detected)
  t.deepEqual(passed, [values['k'], values['h']])
  subscription.unsubscribe()
})
