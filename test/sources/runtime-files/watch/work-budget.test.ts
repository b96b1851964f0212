import test from 'ava'
import { workBudget } from '../../../../agent/sources/runtime-files/watch/work-budget.ts'

test('work within the reserve needs no pause', (t) => {
  const budget = workBudget()
  t.is(budget.spend(1000, 1000), 0)
  t.is(budget.spend(1000, 2000), 0)
})

test('sustained work is limited to a fifth of the time', (t) => {
  const budget = workBudget()
  let time = 0
  let worked = 0
  while (time < 600_000) {
    worked += 100
    time += 100
    time += budget.spend(100, time)
  }
  t.true(worked / time > 0.19 && worked / time < 0.21, `${worked} of ${time}`)
})

test('idle time refills the reserve', (t) => {
  const budget = workBudget()
  t.is(budget.spend(2500, 2500), 2000)
  t.is(budget.spend(100, 2500 + 2000 + 100), 400)
  t.is(budget.spend(1000, 100_000), 0)
})
