// Parses the scripts' replies into the port's types. The header of each script describes them.
import type { Priority } from "../../domain/job.ts";
import { pauseTarget } from "../pause-scopes.ts";
import { byModel, byRow } from "../report-order.ts";
import type {
  AcquireResult,
  DeploymentChange,
  DeploymentState,
  Explanation,
  QuotaSnapshot,
  RechargeResult,
  SchedulerSnapshot,
  WaitingOn,
  WaitingRow,
} from "../scheduler.ts";
import type { QuotaUnit } from "../scheduler-configuration.ts";
import { unpackId, unpackOrder } from "./binary-id.ts";
import type { Reply } from "./script-runner.ts";

/** Represents a number that does not apply. */
const none = -1;

type Text = Buffer;
type GrantRow = [Buffer, Buffer, Text, Text, Text, number, number, number];

export function acquireResult(reply: Reply): AcquireResult {
  const [admission, retryInMs, grants, impossible, sendWithinMs, leaseMs, jobsWait] = reply as [
    Text,
    number,
    GrantRow[],
    [Buffer, Text, Text][],
    number,
    number,
    number,
  ];
  const closed = admission.toString() as "open" | "rebuild" | "rebuilding";
  return {
    grants: grants.map(([jobId, grant, environment, deployment, model, input, output, times]) => ({
      jobId: unpackId(jobId),
      environment: environment.toString(),
      grant: unpackId(grant),
      deployment: deployment.toString(),
      model: model.toString(),
      reserved: { input, output },
      sendWithinMs,
      leaseMs,
      grants: times,
    })),
    impossible: impossible.map(([jobId, environment, reason]) => ({
      jobId: unpackId(jobId),
      environment: environment.toString(),
      reason: reason.toString(),
    })),
    ...(retryInMs !== none && { retryInMs }),
    ...(jobsWait === 1 && { jobsWait: true }),
    ...(closed !== "open" && { closed }),
  };
}

/** Returns the places of the jobs that were known before. */
export function knownJobs([known]: Reply): number[] {
  return known as number[];
}

export function rechargeResult(reply: Reply): RechargeResult {
  const [status, sendWithinMs] = reply as [Text, number];
  const value = status.toString() as RechargeResult["status"];
  return value === "recharged" ? { status: value, sendWithinMs } : { status: value };
}

export function answers<T extends string>(reply: Reply): T[] {
  return (reply[0] as Text[]).map((answer) => answer.toString() as T);
}

export function deploymentChanges(rows: unknown): DeploymentChange[] {
  return (rows as [Text, Text, Text][]).map(([deployment, state, reason]) => ({
    deployment: deployment.toString(),
    state: state.toString() as DeploymentState,
    reason: reason.toString(),
  }));
}

export function uncountedJobs(reply: Reply): { jobId: string; environment: string; models: string[] }[] {
  return (reply[0] as [Buffer, Text, ...Text[]][]).map(([jobId, environment, ...models]) => ({
    jobId: unpackId(jobId),
    environment: environment.toString(),
    models: models.map(String),
  }));
}

export function explanation(reply: Reply): Explanation {
  const [state, second, kind, deployment, detail, startsInMs] = reply as [
    Text,
    Text | number,
    Text,
    Text,
    Text,
    number,
  ];
  switch (state.toString()) {
    case "running":
      return { state: "running", deployment: String(second) };
    case "waiting":
      return {
        state: "waiting",
        position: second as number,
        waitingOn: waitingOn(kind.toString() as WaitingOn["kind"], deployment.toString(), detail.toString()),
        ...(startsInMs !== none && { startsInMs }),
      };
    default:
      return { state: "absent" };
  }
}

function waitingOn(kind: WaitingOn["kind"], deployment: string, detail: string): WaitingOn {
  switch (kind) {
    case "quota":
      return { kind, deployment, quota: detail };
    case "concurrency":
      return { kind, deployment };
    case "paused":
      return { kind, target: pauseTarget(detail) };
    case "configuration":
      return { kind, reason: detail };
    case "cool_down":
    case "out_of_service":
    case "refused":
      return { kind, deployment, reason: detail };
    default:
      return { kind };
  }
}

function quotaSnapshot([name, unit, per, ...numbers]: QuotaRow): QuotaSnapshot {
  const [configuredLimit, effectiveLimit, configuredBurst, effectiveBurst, probing, ...times] = numbers;
  const [throttledAgoMs, closedForMs, used, reserved, nextFreeInMs] = times;
  return {
    name: name.toString(),
    unit: unit.toString() as QuotaUnit,
    per: per.toString() as "minute" | "day",
    configuredLimit,
    effectiveLimit,
    configuredBurst,
    effectiveBurst,
    probing: probing === 1,
    ...(throttledAgoMs !== none && { throttledAgoMs }),
    ...(closedForMs !== none && { closedForMs }),
    used,
    reserved,
    settled: used - reserved,
    ...(nextFreeInMs !== none && { nextFreeInMs }),
  };
}

type DeploymentRow = [Text, number, number, Text, Text, number];
type QuotaRow = [Text, Text, Text, number, number, number, number, number, number, number, number, number, number];
/** Names, counts, the order in bytes, what the oldest ready job waits for, and when it starts. */
type WaitingRowReply = [Text, Text, Text, number, number, Buffer, Text, Text, Text, number];

function waitingRow(row: WaitingRowReply): WaitingRow {
  const [environment, priority, model, ready, delayed, order, kind, deployment, detail, startsInMs] = row;
  return {
    environment: environment.toString(),
    priority: priority.toString() as Priority,
    model: model.toString(),
    ready,
    delayed,
    ...(order.length > 0 && {
      oldestOrder: unpackOrder(order),
      waitingOn: waitingOn(kind.toString() as WaitingOn["kind"], deployment.toString(), detail.toString()),
      ...(startsInMs !== none && { startsInMs }),
    }),
  };
}

export function snapshotOf(reply: Reply, configVersion: string): SchedulerSnapshot {
  const [admission, running, deployments, quotas, waiting, backlogs, paused, missing, failInMs, nextReadyInMs] =
    reply as [
      Text,
      number,
      DeploymentRow[],
      QuotaRow[],
      WaitingRowReply[],
      [Text, number][],
      Text[],
      [Text, number][],
      number,
      number,
    ];
  return {
    configVersion,
    open: admission.toString() === "open",
    running,
    ...(nextReadyInMs !== none && { nextReadyInMs }),
    paused: paused.map(String).sort().map(pauseTarget),
    missingModels: missing.map(([model, jobs]) => ({ model: model.toString(), jobs, failInMs })).sort(byModel),
    deployments: deployments.map(([id, calls, maxConcurrency, state, reason, forMs]) => ({
      id: id.toString(),
      running: calls,
      maxConcurrency,
      state: state.toString() as DeploymentState,
      ...(forMs !== none && { reason: reason.toString(), forMs }),
    })),
    quotas: quotas.map(quotaSnapshot),
    waiting: waiting.map(waitingRow).sort(byRow),
    backlogs: backlogs
      .map(([model, emptyInMs]) => ({ model: model.toString(), ...(emptyInMs !== none && { emptyInMs }) }))
      .sort(byModel),
  };
}
