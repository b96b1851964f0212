import test from 'ava'
import { slide } from '../../../detectors/resource-limit-breach/window.ts'

const samples = (...times: number[]) => times.map((time) => ({ time }))
const slideAll = (times: readonly number[]) =>
  samples(...times).reduce<readonly { time: number }[]>((window, next) => slide(window, next, 10_000), [])

const table: [title: string, times: number[], window: number[]][] = [
  ['the first sample is the window', [5], [5]],
  ['samples within the span are kept', [0, 5_000, 9_000], [0, 5_000, 9_000]],
  [
    'the newest sample older than the span is kept, those before it are not',
    [0, 5_000, 20_000],
    [5_000, 20_000],
  ],
  ['samples close to each other are not all kept', [0, 100, 200, 300], [0, 200]],
  ['a clock that was set back starts a new window', [50_000, 60_000, 1_000], [1_000]],
]

for (const [title, times, window] of table) {
  test(title, (t) => {
    t.deepEqual(slideAll(times), samples(...window))
  })
}

test('the window keeps its size however often samples arrive', (t) => {
  t.true(slideAll(Array.from({ length: 5_000 }, (_, index) => index * 50)).length <= 62)
})
