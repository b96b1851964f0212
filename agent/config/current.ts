import { isDeepStrictEqual } from 'node:util'
import { BehaviorSubject, distinctUntilChanged, map, type Observable } from 'rxjs'
import type { Config } from './schema.ts'

/** The configuration in use, which a reload replaces as a whole. */
export type CurrentConfig = {
  now(): Config
  /** What is in use, and then what replaces it. */
  all$: Observable<Config>
  /** A part of it: what it is, and then each time that it has become another. */
  part$<Part>(of: (config: Config) => Part): Observable<Part>
  /** What is made of it, made anew only when it is replaced: for what is asked for again and again. */
  derived<Made>(make: (config: Config) => Made): () => Made
  replace(config: Config): void
}

/** Begins with the configuration that the daemon starts with. */
export function currentConfig(config: Config): CurrentConfig {
  const configs$ = new BehaviorSubject(config)
  return {
    now: () => configs$.value,
    all$: configs$.asObservable(),
    part$: <Part>(of: (config: Config) => Part) =>
      configs$.pipe(map(of), distinctUntilChanged<Part>(isDeepStrictEqual)),
    derived: <Made>(make: (config: Config) => Made) => {
      let last: { of: Config; made: Made } | undefined
      return () => {
        const of = configs$.value
        if (last?.of !== of) last = { of, made: make(of) }
        return last.made
      }
    },
    replace: (next) => configs$.next(next),
  }
}
