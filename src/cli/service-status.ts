// The state of the service on the terminal: sluice status without a job.
import { exitCodes } from "./exit-codes.ts";
import { grouped } from "./formats.ts";
import { note, printJson } from "./output.ts";
import { queueColumns, queueRows } from "./queue-table.ts";
import { askService, type ServiceOptions } from "./service-client.ts";
import {
  type Deployment,
  type Quota,
  readinessText,
  readServiceState,
  type ServiceState,
  type Stats,
} from "./service-state.ts";
import { printTable } from "./table.ts";
import { oneLine, paintFor } from "./terminal.ts";

export async function showService({ url, json }: ServiceOptions): Promise<void> {
  const state = await askService(url, readServiceState);
  if (json) printJson(state);
  else print(url, state);
  if (state.readiness.status === "not_ready") process.exitCode = exitCodes.error;
}

const stateColumns = ["queued", "in_progress", "completed", "failed", "cancelled", "expired"] as const;

function print(url: string, { readiness, stats, missing, deployments, quotas }: ServiceState): void {
  const paint = paintFor(process.stdout);
  const colour = { ok: "green", degraded: "yellow", not_ready: "red" } as const;
  const text = oneLine(readinessText(readiness));
  process.stdout.write(`Sluice at ${url} is ${paint(colour[readiness.status], text)}.\n`);
  for (const sentence of missing) note(oneLine(sentence));
  if (stats) printJobs(stats);
  if (quotas.length === 0) return;
  section("Quotas");
  printTable(quotaColumns, quotas.map(quotaRow));
  section("Deployments");
  printTable(deploymentColumns, deployments.map(deploymentRow));
}

function section(title: string): void {
  process.stdout.write(`\n${title}\n`);
}

function printJobs({ jobs, queue }: Stats): void {
  section("Jobs");
  printTable(
    [
      { title: "environment", atLeast: 6 },
      ...stateColumns.map((title) => ({ title: title.replace("in_progress", "running"), align: "right" as const })),
    ],
    Object.entries(jobs).map(([environment, counts]) => [environment, ...stateColumns.map((s) => grouped(counts[s]))]),
  );
  if (queue.length === 0) return;
  section("Queue");
  printTable(queueColumns, queueRows(queue, Date.now()));
}

const quotaColumns = [
  { title: "quota", atLeast: 20, cutAt: "middle" },
  { title: "settled", align: "right" },
  { title: "reserved", align: "right", optional: true },
  { title: "limit", align: "right" },
  { title: "configured", align: "right" },
  { title: "use", align: "right" },
] as const;

function quotaRow({ name, used, reserved, effective_limit: limit, configured_limit: configured }: Quota): string[] {
  const share = limit > 0 ? `${Math.round((used / limit) * 100)}%` : "";
  const settled = grouped(used - (reserved ?? 0));
  return [name, settled, reserved === undefined ? "" : grouped(reserved), grouped(limit), grouped(configured), share];
}

const deploymentColumns = [
  { title: "deployment", atLeast: 24, cutAt: "middle" },
  { title: "state" },
  { title: "running", align: "right" },
  { title: "reason", atLeast: 10, optional: true },
] as const;

function deploymentRow({ id, state, paused, running, max_concurrency, reason }: Deployment): string[] {
  const shown = paused ? "paused" : state.replaceAll("_", " ");
  return [id, shown, `${running}/${max_concurrency}`, reason ?? ""];
}
