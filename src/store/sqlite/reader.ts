// All reads, over all databases. What must be consistent (a job with its attempts, a page merged from two states) is
// read in one transaction. It sees one moment, however many commits happen meanwhile.
import { join } from "node:path";
import { jobStates } from "../../domain/job.ts";
import { canShrink, type Database, freeBytes, openForReading, type Statement } from "./driver.ts";
import {
  type DatabaseName,
  type JobKey,
  type JobRows,
  type LineRow,
  type ListRequest,
  type Read,
  type ReadOperations,
  type Rows,
  serviceDatabase,
  type UnfinishedRequest,
} from "./protocol.ts";
import { RecordReader } from "./record-queries.ts";
import type { AttemptRow, JobRow, OutcomeRow } from "./rows.ts";
import { listFilters, others, prepareQueries, type Queries, type Walk } from "./sqlite-queries.ts";
import type { UsageTableRow } from "./sqlite-usage-sums.ts";

interface Source {
  db: Database;
  sql: Queries;
  records: RecordReader;
  environments: Set<string>;
}

export class Reader {
  readonly #sources = new Map<DatabaseName, Source>();
  readonly #service: Database;
  readonly #checkpoint: Statement;
  readonly #serviceRecords: RecordReader;

  readonly #maxSteps: number;

  /**
   * Opens all databases for reading.
   * @param databases database names by environment; the files must have been opened for writing before
   * @param maxSteps jobs that a list with several filters checks before it returns what it has found; it limits how
   *   long other reads wait (100,000 take about 0.1 s)
   */
  constructor(dataDir: string, databases: Record<string, DatabaseName>, maxSteps = 100_000) {
    this.#maxSteps = maxSteps;
    const open = (name: DatabaseName) => openForReading(join(dataDir, `${name}.sqlite`));
    for (const [environment, name] of Object.entries(databases)) {
      const source = this.#sources.get(name);
      if (source) {
        source.environments.add(environment);
      } else {
        const db = open(name);
        this.#sources.set(name, {
          db,
          sql: prepareQueries(db),
          records: new RecordReader(db),
          environments: new Set([environment]),
        });
      }
    }
    this.#service = open(serviceDatabase);
    this.#serviceRecords = new RecordReader(this.#service);
    this.#checkpoint = this.#service.prepare("SELECT value FROM checkpoints WHERE name = ?");
  }

  answer(read: Read): ReadOperations[Read["kind"]]["answer"] {
    switch (read.kind) {
      case "get":
        return this.#get(read.jobId);
      case "getRequests":
        return this.#getRequests(read);
      case "list":
        return this.#list(read);
      case "unfinished":
        return this.#unfinished(read);
      case "lines":
        return this.#lines(read);
      case "countLines":
        return this.#countLines(read);
      case "ended":
        return this.#ended(read);
      case "attempts":
        return this.#attempts(read);
      case "usage":
        return this.#usage(read);
      case "space":
        return this.#space();
      case "counts":
        return this.#counts();
      case "getRecords":
        return this.#records(read.database).get(read.collection, read.ids);
      case "listRecords":
        return this.#records(read.database).list(read);
      case "loadCheckpoint":
        return (this.#checkpoint.get(read.name) as { value: string } | undefined)?.value;
    }
  }

  close(): void {
    for (const { db } of this.#sources.values()) db.close();
    this.#service.close();
  }

  #records(database: DatabaseName): RecordReader {
    return this.#sources.get(database)?.records ?? this.#serviceRecords;
  }

  #get(jobId: string): JobRows | undefined {
    for (const { db, sql } of this.#sources.values()) {
      const found = atOneMoment(db, () => {
        const job = sql.job.get(jobId) as JobRow | undefined;
        if (!job) return undefined;
        const { request } = sql.request.get(jobId) as { request: string };
        const attempts = sql.attempts.all(jobId) as AttemptRow[];
        return { job, request, attempts, outcome: sql.outcome.get(jobId) as OutcomeRow | undefined };
      });
      if (found) return found;
    }
    return undefined;
  }

  #getRequests({ database, environment, jobIds }: Extract<Read, { kind: "getRequests" }>): [string, string][] {
    const { sql } = this.#sources.get(database)!;
    return jobIds.flatMap((jobId): [string, string][] => {
      const row = sql.requestIn.get(jobId, environment) as { request: string } | undefined;
      return row ? [[jobId, row.request]] : [];
    });
  }

  #list(query: ListRequest): Rows<JobRow> {
    const walk = walkFor(query);
    const parameters = {
      $from: query.from[0],
      $fromId: query.from[1],
      $before: query.before[0],
      $beforeId: query.before[1],
      ...(walk !== "all" && { [`$${walk}`]: query[walk] }),
    };
    // How far down this page goes at most: the same key in all environments, so that none gets ahead.
    let end: JobKey | undefined;
    if (others(walk).some((filter) => query[filter] !== undefined)) {
      const steps = this.#each(query.environments, (sql, $environment) => [
        sql.list[walk].step.all({ $environment, $steps: this.#maxSteps, ...parameters }) as JobRow[],
      ]);
      const last = steps.flat().sort(bySubmission).at(-1);
      if (last) end = [last.submitted_at, last.job_id];
    }
    const rest = Object.fromEntries(others(walk).map((filter) => [`$${filter}`, query[filter] ?? null]));
    const parts = this.#each(query.environments, (sql, $environment) => [
      sql.list[walk].page.all({
        $environment,
        ...parameters,
        ...rest,
        ...(end && { $from: end[0], $fromId: end[1] }),
        $limit: query.limit + 1,
      }) as JobRow[],
    ]);
    const page = merge(parts, (a, b) => bySubmission(b, a), query.limit);
    return { ...page, resumeAt: end };
  }

  #unfinished(query: UnfinishedRequest): Rows<JobRow> {
    const range = {
      $after: query.after[0],
      $afterId: query.after[1],
      $before: query.before[0],
      $beforeId: query.before[1],
      $limit: query.limit + 1,
    };
    const parts = this.#each(query.environments, (sql, $environment) =>
      query.expiresUntil !== undefined
        ? [sql.expiring.all({ $environment, $until: query.expiresUntil, ...range }) as JobRow[]]
        : ["queued", "in_progress"].map(
            ($status) => sql.unfinished.all({ $environment, $status, ...range }) as JobRow[],
          ),
    );
    return merge(parts, bySubmission, query.limit);
  }

  #lines({ database, environment, submittedAt, from, to, state, limit }: Extract<Read, { kind: "lines" }>): LineRow[] {
    const { db, sql } = this.#sources.get(database)!;
    const range = { $environment: environment, $submittedAt: submittedAt, $from: from, $to: to, $limit: limit };
    return atOneMoment(db, () => {
      const jobs = state === undefined ? sql.lines.all(range) : sql.linesInState.all({ ...range, $status: state });
      return (jobs as unknown as JobRow[]).map((job) => {
        const ended = job.finished_at !== null;
        return { job, ...(ended && { outcome: sql.outcome.get(job.job_id) as unknown as OutcomeRow }) };
      });
    });
  }

  #countLines({ database, environment, submittedAt, from, to }: Extract<Read, { kind: "countLines" }>) {
    const { db, sql } = this.#sources.get(database)!;
    const range = { $environment: environment, $submittedAt: submittedAt, $from: from, $to: to };
    return atOneMoment(db, () =>
      jobStates.map((status) => {
        const { jobs } = sql.countLines.get({ ...range, $status: status }) as { jobs: number };
        return { status, jobs };
      }),
    );
  }

  #ended({ database, environment, after, before, limit }: Extract<Read, { kind: "ended" }>): Rows<JobRow> {
    const range = { $environment: environment, $after: after[0], $afterId: after[1], $before: before };
    const rows = this.#sources.get(database)!.sql.ended.all({ ...range, $limit: limit + 1 }) as unknown as JobRow[];
    return { rows: rows.slice(0, limit), more: rows.length > limit };
  }

  #attempts({ after, limit }: Extract<Read, { kind: "attempts" }>): Rows<AttemptRow> {
    const parts = [...this.#sources.values()].map(
      ({ sql }) => sql.attemptsAfter.all(...after, limit + 1) as AttemptRow[],
    );
    return merge(parts, byCharge, limit);
  }

  #usage({ database, environment, after, toDay, limit }: Extract<Read, { kind: "usage" }>): UsageTableRow[] {
    const [$day, $tenant, $keyId, $model] = after;
    const range = { $environment: environment, $day, $tenant, $keyId, $model, $toDay: toDay, $limit: limit };
    return this.#sources.get(database)!.sql.usage.all(range) as unknown as UsageTableRow[];
  }

  #counts(): ReadOperations["counts"]["answer"] {
    return [...this.#sources.values()].flatMap(
      ({ sql }) => sql.counts.all() as unknown as ReadOperations["counts"]["answer"],
    );
  }

  #space(): ReadOperations["space"]["answer"] {
    const files: [DatabaseName, Database][] = Array.from(this.#sources, ([name, { db }]) => [name, db]);
    files.push([serviceDatabase, this.#service]);
    return files.map(([database, db]) => ({ database, freeBytes: freeBytes(db), shrinks: canShrink(db) }));
  }

  /** Returns sorted parts of every environment. Parts of one database are read at one moment. */
  #each(environments: readonly string[], read: (sql: Source["sql"], environment: string) => JobRow[][]): JobRow[][] {
    return [...this.#sources.values()].flatMap((source) =>
      atOneMoment(source.db, () =>
        environments.filter((e) => source.environments.has(e)).flatMap((e) => read(source.sql, e)),
      ),
    );
  }
}

