import test from 'ava'
import { watchedHost } from './series.ts'

const labels = (name: string) => `container="${name}",image="nginx:1.27"`
const usageOf = (name: string) => `tidewatch_container_cpu_usage_seconds_total{${labels(name)}}`
const findingsOf = (name: string) =>
  `tidewatch_container_findings_total{${labels(name)},detector="exec-into-container",rule="interactive-shell",severity="warning"}`

type Host = ReturnType<typeof watchedHost>
const usage = async (host: Host, name: string) => (await host.scrape()).get(usageOf(name))

type Row = [title: string, act: (host: Host) => void, expected: Record<string, number | undefined>]
const table: Row[] = [
  [
    'starts with the value of its first sample',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
    },
    { web: 70 },
  ],
  [
    'adds the whole value of a container that is created under the same name',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.remove('a')
      host.start('b', 'web')
      host.sample('b', 5)
      host.sample('b', 6)
    },
    { web: 76 },
  ],
  [
    'adds the value after a restart',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.end('a')
      host.start('a', 'web')
      host.sample('a', 5)
    },
    { web: 75 },
  ],
  [
    'adds the value after a restart that is as high as the one before',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 1)
      host.end('a')
      host.start('a', 'web')
      host.sample('a', 1)
    },
    { web: 2 },
  ],
  [
    'counts the last sample of a container that comes after its end',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.end('a')
      host.sample('a', 80)
      host.start('b', 'web')
      host.sample('b', 1)
    },
    { web: 81 },
  ],
  [
    'sums two containers that have one name for a moment',
    (host) => {
      host.start('a', 'web')
      host.start('b', 'web')
      for (const [id, value] of [
        ['a', 10],
        ['b', 1],
        ['a', 11],
        ['b', 3],
      ] as const)
        host.sample(id, value)
    },
    { web: 14 },
  ],
  [
    'continues under the new name after a rename',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.rename('a', 'web-old')
      host.sample('a', 71)
    },
    { web: undefined, 'web-old': 71 },
  ],
  [
    'continues when another container gets the name that became free by a rename',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.rename('a', 'web-old')
      host.start('b', 'web')
      host.sample('b', 5)
    },
    { web: 75, 'web-old': 70 },
  ],
  [
    'does not add again what a container counted under another name',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.remove('a')
      host.start('b', 'web-new')
      host.sample('b', 5)
      host.rename('b', 'web')
      host.sample('b', 6)
    },
    { web: 71, 'web-new': undefined },
  ],
  [
    'is not below the container’s own after a rename',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 2)
      host.remove('a')
      host.start('b', 'web-new')
      host.sample('b', 5)
      host.rename('b', 'web')
    },
    { web: 5 },
  ],
  [
    'does not fall when a container is renamed and renamed back',
    (host) => {
      host.start('a', 'web')
      host.sample('a', 70)
      host.rename('a', 'web-old')
      host.sample('a', 75)
      host.rename('a', 'web')
      host.sample('a', 76)
    },
    { web: 76, 'web-old': undefined },
  ],
]

for (const [title, act, expected] of table) {
  test(`the counter of a name ${title}`, async (t) => {
    const host = watchedHost()
    act(host)
    const series = await host.scrape()
    const actual = Object.keys(expected).map((name) => [name, series.get(usageOf(name))])
    t.deepEqual(Object.fromEntries(actual), expected)
  })
}

test('a counter of the engine continues when the container is replaced, and is read at each of its events', async (t) => {
  const host = watchedHost()
  host.start('a', 'web', 2)
  host.sample('a', 1)
  host.start('a', 'web', 3)
  const restarts = async () =>
    (await host.scrape()).get(`tidewatch_container_restarts_total{${labels('web')}}`)
  t.is(await restarts(), 3)
  host.sample('a', 1)
  host.remove('a')
  host.start('b', 'web', 1)
  host.sample('b', 1)
  t.is(await restarts(), 4)
})

test('the counter of a name continues after its series was gone', async (t) => {
  const host = watchedHost()
  host.start('a', 'web')
  host.sample('a', 70)
  host.find('a')
  host.remove('a')
  host.clock.now += 3_700_000
  t.deepEqual(
    [await usage(host, 'web'), (await host.scrape()).get(findingsOf('web'))],
    [undefined, undefined],
  )
  host.start('b', 'web')
  host.sample('b', 5)
  host.find('b')
  t.deepEqual([await usage(host, 'web'), (await host.scrape()).get(findingsOf('web'))], [75, 2])
})

test('series that Prometheus never scrapes are forgotten too', async (t) => {
  const host = watchedHost({ maxSeries: 100 })
  for (let n = 0; n < 1_000; n += 1) {
    host.start(`c${n}`, `job-${n}`)
    host.sample(`c${n}`, 1)
    host.remove(`c${n}`)
    host.clock.now += 301_000
  }
  // Its place in the budget became free with the series of the others.
  host.start('last', 'last')
  host.sample('last', 7)
  t.is(await usage(host, 'last'), 7)
  t.is(await usage(host, '_other'), undefined)
})

test('findings of containers with one name are one series with the time of the newest', async (t) => {
  const host = watchedHost()
  host.start('a', 'web')
  host.start('b', 'web')
  host.find('b')
  host.find('a')
  host.clock.now += 1_800_000
  host.find('b')
  const time = () =>
    findingsOf('web').replace(
      'tidewatch_container_findings_total',
      'tidewatch_finding_last_timestamp_seconds',
    )
  t.is((await host.scrape()).get(findingsOf('web')), 3)
  t.is((await host.scrape()).get(time()), host.clock.now / 1_000)
  // The finding of `a` is an hour old.
  host.clock.now += 1_900_000
  t.is((await host.scrape()).get(findingsOf('web')), 3)
})

test('after a rename no series has the old name, even when the container is gone, and its findings are still counted', async (t) => {
  const host = watchedHost()
  host.start('a', 'web')
  host.sample('a', 1)
  host.find('a')
  host.rename('a', 'web-old')
  const shown = async () =>
    [...(await host.scrape()).keys()].flatMap((key) => /[{,]container="([^"]*)"/.exec(key)?.[1] ?? [])
  t.deepEqual([...new Set(await shown())], ['web-old'])
  host.remove('a')
  t.deepEqual([...new Set(await shown())], ['web-old'])
  t.is((await host.scrape()).get(findingsOf('web-old')), 1)
})
