import test from 'ava'
import fc from 'fast-check'
import { createRedactor, maskText } from '../../agent/policy/redact.ts'

// Invented, in the format of real ones.
const token = (prefix: string, length: number) => prefix + 'aB3dE5fG7hJ9'.repeat(9).slice(0, length)
const jwt = `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.${token('', 43)}`

const secret: [string, string][] = [
  // Options and variables with known names.
  ['backup --password=hunter2 --user=x', 'backup --password=*** --user=x'],
  ['backup --password hunter2 --user x', 'backup --password *** --user x'],
  ['backup -password hunter2', 'backup -password ***'],
  ['tool --api-key=abc --verbose', 'tool --api-key=*** --verbose'],
  ['tool --client-secret abc', 'tool --client-secret ***'],
  ['kubectl --token hunter2 get pods', 'kubectl --token *** get pods'],
  ['vault login -token=hunter2', 'vault login -token=***'],
  ['PGPASSWORD=hunter2 pg_dump -h db shop', 'PGPASSWORD=*** pg_dump -h db shop'],
  ['env MYSQL_PWD=hunter2 mysql', 'env MYSQL_PWD=*** mysql'],
  ['export AWS_SECRET_ACCESS_KEY=abc/def+g', 'export AWS_SECRET_ACCESS_KEY=***'],
  ['AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE aws s3 ls', 'AWS_ACCESS_KEY_ID=*** aws s3 ls'],
  ['AWS_SESSION_TOKEN=abc aws s3 ls', 'AWS_SESSION_TOKEN=*** aws s3 ls'],
  ['docker run -e DB_PASSWORD=hunter2 -p 80:80 app', 'docker run -e DB_PASSWORD=*** -p 80:80 app'],
  ['docker run --env=DB_PASSWORD=hunter2 app', 'docker run --env=DB_PASSWORD=*** app'],
  [
    'java -Dspring.datasource.password=hunter2 -jar a.jar',
    'java -Dspring.datasource.password=*** -jar a.jar',
  ],
  ['helm upgrade --set db.password=hunter2 shop .', 'helm upgrade --set db.password=*** shop .'],
  ['GITHUB_TOKEN=abc123 gh pr list', 'GITHUB_TOKEN=*** gh pr list'],
  ['dd api_key="hunter 2" rest', 'dd api_key=*** rest'],
  // Short options that are passwords according to the client's manual.
  ['mysql -uroot -phunter2 shop', 'mysql -uroot -p*** shop'],
  ['/usr/bin/mysqldump -u root -phunter2 shop', '/usr/bin/mysqldump -u root -p*** shop'],
  ['mariadb-dump -phunter2 --all-databases', 'mariadb-dump -p*** --all-databases'],
  ['mongodump -u a -p hunter2', 'mongodump -u a -p ***'],
  ['sshpass -p hunter2 ssh alice@host', 'sshpass -p *** ssh alice@host'],
  ['redis-cli -a hunter2 ping', 'redis-cli -a *** ping'],
  ['curl -u admin:hunter2 http://x/', 'curl -u admin:*** http://x/'],
  ['curl --user=admin:hunter2 http://x/', 'curl --user=admin:*** http://x/'],
  ['ldapsearch -x -w hunter2 -b dc=x', 'ldapsearch -x -w *** -b dc=x'],
  ['docker login -u bob -p hunter2 registry', 'docker login -u bob -p *** registry'],
  ['sqlcmd -S db -U sa -P hunter2', 'sqlcmd -S db -U sa -P ***'],
  ['mosquitto_pub -u a -P hunter2 -t x', 'mosquitto_pub -u a -P *** -t x'],
  ['htpasswd -b /etc/htpasswd alice hunter2', 'htpasswd -b /etc/htpasswd alice ***'],
  ['openssl rsa -in k -passin pass:hunter2', 'openssl rsa -in k -passin pass:***'],
  ["sh -c 'mysql -phunter2 shop | gzip'", "sh -c 'mysql -p*** shop | gzip'"],
  [`bash -c "PGPASSWORD=hunter2 psql"`, `bash -c "PGPASSWORD=*** psql"`],
  ["docker run -e 'DB_PASSWORD=two words' app", "docker run -e 'DB_PASSWORD=***' app"],
  ["tool '--password=a;b c' rest", "tool '--password=***' rest"],
  ['alice ran `mysql -phunter2` in web-1', 'alice ran `mysql -p***` in web-1'],
  ['alice ran `PGPASSWORD=hunter2 psql` in web-1', 'alice ran `PGPASSWORD=*** psql` in web-1'],
  ['alice tried `backup --password=hunter2`; it failed', 'alice tried `backup --password=***`; it failed'],
  ["alice ran `sh -c 'mysql -phunter2'` in web-1", "alice ran `sh -c 'mysql -p***'` in web-1"],
  ['tool --password=a`b rest', 'tool --password=*** rest'],
  // URLs.
  ['psql postgres://app:hunter2@db:5432/shop', 'psql postgres://app:***@db:5432/shop'],
  ['redis://:hunter2@cache:6379/0', 'redis://:***@cache:6379/0'],
  ['git clone https://bob:hunter2@git.example/x.git', 'git clone https://bob:***@git.example/x.git'],
  [`git clone https://${token('', 30)}@git.example/x`, 'git clone https://***@git.example/x'],
  ['curl https://x/?a=1&access_token=hunter2&b=2', 'curl https://x/?a=1&access_token=***&b=2'],
  ['wget bob:hunter2@ftp.example/f', 'wget bob:***@ftp.example/f'],
  // Header fields and JSON.
  ["curl -H 'Authorization: Bearer hunter2hunter2' x", "curl -H 'Authorization: Bearer ***' x"],
  ["curl -H 'Authorization: Basic YWRtaW46aHVudGVyMg==' x", "curl -H 'Authorization: Basic ***' x"],
  ["curl -H 'X-Api-Key: hunter2' x", "curl -H 'X-Api-Key: ***' x"],
  ["curl -H 'Cookie: session=hunter2; a=b' x", "curl -H 'Cookie: ***' x"],
  ['{"user":"bob","password":"hunter2"}', '{"user":"bob","password":"***"}'],
  ['{"accessToken": "hunter2"}', '{"accessToken": "***"}'],
  // Tokens with a recognisable format.
  ['echo AKIAIOSFODNN7EXAMPLE', 'echo ***'],
  [`echo ${token('ghp_', 36)}`, 'echo ***'],
  [`echo ${token('github_pat_', 60)}`, 'echo ***'],
  [`echo ${token('glpat-', 20)}`, 'echo ***'],
  [`echo ${token('xoxb-', 40)}`, 'echo ***'],
  [`echo ${token('sk_live_', 24)}`, 'echo ***'],
  [`echo ${token('AIza', 35)}`, 'echo ***'],
  [`echo ${token('npm_', 36)}`, 'echo ***'],
  [`echo ${token('hvs.', 30)}`, 'echo ***'],
  [`echo ${jwt}`, 'echo ***'],
  [
    '-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY----- rest',
    '-----BEGIN RSA PRIVATE KEY-----*** rest',
  ],
  ['-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Bl (cut off)', '-----BEGIN OPENSSH PRIVATE KEY-----***'],
]

