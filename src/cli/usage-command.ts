// sluice usage: tokens, calls and dollars as a table.
import { Command, InvalidArgumentError } from "commander";
import { dollars, grouped } from "./formats.ts";
import { printJson } from "./output.ts";
import { callService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { type Column, printTable } from "./table.ts";
import { widthOf, wrapped } from "./terminal.ts";

const groups = ["day", "key", "environment", "model", "tenant"] as const;

interface UsageOptions extends ServiceOptions {
  from?: string;
  to?: string;
  by: string;
  environment?: string;
  model?: string;
  tenant?: string;
}

interface Sums {
  jobs: number;
  attempts: number;
  attempts_without_end: number;
  attempts_estimated: number;
  attempts_without_price: number;
  input_tokens: number;
  input_tokens_estimated: number;
  output_tokens: number;
  output_tokens_estimated: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  cost_usd: number;
  cost_usd_estimated: number;
}

interface Usage {
  from: string;
  to: string;
  group_by: string[];
  data: (Sums & Record<string, string | number | null>)[];
  total: Sums;
}

export function usageCommand(): Command {
  const command = new Command("usage")
    .description("Show tokens, calls and dollars, by day, key, environment, model or tenant.")
    .option("--from <day>", "first UTC day, such as 2030-01-31 (default: 30 days ago)", day)
    .option("--to <day>", "last UTC day, included (default: today)", day)
    .option("--by <groups>", `any of ${groups.join(", ")}, separated by commas`, groupNames, "day")
    .option("--environment <name>", "only this environment")
    .option("--model <alias>", "only this model")
    .option("--tenant <name>", "only this tenant");
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
A narrow terminal leaves out columns, those of the cache first. --json has them
all.

Examples:
  sluice usage
  sluice usage --from 2030-01-01 --to 2030-01-31 --by tenant,model
  sluice usage --by key --environment PROD --json`,
    )
    .action(usage);
}

async function usage({ by, json, url, ...filters }: UsageOptions): Promise<void> {
  const query = new URLSearchParams({ group_by: by });
  for (const [name, value] of Object.entries(filters)) if (value !== undefined) query.set(name, value);
  const answer = await callService<Usage>(url, "GET", `/v1/usage?${query}`);
  if (json) printJson(answer);
  else print(answer);
}

/** Days and ids are never cut. */
const groupWidths: Readonly<Record<string, number>> = { environment: 8, model: 20, tenant: 12 };

/** The cost is always shown. */
const numbers: readonly Column[] = [
  { title: "jobs", dropOrder: 4 },
  { title: "calls", dropOrder: 3 },
  { title: "input", dropOrder: 6 },
  { title: "output", dropOrder: 5 },
  { title: "cache read", dropOrder: 2 },
  { title: "cache write", dropOrder: 1 },
  { title: "cost" },
];

function print({ group_by, data, total }: Usage): void {
  const columns = [
    ...group_by.map((title) => ({ title, ...(title in groupWidths && { atLeast: groupWidths[title]! }) })),
    ...numbers.map((column) => ({ ...column, align: "right" as const })),
  ];
  const totals = [...group_by.map((_, i) => (i === 0 ? "total" : "")), ...numbersOf(total)];
  printTable(columns, [
    ...data.map((row) => [...group_by.map((group) => String(row[group] ?? "-")), ...numbersOf(row)]),
    ...(group_by.length > 0 ? [totals] : []),
  ]);
  const { attempts_without_end: open, attempts_estimated: estimated, attempts_without_price: unpriced } = total;
  const notes = [
    open > 0 && `Calls that run or have no known result: ${grouped(open)}. They may have been billed.`,
    estimated > 0 && estimatesOf(total),
    unpriced > 0 && `Calls of models without a known price: ${grouped(unpriced)}. The cost does not include them.`,
  ];
  for (const text of notes) {
    if (text) for (const line of wrapped(text, widthOf(process.stdout))) process.stdout.write(`${line}\n`);
  }
}

function estimatesOf(total: Sums): string {
  const { attempts_estimated: calls, input_tokens_estimated: input, output_tokens_estimated: output } = total;
  const tokens = `${grouped(input)} input tokens, ${grouped(output)} output tokens`;
  return `Calls without known usage, which count as estimates: ${grouped(calls)} (${tokens}, ${dollars(total.cost_usd_estimated)}).`;
}

function numbersOf(sums: Sums): string[] {
  const { jobs, attempts, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd } = sums;
  const counts = [jobs, attempts, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens];
  return [...counts.map(grouped), dollars(cost_usd)];
}

function day(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return text;
  throw new InvalidArgumentError("Allowed: a day such as 2030-01-31.");
}

function groupNames(text: string): string {
  if (text.split(",").every((name) => (groups as readonly string[]).includes(name))) return text;
  throw new InvalidArgumentError(`Allowed: any of ${groups.join(", ")}, separated by commas.`);
}
