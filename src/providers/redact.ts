// Masks secrets in providers' messages, which are stored, shown and logged. They contain a secret only if they quote
// the request. Bedrock's messages that do so are not used at all (see bedrock-failures.ts), so this is the second line
// of defense. It also keeps a hostile endpoint's megabyte out of the record.

const maxLength = 1_000;

const secrets: [RegExp, string][] = [
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 ***"],
  [
    /\b(Credential|Signature|Authorization|X-Amz-Security-Token|X-Amz-Signature)(["']?\s*[=:]\s*)[^\s,;"']+/gi,
    "$1$2***",
  ],
  [/\b(AKIA|ASIA)[A-Z0-9]{12,}/g, "$1***"],
  // Keys of OpenAI, and of others that copied its form.
  [/\b(sk|gsk|hf)([-_])[\w*-]{8,}/g, "$1$2***"],
];

/** Returns a message with secrets masked, truncated to 1,000 characters. */
export function redact(message: string): string {
  // Cut first, because the time of the rest grows with the length.
  const cut = message.length > maxLength ? `${message.slice(0, maxLength - 1)}…` : message;
  return secrets.reduce((text, [secret, replacement]) => text.replace(secret, replacement), cut);
}
