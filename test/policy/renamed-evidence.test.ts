import test from 'ava'
import { withCurrentNames } from '../../agent/policy/renamed-evidence.ts'

for (const [expression, current] of [
  ['evidence.told_by == "counter"', 'evidence.seen_by == "counter"'],
  ['has(evidence.told_by) && evidence . told_by != ""', 'has(evidence.seen_by) && evidence . seen_by != ""'],
  ['evidence["told_by"] == "event"', 'evidence["seen_by"] == "event"'],
  ["'told_by' in evidence", "'seen_by' in evidence"],
] as const) {
  test(`${expression} means ${current}`, (t) => {
    t.deepEqual(withCurrentNames(expression), { source: current, oldNames: ['told_by'] })
  })
}

for (const expression of [
  'evidence.told_bye',
  'container.name == "told_by"',
  'evidence.seen_by == "told_by"',
]) {
  test(`${expression} stays as it is`, (t) => {
    t.deepEqual(withCurrentNames(expression), { source: expression, oldNames: [] })
  })
}
