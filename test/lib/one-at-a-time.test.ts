import test from 'ava'
import { oneAtATime } from '../../agent/lib/one-at-a-time.ts'
import { marbles } from '../support/marbles.ts'

test('triggers that arrive during the work lead to one more run', (t) => {
  marbles(t, ({ cold, hot, expectObservable, expectSubscriptions }) => {
    const triggers$ = hot(' -a-bc------d-----')
    const work$ = cold('     --x--|           ')
    const first = '         -^----!           '
    const second = '        ------^----!      '
    const third = '         -----------^----! '
    const expected = '      ---x----x----x----'
    expectObservable(triggers$.pipe(oneAtATime(() => work$))).toBe(expected)
    expectSubscriptions(work$.subscriptions).toBe([first, second, third])
  })
})

test('work that fails ends the stream', (t) => {
  marbles(t, ({ cold, hot, expectObservable }) => {
    const triggers$ = hot('-a---')
    const work$ = cold('    --#  ')
    expectObservable(triggers$.pipe(oneAtATime(() => work$))).toBe('---#')
  })
})

test('unsubscribing stops the work', (t) => {
  marbles(t, ({ cold, hot, expectObservable, expectSubscriptions }) => {
    const triggers$ = hot(' -a-----')
    const work$ = cold('     -----x|')
    const listening = '     ^---!  '
    expectObservable(triggers$.pipe(oneAtATime(() => work$)), listening).toBe('-----')
    expectSubscriptions(work$.subscriptions).toBe(['-^--!'])
  })
})
