import { readFile, writeFile } from 'node:fs/promises'
import { run } from './processes.ts'

/** The privileges that a unit gives its service. */
export type UnitRights = {
  /** In the notation of capsh and setpriv: `sys_admin`. */
  capabilities: readonly string[]
  /** The allowed system calls. */
  calls: readonly string[]
}

/** Reads a unit like systemd: later lines of a filter add to it, or remove from it with `~`. */
export async function unitRights(file: string): Promise<UnitRights> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  const values = (key: string) =>
    lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1))
  // `@default` is in every list (systemd.exec(5)).
  const calls = new Set(await callsOf('@default'))
  for (const value of values('SystemCallFilter')) {
    const takes = value.startsWith('~')
    for (const name of value.replace('~', '').split(' '))
      for (const call of name.startsWith('@') ? await callsOf(name) : [name]) {
        if (takes) calls.delete(call)
        else calls.add(call)
      }
  }
  const capabilities = values('AmbientCapabilities')
    .flatMap((value) => value.split(' '))
    .map((name) => name.replace('CAP_', '').toLowerCase())
  return { capabilities, calls: [...calls] }
}

async function callsOf(set: string): Promise<string[]> {
  const [, ...lines] = (await run('systemd-analyze', 'syscall-filter', set)).split('\n')
  const names = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  const calls: string[] = []
  for (const name of names) calls.push(...(name.startsWith('@') ? await callsOf(name) : [name]))
  return calls
}

/** Builds a program that runs another one with a filter like systemd's: all other calls fail with EPERM. */
export async function buildFilter(path: string, { calls }: UnitRights): Promise<void> {
  // System calls of other architectures have no number here.
  const numbers = calls.map((call) => `#ifdef __NR_${call}\n__NR_${call},\n#endif`).join('\n')
  await writeFile(`${path}.c`, source.replace('NUMBERS', numbers))
  await run('gcc', '-o', path, `${path}.c`)
}

const source = `
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int numbers[] = {
NUMBERS
};
enum { count = sizeof numbers / sizeof *numbers };

int main(int argc, char **argv) {
  struct sock_filter code[2 * count + 2];
  int n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < count; i++) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1);
  struct sock_fprog program = {n, code};
  if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
    perror("seccomp");
    return 1;
  }
  execv(argv[1], argv + 1);
  perror(argv[1]);
  return 1;
}
`
