// sluice pause and sluice resume: holding up what goes to a model, to a deployment or for a tenant.

import { Command, Option } from "commander";
import { jsonLine } from "../domain/json-lines.ts";
import { callService, defaultServiceUrl } from "./client-options.ts";

interface PauseOptions {
  model?: string;
  deployment?: string;
  tenant?: string;
  environment?: string;
  reason?: string;
  json?: boolean;
  url: string;
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
    .option("--reason <text>", "why; callers whose jobs wait for it read this")
    .description("Start no more calls of a model, on a deployment or for a tenant; without any, show what is paused.")
    .addHelpText(
      "after",
      `
Calls that run go on; jobs are taken in and wait until it is resumed, also over restarts.

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
    .addHelpText("after", "\nExample:\n  sluice resume --model llama3-3-70b")
    .action(resume);
}

function withTarget(command: Command): Command {
  return command
    .addOption(new Option("--model <alias>", "all deployments of this model").conflicts(["deployment", "tenant"]))
    .addOption(new Option("--deployment <id>", "this deployment").conflicts("tenant"))
    .option("--tenant <name>", "the jobs of this tenant")
    .option("--environment <name>", "with --tenant: only its jobs of this environment")
    .option("--json", "print JSON")
    .option("--url <address>", "address of the service (SLUICE_URL)", defaultServiceUrl());
}

async function pause({ json, url, ...target }: PauseOptions): Promise<void> {
  if (Object.keys(target).length > 0) {
    show([(await callService(url, "POST", "/v1/pause", target)) as Pause], json);
    return;
  }
  const { data } = (await callService(url, "GET", "/v1/pauses")) as { data: Pause[] };
  if (data.length === 0 && !json) console.log("Nothing is paused.");
  else show(data, json);
}

async function resume({ json, url, ...target }: PauseOptions): Promise<void> {
  show([(await callService(url, "POST", "/v1/resume", target)) as Pause], json);
}

function show(pauses: readonly Pause[], json: boolean | undefined): void {
  for (const each of pauses) {
    if (json) console.log(jsonLine(each));
    else
      console.log(
        each.paused_at === null
          ? `Resumed ${named(each)}.`
          : `Paused ${named(each)} at ${each.paused_at}${each.reason ? ` (${each.reason})` : ""}.`,
      );
  }
}

function named({ model, deployment, tenant, environment }: Pause): string {
  if (model !== null) return `the model ${model}`;
  if (deployment !== null) return `the deployment ${deployment}`;
  return `the tenant ${tenant}${environment === null ? "" : ` in ${environment}`}`;
}
