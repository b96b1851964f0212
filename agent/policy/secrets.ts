/** What stands where a secret was. */
export const mask = '***'

/** A pattern for what is secret wherever it stands; `keep` of it, before the secret, stays readable. */
type Secret = { pattern: RegExp; replacement: string }

// Every repetition is bounded or cannot overlap with what follows it: the text is the container's, and must not be
// able to make a search slow.
const secrets: readonly Secret[] = [
  // PEM (RFC 7468), with its line breaks or with what they were escaped to; one that was cut off ends with the text.
  {
    pattern:
      /(-----BEGIN [A-Z0-9 ]{1,40}-----)(?!\*\*\*)(?:(?!-----END )[\s\S])*(?:-----END [A-Z0-9 ]{1,40}-----)?/g,
    replacement: `$1${mask}`,
  },
  // The password of a URL's user (RFC 3986, 3.2.1), and a token alone in the user's place.
  {
    pattern: /\b([a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@:'"]{0,128}:)[^\s/?#@'"]{1,512}(?=@)/gi,
    replacement: `$1${mask}`,
  },
  { pattern: /\b(https?:\/\/)[^\s/?#@:'"]{20,512}(?=@)/gi, replacement: `$1${mask}` },
  // user:password@host without a scheme; an image's digest (name:tag@sha256:…) is no password.
  {
    pattern: /(?<![\w./:@-])([\w.+-]{1,64}:)(?!\/\/)[^\s@/:'"]{1,128}@(?!sha256:)(?=[\w[])/g,
    replacement: `$1${mask}@`,
  },
  // Parameters of a URL's query.
  {
    pattern:
      /([?&](?:[a-z]{1,20}[_-])?(?:password|passwd|pwd|secret|token|api_?key|apikey|key|sig|signature|code|auth|credential|x-amz-(?:signature|credential|security-token))=)[^&\s#'"]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  // Header fields (RFC 9110, 11.6.2), and the names by which services call theirs.
  {
    pattern:
      /\b((?:proxy-)?authorization["']?\s{0,4}[:=]\s{0,4}["']?(?:basic|bearer|digest|token|negotiate|apikey)\s{1,4})[^\s'",;]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  {
    pattern:
      /\b((?:proxy-)?authorization\s{0,4}:\s{0,4})(?!\s|(?:basic|bearer|digest|token|negotiate|apikey)\s)[^\s'",;]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  { pattern: /\b(bearer\s{1,4})(?=[^\s'"]{0,200}\d)[\w.~+/=-]{12,4096}/gi, replacement: `$1${mask}` },
  {
    pattern:
      /\b((?:x-)?(?:api-key|auth-token|access-token|amz-security-token|vault-token|gitlab-token|csrf-token)["']?\s{0,4}:\s{0,4}["']?|private-token\s{0,4}:\s{0,4}|(?:set-)?cookie\s{0,4}:\s{0,4})[^'"\n]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  // Tokens that say themselves what they are: AWS, GitHub, GitLab, Slack, Stripe and OpenAI, Google, npm, Docker Hub,
  // SendGrid, HashiCorp Vault, age, JSON Web Tokens (RFC 7519).
  { pattern: /\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b/g, replacement: mask },
  {
    pattern: /\b(?:gh[pousr]_[0-9A-Za-z]{20,255}|github_pat_\w{20,255}|glpat-[\w-]{20,255})/g,
    replacement: mask,
  },
  { pattern: /\bxox[abeoprs]-[0-9A-Za-z-]{10,255}/g, replacement: mask },
  { pattern: /\b(?:sk|rk)(?:_live_|_test_|-proj-|-)[0-9A-Za-z_-]{20,255}/g, replacement: mask },
  {
    pattern: /\b(?:AIza[\w-]{35}|ya29\.[\w-]{20,255}|npm_[0-9A-Za-z]{36}|dckr_pat_[\w-]{20,255})/g,
    replacement: mask,
  },
  {
    pattern: /\b(?:SG\.[\w-]{16,64}\.[\w-]{16,128}|hv[sbr]\.[\w-]{20,255}|AGE-SECRET-KEY-1[0-9A-Z]{50,64})/g,
    replacement: mask,
  },
  { pattern: /\beyJ[\w-]{5,2048}\.eyJ[\w-]{5,4096}\.[\w-]{0,1024}/g, replacement: mask },
]

// What no secret can do without: most text has none of it, and need not be searched further.
const hint =
  /-----BEGIN|[@?&]|authori[sz]ation|bearer|cookie|-token|-key|A[KSBC]IA|ACCA|gh[pousr]_|github_pat|glpat|xox|[sr]k[_-]|AIza|ya29|npm_|dckr|SG\.|hv[sbr]\.|AGE-|eyJ/i

/** Masks what is secret by its form, whatever stands around it. */
export function maskSecrets(text: string): string {
  if (!hint.test(text)) return text
  return secrets.reduce((masked, { pattern, replacement }) => masked.replace(pattern, replacement), text)
}

// The whole of a name's last part must say it: `PASSWORD_FILE`, `TOKENIZER`, `KEYBOARD` and `PWD` are no secrets.
const secretName =
  /(?:^|[_.-])(?:(?:new|old|root|admin|user|db|my)?pass(?:word|wd|phrase|wort|code)?|pwd|pw|secrets?|(?:auth|access|refresh|bearer|session|api|id|bot|csrf)?tokens?|jwt|(?:api|access|secret|private|signing|encryption|master|account|shared|client|storage|license)[_-]?key(?:[_-]?id)?|client[_-]?secret|secret[_-]?string|credentials?|creds|auth|dsn|connection[_-]?string|webhook[_-]?url)$/i
// A name of several words in one, as in JSON: dbPassword, accessToken.
const secretCamelName =
  /(?:[a-z0-9])(?:Password|Passwd|Passphrase|Secret|Token|ApiKey|SecretKey|PrivateKey|AccessKey|Credentials?)$/
const notSecret = /^(?:PWD|OLDPWD|SSH_AUTH_SOCK)$/

/** Whether a variable, option or field of this name holds a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > 128 || notSecret.test(name)) return false
  // mysqldump's and Redis' own variables put a word behind: MYSQL_PWD, PGPASSWORD, REDISCLI_AUTH.
  return secretName.test(name) || secretCamelName.test(name) || /^PGPASSWORD$|^SSHPASS$/i.test(name)
}
