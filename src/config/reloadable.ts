// What changes in a running service when the configuration is read again. Most changes apply at once, some only after a
// restart. Pure.
import type { MissingModel } from "../scheduler/scheduler.ts";
import { ConfigError } from "./config-problems.ts";
import type { Settings } from "./settings.ts";

/** The result of reading the configuration again. */
export interface TakenOver {
  /** Settings that now apply: the new ones, with the old values of what needs a restart. */
  settings: Settings;
  /** What changed, such as `models.a.deployments.bedrock/us-east-1/m.quotas.m:requests/minute.limit: 3 -> 800`. */
  changed: string[];
  /** What changes only after a restart, in the same form. */
  needsRestart: string[];
}

/** What a reload has changed. */
export interface ReloadReport extends Pick<TakenOver, "changed" | "needsRestart"> {
  /** Models that jobs wait for and that no deployment serves now. */
  missingModels: MissingModel[];
}

/**
 * Returns the settings that apply after the configuration is read again.
 * @throws ConfigError if synthetic answers would replace real ones, or the reverse
 */
export function takeOver(current: Settings, next: Settings): TakenOver {
  if (current.simulator !== next.simulator) {
    const [from, to] = current.simulator
      ? ["the built-in simulator", "Bedrock"]
      : ["Bedrock", "the built-in simulator"];
    throw new ConfigError(`This configuration switches from ${from} to ${to}. Restart the service to apply it.`);
  }
  const settings: Settings = {
    ...next,
    host: current.host,
    port: current.port,
    trustedProxies: current.trustedProxies,
    dataDir: current.dataDir,
    role: current.role,
    runs: current.runs,
    authentication: current.authentication,
    dashboard: current.dashboard,
    ...(current.publicUrl !== undefined && { publicUrl: current.publicUrl }),
    simulator: current.simulator,
    metricsKey: current.metricsKey,
    redis: current.redis,
    metrics: current.metrics,
    environments: withWeights(current.environments, next.environments),
    limits: {
      ...next.limits,
      // The HTTP server was built with these values.
      maxRequestBytes: current.limits.maxRequestBytes,
      maxWaitS: current.limits.maxWaitS,
      maxExpiresInS: current.limits.maxExpiresInS,
    },
    // The renewal interval of leases depends on this value.
    scheduler: { ...next.scheduler, leaseMs: current.scheduler.leaseMs },
  };
  return { settings, changed: differences(current, settings), needsRestart: differences(settings, next) };
}

function withWeights(current: Settings["environments"], next: Settings["environments"]): Settings["environments"] {
  const names = Object.keys(current);
  const weighted = names.map((name) => {
    const weight = Object.hasOwn(next, name) ? next[name]!.weight : current[name]!.weight;
    return [name, { ...current[name]!, weight }] as const;
  });
  return Object.assign(Object.create(null), Object.fromEntries(weighted));
}

// ---------------------------------------------------------------- differences

function differences(before: Settings, after: Settings): string[] {
  const a = leaves(before);
  const b = leaves(after);
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  return keys
    .filter((key) => a.get(key) !== b.get(key))
    .map((key) => `${key}: ${a.get(key) ?? "(none)"} -> ${b.get(key) ?? "(none)"}`);
}

/** Addresses and keys may be secret and never change here. A file's name says nothing about its content. */
const notCompared = new Set(["distributed", "metricsKey", "source", "auto"]);

/** Returns all values by path. List items with an id or a name are found by it, whatever their index. */
function leaves(value: unknown, path = "", found = new Map<string, string>()): Map<string, string> {
  const entries = Array.isArray(value) ? named(value) : undefined;
  if (typeof value !== "object" || value === null || (Array.isArray(value) && !entries)) {
    found.set(path, JSON.stringify(value));
    return found;
  }
  for (const [key, below] of entries ?? Object.entries(value)) {
    if (below !== undefined && !notCompared.has(key)) leaves(below, path === "" ? key : `${path}.${key}`, found);
  }
  return found;
}

function named(list: unknown[]): [string, unknown][] | undefined {
  const names = list.map((item) => {
    const { id, name } = (item ?? {}) as { id?: unknown; name?: unknown };
    return id ?? name;
  });
  if (list.length === 0 || !names.every((name) => typeof name === "string")) return undefined;
  return list.map((item, i) => [names[i] as string, item]);
}
