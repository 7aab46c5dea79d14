// sluice quotas advise: which increase to ask AWS for, as a table and as text for AWS's form.
import { Command } from "commander";
import type { QuotaComparison } from "../discovery/comparison.ts";
import { duration, grouped, short, utc } from "./formats.ts";
import { wholeNumber } from "./numbers.ts";
import { printJson } from "./output.ts";
import { callService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { tableLines } from "./table.ts";
import { oneLine, type Paint, paintFor, printable, widthOf, wrapped } from "./terminal.ts";

interface AdviseOptions extends ServiceOptions {
  days: number;
  targetWait: number;
  aws?: boolean;
  config?: string;
}

/** The parts of GET /v1/quotas/advice that are shown. */
interface Report {
  from: string;
  to: string;
  history_minutes: number;
  quotas: Advice[];
}

interface Advice {
  quota: string;
  unit: string;
  per: string;
  configured_limit: number;
  effective_limit: number;
  status: string;
  requested_limit: number | null;
  reason: string;
  cautions: string[];
  text: string | null;
  time_at_limit: number;
  used_mean: number;
}

/** Service Quotas takes seconds for its pages, and waits when it throttles. */
const withinMs = 120_000;

export function quotasAdviseCommand(): Command {
  const command = new Command("advise")
    .description("Advise which quotas to raise, from the history of the service, with text for AWS's form.")
    .option("--days <n>", "days of history, 1 to 30", wholeNumber(1, 30), 7)
    .option(
      "--target-wait <hours>",
      "hours within which work should be done, 1 to 24; a longer time needs a lower limit",
      wholeNumber(1, 24),
      1,
    )
    .option("--aws", "look up AWS's names and codes of the quotas, with the credentials of the configuration")
    .option("--config <file>", "configuration file for --aws (SLUICE_CONFIG; default: sluice.yaml, if it is there)");
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
The history covers all tenants, so this needs an admin key. The text has the
steady and peak tokens and requests per minute, the average input and output,
and the share of time at the limit, which AWS asks for.

Examples:
  sluice quotas advise
  sluice quotas advise --days 30 --target-wait 24
  sluice quotas advise --json | jq -r '.quotas[].text | values'`,
    )
    .action(advise);
}

async function advise({ url, json, days, targetWait, aws, config }: AdviseOptions): Promise<void> {
  const query = new URLSearchParams({ days: String(days), target_wait_hours: String(targetWait) });
  const report = await callService<Report>(url, "GET", `/v1/quotas/advice?${query}`);
  if (aws) await addAwsNames(report, config);
  if (json) printJson(report);
  else for (const line of linesOf(report, widthOf(process.stdout), paintFor(process.stdout))) console.log(line);
}

// ---------------------------------------------------------------- what is printed

const columns = [
  { title: "quota", atLeast: 20, cutAt: "wrap" },
  { title: "at limit", align: "right" },
  { title: "used", align: "right" },
  { title: "limit", align: "right" },
  { title: "ask for", align: "right" },
  { title: "advice" },
] as const;

/** Width of the sentences where the output is not a terminal. */
const defaultColumns = 100;

/** Returns the table, and a section for each quota that needs attention. */
function linesOf({ from, to, history_minutes: minutes, quotas }: Report, width: number, paint: Paint): string[] {
  const span =
    minutes === 0
      ? "The service has no history yet. It needs a day of work for good advice."
      : `History of ${duration(minutes * 60_000)}, from ${utc(from)} to ${utc(to)}.`;
  const rows = quotas.map((advice) => [
    advice.quota,
    advice.status === "no_history" ? "-" : `${Number((advice.time_at_limit * 100).toFixed(1))}%`,
    short(advice.used_mean),
    short(advice.configured_limit),
    advice.requested_limit === null ? "-" : short(advice.requested_limit),
    advice.status.replaceAll("_", " "),
  ]);
  const sections = quotas.filter(({ status }) => status !== "no_history" && status !== "enough");
  return [
    span,
    "",
    ...tableLines(columns, rows, width, paint),
    ...sections.flatMap((advice) => ["", ...sectionOf(advice, Math.min(width, defaultColumns), paint)]),
  ];
}

function sectionOf({ quota, reason, cautions, text }: Advice, width: number, paint: Paint): string[] {
  return [
    paint("bold", oneLine(quota)),
    ...wrapped(oneLine(reason), width),
    ...cautions.flatMap((caution) => wrapped(`! ${oneLine(caution)}`, width)),
    // Not wrapped, because it is copied.
    ...(text === null ? [] : ["", ...printable(text).split("\n")]),
  ];
}

// ---------------------------------------------------------------- --aws

/** Replaces the guessed names in the texts by those that Service Quotas lists. */
async function addAwsNames(report: Report, config: string | undefined): Promise<void> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  const { loadSettings } = await import("../config/load.ts");
  const { compareQuotas } = await import("../discovery/comparison.ts");
  const args = config === undefined ? {} : { args: { config } };
  const settings = await loadSettings({ env: process.env, cwd: process.cwd(), role: "none", ...args });
  const { deployments } = await compareQuotas(settings, { withinMs, learned: new Map() });
  const listed = new Map(deployments.flatMap(({ quotas }) => quotas.map((quota) => [quota.name, quota] as const)));
  for (const advice of report.quotas) {
    const found = listed.get(advice.quota);
    if (advice.text === null) continue;
    if (found?.listed === undefined) advice.cautions.push("Service Quotas lists no such quota, or could not be read.");
    else advice.text = withAwsName(advice.text, found, `${advice.unit.replace("_", " ")} per ${advice.per}`);
  }
}

function withAwsName(text: string, { listedName, code, listed }: QuotaComparison, unit: string): string {
  return text
    .replace(/^Quota: .*$/m, () => `Quota: ${listedName} (${code})`)
    .replace(/^Current limit: .*$/m, () => `Current limit: ${grouped(listed!)} ${unit}`);
}
