import { mapItems } from '../model/json.ts'
import { baseName } from '../lib/text.ts'
import { rememberRecent } from '../lib/remember-last.ts'
import { isSecretName, mask } from './secrets.ts'

/** Options of a program that hold a secret: attached to the option letter, as the next argument, or both. */
type Client = { glued?: string; next?: readonly string[]; afterColon?: readonly string[]; nthPlain?: number }

const mysql: Client = { glued: '-p' }
const mongo: Client = { glued: '-p', next: ['-p'] }
const dockerLogin: Client = { glued: '-p', next: ['-p'] }
const curl: Client = { afterColon: ['-u', '--user', '-U', '--proxy-user'] }

// From the programs' manuals. For other programs, a short option such as -p is a port, a path or a PID.
const clients: ReadonlyMap<string, Client> = new Map(
  Object.entries({
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
    'docker-login': dockerLogin,
    ipmitool: { glued: '-P', next: ['-P'] },
    unzip: { glued: '-P', next: ['-P'] },
    zip: { glued: '-P', next: ['-P'] },
    '7z': { glued: '-p' },
    influx: { next: ['-p', '-t'] },
    htpasswd: { nthPlain: 3 },
    amqpcat: {},
  } satisfies Record<string, Client>),
)

// Separates commands.
const separator = /^(?:[;&|]+|do|then|\()$/
// A variable, option or property with a value.
const assignment = /^(-{0,2}[A-Za-z_][\w.-]{0,127})(=|:=)([\s\S]+)$/
const longOption = /^--?([A-Za-z][\w.-]{1,127})$/
const quotedWhole = /^(['"])([\s\S]*)\1$/

/** An argument by itself, independent of its position. */
export type Argument = {
  isOption: boolean
  isSeparator: boolean
  /** The next argument is a shell command line, not a value. */
  isBeforeScript: boolean
  /** The next argument is a secret. */
  isSecretOption: boolean
  /** Looks like an option, so it is not the value of one. */
  isLikeOption: boolean
  /** The base name, if the argument is a program. */
  name: string
  client: Client | null
  /** Without the quotes that a readable line puts around arguments with spaces. */
  bare: string
  mark: string
  given: Given | null
  /** The masked argument, if it holds a secret for any program. */
  masked: string | null
  /** The argument masked as a separate text; cached on first use. */
  alone: string | null
}

const known = rememberRecent(argumentOf)

function argumentOf(text: string): Argument {
  const isOption = text.startsWith('-')
  const name = baseName(text)
  const quoted = isQuoted(text) ? quotedWhole.exec(text) : null
  const [, mark = '', bare = text] = quoted ?? []
  const given = givenIn(bare)
  return {
    isOption,
    isSeparator: separator.test(text),
    isBeforeScript: isOption && /^-[a-z]{0,8}c$/.test(text),
    isSecretOption: isOption && isSecretName(longOption.exec(text)?.[1] ?? ''),
    isLikeOption: isOption && /^-{1,2}[a-z]/i.test(text),
    name,
    client: clients.get(name) ?? null,
    bare,
    mark,
    given,
    masked: maskAnywhere(bare, given),
    alone: null,
  }
}

type Given = { name: string; sign: string; value: string }

function givenIn(text: string): Given | null {
  const found = text.includes('=') ? assignment.exec(text) : null
  if (found === null) return null
  const [, name = '', sign = '=', value = ''] = found
  return { name, sign, value }
}

/** Whether a text starts with a quote. */
export function isQuoted(text: string): boolean {
  return text.startsWith("'") || text.startsWith('"')
}

function maskAnywhere(bare: string, given: Given | null): string | null {
  if (given !== null) {
    const { name, sign, value } = given
    if (isSecretName(name.replace(/^-+/, '')) && !isReference(value)) return `${name}${sign}${mask}`
    // docker run --env=NAME=value
    const within = givenIn(value)
    const inner = within === null ? null : maskAnywhere(value, within)
    if (inner !== null) return `${name}${sign}${inner}`
  }
  // The syntax of openssl (openssl-passphrase-options(1)).
  return bare.startsWith('pass:') && bare.length > 5 ? `pass:${mask}` : null
}

/** State while the arguments of a command are read from left to right. */
type Reading = { client: Client | null; name: string; plain: number }

/**
 * Masks secrets that are recognised by the arguments around them. Each argument stays one argument, and the same list is
 * returned if nothing is masked.
 */
export function maskArguments(
  argv: readonly string[],
  maskOne: (text: string, argument: Argument) => string,
): readonly string[] {
  const reading: Reading = { client: null, name: '', plain: 0 }
  let expected: Expected = null
  let isScript = false
  return mapItems(argv, (text) => {
    const argument = known(text)
    const current = expected
    const wasScript = isScript
    expected = null
    isScript = argument.isBeforeScript
    if (current === 'secret' && !argument.isLikeOption) return mask
    if (current === 'after-colon') return afterColon(text) ?? maskOne(text, argument)
    if (wasScript) return maskOne(text, argument)
    follow(reading, argument)
    const masked = argument.masked ?? maskForClient(reading, argument)
    if (masked !== null) return argument.mark + masked + argument.mark
    expected = expects(reading, text, argument)
    return maskOne(text, argument)
  })
}

type Expected = 'secret' | 'after-colon' | null

function follow(reading: Reading, { isSeparator, isOption, name, client }: Argument): void {
  if (isSeparator) {
    reading.client = null
    reading.name = ''
    reading.plain = 0
    return
  }
  // `docker login -p`, but `docker run -p`.
  const isLogin = name === 'login' && ['docker', 'podman', 'helm', 'nerdctl', 'az'].includes(reading.name)
  const called = isLogin ? dockerLogin : client
  if (called !== null && (reading.client === null || called === dockerLogin)) {
    reading.client = called
    reading.plain = 0
  } else if (!isOption) reading.plain += 1
  if (!isOption) reading.name = name
}

function maskForClient({ client, plain }: Reading, { bare, given }: Argument): string | null {
  if (client === null) return null
  if (given !== null && client.afterColon?.includes(given.name)) {
    return `${given.name}${given.sign}${afterColon(given.value) ?? given.value}`
  }
  const { glued, nthPlain } = client
  if (glued !== undefined && bare.startsWith(glued) && bare.length > glued.length) {
    // None of these programs combines short options such as -pvf, so the rest is the value.
    return bare.startsWith(`${glued}=`) ? `${glued}=${mask}` : `${glued}${mask}`
  }
  for (const option of client.afterColon ?? []) {
    if (option.length !== 2 || !bare.startsWith(option) || bare.length === 2) continue
    return `${option}${afterColon(bare.slice(2)) ?? bare.slice(2)}`
  }
  return nthPlain !== undefined && plain === nthPlain && !bare.startsWith('-') ? mask : null
}

function expects({ client }: Reading, text: string, { isSecretOption }: Argument): Expected {
  if (client?.next?.includes(text)) return 'secret'
  if (client?.afterColon?.includes(text)) return 'after-colon'
  return isSecretOption ? 'secret' : null
}

/** `user:password` with its password masked; smbclient's `user%password` too. */
function afterColon(text: string): string | null {
  const at = text.search(/[:%]/)
  return at === -1 || at === text.length - 1 ? null : `${text.slice(0, at + 1)}${mask}`
}

/** A reference to a secret, such as a shell variable, or an empty value. */
function isReference(value: string): boolean {
  return /^\$\{?\w+\}?$|^["']{2}$/.test(value)
}
