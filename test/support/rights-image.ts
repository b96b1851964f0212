import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from './temporary-directory.ts'

const run = promisify(execFile)

// Changes its IDs as its first argument says, and runs the remaining arguments.
const program = `
#define _GNU_SOURCE
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "become-root") == 0) {
    if (setuid(0) != 0) return 1;
    sleep(60);
  }
  if (argc > 2 && strcmp(argv[1], "drop-root") == 0) {
    if (setgid(1000) != 0 || setuid(1000) != 0) return 1;
    execv(argv[2], argv + 2);
  }
  if (argc > 2 && strcmp(argv[1], "as-root") == 0) {
    /* As sudo: to the user and back, then root for good, and a child that runs the command. */
    if (seteuid(getuid()) != 0 || seteuid(0) != 0 || setuid(0) != 0) return 1;
    if (fork() == 0) execv(argv[2], argv + 2);
    wait(NULL);
  }
  return 1;
}
`

/**
 * An image with busybox and a program that changes its IDs: as `/bin/plain`, as `/bin/setuid` (setuid root), and as
 * `/bin/capable` (with CAP_SETUID as a file capability). Another `build` gives another digest.
 */
export async function rightsImage(name: string, build = '1'): Promise<{ remove: () => Promise<unknown> }> {
  const directory = await temporaryDirectory()
  const root = join(directory, 'root')
  try {
    for (const folder of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
      await mkdir(join(root, folder), { recursive: true })
    await chmod(join(root, 'tmp'), 0o1777)
    await writeFile(join(root, 'etc/build'), build)
    await copyFile('/bin/busybox', join(root, 'bin/busybox'))
    for (const applet of ['sh', 'sleep', 'id', 'true', 'cp', 'chmod', 'cat', 'ls', 'unshare']) {
      await symlink('busybox', join(root, 'bin', applet))
    }
    await writeFile(join(directory, 'program.c'), program)
    await run('gcc', ['-static', '-o', join(root, 'bin/plain'), join(directory, 'program.c')])
    await copyFile(join(root, 'bin/plain'), join(root, 'bin/setuid'))
    await chmod(join(root, 'bin/setuid'), 0o4755)
    await copyFile(join(root, 'bin/plain'), join(root, 'bin/capable'))
    await run('setcap', ['cap_setuid+ep', join(root, 'bin/capable')])
    const archive = join(directory, 'image.tar')
    const attributes = ['--xattrs', '--xattrs-include=security.capability']
    await run('tar', [...attributes, '--owner=0', '--group=0', '-C', root, '-cf', archive, '.'])
    await run('docker', ['import', archive, name])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  return { remove: () => run('docker', ['image', 'rm', '--force', name]) }
}
