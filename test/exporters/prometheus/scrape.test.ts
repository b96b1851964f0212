import test from 'ava'
import { busyMetrics } from '../../bench/busy-metrics.ts'

test('a large scrape yields to the event loop', async (t) => {
  const metrics = busyMetrics(1_000)
  let turns = 0
  let isOver = false
  const take = () => {
    turns += 1
    if (!isOver) setImmediate(take)
  }
  setImmediate(take)
  const { body } = await metrics.expose('')
  isOver = true
  t.true(body.split('\n').length > 20_000)
  t.true(turns >= 2, String(turns))
})

test('concurrent scrapes in both formats do not affect each other’s metric names', async (t) => {
  const metrics = busyMetrics(200)
  const alone = [await metrics.expose('text/plain'), await metrics.expose('application/openmetrics-text')]
  const together = await Promise.all([
    metrics.expose('text/plain'),
    metrics.expose('application/openmetrics-text'),
  ])
  // Metrics of the process change between scrapes.
  const steady = (body: string) => body.replace(/^process_\w+ .*$/gm, '')
  t.deepEqual(
    together.map(({ body }) => steady(body)),
    alone.map(({ body }) => steady(body)),
  )
})