/**
 * A state other than completed is rare among many jobs, so its index is walked first. Most jobs are `completed`, so
 * that index comes last.
 */
function walkFor(query: ListRequest): Walk {
  if (query.status !== undefined && query.status !== "completed") return "status";
  return listFilters.find((filter) => query[filter] !== undefined) ?? "all";
}

function atOneMoment<T>(db: Database, read: () => T): T {
  db.exec("BEGIN");
  try {
    return read();
  } finally {
    // An I/O error may have ended the transaction already.
    if (db.isTransaction) db.exec("COMMIT");
  }
}

type Compare<Row> = (a: Row, b: Row) => number;

function bySubmission(a: JobRow, b: JobRow): number {
  return a.submitted_at - b.submitted_at || compareText(a.job_id, b.job_id);
}

function byCharge(a: AttemptRow, b: AttemptRow): number {
  return a.charged_at - b.charged_at || compareText(a.job_id, b.job_id) || a.n - b.n;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Returns the first `limit` rows of several parts. Each part has one more row than `limit` if there are more. */
function merge<Row>(parts: Row[][], compare: Compare<Row>, limit: number): Rows<Row> {
  // Sorting runs that are already sorted is a merge (V8 sorts that way).
  const rows = parts.length === 1 ? parts[0]! : parts.flat().sort(compare);
  return rows.length > limit ? { rows: rows.slice(0, limit), more: true } : { rows, more: false };
}
