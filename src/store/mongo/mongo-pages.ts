// Pages over many jobs or attempts, merged from all requested environments. The cached state of jobs that look unfinished
// is compared with their outcomes, and corrected where it is wrong.
import type { Db } from "mongodb";
import { groupBy } from "../../domain/group-by.ts";
import type { Attempt, JobSummary } from "../../domain/job.ts";
import { decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import type { AttemptsQuery, LineRecord, LinesQuery, ListQuery, UnfinishedJob, UnfinishedQuery } from "../job-store.ts";
import type { EndedJob, EndedQuery } from "../upkeep-store.ts";
import {
  type AttemptDocument,
  type AttemptEndDocument,
  attemptOf,
  headOf,
  type JobDocument,
  type OutcomeDocument,
  outcomeOf,
  summaryOf,
} from "./documents.ts";
import type { JobDatabase } from "./job-database.ts";
import {
  type ChargeKey,
  chargesQuery,
  endedQuery,
  isBefore,
  type JobKey,
  linesQuery,
  listQuery,
  type Query,
  unfinishedQuery,
  walk,
  withoutRequest,
} from "./mongo-queries.ts";
import { findByIds } from "./reads.ts";

interface Source {
  db: Db;
  jobs: JobDatabase;
}

type Line = Omit<JobDocument, "request">;

const exampleJobKey: JobKey = [0, ""];
const exampleChargeKey: ChargeKey = [0, "", 0];

export class Pages {
  readonly #environments: readonly string[];
  readonly #sources: readonly Source[];
  readonly #sourceOf: (environment: string) => Source;

  constructor(environments: readonly string[], sources: readonly Source[], sourceOf: (environment: string) => Source) {
    this.#environments = environments;
    this.#sources = sources;
    this.#sourceOf = sourceOf;
  }

  async list(query: ListQuery): Promise<Page<JobSummary>> {
    const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor, exampleJobKey);
    await Promise.all(this.#sources.map(({ jobs }) => jobs.statesWritten()));
    const { found, next } = await this.#jobs(query, (environment) => listQuery(environment, query, after), isLater);
    const outcomes = await this.#outcomesOf(found);
    const items = found.flatMap(({ line }): JobSummary[] => {
      const outcome = outcomes.get(line._id);
      if (!outcome) return [summaryOf(line)];
      if (query.state !== undefined && query.state !== outcome.status) return [];
      const { error } = outcomeOf(outcome);
      const finishedAt = outcome.finished_at.getTime();
      return [{ job: headOf(line), state: outcome.status, finishedAt, ...(error && { error }) }];
    });
    return { items, ...next };
  }

  async unfinished(query: UnfinishedQuery): Promise<Page<UnfinishedJob>> {
    const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor, exampleJobKey);
    const { found, next } = await this.#jobs(query, (e) => unfinishedQuery(e, query, after), isEarlier);
    const outcomes = await this.#outcomesOf(found);
    const items = found
      .filter(({ line }) => !outcomes.has(line._id))
      .map(({ source, line }): UnfinishedJob => {
        const state = source.jobs.cachedState(line);
        return { job: headOf(line), state: state === "in_progress" ? state : "queued" };
      });
    return { items, ...next };
  }

  async ended(query: EndedQuery): Promise<Page<EndedJob>> {
    const { environment, limit, cursor } = query;
    const after = cursor === undefined ? undefined : decodeCursor(cursor, exampleJobKey);
    const { db } = this.#sourceOf(environment);
    const lines = await walk<Line>(db, endedQuery(query, after), limit + 1, withoutRequest);
    const items = lines.slice(0, limit).map((line) => ({ job: headOf(line), finishedAt: line.finished_at!.getTime() }));
    const last = items.at(-1);
    return { items, ...(lines.length > limit && last && { next: encodeCursor([last.finishedAt, last.job.id]) }) };
  }

  /** Returns lines in the order of ids. Outcomes are read for all of them, because the state is a cache. */
  async lines(query: LinesQuery): Promise<LineRecord[]> {
    const source = this.#sourceOf(query.environment);
    await source.jobs.statesWritten();
    const lines = await walk<Line>(source.db, linesQuery(query), query.limit, withoutRequest);
    const ids = lines.map((line) => line._id);
    const outcomes = await findByIds<OutcomeDocument>(source.db, "outcomes", ids);
    const byId = new Map(outcomes.map((outcome) => [outcome._id, outcome]));
    await Promise.all(lines.map((line) => !line.ended && byId.has(line._id) && source.jobs.heal(byId.get(line._id)!)));
    const records = lines.map((line): LineRecord => {
      const outcome = byId.get(line._id);
      return {
        job: headOf(line),
        state: outcome?.status ?? line.state,
        ...(outcome && { outcome: outcomeOf(outcome) }),
      };
    });
    return query.state === undefined ? records : records.filter(({ state }) => state === query.state);
  }

  async attempts({ chargedFrom, limit, cursor }: AttemptsQuery): Promise<Page<Attempt>> {
    const query = chargesQuery(chargedFrom, cursor === undefined ? undefined : decodeCursor(cursor, exampleChargeKey));
    const parts = await Promise.all(
      this.#sources.map(async ({ db }) => {
        const attempts = await walk<AttemptDocument>(db, query, limit + 1);
        return attempts.map((attempt) => ({ db, attempt, key: chargeKeyOf(attempt) }));
      }),
    );
    const all = parts.flat().sort((a, b) => (isBefore(a.key, b.key) ? -1 : 1));
    const page = all.slice(0, limit);
    const ends = new Map<string, AttemptEndDocument>();
    for (const [db, entries] of groupBy(page, (entry) => entry.db)) {
      const keys = entries.map(({ attempt }) => attempt._id);
      for (const end of await this.#endsOf(db, keys)) ends.set(end._id, end);
    }
    const items = page.map(({ attempt }) => attemptOf(attempt, ends.get(attempt._id)));
    return { items, ...(all.length > limit && { next: encodeCursor(page.at(-1)!.key) }) };
  }

  #endsOf(db: Db, keys: readonly string[]): Promise<AttemptEndDocument[]> {
    return findByIds<AttemptEndDocument>(db, "attempt_ends", keys);
  }

  async #jobs(
    { environment, limit }: { environment?: string; limit: number },
    queryOf: (environment: string) => Query,
    compare: (a: Found, b: Found) => number,
  ): Promise<{ found: Found[]; next: { next?: string } }> {
    const environments = environment === undefined ? this.#environments : [environment];
    const parts = await Promise.all(
      environments.map(async (name) => {
        const source = this.#sourceOf(name);
        const lines = await walk<Line>(source.db, queryOf(name), limit + 1, withoutRequest);
        return lines.map((line): Found => ({ source, line, key: [line.submitted_at.getTime(), line._id] }));
      }),
    );
    const all = parts.flat().sort(compare);
    const found = all.slice(0, limit);
    return { found, next: all.length > limit ? { next: encodeCursor(found.at(-1)!.key) } : {} };
  }

  /** Returns the outcomes of jobs that are not known to have ended. */
  async #outcomesOf(found: readonly Found[]): Promise<Map<string, OutcomeDocument>> {
    const outcomes = new Map<string, OutcomeDocument>();
    const open = found.filter(({ line }) => !line.ended);
    for (const [{ db, jobs }, entries] of groupBy(open, (entry) => entry.source)) {
      const jobIds = entries.map(({ line }) => line._id);
      const known = await findByIds<OutcomeDocument>(db, "outcomes", jobIds);
      await Promise.all(known.map((outcome) => jobs.heal(outcome)));
      for (const outcome of known) outcomes.set(outcome._id, outcome);
    }
    return outcomes;
  }
}

interface Found {
  source: Source;
  line: Line;
  key: JobKey;
}

function isEarlier(a: Found, b: Found): number {
  return isBefore(a.key, b.key) ? -1 : 1;
}

function isLater(a: Found, b: Found): number {
  return isEarlier(b, a);
}

function chargeKeyOf({ charged_at, job_id, n }: AttemptDocument): ChargeKey {
  return [charged_at.getTime(), job_id, n];
}
