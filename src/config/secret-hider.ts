// Keeps secrets out of messages and the log. `maskSecrets` hides what looks like a secret in a text, such as the
// password of an address. `secretHider` hides the secrets that the environment holds, wherever they occur.
import type { Environment } from "./environment.ts";

/** Minimum length of a secret, in characters. Hiding shorter texts would destroy other words. */
const shortestSecret = 6;

/**
 * Replaces possible secrets in a text with `***`: user and password of an address, the query of an address, and keys of
 * a well-known form. User and password end at the last @ of the line, because an unencoded password may contain
 * anything.
 */
export function maskSecrets(text: string): string {
  return (
    text
      .replace(/([a-z][a-z0-9+.-]*:\/\/).*@(.*)/gi, (_all, scheme, rest) => `${scheme}***@${hostIn(rest)}`)
      .replace(/[^\s"'/]+:[^\s"'*]*@(.*)/g, (_all, rest) => `***@${hostIn(rest)}`)
      // Text in the place of a port that is no number is a password without its host.
      .replace(/(:\/\/)[^\s"':/@[]*:(?!\d{1,5}(?:["'/?#,\s]|\)(?:\s|$)|$)).*/g, "$1***")
      .replace(/(:\/\/[^\s"'?#]*)[?#][^\s"']+/g, "$1?***")
      .replace(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 ***")
      .replace(/\b(sk|gsk|hf|xai|pk|rk)([-_])[\w-]{8,}/g, "$1$2***")
  );
}

/** Returns the text after the last @, or `***` if it does not continue as a host does. */
function hostIn(rest: string): string {
  return /^[\w.:[\]-]*(\/[\w./-]*)?(["',\s].*)?$/.test(rest) ? rest : "***";
}

/** Names of variables that hold an address. */
const addressNames = /(_URL|_URI|_ENDPOINT|_PROXY|^DATABASE|_DSN)$/i;
/** Names of variables that hold a secret and nothing else. */
const secretNames = /(^|_)(API_?KEY|ACCESS_KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|BEARER_TOKEN_BEDROCK)$/i;

/**
 * Returns a function that replaces every secret in the environment with `***`. Secrets are the values of variables
 * whose names suggest it or that `also` lists, and the users and passwords of addresses, as written and decoded.
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
