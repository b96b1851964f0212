import { writeFile } from 'node:fs/promises'
import { run } from './processes.ts'

/** All tested ways to change a file, each by a program that exits immediately. */
export const ways = [
  'write',
  'held',
  'proc-fd',
  'hard-link',
  'mmap',
  'rename',
  'truncate',
  'chmod',
  'chown',
  'unlink',
] as const
export type Way = (typeof ways)[number]

/** Builds the program `attack WAY PATH`, which is statically linked and so runs in any container. */
export async function buildAttack(path: string): Promise<void> {
  await writeFile(`${path}.c`, source)
  await run('gcc', '-O1', '-static', '-o', path, `${path}.c`)
}

const source = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(int fd) { return fd >= 0 && write(fd, "evil", 4) == 4 ? 0 : 1; }

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *way = argv[1], *path = argv[2];
  char other[4096];
  snprintf(other, sizeof other, "%s.other", path);
  if (!strcmp(way, "write")) return put(open(path, O_WRONLY));
  if (!strcmp(way, "held")) {
    int fd = open(path, O_WRONLY | O_APPEND);
    usleep(30000);
    return put(fd);
  }
  if (!strcmp(way, "proc-fd")) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", open(path, O_RDONLY));
    return put(open(link, O_WRONLY));
  }
  if (!strcmp(way, "hard-link")) return link(path, other) || put(open(other, O_WRONLY));
  if (!strcmp(way, "mmap")) {
    int fd = open(path, O_RDWR);
    char *map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) return 1;
    map[0] = 'Z';
    return 0;
  }
  if (!strcmp(way, "rename")) return put(open(other, O_WRONLY | O_CREAT, 0755)) || rename(other, path);
  if (!strcmp(way, "truncate")) return truncate(path, 3);
  if (!strcmp(way, "chmod")) return chmod(path, 04755);
  if (!strcmp(way, "chown")) return chown(path, 12, 12);
  if (!strcmp(way, "unlink")) return unlink(path);
  return 2;
}
`
