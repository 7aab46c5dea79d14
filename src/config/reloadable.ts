// What a configuration that is read again changes in a service that runs: most of it at once, some of it only at the next
// start. Pure.
import { ConfigError } from "./config-problems.ts";
import type { Settings } from "./settings.ts";

export interface TakenOver {
  /** What is in force from now on: the new settings, with the old values of what needs a restart. */
  settings: Settings;
  /** `models.a.deployments.bedrock/us-east-1/m.quotas.m:requests/minute.limit: 3 -> 800`, and so on. */
  changed: string[];
  /** The same, of what stays as it is until the next start. */
  needsRestart: string[];
}

/** @throws ConfigError if synthetic answers would take the place of real ones, or the other way round */
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
    dataDir: current.dataDir,
    role: current.role,
    runs: current.runs,
    authentication: current.authentication,
    simulator: current.simulator,
    redis: current.redis,
    environments: withWeights(current.environments, next.environments),
    limits: {
      ...next.limits,
      // The HTTP interface was built with these.
      maxRequestBytes: current.limits.maxRequestBytes,
      maxWaitS: current.limits.maxWaitS,
      maxExpiresInS: current.limits.maxExpiresInS,
    },
    // Leases are renewed at a pace that follows from it.
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

/** Connection addresses may hold passwords, and never change here; a name of a file says nothing about its content. */
const notCompared = new Set(["distributed", "source", "auto"]);

/** All values by their path. What has an id or a name of its own is found under that, wherever it stands in its list. */
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
