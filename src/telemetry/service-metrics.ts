// Counts the events of this process. Every label comes from the configuration or from a closed set.
import { serviceTiers } from "../config/model-traits.ts";
import type { Settings } from "../config/settings.ts";
import { type AttemptResult, finalStates } from "../domain/job.ts";
import { KnownNames, type KnownTenants, other } from "./known-names.ts";
import { deliveryResults, type EndedCall, type Metrics, repairKinds, throttleKinds } from "./metrics.ts";
import type { Registry } from "./registry.ts";

const results = [
  ...(["completed", "throttled", "capacity", "transient", "permanent", "unknown", "not_sent"] as const),
] satisfies AttemptResult[];

/** Upper bounds in seconds, from a free slot at once to a day. */
const waitBounds = [0.005, 0.05, 0.25, 1, 5, 15, 60, 300, 1800, 3600, 21_600, 86_400];
/** The bounds of OpenTelemetry for durations of model calls, in seconds. */
const callBounds = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
];
/** In seconds: a commit takes a millisecond on a good disk. */
const latencyBounds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const groupBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
const ratioBounds = [0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.33, 2, 4, 10];
const nanoUsd = 1e9;
const tiers: ReadonlySet<string> = new Set(serviceTiers);

export interface ServiceMetricsContext {
  registry: Registry;
  settings: Settings;
  tenants: KnownTenants;
}

/** Adds the metrics to the registry and returns what receives the events. */
export function createMetrics({ registry, settings, tenants }: ServiceMetricsContext): Metrics {
  const known = new KnownNames(settings);
  const hasTenants = settings.metrics.tenants > 0;
  const all = addFamilies(registry);
  // A series that appears with its first event hides that event from rate().
  registry.onScrape(() => {
    for (const deployment of known.deployments) {
      for (const kind of throttleKinds) all.throttles.with(deployment, kind);
      for (const result of results) all.attempts.with(deployment, result);
    }
    for (const environment of Object.keys(settings.environments)) {
      for (const model of Object.keys(settings.models)) {
        for (const outcome of finalStates) all.finished.with(environment, model, outcome);
      }
    }
  });
  for (const kind of repairKinds) all.repaired.with(kind);
  for (const result of deliveryResults) all.webhooks.with(result);

  function countUsage({ job, attempt, end, tier = "default" }: EndedCall, deployment: string): void {
    const { usage, costNanoUsd } = end;
    if (usage) {
      const tenant = hasTenants ? tenants.label(job.tenant) : undefined;
      const count = (kind: string, tokens: number | undefined) => {
        // A provider may report a negative number, and a counter must not decrease.
        if (tokens === undefined || !(tokens > 0)) return;
        all.tokens.with(deployment, kind).inc(tokens);
        if (tenant !== undefined) all.tenantTokens.with(tenant, kind).inc(tokens);
      };
      count("input", usage.input);
      count("output", usage.output);
      count("cache_read", usage.cacheRead);
      count("cache_write", usage.cacheWrite);
    }
    if (costNanoUsd === undefined || !(costNanoUsd > 0)) return;
    const usd = costNanoUsd / nanoUsd;
    const paid = end.serviceTier ?? tier;
    all.cost
      .with(known.environment(job.environment), known.model(attempt.model), tiers.has(paid) ? paid : other)
      .inc(usd);
    if (hasTenants) all.tenantCost.with(tenants.label(job.tenant)).inc(usd);
  }

  return {
    jobSubmitted({ environment, priority, tenant }, dialect) {
      all.submitted.with(dialect, known.environment(environment), priority).inc();
      if (hasTenants) all.tenantSubmitted.with(tenants.label(tenant)).inc();
    },
    jobFinished({ environment, model }, outcome) {
      all.finished.with(known.environment(environment), known.model(model), outcome).inc();
    },
    callStarted({ priority, model }, waitedMs) {
      all.waits.with(priority, known.model(model)).observe(Math.max(0, waitedMs) / 1000);
    },
    callEnded(call) {
      const { end, throttle } = call;
      const deployment = known.deployment(call.attempt.deployment);
      all.attempts.with(deployment, end.result === "aborted" ? "unknown" : end.result).inc();
      if (throttle !== undefined) all.throttles.with(deployment, throttle).inc();
      if (end.result === "completed" && end.durationMs !== undefined) {
        all.calls.with(deployment).observe(end.durationMs / 1000);
      }
      if (end.firstTokenMs !== undefined) all.firstTokens.with(deployment).observe(end.firstTokenMs / 1000);
      countUsage(call, deployment);
    },
    leaseLost: () => all.leasesLost.with().inc(),
    jobsRepaired: (kind, jobs) => all.repaired.with(kind).inc(jobs),
    dataRemoved: (environment, kind, count) => all.removed.with(known.environment(environment), kind).inc(count),
    retentionLate: (environment, kind, ms) => all.late.with(known.environment(environment), kind).set(ms / 1000),
    webhookTried: (result) => all.webhooks.with(result).inc(),
    startCompared(predictedMs, realMs) {
      // Shorter waits are a matter of chance, and would dominate the ratio.
      if (Math.max(predictedMs, realMs) >= 1000) {
        all.starts.with().observe(Math.max(1000, predictedMs) / Math.max(1000, realMs));
      }
    },
    storeAnswered(operation, ms, failed) {
      all.store.with(operation).observe(ms / 1000);
      if (failed) all.storeErrors.with(operation).inc();
    },
    storeCommitted: (writes) => all.commits.with().observe(writes),
    redisAnswered(script, ms, failed) {
      all.redis.with(script).observe(ms / 1000);
      if (failed) all.redisErrors.with(script).inc();
    },
  };
}

