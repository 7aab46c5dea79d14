// Gauges of what all processes share: the store, the queue and its quotas. They are read for each scrape, so that every
// process shows the same values.
import type { Logger } from "pino";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../domain/clock.ts";
import { inTime } from "../domain/in-time.ts";
import { type JobState, priorities } from "../domain/job.ts";
import type { QuotaSnapshot, Scheduler, SchedulerSnapshot } from "../scheduler/scheduler.ts";
import type { JobStore } from "../store/job-store.ts";
import { KnownNames, other } from "./known-names.ts";
import type { Gauge, Registry } from "./registry.ts";

/** Longest time that a scrape waits for the store or the queue, in milliseconds. Prometheus waits 10 s by default. */
const readWithinMs = 2_000;

export interface GaugesContext {
  settings: Settings;
  store: Pick<JobStore, "counts">;
  scheduler: Pick<Scheduler, "snapshot">;
  clock: Pick<Clock, "wall">;
  log: Logger;
}

const waitingStates = ["ready", "delayed"] as const;
const deploymentStates = ["in_service", "cooling_down", "out_of_service"] as const;

/** Adds the gauges. While the store or the queue is unavailable, its gauges are absent. */
export function addQueueGauges(registry: Registry, context: GaugesContext): void {
  const { settings, store, scheduler, log } = context;
  const known = new KnownNames(settings);
  const up = registry.gauge("sluice_up", "Whether the part answered this scrape.", ["part"]);
  for (const part of ["store", "queue"]) up.with(part);
  const jobs = addJobGauge(registry, known);
  const queue = addGaugesOfQueue(registry, known);
  const waiting = addGaugesOfWaiting(registry, known, context);
  const deployments = addGaugesOfDeployments(registry, known);
  const quotas = addGaugesOfQuotas(registry, known);

  async function read<T>(part: string, answer: Promise<T>, show: (value: T | undefined) => void): Promise<void> {
    const value = await inTime(answer, readWithinMs).catch((err) => {
      log.warn({ err, part }, "failed to read metrics");
      return undefined;
    });
    up.with(part).set(value === undefined ? 0 : 1);
    show(value);
  }

  addModelGauges(registry, settings);
  registry.onScrape(async () => {
    const ofQueue = read("queue", scheduler.snapshot(), (snapshot) => {
      queue(snapshot);
      waiting(snapshot);
      deployments(snapshot);
      quotas(snapshot);
    });
    await Promise.all([read("store", store.counts(), jobs), ofQueue]);
  });
}

type Show = (snapshot: SchedulerSnapshot | undefined) => void;

function addJobGauge(registry: Registry, known: KnownNames) {
  const jobs = registry.gauge("sluice_jobs", "Stored jobs by state.", ["environment", "state"]);
  return (counts: Record<string, Record<JobState, number>> = {}) => {
    jobs.clear();
    for (const [environment, states] of Object.entries(counts)) {
      for (const [state, count] of Object.entries(states)) jobs.with(known.environment(environment), state).inc(count);
    }
  };
}

function addGaugesOfQueue(registry: Registry, known: KnownNames): Show {
  const isOpen = registry.gauge("sluice_queue_open", "Whether jobs are dispatched: 0 while the queue is rebuilt.");
  const missing = registry.gauge("sluice_missing_model_jobs", "Waiting jobs whose model the configuration lacks.");
  const paused = registry.gauge("sluice_paused", "Pauses by what is paused.", ["kind", "name"]);
  return (snapshot) => {
    for (const gauge of [isOpen, missing, paused]) gauge.clear();
    if (!snapshot) return;
    isOpen.with().set(snapshot.open ? 1 : 0);
    missing.with().set(snapshot.missingModels.reduce((sum, { jobs }) => sum + jobs, 0));
    for (const target of snapshot.paused) {
      if ("model" in target) paused.with("model", known.model(target.model)).inc();
      else if ("deployment" in target) paused.with("deployment", known.deployment(target.deployment)).inc();
      else paused.with("tenant", other).inc();
    }
  };
}

