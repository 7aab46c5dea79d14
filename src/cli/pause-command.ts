// sluice pause and sluice resume: stop and continue the calls of a model, on a deployment or for a tenant.
import { Command, Option } from "commander";
import { printJson } from "./output.ts";
import { callService, type ServiceOptions, withServiceOptions } from "./service-client.ts";
import { printTable } from "./table.ts";
import { oneLine } from "./terminal.ts";

interface PauseOptions extends ServiceOptions {
  model?: string;
  deployment?: string;
  tenant?: string;
  environment?: string;
  reason?: string;
}

interface Pause {
  model: string | null;
  deployment: string | null;
  tenant: string | null;
  environment: string | null;
  paused_at: string | null;
  reason: string | null;
}

export function pauseCommand(): Command {
  return withTarget(new Command("pause"))
    .option("--reason <text>", "why; callers whose jobs wait for the end of the pause see it")
    .description(
      "Start no more calls of a model, on a deployment or for a tenant. Without a target, list what is paused.",
    )
    .addHelpText(
      "after",
      `
Running calls continue. Sluice still accepts jobs; they wait until sluice
resume. A pause survives restarts.

Examples:
  sluice pause --model llama3-3-70b --reason "The account is being moved."
  sluice pause --tenant billing --environment UAT
  sluice pause`,
    )
    .action(pause);
}

export function resumeCommand(): Command {
  return withTarget(new Command("resume"))
    .description("End a pause.")
    .addHelpText(
      "after",
      "\nExamples:\n  sluice resume --model llama3-3-70b\n  sluice resume --tenant billing --environment UAT",
    )
    .action(resume);
}

function withTarget(command: Command): Command {
  return withServiceOptions(
    command
      .addOption(new Option("--model <alias>", "all deployments of this model").conflicts(["deployment", "tenant"]))
      .addOption(new Option("--deployment <id>", "this deployment").conflicts("tenant"))
      .option("--tenant <name>", "the jobs of this tenant")
      .option("--environment <name>", "with --tenant: only its jobs of this environment"),
  );
}

async function pause({ json, url, ...target }: PauseOptions): Promise<void> {
  if (Object.keys(target).length > 0) {
    show(await callService<Pause>(url, "POST", "/v1/pause", target), json);
    return;
  }
  const { data } = await callService<{ data: Pause[] }>(url, "GET", "/v1/pauses");
  if (json) for (const each of data) printJson(each);
  else if (data.length === 0) process.stdout.write("Nothing is paused.\n");
  else
    printTable(
      columns,
      data.map((each) => [nameOf(each), each.paused_at ?? "", each.reason ?? ""]),
    );
}

const columns = [
  { title: "paused", atLeast: 20 },
  { title: "since" },
  { title: "reason", atLeast: 10, optional: true },
] as const;

async function resume({ json, url, ...target }: PauseOptions): Promise<void> {
  show(await callService<Pause>(url, "POST", "/v1/resume", target), json);
}

function show(changed: Pause, json: boolean | undefined): void {
  if (json) {
    printJson(changed);
    return;
  }
  const { paused_at: since, reason } = changed;
  const text =
    since === null
      ? `Resumed ${nameOf(changed)}.`
      : `Paused ${nameOf(changed)} at ${since}${reason ? ` (${reason})` : ""}.`;
  process.stdout.write(`${oneLine(text)}\n`);
}

function nameOf({ model, deployment, tenant, environment }: Pause): string {
  if (model !== null) return `the model ${model}`;
  if (deployment !== null) return `the deployment ${deployment}`;
  return `the tenant ${tenant}${environment === null ? "" : ` in ${environment}`}`;
}
