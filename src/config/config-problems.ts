// Mistakes in a configuration: the key path, the line if known, what is allowed, and what was found.
import { formatPath as format, type Path } from "../schema/problems.ts";
import { maskSecrets } from "./secret-hider.ts";

export type { Path } from "../schema/problems.ts";

/** A mistake in a configuration. */
export interface Problem {
  path: Path;
  /** Text after the path, such as `must be an integer between 1 and 10000; got 0`. */
  text: string;
}

/** Reports a mistake. The text follows the path in the message. */
export type Report = (path: Path, text: string) => void;

/** Formats a path as `models.llama3-3-70b.deployments[0].quotas[1].limit`, with possible secrets in names masked. */
export function formatPath(path: Path): string {
  return format(path.map((part) => (typeof part === "string" ? maskSecrets(part) : part)));
}

/** Masks possible secrets in a text. If it finds any, the text becomes one line, because a secret may span several. */
export function maskText(text: string): string {
  const oneLine = text.replace(/\s+/g, " ");
  const masked = maskSecrets(oneLine);
  return masked === oneLine ? text : masked;
}

/** Formats a value for a message: one line, at most 80 characters, with possible secrets masked. */
export function showValue(value: unknown): string {
  const text =
    typeof value === "string" ? JSON.stringify(maskText(value)) : maskSecrets(JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** A configuration that the service refuses to start with. The message lists every mistake that was found. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