function addGaugesOfWaiting(registry: Registry, known: KnownNames, { settings, clock }: GaugesContext): Show {
  const labels = ["environment", "priority", "model"];
  const depths = registry.gauge("sluice_queue_jobs", "Waiting jobs: ready, or delayed by a retry or a wish.", [
    ...labels,
    "state",
  ]);
  const oldest = registry.gauge("sluice_oldest_waiting_seconds", "Age of the oldest job that is ready.", labels);
  const empty = registry.gauge("sluice_eta_empty_seconds", "Expected time until all ready jobs have started.", [
    "model",
  ]);

  /** Sets what no job waits for to 0, because a series that vanishes cannot be compared. */
  function showNothing(): void {
    for (const model of Object.keys(settings.models)) {
      for (const environment of Object.keys(settings.environments)) {
        for (const priority of priorities) {
          oldest.with(environment, priority, model);
          for (const state of waitingStates) depths.with(environment, priority, model, state);
        }
      }
    }
  }

  return (snapshot) => {
    for (const gauge of [depths, oldest, empty]) gauge.clear();
    if (!snapshot) return;
    showNothing();
    for (const { environment, priority, model, ready, delayed, oldestOrder } of snapshot.waiting) {
      const values = [known.environment(environment), priority, known.model(model)] as const;
      depths.with(...values, "ready").inc(ready);
      depths.with(...values, "delayed").inc(delayed);
      const age = oldestOrder === undefined ? 0 : wholeSeconds(clock.wall() - oldestOrder);
      oldest.with(...values).set(Math.max(oldest.with(...values).value, age));
    }
    const backlogs = new Map(snapshot.backlogs.map(({ model, emptyInMs }) => [model, emptyInMs]));
    for (const model of Object.keys(settings.models)) {
      const emptyInMs = backlogs.has(model) ? backlogs.get(model) : 0;
      if (emptyInMs !== undefined) empty.with(model).set(wholeSeconds(emptyInMs));
    }
  };
}

/** Returns whole seconds, so that processes that are scraped at nearly the same time show the same. */
function wholeSeconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}

function addGaugesOfDeployments(registry: Registry, known: KnownNames): Show {
  const running = registry.gauge("sluice_deployment_calls", "Running calls.", ["deployment"]);
  const most = registry.gauge("sluice_deployment_max_calls", "Highest number of calls at a time.", ["deployment"]);
  const states = registry.gauge("sluice_deployment_state", "1 for the state that the deployment is in.", [
    "deployment",
    "state",
  ]);
  const retry = registry.gauge(
    "sluice_deployment_retry_seconds",
    "Time until a deployment that does not serve is tried.",
    ["deployment"],
  );
  return (snapshot) => {
    for (const gauge of [running, most, states, retry]) gauge.clear();
    for (const { id, running: calls, maxConcurrency, state, forMs = 0 } of snapshot?.deployments ?? []) {
      const deployment = known.deployment(id);
      running.with(deployment).inc(calls);
      most.with(deployment).inc(maxConcurrency);
      for (const each of deploymentStates) states.with(deployment, each).set(each === state ? 1 : 0);
      retry.with(deployment).set(wholeSeconds(forMs));
    }
  };
}

function addGaugesOfQuotas(registry: Registry, known: KnownNames): Show {
  const perUnit = (name: string, help: string, labels: string[]) => {
    const requests = registry.gauge(`${name}_requests`, `${help}, in requests.`, labels);
    const tokens = registry.gauge(`${name}_tokens`, `${help}, in tokens.`, labels);
    return { gauges: [requests, tokens], of: ({ unit }: QuotaSnapshot) => (unit === "requests" ? requests : tokens) };
  };
  const labels = ["quota", "per", "kind"];
  const limit = perUnit("sluice_quota_limit", "Limit in a window as configured, and as learned from refusals", labels);
  const used = perUnit("sluice_quota_used", "Use in the current window, by running and by ended calls", labels);
  const ratio = registry.gauge("sluice_quota_used_ratio", "Used part of the learned limit.", ["quota", "per"]);
  const closed = registry.gauge("sluice_quota_closed_seconds", "Time until a refused quota admits jobs again.", [
    "quota",
    "per",
  ]);
  const all: Gauge[] = [...limit.gauges, ...used.gauges, ratio, closed];
  return (snapshot) => {
    for (const gauge of all) gauge.clear();
    for (const quota of snapshot?.quotas ?? []) {
      const name = known.quota(quota.name);
      limit.of(quota).with(name, quota.per, "configured").set(quota.configuredLimit);
      limit.of(quota).with(name, quota.per, "learned").set(quota.effectiveLimit);
      used.of(quota).with(name, quota.per, "reserved").set(quota.reserved);
      used.of(quota).with(name, quota.per, "settled").set(quota.settled);
      ratio.with(name, quota.per).set(quota.used / quota.effectiveLimit);
      closed.with(name, quota.per).set(wholeSeconds(quota.closedForMs ?? 0));
    }
  };
}

/** Adds what the configuration says about models, to join other metrics with. */
function addModelGauges(registry: Registry, settings: Settings): void {
  const info = registry.gauge("sluice_deployment_info", "1 for each model, its deployments and their quotas.", [
    "model",
    "deployment",
    "quota",
  ]);
  const endOfLife = registry.gauge(
    "sluice_model_end_of_life_timestamp_seconds",
    "Day from which a model cannot be called, in seconds since the epoch. Absent if it is unknown.",
    ["model", "deployment"],
  );
  registry.onScrape(() => {
    info.clear();
    endOfLife.clear();
    for (const [model, { deployments }] of Object.entries(settings.models)) {
      for (const { id, quotas, traits } of deployments) {
        for (const { name } of quotas) info.with(model, id, name).set(1);
        if (traits.endOfLife) endOfLife.with(model, id).set(Date.parse(traits.endOfLife) / 1000);
      }
    }
  });
}
