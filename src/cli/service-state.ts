// What the service says about itself: readiness, counts, queue, quotas and deployments, for status and top.
import type { SluiceClient } from "../client/index.ts";
import { SluiceApiError } from "../client/index.ts";
import type { JobState } from "../domain/job.ts";

export interface ServiceState {
  readiness: { status: "ok" | "degraded" | "not_ready"; reasons: string[] };
  /** Absent without an admin key, because counts cover all tenants, and while the service cannot count. */
  stats?: Stats;
  /** Sentences about parts that are missing. */
  missing: string[];
  deployments: Deployment[];
  quotas: Quota[];
}

export interface Stats {
  /** By environment. */
  jobs: Record<string, Record<JobState, number>>;
  queue: WaitingRow[];
  /** Absent from older services, like the optional fields of `WaitingRow` and `Quota`. */
  models?: { model: string; empty_at: string | null }[];
  running: number;
}

export interface WaitingRow {
  environment: string;
  priority: string;
  model?: string;
  ready: number;
  delayed: number;
  oldest_at?: string | null;
  waiting_on?: { kind: string } | null;
}

export interface Deployment {
  id: string;
  state: "in_service" | "cooling_down" | "out_of_service";
  reason: string | null;
  until: string | null;
  paused: boolean;
  running: number;
  max_concurrency: number;
}

export interface Quota {
  name: string;
  unit: string;
  per: "minute" | "day";
  configured_limit: number;
  effective_limit: number;
  used: number;
  /** The part of `used` that running calls reserve. */
  reserved?: number;
  closed_until: string | null;
  next_free_at: string | null;
}

/** Reads everything at once. A part that the service refuses is left out. @throws SluiceApiError, SluiceConnectionError */
export async function readServiceState(service: SluiceClient): Promise<ServiceState> {
  const missing: string[] = [];
  /** While a store or Redis is unreachable, the rest is all the more of interest. */
  const part = <T>(path: string, what: string): Promise<T | undefined> =>
    service.request<T>("GET", path).catch((error: unknown) => {
      if (!(error instanceof SluiceApiError) || (error.code !== "forbidden" && error.status !== 503)) throw error;
      const forbidden = "the API key is not an admin key.";
      missing.push(`${what} are missing: ${error.code === "forbidden" ? forbidden : error.message}`);
      return undefined;
    });
  const [readiness, stats, snapshot] = await Promise.all([
    readReadiness(service),
    part<Stats>("/v1/stats", "Job counts"),
    part<Pick<ServiceState, "deployments" | "quotas">>("/v1/deployments", "Quotas and deployments"),
  ]);
  const { deployments = [], quotas = [] } = snapshot ?? {};
  return { readiness, ...(stats && { stats }), missing, deployments, quotas };
}

async function readReadiness(service: SluiceClient): Promise<ServiceState["readiness"]> {
  try {
    return await service.request("GET", "/readyz");
  } catch (error) {
    if (!(error instanceof SluiceApiError) || error.status !== 503) throw error;
    return { status: "not_ready", reasons: [error.message.replace(/^Not ready: |\.$/g, "")] };
  }
}

/** Returns the sentence about readiness, in which reasons are foreign text. */
export function readinessText({ status, reasons }: ServiceState["readiness"]): string {
  if (status === "ok") return "ready";
  const why = reasons.join("; ");
  return status === "degraded" ? `degraded: accepts jobs, but ${why}` : `not ready: ${why}`;
}
