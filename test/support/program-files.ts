import { run } from './processes.ts'

/** A program of this host and its shared libraries: the files it needs to run in a container. */
export async function programFiles(name: string): Promise<{ path: string; libraries: readonly string[] }> {
  const path = (await run('sh', '-c', 'readlink -f "$(command -v "$1")"', 'sh', name)).trim()
  // ldd fails for statically linked programs.
  const libraries = await run('ldd', path).catch(() => '')
  return { path, libraries: [...libraries.matchAll(/(\/\S+)/g)].map(([file]) => file) }
}

/** The same as volume options of `docker run`, with the program in /bin. */
export async function programVolumes(name: string): Promise<readonly string[]> {
  const { path, libraries } = await programFiles(name)
  const mounts = [`${path}:/bin/${name}:ro`, ...libraries.map((file) => `${file}:${file}:ro`)]
  return mounts.flatMap((mount) => ['--volume', mount])
}
