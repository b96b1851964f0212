import { run } from './processes.ts'

/** A program of this host and the libraries that it is linked to: what has to be in a container for it to run there. */
export async function programFiles(name: string): Promise<{ path: string; libraries: readonly string[] }> {
  const path = (await run('sh', '-c', 'readlink -f "$(command -v "$1")"', 'sh', name)).trim()
  // Of one that is linked to none ldd says so by failing.
  const libraries = await run('ldd', path).catch(() => '')
  return { path, libraries: [...libraries.matchAll(/(\/\S+)/g)].map(([file]) => file) }
}

/** The same as options of `docker run`, with the program in /bin by its name. */
export async function programVolumes(name: string): Promise<readonly string[]> {
  const { path, libraries } = await programFiles(name)
  const mounts = [`${path}:/bin/${name}:ro`, ...libraries.map((file) => `${file}:${file}:ro`)]
  return mounts.flatMap((mount) => ['--volume', mount])
}
