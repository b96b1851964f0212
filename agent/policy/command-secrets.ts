import { baseName } from '../model/text.ts'
import { isSecretName, mask } from './secrets.ts'

/** Options of a program that hold a secret: glued to their letter, as the next argument, or either. */
type Client = { glued?: string; next?: readonly string[]; afterColon?: readonly string[]; nthPlain?: number }

const mysql: Client = { glued: '-p' }
const mongo: Client = { glued: '-p', next: ['-p'] }
const curl: Client = { afterColon: ['-u', '--user', '-U', '--proxy-user'] }

// From the programs' manuals: only here does a short option mean a secret; elsewhere -p is a port, a path, a pid.
const clients: Readonly<Record<string, Client>> = {
  mysql,
  mysqladmin: mysql,
  mysqlbinlog: mysql,
  mysqlcheck: mysql,
  mysqldump: mysql,
  mysqlimport: mysql,
  mysqlpump: mysql,
  mysqlshow: mysql,
  mysqlslap: mysql,
  mysqlsh: mysql,
  mariadb: mysql,
  'mariadb-admin': mysql,
  'mariadb-backup': mysql,
  'mariadb-check': mysql,
  'mariadb-dump': mysql,
  'mariadb-import': mysql,
  'mariadb-show': mysql,
  xtrabackup: mysql,
  mongo,
  mongosh: mongo,
  mongodump: mongo,
  mongorestore: mongo,
  mongoexport: mongo,
  mongoimport: mongo,
  sshpass: { glued: '-p', next: ['-p'] },
  'redis-cli': { glued: '-a', next: ['-a', '--pass'] },
  'valkey-cli': { glued: '-a', next: ['-a', '--pass'] },
  curl,
  wget: { next: ['--http-password', '--ftp-password', '--proxy-password'] },
  http: { afterColon: ['-a', '--auth'] },
  https: { afterColon: ['-a', '--auth'] },
  ab: { afterColon: ['-A', '-P'] },
  ldapsearch: { glued: '-w', next: ['-w'] },
  ldapmodify: { glued: '-w', next: ['-w'] },
  ldapadd: { glued: '-w', next: ['-w'] },
  ldapdelete: { glued: '-w', next: ['-w'] },
  ldapwhoami: { glued: '-w', next: ['-w'] },
  ldappasswd: { next: ['-w', '-s', '-a'] },
  sqlcmd: { glued: '-P', next: ['-P'] },
  bcp: { glued: '-P', next: ['-P'] },
  mosquitto_pub: { next: ['-P', '--pw'] },
  mosquitto_sub: { next: ['-P', '--pw'] },
  'docker-login': { glued: '-p', next: ['-p'] },
  ipmitool: { glued: '-P', next: ['-P'] },
  unzip: { glued: '-P', next: ['-P'] },
  zip: { glued: '-P', next: ['-P'] },
  '7z': { glued: '-p' },
  influx: { next: ['-p', '-t'] },
  htpasswd: { nthPlain: 3 },
  amqpcat: {},
}