const innocent = [
  'ls -la /var/lib',
  'mkdir -p /srv/data',
  'ps -p 1 -o pid',
  'ssh -p 2222 git@github.com',
  'git clone git@github.com:org/repo.git',
  'docker run -p 8080:80 --name web nginx:1.27',
  'docker pull nginx:1.27@sha256:0f37a86c04f4e1b7b0bbd3bbd3c0d1b2b6f8cf1d1d2b3f8a8c0f7b1f7c5c1c1a',
  'rsync -a alice@host:/srv /srv',
  'mysql -uroot -p shop',
  'mysqldump --defaults-file=/etc/my.cnf shop',
  'tool --password-file /run/secrets/x',
  'tool --token-file=/run/x --tokenizer=bert',
  'PASSWORD_FILE=/run/secrets/x app',
  'PWD=/app OLDPWD=/ env',
  'KEYBOARD=de MONKEY=1 KEY_COUNT=3 app',
  'AWS_REGION=eu-central-1 AWS_PROFILE=prod aws s3 ls',
  'SSH_AUTH_SOCK=/run/user/1000/ssh ssh-add -l',
  'passwd alice',
  'grep -r password /etc',
  'echo "the password is wrong"',
  'cat /etc/passwd /run/secrets/db_password',
  'curl http://example.com:8080/a@b',
  'curl -u admin http://x/',
  'ping 10.0.0.1',
  'fe80::1%eth0',
  'echo 12:30:45 2026-01-01T12:30:45Z',
  'mail -s hello bob@example.com',
  'tar -czpf /backup/x.tgz /srv',
  'redis-cli -p 6379 ping',
  'DB_PASSWORD=$SECRET app',
  'DB_PASSWORD=${SECRET} app',
  'sha256:0f37a86c04f4e1b7',
  'sk-lib and AIza short, eyJ alone, ghp_short',
  'bearer of bad news',
  'python -m http.server -b 0.0.0.0',
  'find / -perm -4000 -type f',
  'token ring, secret garden, key: value',
]

