// Keeps secrets out of messages and the log. Two lines of defence: `maskSecrets` hides what looks like one in a text, such
// as the password of an address, and `secretHider` hides the very secrets that the environment holds, wherever they are.
import type { Environment } from "./environment.ts";

/** Shorter texts are no secrets, and hiding them would tear other words apart. */
const shortestSecret = 6;

/**
 * Replaces by `***` what may be a secret in a text: user and password of an address (up to the last @ of a line, because a
 * password that was not encoded may hold anything), the query of an address, and keys of a well-known form.
 */
export function maskSecrets(text: string): string {
  return (
    text
      .replace(/([a-z][a-z0-9+.-]*:\/\/).*@(.*)/gi, (_all, scheme, rest) => `${scheme}***@${hostIn(rest)}`)
      .replace(/[^\s"'/]+:[^\s"'*]*@(.*)/g, (_all, rest) => `***@${hostIn(rest)}`)
      // What is in the place of a port and is no number is a password without its host.
      .replace(/(:\/\/)[^\s"':/@[]*:(?!\d{1,5}(?:["'/?#,\s]|$)).*/g, "$1***")
      .replace(/(:\/\/[^\s"'?#]*)[?#][^\s"']+/g, "$1?***")
      .replace(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 ***")
      .replace(/\b(sk|gsk|hf|xai|pk|rk)([-_])[\w-]{8,}/g, "$1$2***")
  );
}

/** What follows the last @, unless it goes on as no host does. */
function hostIn(rest: string): string {
  return /^[\w.:[\]-]*(\/[\w./-]*)?(["',\s].*)?$/.test(rest) ? rest : "***";
}

/** Variables that hold an address, and those that hold a secret and nothing else. */
const addressNames = /(_URL|_URI|_ENDPOINT|_PROXY|^DATABASE|_DSN)$/i;
const secretNames = /(^|_)(API_?KEY|ACCESS_KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|BEARER_TOKEN_BEDROCK)$/i;

/**
 * Returns a function that replaces by `***` every secret that the environment holds: values of variables that are named
 * like one or in `also`, and the users and passwords of addresses, as written and decoded.
 */
export function secretHider(env: Environment, also: readonly string[] = []): (text: string) => string {
  const secrets = new Set<string>();
  for (const [name, value = ""] of Object.entries(env)) {
    if (secretNames.test(name) || also.includes(name)) secrets.add(value.trim());
    else if (addressNames.test(name)) for (const secret of inAddress(value)) secrets.add(secret);
  }
  const longestFirst = [...secrets]
    .filter(({ length }) => length >= shortestSecret)
    .sort((a, b) => b.length - a.length);
  return (text) => longestFirst.reduce((hidden, secret) => hidden.replaceAll(secret, "***"), text);
}

function inAddress(address: string): string[] {
  const options = [...address.matchAll(/[?&](\w*(?:password|token|secret|key|properties)\w*)=([^&#]*)/gi)];
  const values = options.flatMap(([, , value = ""]) => [value, ...value.split(/[:,]/)]);
  const userInfo = /^[^/]*\/\/(.*)@/s.exec(address)?.[1];
  if (userInfo !== undefined) values.push(userInfo, userInfo.slice(userInfo.indexOf(":") + 1));
  return values.flatMap((value) => [value, decoded(value)]);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
