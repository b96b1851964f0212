import test from 'ava'
import { slide } from '../../../detectors/resource-limit-breach/window.ts'

const moments = (...times: number[]) => times.map((time) => ({ time }))
const slideAll = (times: readonly number[]) =>
  moments(...times).reduce<readonly { time: number }[]>((window, next) => slide(window, next, 10_000), [])

const table: [title: string, times: number[], window: number[]][] = [
  ['a first moment is the window', [5], [5]],
  ['moments within the span are kept', [0, 5_000, 9_000], [0, 5_000, 9_000]],
  [
    'the one that reaches back over the span is kept, those before are not',
    [0, 5_000, 20_000],
    [5_000, 20_000],
  ],
  ['moments close to each other are not all kept', [0, 100, 200, 300], [0, 200]],
  ['a clock that was set back begins anew', [50_000, 60_000, 1_000], [1_000]],
]

for (const [title, times, window] of table) {
  test(title, (t) => {
    t.deepEqual(slideAll(times), moments(...window))
  })
}

test('the window keeps its size however often there is a moment', (t) => {
  t.true(slideAll(Array.from({ length: 5_000 }, (_, index) => index * 50)).length <= 62)
})
