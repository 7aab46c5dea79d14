// The options that choose jobs: those of the API's list, shared by jobs, export, cancel and retry.
import { type Command, InvalidArgumentError, Option } from "commander";
import type { JobStatus, ListQuery, Priority } from "../client/index.ts";
import { jobStates, priorities } from "../domain/job.ts";

export interface FilterOptions {
  environment?: string;
  status?: JobStatus;
  model?: string;
  tenant?: string;
  priority?: Priority;
  submittedAfter?: string;
  submittedBefore?: string;
  batch?: string;
  error?: string;
  metadata?: Record<string, string>;
}

export function withJobFilter(command: Command): Command {
  return command
    .optionsGroup("Filter:")
    .option("--environment <name>", "jobs of this environment")
    .addOption(new Option("--status <state>", "jobs in this state").choices(jobStates))
    .option("--model <alias>", "jobs of this model")
    .option("--tenant <name>", "jobs of this tenant")
    .addOption(new Option("--priority <name>", "jobs of this priority").choices(priorities))
    .option("--submitted-after <time>", "submitted then or later, such as 2030-01-31T12:00:00Z, or 2h, 3d ago", time)
    .option("--submitted-before <time>", "submitted earlier", time)
    .option("--batch <id>", "the lines of this batch")
    .option("--error <code>", "failed jobs with this error code, such as context_exceeded")
    .option("--metadata <key=value>", "jobs with this label; may be repeated, then all must match", addLabel)
    .optionsGroup("Options:");
}

/** Returns the filter of the API, without options that were not given. */
export function filterOf(options: FilterOptions): ListQuery {
  const { environment, status, model, tenant, priority, submittedAfter, submittedBefore, batch, error, metadata } =
    options;
  const named = { environment, status, model, tenant, priority, batch, error, metadata };
  const all = { ...named, submitted_after: submittedAfter, submitted_before: submittedBefore };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export function addLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("Allowed: a key, an equals sign and a value, such as ticket=42.");
  return { ...labels, [text.slice(0, equals)]: text.slice(equals + 1) };
}

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Parses an option: a time in ISO 8601 passes unchanged; `2h` becomes the time two hours ago. */
export function time(text: string): string {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (count !== undefined) {
    return new Date(Date.now() - Number(count) * units[unit as keyof typeof units]).toISOString();
  }
  if (/^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError(
    "Allowed: a time such as 2030-01-31T12:00:00Z, or minutes, hours or days ago: 30m, 2h, 3d.",
  );
}
