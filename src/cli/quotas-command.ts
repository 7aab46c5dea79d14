// sluice quotas: the configured limits, those that AWS lists, and those that the running service has learned.
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { Command } from "commander";
import { editLimits, type LimitEdit } from "../config/edit-limits.ts";
import type { Settings } from "../config/settings.ts";
import type { Comparison, DeploymentComparison, QuotaComparison } from "../discovery/comparison.ts";
import { jsonLine } from "../domain/json-lines.ts";
import { CommandError } from "./exit-codes.ts";
import { quotasAdviseCommand } from "./quotas-advise-command.ts";
import { callService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import type { Quota } from "./service-state.ts";
import { tableLines } from "./table.ts";
import { oneLine, widthOf } from "./terminal.ts";

interface QuotasOptions extends ServiceOptions {
  config?: string;
  region?: string;
  write?: boolean;
  all?: boolean;
}

/** Service Quotas takes seconds for its pages, and waits when it throttles. */
const withinMs = 120_000;

export function quotasCommand(): Command {
  const command = new Command("quotas")
    .description("Show configured, listed (Service Quotas) and learned limits of Bedrock side by side.")
    .option("--config <file>", "configuration file (SLUICE_CONFIG; default: sluice.yaml, if it is there)")
    .option("--region <region>", "only deployments in this Region")
    .option("--write", "write the listed limits into the configuration file; limits that are auto stay auto")
    .option("--all", "also list the quotas of models that no deployment serves")
    .enablePositionalOptions()
    .addCommand(quotasAdviseCommand());
  return withServiceOptions(command)
    .addHelpText(
      "after",
      `
Reads Service Quotas and Bedrock's control plane with the credentials of each
deployment. It needs the rights servicequotas:ListServiceQuotas,
servicequotas:ListAWSDefaultServiceQuotas, bedrock:GetFoundationModel and
bedrock:ListInferenceProfiles. If the service does not run, no limit is shown as
learned.

Examples:
  sluice quotas
  sluice quotas --region us-east-1 --json
  sluice quotas --write && curl -X POST \\
    -H "Authorization: Bearer $SLUICE_API_KEY" \\
    http://127.0.0.1:8000/v1/config/reload`,
    )
    .action(quotas);
}

async function quotas(options: QuotasOptions): Promise<void> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  const { loadSettings } = await import("../config/load.ts");
  const { compareQuotas } = await import("../discovery/comparison.ts");
  const readSettings = (config = options.config) =>
    loadSettings({
      env: process.env,
      cwd: process.cwd(),
      role: "none",
      ...(config !== undefined && { args: { config } }),
    });
  const settings = await readSettings();
  checkRegion(settings, options.region);
  const learned = await learnedLimits(options.url);
  const comparison = await compareQuotas(settings, {
    ...(options.region !== undefined && { region: options.region }),
    withinMs,
    learned: learned ?? new Map(),
  });
  if (options.json) console.log(jsonLine({ ...comparison, service: learned ? options.url : null }));
  else print(comparison, options, learned !== undefined);
  if (options.write) await write(settings, comparison, readSettings);
}

function checkRegion(settings: Settings, region: string | undefined): void {
  const deployments = Object.values(settings.models).flatMap((model) => model.deployments);
  const regions = [...new Set(deployments.filter((d) => d.provider === "bedrock").map((d) => d.region))];
  if (regions.length === 0) throw new CommandError("The configuration has no deployment of Bedrock.");
  if (region !== undefined && !regions.includes(region)) {
    throw new CommandError(`--region is ${region}; the configuration has deployments in ${regions.join(", ")}.`);
  }
}

/** Returns undefined if the service does not answer, because the rest is useful without it. */
async function learnedLimits(url: string): Promise<Map<string, number> | undefined> {
  try {
    const { quotas: known } = await callService<{ quotas: Quota[] }>(url, "GET", "/v1/deployments");
    return new Map(known.map(({ name, effective_limit }) => [name, effective_limit]));
  } catch {
    return undefined;
  }
}

// ---------------------------------------------------------------- the table

function print({ deployments, unmatched }: Comparison, { all, url }: QuotasOptions, serviceAnswers: boolean): void {
  for (const deployment of deployments) {
    console.log(headOf(deployment));
    const rows = deployment.quotas.map(rowOf);
    const lines = rows.length > 0 ? tableLines(columns, rows, widthOf(process.stdout) - 2) : [];
    for (const line of lines) console.log(`  ${line}`);
    for (const note of deployment.notes) console.log(`  ! ${oneLine(note)}`);
    console.log("");
  }
  if (!serviceAnswers) console.log(`No service answers at ${url}, so nothing is shown as learned.`);
  if (unmatched.length === 0) return;
  if (all) {
    console.log("Listed for models that no deployment serves:");
    for (const { region, name, value } of unmatched) console.log(`  ${region}  ${number(value)}  ${name}`);
  } else {
    console.log(`${unmatched.length} listed quotas are of models that no deployment serves; --all shows them.`);
  }
}

