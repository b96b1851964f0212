/** Replaces a secret. */
export const mask = '***'

/**
 * A pattern for a secret that is recognised anywhere. Every match contains one of the lower-case texts in `needs`, which
 * are faster to search for.
 */
type Secret = { needs: readonly string[]; pattern: RegExp; replacement: string }

// Every repetition is bounded or cannot overlap with what follows it: the text comes from the container, and must not
// be able to make a search slow.
const secrets: readonly Secret[] = [
  // PEM (RFC 7468), with line breaks or escaped ones; a truncated block extends to the end of the text.
  {
    needs: ['-----begin'],
    pattern:
      /(-----BEGIN [A-Z0-9 ]{1,40}-----)(?!\*\*\*)(?:(?!-----END )[\s\S])*(?:-----END [A-Z0-9 ]{1,40}-----)?/g,
    replacement: `$1${mask}`,
  },
  // The password in a URL (RFC 3986, 3.2.1), or a token in place of the user.
  {
    needs: ['@'],
    pattern: /\b([a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#@:'"]{0,128}:)[^\s/?#@'"]{1,512}(?=@)/gi,
    replacement: `$1${mask}`,
  },
  { needs: ['@'], pattern: /\b(https?:\/\/)[^\s/?#@:'"]{20,512}(?=@)/gi, replacement: `$1${mask}` },
  // user:password@host without a scheme; an image's digest (name:tag@sha256:…) is no password.
  {
    needs: ['@'],
    pattern: /(?<![\w./:@-])([\w.+-]{1,64}:)(?!\/\/)[^\s@/:'"]{1,128}@(?!sha256:)(?=[\w[])/g,
    replacement: `$1${mask}@`,
  },
  // URL query parameters.
  {
    needs: ['?', '&'],
    pattern:
      /([?&](?:[a-z]{1,20}[_-])?(?:password|passwd|pwd|secret|token|api_?key|apikey|key|sig|signature|code|auth|credential|x-amz-(?:signature|credential|security-token))=)[^&\s#'"]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  // Header fields (RFC 9110, 11.6.2), and the header names of common services.
  {
    needs: ['authorization'],
    pattern:
      /\b((?:proxy-)?authorization["']?\s{0,4}[:=]\s{0,4}["']?(?:basic|bearer|digest|token|negotiate|apikey)\s{1,4})[^\s'",;]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  {
    needs: ['authorization'],
    pattern:
      /\b((?:proxy-)?authorization\s{0,4}:\s{0,4})(?!\s|(?:basic|bearer|digest|token|negotiate|apikey)\s)[^\s'",;]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  {
    needs: ['bearer'],
    pattern: /\b(bearer\s{1,4})(?=[^\s'"]{0,200}\d)[\w.~+/=-]{12,4096}/gi,
    replacement: `$1${mask}`,
  },
  {
    needs: ['-key', '-token', 'cookie'],
    pattern:
      /\b((?:x-)?(?:api-key|auth-token|access-token|amz-security-token|vault-token|gitlab-token|csrf-token)["']?\s{0,4}:\s{0,4}["']?|private-token\s{0,4}:\s{0,4}|(?:set-)?cookie\s{0,4}:\s{0,4})[^'"\n]{1,4096}/gi,
    replacement: `$1${mask}`,
  },
  // Tokens with a recognisable prefix: AWS, GitHub, GitLab, Slack, Stripe and OpenAI, Google, npm, Docker Hub,
  // SendGrid, HashiCorp Vault, age, JSON Web Tokens (RFC 7519).
  {
    needs: ['akia', 'asia', 'abia', 'acca'],
    pattern: /\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b/g,
    replacement: mask,
  },
  {
    needs: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_', 'github_pat_', 'glpat-'],
    pattern: /\b(?:gh[pousr]_[0-9A-Za-z]{20,255}|github_pat_\w{20,255}|glpat-[\w-]{20,255})/g,
    replacement: mask,
  },
  { needs: ['xox'], pattern: /\bxox[abeoprs]-[0-9A-Za-z-]{10,255}/g, replacement: mask },
  {
    needs: ['sk_', 'rk_', 'sk-', 'rk-'],
    pattern: /\b(?:sk|rk)(?:_live_|_test_|-proj-|-)[0-9A-Za-z_-]{20,255}/g,
    replacement: mask,
  },
  {
    needs: ['aiza', 'ya29.', 'npm_', 'dckr_pat_'],
    pattern: /\b(?:AIza[\w-]{35}|ya29\.[\w-]{20,255}|npm_[0-9A-Za-z]{36}|dckr_pat_[\w-]{20,255})/g,
    replacement: mask,
  },
  {
    needs: ['sg.', 'hvs.', 'hvb.', 'hvr.', 'age-secret-key-1'],
    pattern: /\b(?:SG\.[\w-]{16,64}\.[\w-]{16,128}|hv[sbr]\.[\w-]{20,255}|AGE-SECRET-KEY-1[0-9A-Z]{50,64})/g,
    replacement: mask,
  },
  { needs: ['eyj'], pattern: /\beyJ[\w-]{5,2048}\.eyJ[\w-]{5,4096}\.[\w-]{0,1024}/g, replacement: mask },
]

// The shortest secret without one of these characters is a Slack token.
const sign = /[@?&:]/
const shortest = 15
const hint = new RegExp(
  secrets.flatMap(({ needs }) => needs.map((need) => need.replace(/[.?]/g, '\\$&'))).join('|'),
  'i',
)

/** Masks secrets that are recognised by their format, in any context. Most text has no hint of one. */
export function maskSecrets(text: string): string {
  if ((text.length < shortest && !sign.test(text)) || !hint.test(text)) return text
  const small = text.toLowerCase()
  let masked = text
  for (const { needs, pattern, replacement } of secrets) {
    if (needs.some((need) => small.includes(need))) masked = masked.replace(pattern, replacement)
  }
  return masked
}

// The last part of the name must match completely: `PASSWORD_FILE`, `TOKENIZER`, `KEYBOARD` and `PWD` are not secrets.
const secretName =
  /(?:^|[_.-])(?:(?:new|old|root|admin|user|db|my)?pass(?:word|wd|phrase|wort|code)?|pwd|pw|secrets?|(?:auth|access|refresh|bearer|session|api|id|bot|csrf)?tokens?|jwt|(?:api|access|secret|private|signing|encryption|master|account|shared|client|storage|license)[_-]?key(?:[_-]?id)?|client[_-]?secret|secret[_-]?string|credentials?|creds|auth|dsn|connection[_-]?string|webhook[_-]?url)$/i
// Camel-case names, as in JSON: dbPassword, accessToken.
const secretCamelName =
  /(?:[a-z0-9])(?:Password|Passwd|Passphrase|Secret|Token|ApiKey|SecretKey|PrivateKey|AccessKey|Credentials?)$/
const notSecret = /^(?:PWD|OLDPWD|SSH_AUTH_SOCK)$/

/** Whether a variable, option or field of this name holds a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > 128 || notSecret.test(name)) return false
  // The variables of some clients do not separate the last part: PGPASSWORD, SSHPASS.
  return secretName.test(name) || secretCamelName.test(name) || /^PGPASSWORD$|^SSHPASS$/i.test(name)
}
