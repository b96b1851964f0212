import test from 'ava'
import fc from 'fast-check'
import { watchedHost } from './series.ts'

type Host = ReturnType<typeof watchedHost>

const ids = ['a', 'b', 'c', 'd', 'e']
const names = ['web', 'db', 'job']
const id = fc.constantFrom(...ids)
const name = fc.constantFrom(...names)
const act = fc.oneof(
  fc.tuple(fc.constant('start' as const), id, name, fc.nat(3)),
  fc.tuple(fc.constant('sample' as const), id, fc.nat(50)),
  fc.tuple(fc.constant('sample' as const), id, fc.nat(50)),
  fc.tuple(fc.constant('find' as const), id),
  fc.tuple(fc.constant('end' as const), id),
  fc.tuple(fc.constant('remove' as const), id),
  fc.tuple(fc.constant('rename' as const), id, name),
  fc.tuple(fc.constant('wait' as const), fc.constantFrom(10_000, 200_000, 400_000, 4_000_000)),
  fc.constant(['scrape'] as const),
  fc.constant(['scrape'] as const),
)
type Act = typeof act extends fc.Arbitrary<infer Value> ? Value : never

function perform(host: Host, [kind, ...values]: Act): void {
  if (kind === 'scrape') return
  if (kind === 'wait') host.clock.now += values[0] as number
  else (host[kind] as (...all: unknown[]) => void)(...values)
}

for (const { title, maxSeries, isKept } of [
  { title: 'never falls, even while it is gone', maxSeries: 10_000, isKept: true },
  { title: 'beyond the series budget never falls while it is present', maxSeries: 60, isKept: false },
]) {
  test(`a counter of containers that start, end and are renamed at random ${title}`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const host = watchedHost({ maxSeries })
        let before = new Map<string, number>()
        for (const one of acts) {
          perform(host, one)
          if (one[0] !== 'scrape') continue
          const series = await host.scrape()
          for (const [key, value] of series) {
            const last = before.get(key)
            if (/_total\{/.test(key) && last !== undefined && value < last)
              throw new Error(`${key} fell from ${last} to ${value}`)
          }
          before = isKept ? new Map([...before, ...series]) : series
        }
      }),
      { numRuns: 150 },
    )
    t.pass()
  })
}

test('without renames, the counters of a name have the sum of what each of its containers counted', async (t) => {
  const lives = fc.array(
    fc.record({ name, runs: fc.array(fc.array(fc.nat(50), { minLength: 1 }), { minLength: 1 }) }),
  )
  await fc.assert(
    fc.asyncProperty(lives, async (all) => {
      const host = watchedHost()
      const expected = new Map<string, number>()
      for (const [index, life] of all.entries()) {
        for (const run of life.runs) {
          host.start(`c${index}`, life.name)
          let value = 0
          for (const increase of run) host.sample(`c${index}`, (value += increase))
          host.end(`c${index}`)
          expected.set(life.name, (expected.get(life.name) ?? 0) + value)
        }
      }
      const series = await host.scrape()
      for (const [key, sum] of expected)
        if (
          series.get(`tidewatch_container_cpu_usage_seconds_total{container="${key}",image="nginx:1.27"}`) !==
          sum
        )
          throw new Error(`${key} ${sum}`)
    }),
    { numRuns: 100 },
  )
  t.pass()
})