function addFamilies(registry: Registry) {
  const counter = registry.counter.bind(registry);
  const histogram = registry.histogram.bind(registry);
  return {
    submitted: counter("sluice_jobs_submitted_total", "Jobs that this process stored.", [
      "dialect",
      "environment",
      "priority",
    ]),
    finished: counter("sluice_jobs_finished_total", "Jobs whose outcome this process stored.", [
      "environment",
      "model",
      "outcome",
    ]),
    waits: histogram(
      "sluice_wait_seconds",
      "Time from the possible start of a job to its first call.",
      ["priority", "model"],
      waitBounds,
    ),
    calls: histogram("sluice_call_seconds", "Duration of completed calls.", ["deployment"], callBounds),
    firstTokens: histogram(
      "sluice_first_token_seconds",
      "Time from the start of a call to its first token.",
      ["deployment"],
      callBounds,
    ),
    attempts: counter("sluice_attempts_total", "Ended attempts by result.", ["deployment", "result"]),
    throttles: counter("sluice_throttles_total", "Calls that the quota of the provider refused.", [
      "deployment",
      "kind",
    ]),
    tokens: counter("sluice_tokens_total", "Tokens that calls used.", ["deployment", "kind"]),
    cost: counter("sluice_cost_usd_total", "Cost of calls at the prices of the catalogue, in US dollars.", [
      "environment",
      "model",
      "tier",
    ]),
    tenantSubmitted: counter("sluice_tenant_jobs_submitted_total", "Jobs that this process stored, by tenant.", [
      "tenant",
    ]),
    tenantTokens: counter("sluice_tenant_tokens_total", "Tokens that calls used, by tenant.", ["tenant", "kind"]),
    tenantCost: counter("sluice_tenant_cost_usd_total", "Cost of calls by tenant, in US dollars.", ["tenant"]),
    starts: histogram(
      "sluice_eta_error_ratio",
      "Predicted time until the start of a job, divided by the real time.",
      [],
      ratioBounds,
    ),
    leasesLost: counter("sluice_leases_lost_total", "Leases that this process lost while its call was running."),
    repaired: counter("sluice_reconciled_total", "Jobs that were repaired outside their normal course.", ["kind"]),
    removed: counter("sluice_retention_removed_total", "Data that retention erased or removed.", [
      "environment",
      "kind",
    ]),
    late: registry.gauge("sluice_retention_late_seconds", "How long the first job that is due has been due.", [
      "environment",
      "kind",
    ]),
    webhooks: counter("sluice_webhook_deliveries_total", "Attempts to deliver a webhook.", ["result"]),
    store: histogram("sluice_store_seconds", "Time until the store answered.", ["op"], latencyBounds),
    storeErrors: counter("sluice_store_errors_total", "Operations that the store failed or refused.", ["op"]),
    commits: histogram("sluice_store_commit_batch_size", "Writes that the store committed together.", [], groupBounds),
    redis: histogram(
      "sluice_redis_seconds",
      "Time until Redis answered a script of the queue.",
      ["script"],
      latencyBounds,
    ),
    redisErrors: counter("sluice_redis_errors_total", "Scripts of the queue that failed.", ["script"]),
  };
}