test('secrets in command lines, variables, URLs and headers are masked', (t) => {
  for (const [text, masked] of secret) t.is(maskText(text), masked)
  t.true(secret.length > 50)
})

test('text that only looks like a secret is not masked', (t) => {
  for (const text of innocent) t.is(maskText(text), text)
})

test('masking is idempotent', (t) => {
  for (const [text] of secret) t.is(maskText(maskText(text)), maskText(text))
})

test('masking keeps the number and order of arguments', (t) => {
  const { field } = createRedactor({ secrets: true, patterns: [] })
  const table: [string[], string[]][] = [
    [
      ['mysql', '-uroot', '-phunter2', 'shop'],
      ['mysql', '-uroot', '-p***', 'shop'],
    ],
    [
      ['tool', '--password', 'hunter2 with spaces'],
      ['tool', '--password', '***'],
    ],
    [
      ['tool', '--password', '--verbose'],
      ['tool', '--password', '--verbose'],
    ],
    [
      ['sh', '-c', 'mysql -phunter2; mkdir -p /x'],
      ['sh', '-c', 'mysql -p***; mkdir -p /x'],
    ],
    [
      ['mkdir', '-p', '/x'],
      ['mkdir', '-p', '/x'],
    ],
    [
      ['curl', '-H', 'Authorization: Bearer hunter2hunter2'],
      ['curl', '-H', 'Authorization: Bearer ***'],
    ],
    [
      ['docker', 'run', '-p', '80:80', 'x'],
      ['docker', 'run', '-p', '80:80', 'x'],
    ],
    [
      ['docker', 'login', '-p', 'hunter2'],
      ['docker', 'login', '-p', '***'],
    ],
  ]
  for (const [argv, masked] of table) t.deepEqual(field('argv', argv), masked)
})

test('evidence is masked by field name, at any depth', (t) => {
  const { field } = createRedactor({ secrets: true, patterns: [] })
  t.deepEqual(
    field('caller', {
      user: 'bob',
      env: { DB_PASSWORD: 'x', HOME: '/' },
      argv: ['mysql', '-px'],
      pid: 4,
      none: null,
    }),
    { user: 'bob', env: { DB_PASSWORD: '***', HOME: '/' }, argv: ['mysql', '-p***'], pid: 4, none: null },
  )
  t.is(field('password', 'x'), '***')
  t.is(field('exe', '/usr/bin/passwd'), '/usr/bin/passwd')
})

test('configured patterns are masked: the first group, or the whole match', (t) => {
  const { text } = createRedactor({ secrets: false, patterns: ['ACME-\\d+', 'pin=(\\d+)'] })
  t.is(text('use ACME-1234 with pin=99 and --password=x'), 'use *** with pin=*** and --password=x')
  t.is(text('nothing here'), 'nothing here')
})

test('any text is masked without errors, in linear time', (t) => {
  const { text, field } = createRedactor({ secrets: true, patterns: ['x(.)'] })
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.array(fc.string()), (line, argv) => {
      const masked = field('argv', argv)
      return typeof text(line) === 'string' && Array.isArray(masked) && masked.length === argv.length
    }),
  )
  // Inputs that make careless regular expressions take hours.
  for (const part of [
    'a:',
    '-----BEGIN A-----',
    "'",
    '"\\',
    'x@',
    'https://',
    '=',
    'password=',
    '-p ',
    'eyJa.',
    ' \t',
    'authorization:',
  ]) {
    t.is(typeof text(part.repeat(4_096 / part.length)), 'string')
  }
})
