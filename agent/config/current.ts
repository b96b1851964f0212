import { isDeepStrictEqual } from 'node:util'
import { BehaviorSubject, distinctUntilChanged, map, type Observable } from 'rxjs'
import type { Config } from './schema.ts'

/** The current configuration, which a reload replaces as a whole. */
export type CurrentConfig = {
  now(): Config
  /** The current configuration, then each one that replaces it. */
  all$: Observable<Config>
  /** One part of the configuration: its current value, then each change. */
  part$<Part>(of: (config: Config) => Part): Observable<Part>
  /** A value computed from the configuration, cached until a reload. */
  derived<Value>(compute: (config: Config) => Value): () => Value
  replace(config: Config): void
}

/** Starts with the configuration given at start-up. */
export function currentConfig(config: Config): CurrentConfig {
  const configs$ = new BehaviorSubject(config)
  return {
    now: () => configs$.value,
    all$: configs$.asObservable(),
    part$: <Part>(of: (config: Config) => Part) =>
      configs$.pipe(map(of), distinctUntilChanged<Part>(isDeepStrictEqual)),
    derived: <Value>(compute: (config: Config) => Value) => {
      let cached: { config: Config; value: Value } | undefined
      return () => {
        const current = configs$.value
        if (cached?.config !== current) cached = { config: current, value: compute(current) }
        return cached.value
      }
    },
    replace: (next) => configs$.next(next),
  }
}
