/**
 * Settings that always say what holds now: a reload, or another container's override, is seen by whoever reads a key
 * when it is needed.
 */
export function live<Settings extends object>(now: () => Settings): Settings {
  return new Proxy({} as Settings, {
    get: (_, key) => Reflect.get(now(), key) as unknown,
    has: (_, key) => Reflect.has(now(), key),
    ownKeys: () => Reflect.ownKeys(now()),
    getOwnPropertyDescriptor: (_, key) => ({
      configurable: true,
      enumerable: true,
      value: Reflect.get(now(), key) as unknown,
    }),
  })
}
