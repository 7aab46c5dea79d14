// The report of retention: the last round in each environment, and what is left to do. Rounds save it as a checkpoint, so
// every process can read it.
import type { RetentionKind } from "../../config/settings.ts";
import type { StoreSize } from "../../store/upkeep-store.ts";
import type { JobsContext } from "../jobs-context.ts";
import { keepsAll } from "./retention-policy.ts";

/** The last round in an environment. */
export interface LastRound {
  /** End of the round, in milliseconds since the epoch. */
  at: number;
  /** How many of each kind the round removed. */
  removed: Partial<Record<RetentionKind, number>>;
  /** How long the first job that is due for `texts` or `jobs` has been due, in milliseconds. 0 if none is due. */
  lateMs: Partial<Record<RetentionKind, number>>;
  /** The message of the first error, if the round failed in part or as a whole. */
  error?: string;
}

export interface RetentionReport extends StoreSize {
  /** Whether nothing is ever removed, except deliveries. */
  keepsAll: boolean;
  /** By environment. An environment without a round is missing. */
  rounds: Record<string, LastRound>;
}

const checkpointOf = (environment: string) => `retention/${environment}`;

export async function saveRound({ store }: Pick<JobsContext, "store">, environment: string, round: LastRound) {
  await store.saveCheckpoint(checkpointOf(environment), round);
}

export async function readRetention({
  store,
  settings,
}: Pick<JobsContext, "store" | "settings">): Promise<RetentionReport> {
  const environments = Object.keys(settings.environments);
  const rounds: [string, LastRound][] = [];
  for (const environment of environments) {
    const round = await store.loadCheckpoint(checkpointOf(environment));
    if (round) rounds.push([environment, round as LastRound]);
  }
  return {
    ...(await store.upkeep.size()),
    keepsAll: keepsAll(settings.retention, environments),
    rounds: Object.fromEntries(rounds),
  };
}