const columns = [
  { title: "quota" },
  { title: "configured", align: "right" },
  { title: "listed", align: "right" },
  { title: "learned", align: "right" },
] as const;

function headOf({ deployment, model, lifecycle }: DeploymentComparison): string {
  const dates = [
    lifecycle?.legacySince && `since ${lifecycle.legacySince}`,
    lifecycle?.endOfLife && `end of life ${lifecycle.endOfLife}`,
  ].filter(Boolean);
  const state = lifecycle && (dates.length > 0 ? `${lifecycle.status}, ${dates.join(", ")}` : lifecycle.status);
  return `${deployment}  (${model})${state ? `  ${state}` : ""}`;
}

function rowOf({ unit, per, configured, listed, default: standard, learned }: QuotaComparison): string[] {
  const shown = listed === undefined ? "-" : number(listed);
  return [
    `${unit} per ${per}`,
    configured === undefined ? "-" : number(configured),
    // The default is of interest if the account has another value.
    listed !== undefined && standard !== undefined && standard !== listed
      ? `${shown} (default ${number(standard)})`
      : shown,
    learned === undefined ? "-" : number(learned),
  ];
}

function number(value: number | string): string {
  return typeof value === "number" ? value.toLocaleString("en-US") : value;
}

// ---------------------------------------------------------------- --write

async function write(
  settings: Settings,
  comparison: Comparison,
  readSettings: (file: string) => Promise<Settings>,
): Promise<void> {
  if (settings.source === "defaults") {
    throw new CommandError(
      "There is no configuration file to write to. Copy sluice.example.yaml to sluice.yaml, or name a file with --config.",
    );
  }
  const { edits, ambiguous } = editsOf(comparison);
  const before = await readFile(settings.source, "utf8");
  const { text, skipped } = editLimits(before, edits);
  for (const name of ambiguous) {
    console.error(`${name} is shared by deployments for which AWS lists different limits; it stays unchanged.`);
  }
  for (const edit of skipped) {
    console.error(
      `models.${edit.model}.deployments[${edit.deployment}]: the file shares this limit with other deployments, so it stays unchanged.`,
    );
  }
  if (text === before) {
    console.error(`${settings.source} already has the listed limits.`);
    return;
  }
  await replaceFile(settings.source, text, readSettings);
  console.error(
    `${edits.length - skipped.length} limits were written into ${settings.source}. Reload the service with SIGHUP to use them.`,
  );
}

/** Returns limits that are configured as a number and listed as another one, or not configured at all. */
function editsOf({ deployments }: Comparison): { edits: LimitEdit[]; ambiguous: string[] } {
  const wanted = deployments.flatMap((d) =>
    d.quotas.flatMap((quota) => {
      const { name, index, unit, per, configured } = quota;
      const limit = Math.floor(quota.listed ?? 0);
      if (limit < 1 || configured === "auto" || configured === limit) return [];
      if (unit !== "requests" && unit !== "tokens") return [];
      // All models of the account share a daily limit, so only the operator can decide whether Sluice may use all of it.
      if (configured === undefined && per === "day") return [];
      const place = { model: d.model, deployment: d.index, ...(index !== undefined && { quota: index }) };
      return [{ name, edit: { ...place, unit, per, limit } }];
    }),
  );
  const limits = new Map<string, Set<number>>();
  for (const { name, listed } of deployments.flatMap((d) => d.quotas)) {
    if (name !== undefined) limits.set(name, (limits.get(name) ?? new Set()).add(Math.floor(listed ?? 0)));
  }
  const isAmbiguous = (name: string | undefined) => name !== undefined && limits.get(name)!.size > 1;
  const ambiguous = [...new Set(wanted.flatMap(({ name }) => (name !== undefined && isAmbiguous(name) ? [name] : [])))];
  return { edits: wanted.filter(({ name }) => !isAmbiguous(name)).map(({ edit }) => edit), ambiguous };
}

/** Replaces the file only if the new text is a valid configuration. */
async function replaceFile(name: string, text: string, check: (file: string) => Promise<unknown>): Promise<void> {
  const file = await realpath(name);
  const fresh = `${file}.new`;
  try {
    await writeFile(fresh, text, { mode: (await stat(file)).mode });
    await check(fresh);
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw new CommandError(`The limits cannot be written; ${file} is unchanged.\n${(error as Error).message}`);
  }
}
