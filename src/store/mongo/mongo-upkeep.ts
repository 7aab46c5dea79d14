// Retention in MongoDB. Attempts go only once the sums of their day are stored, because the sums of days without a
// stored document are added up from attempts.
import type { Db } from "mongodb";
import { usageDay } from "../../domain/usage.ts";
import { checkLimit, decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import {
  type EndedJob,
  type EndedQuery,
  includesTenant,
  type OldAttemptsQuery,
  type OldUsageQuery,
  type RemovedAttempts,
  type StoreSize,
  type UpkeepStore,
} from "../upkeep-store.ts";
import { removeDocuments } from "./commands.ts";
import { type AttemptDocument, attemptKey, type JobDocument, type OutcomeDocument } from "./documents.ts";
import { JobLoads } from "./job-loads.ts";
import type { Pages } from "./mongo-pages.ts";
import { type ChargeKey, usageQuery, walk } from "./mongo-queries.ts";
import type { MongoUsage } from "./mongo-usage.ts";
import { find, findByIds } from "./reads.ts";

const exampleChargeKey: ChargeKey = [0, "", 0];
/** Documents in one command. */
const removedAtOnce = 1_000;

interface Parts {
  pages: Pages;
  usage: MongoUsage;
  /** Names of all databases. */
  databases: string[];
}

export class MongoUpkeep implements UpkeepStore {
  readonly #parts: Parts;
  readonly #db: (database: string) => Db;
  readonly #databaseOf: (environment: string) => string;
  readonly #call: <T>(operation: () => Promise<T>) => Promise<T>;

  /**
   * @param databaseOf throws SluiceError `unknown_environment`
   * @param call runs an operation and converts its errors to those of the store
   */
  constructor(
    parts: Parts,
    db: (database: string) => Db,
    databaseOf: (environment: string) => string,
    call: <T>(operation: () => Promise<T>) => Promise<T>,
  ) {
    this.#parts = parts;
    this.#db = db;
    this.#databaseOf = databaseOf;
    this.#call = call;
  }

  ended(query: EndedQuery): Promise<Page<EndedJob>> {
    return this.#call(async () => {
      checkLimit(query.limit, 1_000);
      return this.#parts.pages.ended(query);
    });
  }

  removeAttempts({ environment, tenants, chargedTo, limit, cursor }: OldAttemptsQuery): Promise<RemovedAttempts> {
    return this.#call(async () => {
      checkLimit(limit, 1_000);
      const db = this.#db(this.#databaseOf(environment));
      const after = cursor === undefined ? undefined : decodeCursor(cursor, exampleChargeKey);
      const query = usageQuery(environment, Number.NEGATIVE_INFINITY, chargedTo, after);
      const page = await walk<AttemptDocument>(db, query, limit);
      const jobIds = new Set(page.filter(({ tenant }) => includesTenant(tenants, tenant)).map((a) => a.job_id));
      const removed = await this.#removeOf(environment, db, [...jobIds], chargedTo);
      const last = page.length < limit ? undefined : page.at(-1);
      return { removed, ...(last && { next: encodeCursor([last.charged_at.getTime(), last.job_id, last.n]) }) };
    });
  }

  async #removeOf(environment: string, db: Db, jobIds: readonly string[], chargedTo: number): Promise<number> {
    const [jobs, outcomes, { attempts, closings }] = await Promise.all([
      findByIds<JobDocument>(db, "jobs", jobIds, { _id: 1 }),
      findByIds<OutcomeDocument>(db, "outcomes", jobIds, { _id: 1 }),
      new JobLoads(db).attemptsOf(jobIds),
    ]);
    const kept = new Set(jobs.map(({ _id }) => _id));
    for (const { _id } of outcomes) kept.delete(_id);
    for (const { job_id, charged_at } of attempts) if (charged_at.getTime() >= chargedTo) kept.add(job_id);
    const old = attempts.filter(({ job_id }) => !kept.has(job_id));
    const days = new Set(old.map(({ charged_at }) => usageDay(charged_at.getTime())));
    for (const day of days) await this.#parts.usage.keepDay(environment, day);
    const closed = closings.filter(({ job_id }) => !kept.has(job_id));
    const ids = [...old, ...closed].map(({ job_id, n }) => attemptKey(job_id, n));
    for (let at = 0; at < ids.length; at += removedAtOnce) {
      const some = ids.slice(at, at + removedAtOnce);
      // An end without its attempt would never be found again.
      await removeDocuments(db, "attempt_ends", some);
      await removeDocuments(db, "attempts", some);
    }
    return old.length;
  }

  removeUsage({ environment, tenants, toDay }: OldUsageQuery): Promise<number> {
    return this.#call(() => this.#parts.usage.remove(environment, toDay, (tenant) => includesTenant(tenants, tenant)));
  }

  size(): Promise<StoreSize> {
    return this.#call(async () => {
      let bytes = 0;
      for (const name of new Set(this.#parts.databases)) {
        const stats = await find((limited) => this.#db(name).command({ dbStats: 1 }, limited));
        bytes += Number(stats.storageSize ?? 0) + Number(stats.indexSize ?? 0);
      }
      return { bytes, freeBytes: 0, fixed: [] };
    });
  }

  /** MongoDB uses the space of removed documents again by itself. */
  async reclaim(): Promise<number> {
    return 0;
  }
}
