// Mistakes in a configuration: where each is (the key path and, if known, the line), what is allowed, and what was found.
import { formatPath as format, type Path } from "../schema/problems.ts";
import { maskSecrets } from "./secret-hider.ts";

export type { Path } from "../schema/problems.ts";

export interface Problem {
  path: Path;
  /** Follows the path: `must be an integer between 1 and 10000; got 0`. */
  text: string;
}

export type Report = (path: Path, text: string) => void;

/** Returns `models.llama3-3-70b.deployments[0].quotas[1].limit`, without what may be a secret in a name. */
export function formatPath(path: Path): string {
  return format(path.map((part) => (typeof part === "string" ? maskSecrets(part) : part)));
}

/** Returns a text without what may be a secret, in one line if there is any: a secret may go over several. */
export function maskText(text: string): string {
  const oneLine = text.replace(/\s+/g, " ");
  const masked = maskSecrets(oneLine);
  return masked === oneLine ? text : masked;
}

/** A value as it may be shown: one line, short, and without what may be a secret. */
export function showValue(value: unknown): string {
  const text =
    typeof value === "string" ? JSON.stringify(maskText(value)) : maskSecrets(JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** A configuration that the service refuses to start with. The message lists every problem that was found. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
