// sluice usage: what was used, as a table.

import { Command, InvalidArgumentError } from "commander";
import { jsonLine } from "../domain/json-lines.ts";
import { callService, defaultServiceUrl } from "./client-options.ts";

const groups = ["day", "key", "environment", "model", "tenant"] as const;

interface UsageOptions {
  from?: string;
  to?: string;
  by: string;
  environment?: string;
  model?: string;
  tenant?: string;
  json?: boolean;
  url: string;
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
  return new Command("usage")
    .description("Show tokens, calls and dollars, by day, key, environment, model or tenant.")
    .option("--from <day>", "first UTC day, such as 2030-01-31 (default: 30 days ago)", day)
    .option("--to <day>", "last UTC day, included (default: today)", day)
    .option("--by <groups>", `any of ${groups.join(", ")}, with commas between`, groupNames, "day")
    .option("--environment <name>", "only this environment")
    .option("--model <alias>", "only this model")
    .option("--tenant <name>", "only this tenant")
    .option("--json", "print JSON")
    .option("--url <address>", "address of the service (SLUICE_URL)", defaultServiceUrl())
    .addHelpText(
      "after",
      `
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
  const answer = (await callService(url, "GET", `/v1/usage?${query}`)) as Usage;
  if (json) console.log(jsonLine(answer));
  else console.log(table(answer));
}

function table({ group_by, data, total }: Usage): string {
  const numbers = ["jobs", "calls", "input", "output", "cache read", "cache write", "USD"];
  const rows = [
    [...group_by, ...numbers],
    ...data.map((row) => [...group_by.map((group) => String(row[group] ?? "-")), ...numbersOf(row)]),
    ...(group_by.length > 0 ? [[...group_by.map((_, i) => (i === 0 ? "total" : "")), ...numbersOf(total)]] : []),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i < group_by.length ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
  const { attempts_without_end: open, attempts_estimated: estimated, attempts_without_price: unpriced } = total;
  if (open > 0) lines.push(`${open} calls run, or have no known result: they may have been billed.`);
  if (estimated > 0) lines.push(estimatesOf(total));
  if (unpriced > 0) lines.push(`${unpriced} calls used a model whose price is not known: they are not in the dollars.`);
  return lines.join("\n");
}

function estimatesOf(total: Sums): string {
  const { attempts_estimated: calls, input_tokens_estimated: input, output_tokens_estimated: output } = total;
  const dollars = total.cost_usd_estimated.toFixed(4);
  return `${calls} calls have no known usage and count as estimates: ${input} of the input, ${output} of the output, ${dollars} of the USD.`;
}

function numbersOf(sums: Sums): string[] {
  const { jobs, attempts, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd } = sums;
  const counts = [jobs, attempts, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens];
  return [...counts.map(String), cost_usd.toFixed(4)];
}

function day(text: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return text;
  throw new InvalidArgumentError("Allowed: a day such as 2030-01-31.");
}

function groupNames(text: string): string {
  if (text.split(",").every((name) => (groups as readonly string[]).includes(name))) return text;
  throw new InvalidArgumentError(`Allowed: any of ${groups.join(", ")}, with commas between.`);
}