// Where a new command begins.
const separator = /^(?:[;&|]+|do|then|\()$/
// A variable, option or property that is given a value.
const assignment = /^(-{0,2}[A-Za-z_][\w.-]{0,127})(=|:=)([\s\S]+)$/
const longOption = /^--?([A-Za-z][\w.-]{1,127})$/

/** What is known while the arguments of a command are read from left to right. */
type Reading = { client: Client | null; name: string; plain: number }

/** Masks secrets that only the arguments around them give away. Every argument stays one argument. */
export function maskArguments(argv: readonly string[], maskOne: (argument: string) => string): string[] {
  const reading: Reading = { client: null, name: '', plain: 0 }
  let expected: Expected = null
  let before = ''
  return argv.map((argument) => {
    const told = expected
    // What a shell is given after -c is a command line of its own, and no value.
    const isScript = /^-[a-z]{0,8}c$/.test(before)
    expected = null
    before = argument
    if (told === 'secret' && !/^-{1,2}[a-z]/i.test(argument)) return mask
    if (told === 'after-colon') return afterColon(argument) ?? maskOne(argument)
    if (isScript) return maskOne(argument)
    follow(reading, argument)
    const masked = maskUnquoted(argument, (bare) => maskKnown(reading, bare))
    if (masked !== null) return masked
    expected = expects(reading, argument)
    return maskOne(argument)
  })
}

type Expected = 'secret' | 'after-colon' | null

/** In a line for people, arguments with spaces stand between quotes. */
function maskUnquoted(argument: string, work: (bare: string) => string | null): string | null {
  const isQuoted = argument.startsWith("'") || argument.startsWith('"')
  const quoted = isQuoted ? /^(['"])([\s\S]*)\1$/.exec(argument) : null
  if (quoted === null) return work(argument)
  const [, mark = '', bare = ''] = quoted
  const masked = work(bare)
  return masked === null ? null : mark + masked + mark
}

function follow(reading: Reading, argument: string): void {
  if (separator.test(argument)) {
    Object.assign(reading, { client: null, name: '', plain: 0 })
    return
  }
  const name = baseName(argument)
  // `docker login -p`, but `docker run -p`.
  const called =
    name === 'login' && ['docker', 'podman', 'helm', 'nerdctl', 'az'].includes(reading.name)
      ? 'docker-login'
      : name
  const client = Object.hasOwn(clients, called) ? clients[called] : undefined
  if (client !== undefined && (reading.client === null || called === 'docker-login'))
    Object.assign(reading, { client, plain: 0 })
  else if (!argument.startsWith('-')) reading.plain += 1
  if (!argument.startsWith('-')) reading.name = name
}

function maskKnown({ client, plain }: Reading, argument: string): string | null {
  const given = argument.includes('=') ? assignment.exec(argument) : null
  if (given !== null) {
    const [, name = '', sign = '=', value = ''] = given
    if (isSecretName(name.replace(/^-+/, '')) && !isReference(value)) return `${name}${sign}${mask}`
    // docker run --env=NAME=value
    const inner = assignment.test(value) ? maskKnown({ client: null, name: '', plain: 0 }, value) : null
    if (inner !== null) return `${name}${sign}${inner}`
    if (client?.afterColon?.includes(name)) return `${name}${sign}${afterColon(value) ?? value}`
  }
  // openssl's own way (openssl-passphrase-options(1)).
  if (argument.startsWith('pass:') && argument.length > 5) return `pass:${mask}`
  if (client === null) return null
  const { glued, nthPlain } = client
  if (glued !== undefined && argument.startsWith(glued) && argument.length > glued.length) {
    // One letter of several is no value glued to it: -pvf is none of these programs' own.
    return argument.startsWith(`${glued}=`) ? `${glued}=${mask}` : `${glued}${mask}`
  }
  for (const option of client.afterColon ?? []) {
    if (option.length !== 2 || !argument.startsWith(option) || argument.length === 2) continue
    return `${option}${afterColon(argument.slice(2)) ?? argument.slice(2)}`
  }
  return nthPlain !== undefined && plain === nthPlain && !argument.startsWith('-') ? mask : null
}

function expects({ client }: Reading, argument: string): Expected {
  if (client?.next?.includes(argument)) return 'secret'
  if (client?.afterColon?.includes(argument)) return 'after-colon'
  if (!argument.startsWith('-')) return null
  const option = longOption.exec(argument)
  return option !== null && isSecretName(option[1] ?? '') ? 'secret' : null
}

/** `user:password` with its password masked; smbclient's `user%password` too. */
function afterColon(text: string): string | null {
  const at = text.search(/[:%]/)
  return at === -1 || at === text.length - 1 ? null : `${text.slice(0, at + 1)}${mask}`
}

/** A secret that is only named: a variable of the shell, a file. */
function isReference(value: string): boolean {
  return /^\$\{?\w+\}?$|^["']{2}$/.test(value)
}
