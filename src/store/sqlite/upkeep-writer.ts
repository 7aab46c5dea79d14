// The writes of retention that concern no single job: old attempts, sums of usage, free pages. Each is a bounded part of
// a transaction that the caller begins and commits.
import { isFinal, type JobState } from "../../domain/job.ts";
import { includesTenant } from "../upkeep-store.ts";
import { canShrink, type Database, freeBytes, releasePages } from "./driver.ts";
import type { ChargeKey, WriteOperations } from "./protocol.ts";

/** Pages of 4 KiB that one step returns. 64 pages take 0.5 ms of CPU time, and 1.4 ms at most; 256 take up to 25 ms. */
const pagesAtOnce = 64;

interface ChargeRow {
  charged_at: number;
  job_id: string;
  n: number;
  tenant: string | null;
}

export class UpkeepWriter {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: Database) {
    this.#sql = prepare(db);
  }

  removeAttempts({
    environment,
    tenants,
    after,
    before,
    limit,
  }: WriteOperations["removeAttempts"]["request"]): WriteOperations["removeAttempts"]["answer"] {
    const page = this.#sql.charges.all(...after, before, limit) as unknown as (ChargeRow & {
      environment: string | null;
    })[];
    // Attempts of jobs that were deleted before their owner was recorded belong to any environment.
    const own = page.filter((row) => (row.environment ?? environment) === environment);
    const jobIds = own.filter(({ tenant }) => includesTenant(tenants, tenant ?? "default")).map((row) => row.job_id);
    let removed = 0;
    for (const jobId of new Set(jobIds)) {
      const job = this.#sql.job.get(jobId) as { status: JobState } | undefined;
      if ((job && !isFinal(job.status)) || this.#sql.later.get(jobId, before)) continue;
      removed += Number(this.#sql.remove.run(jobId).changes);
    }
    const last = page.length < limit ? undefined : page.at(-1);
    const key: ChargeKey | undefined = last && [last.charged_at, last.job_id, last.n];
    return { removed, ...(key && { last: key }) };
  }

  removeUsage({ environment, tenants, toDay }: WriteOperations["removeUsage"]["request"]): number {
    const filter = "only" in tenants ? tenants.only : tenants.except;
    const remove = "only" in tenants ? this.#sql.removeUsageOf : this.#sql.removeUsageExcept;
    return Number(remove.run(environment, toDay, JSON.stringify(filter)).changes);
  }
}

/** Returns some free pages to the file system. Returns the bytes that are still free. */
export function reclaim(db: Database): number {
  if (!canShrink(db)) return 0;
  releasePages(db, pagesAtOnce);
  return freeBytes(db);
}

function prepare(db: Database) {
  const usage = "DELETE FROM usage_sums WHERE environment = ? AND day <= ? AND tenant";
  return {
    charges: db.prepare(
      `SELECT charged_at, job_id, n, environment, tenant FROM attempts INDEXED BY attempts_by_charge
       WHERE (charged_at, job_id, n) > (?, ?, ?) AND charged_at < ? ORDER BY charged_at, job_id, n LIMIT ?`,
    ),
    job: db.prepare("SELECT status FROM jobs WHERE job_id = ?"),
    later: db.prepare("SELECT 1 FROM attempts WHERE job_id = ? AND charged_at >= ? LIMIT 1"),
    remove: db.prepare("DELETE FROM attempts WHERE job_id = ?"),
    removeUsageOf: db.prepare(`${usage} IN (SELECT value FROM json_each(?))`),
    removeUsageExcept: db.prepare(`${usage} NOT IN (SELECT value FROM json_each(?))`),
  };
}
