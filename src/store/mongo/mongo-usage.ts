// The sums of usage in the databases of the environments: how they are computed, where they are stored, and their pages.
import type { Db } from "mongodb";
import type { Clock } from "../../domain/clock.ts";
import { SluiceError } from "../../domain/errors.ts";
import { type UsageRow, usageFields } from "../../domain/usage.ts";
import { checkLimit, decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import type { UsageQuery } from "../job-store.ts";
import { firstUsageDay } from "../upkeep-store.ts";
import { putDocument } from "./commands.ts";
import { type AttemptDocument, type AttemptEndDocument, attemptOf } from "./documents.ts";
import { type ChargeKey, usageQuery, walk } from "./mongo-queries.ts";
import {
  type CountedAttempt,
  dayName,
  daysAtOnce,
  type KeptSums,
  type UsageSource,
  UsageSums,
} from "./mongo-usage-sums.ts";
import { findByIds } from "./reads.ts";

/** Number of attempts that are added up at a time, so that other work waits a few milliseconds at most. */
const pageSize = 500;

interface SumsDocument {
  _id: string;
  /** JSON. */
  sums: string;
}

export class MongoUsage {
  readonly #db: (environment: string) => Db;
  readonly #clock: Clock;
  readonly #sums = new Map<string, UsageSums>();

  /** @param db returns the database of an environment; throws SluiceError `unknown_environment` */
  constructor(db: (environment: string) => Db, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** @throws SluiceError */
  async page({ environment, fromDay, toDay, limit, cursor }: UsageQuery): Promise<Page<UsageRow>> {
    checkLimit(limit, 10_000);
    const start = [fromDay, ""] as const;
    const after = cursor === undefined ? start : decodeCursor(cursor, start);
    const { items, next } = await this.#of(environment).page({ toDay, limit }, after);
    return { items, ...(next && { next: encodeCursor(next) }) };
  }

  /**
   * Makes sure that the sums of a day that is over are stored, so that its attempts are not needed any more.
   * @throws SluiceError `unavailable` if the day is not over, or what the store throws
   */
  async keepDay(environment: string, day: number): Promise<void> {
    if (await this.#of(environment).keepDay(day)) return;
    throw new SluiceError("unavailable", `The usage of day ${day} in ${environment} could not be stored.`);
  }

  /** Removes the rows of some tenants from the stored sums of days. Returns the number of removed rows. */
  async remove(environment: string, toDay: number, isRemoved: (tenant: string) => boolean): Promise<number> {
    const source = usageSource(this.#db(environment), environment);
    let removed = 0;
    for (let day = firstUsageDay; day <= toDay; day += daysAtOnce) {
      const count = Math.min(daysAtOnce, toDay - day + 1);
      const names = Array.from({ length: count }, (_, i) => dayName(day + i));
      for (const [name, { rows }] of await source.load(names)) {
        const kept = rows.filter(([tenant]) => !isRemoved(tenant));
        // The document stays, so that the day is not added up again from attempts.
        if (kept.length < rows.length) await source.save(name, { rows: kept, open: [] });
        removed += rows.length - kept.length;
      }
    }
    return removed;
  }

  #of(environment: string): UsageSums {
    let sums = this.#sums.get(environment);
    if (!sums) {
      sums = new UsageSums(usageSource(this.#db(environment), environment), this.#clock);
      this.#sums.set(environment, sums);
    }
    return sums;
  }
}

function usageSource(db: Db, environment: string): UsageSource {
  // Environments may share a database.
  const prefix = `${encodeURIComponent(environment)}/`;

  async function withEnds(attempts: readonly AttemptDocument[]): Promise<CountedAttempt[]> {
    const ids = attempts.map(({ _id }) => _id);
    const found = await findByIds<AttemptEndDocument>(db, "attempt_ends", ids);
    const ends = new Map(found.map((end) => [end._id, end]));
    return attempts.map((document) => ({
      id: document._id,
      tenant: document.tenant,
      ...(document.key_id !== undefined && { keyId: document.key_id }),
      attempt: attemptOf(document, ends.get(document._id)),
    }));
  }

  return {
    async *charged(from, to) {
      let after: ChargeKey | undefined;
      do {
        const attempts = await walk<AttemptDocument>(db, usageQuery(environment, from, to, after), pageSize);
        yield await withEnds(attempts);
        const last = attempts.length < pageSize ? undefined : attempts.at(-1);
        after = last && [last.charged_at.getTime(), last.job_id, last.n];
      } while (after !== undefined);
    },

    async attempts(ids) {
      const all: CountedAttempt[] = [];
      for (let at = 0; at < ids.length; at += pageSize) {
        const some = ids.slice(at, at + pageSize);
        all.push(...(await withEnds(await findByIds<AttemptDocument>(db, "attempts", some))));
      }
      return all;
    },

    async load(names) {
      const ids = names.map((name) => prefix + name);
      const found = await findByIds<SumsDocument>(db, "usage_sums", ids);
      const sums = new Map(found.map(({ _id, sums }) => [_id.slice(prefix.length), JSON.parse(sums) as KeptSums]));
      for (const [name, kept] of await earlierDays(names.filter((name) => !sums.has(name)))) sums.set(name, kept);
      return sums;
    },

    async save(name, sums) {
      await putDocument(db, "usage_sums", { _id: prefix + name, sums: JSON.stringify(sums) });
    },
  };

  /** Reads days that an earlier version stored as records of the collection `usage`. */
  async function earlierDays(names: readonly string[]): Promise<[name: string, sums: KeptSums][]> {
    const byId = new Map<string, string>();
    for (const name of names) {
      const [kind, day] = name.split("/");
      if (kind !== "day") continue;
      const date = new Date(Number(day) * 86_400_000).toISOString().slice(0, 10);
      byId.set(`day/${prefix}${date}`, name);
    }
    const found = await findByIds<{ _id: string; value: string }>(db, "usage", [...byId.keys()]);
    return found.map(({ _id, value }) => {
      const rows = (JSON.parse(value) as UsageRow[]).map(
        ({ tenant, keyId = null, model, ...sums }): KeptSums["rows"][number] => [
          tenant,
          keyId,
          model,
          ...usageFields.map((field) => sums[field] ?? 0),
        ],
      );
      return [byId.get(_id)!, { rows, open: [] }];
    });
  }
}
