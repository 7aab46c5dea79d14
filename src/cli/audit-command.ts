// sluice audit: who changed what, newest first.
import { Command } from "commander";
import type { AuditEntry } from "../client/index.ts";
import { time } from "./job-filter.ts";
import { wholeNumber } from "./numbers.ts";
import { note, printJson } from "./output.ts";
import { askService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { tableLines } from "./table.ts";
import { columnsOf, type Output, oneLine, paintFor, widthOf, wrapped } from "./terminal.ts";

interface AuditOptions extends ServiceOptions {
  action?: string;
  key?: string;
  target?: string;
  from?: string;
  to?: string;
  limit: number;
}

const defaultLimit = 50;

export function auditCommand(): Command {
  const command = new Command("audit")
    .description("List who changed what, newest first. Requires an admin key.")
    .option("--action <name>", "only this action, such as job.cancel")
    .option("--key <id>", "only actions with the API key of this id")
    .option("--target <id>", "only actions on what has this id or name")
    .option("--from <time>", "at this time or later, such as 2030-01-31T12:00:00Z, or 2h, 3d ago", time)
    .option("--to <time>", "earlier", time)
    .option("--limit <n>", "entries to list at most", wholeNumber(1, 1_000_000), defaultLimit);
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
--json prints one object a line.

Examples:
  sluice audit
  sluice audit --action key.create --from 30d
  sluice audit --key 0h2k5m8p1q3r7 --limit 1000 --json`,
    )
    .action(audit);
}

const columns = [
  { title: "time" },
  { title: "action" },
  { title: "who", atLeast: 8 },
  { title: "error", optional: true },
  { title: "what" },
] as const;
const indent = "  ";

async function audit({ url, json, limit, ...filter }: AuditOptions): Promise<void> {
  await askService(url, async (service) => {
    const entries: AuditEntry[] = [];
    let more = false;
    for await (const entry of service.audit(filter)) {
      more = entries.length === limit;
      if (more) break;
      entries.push(entry);
      if (json) printJson(entry);
    }
    if (!json && entries.length > 0) {
      for (const line of auditLines(entries, process.stdout)) process.stdout.write(`${line}\n`);
    }
    if (entries.length === 0) note("No entry matches.");
    if (more) note("There are more entries than these; --limit lists more.");
  });
}

/** Returns a table. If it is too wide, what an entry is about follows on lines of its own, so that ids stay whole. */
export function auditLines(entries: readonly AuditEntry[], out: Output): string[] {
  const width = widthOf(out);
  const rows = entries.map(rowOf);
  const whole = tableLines(columns, rows, Number.POSITIVE_INFINITY, paintFor(out));
  if (whole.every((line) => columnsOf(line) <= width)) return whole;
  const cells = rows.map((row) => row.slice(0, -1));
  const [title, ...lines] = tableLines(columns.slice(0, -1), cells, width, paintFor(out));
  const aboutOf = (text: string) => (text === "" ? [] : wrapped(oneLine(text), width - indent.length));
  return [title!, ...lines.flatMap((line, i) => [line, ...aboutOf(rows[i]!.at(-1)!).map((text) => indent + text)])];
}

function rowOf({ at, action, actor, target, details, count, result }: AuditEntry): string[] {
  const when = at.slice(0, 19).replace("T", " ");
  const about = [
    ...(target ? [`${target.type} ${target.id}`] : []),
    ...(count === null ? [] : [`${count} ${count === 1 ? "job" : "jobs"}`]),
    ...Object.entries(details).flatMap(([name, value]) => detail(name, value)),
  ];
  return [when, action, whoOf(actor), result === "ok" ? "" : result, about.join(", ")];
}

function detail(name: string, value: unknown): string[] {
  if (value === false) return [];
  return [value === true ? name : `${name} ${String(value)}`];
}

function whoOf({ kind, key_id, key_name }: AuditEntry["actor"]): string {
  if (kind === "key") return key_name ?? key_id ?? "";
  return kind === "no_key" ? "no key" : kind;
}
