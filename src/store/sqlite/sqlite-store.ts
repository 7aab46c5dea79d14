// The system of record in SQLite: one file for each database, in a folder that a single process uses. This file checks,
// encodes and decodes. Two threads have the files open (docs/decisions/sqlite-thread.md): one writes with group commit,
// one reads.
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { SluiceError } from "../../domain/errors.ts";
import type { JobId } from "../../domain/ids.ts";
import {
  type Attempt,
  type AttemptEnd,
  type Erasure,
  type Job,
  type JobHead,
  type JobRecord,
  type JobState,
  type JobSummary,
  jobStates,
  type Outcome,
} from "../../domain/job.ts";
import type { JobRequest } from "../../domain/request.ts";
import type { UsageRow } from "../../domain/usage.ts";
import type { BlobStore } from "../blob-store.ts";
import { checkLimit, decodeCursor, encodeCursor, type Page } from "../cursor.ts";
import { databaseOf, StoreOpenError } from "../environments.ts";
import { listExamined, needsExamination } from "../examined-filters.ts";
import type {
  AttemptsQuery,
  BeginAttempt,
  BeginResult,
  FinishResult,
  JobChange,
  JobStore,
  LeftBehind,
  LineRange,
  LineRecord,
  LinesQuery,
  ListQuery,
  UnfinishedJob,
  UnfinishedQuery,
  UsageQuery,
} from "../job-store.ts";
import type { RecordStore } from "../record-store.ts";
import { requestFromJson } from "../stored-forms.ts";
import type { UpkeepStore } from "../upkeep-store.ts";
import { finishRestore } from "./backup/finish-restore.ts";
import { FolderBlobs } from "./folder-blobs.ts";
import { cursorKey, earlier, firstKey, lastKey, later, startOf } from "./job-keys.ts";
import { lockDataFolder } from "./lock.ts";
import { openErrorOf } from "./open-errors.ts";
import { makeFilesPrivate, openFolderMode } from "./permissions.ts";
import {
  type DatabaseName,
  type EndRow,
  type Place,
  type ReadOperations,
  type Rows,
  serviceDatabase,
  type WriteOperations,
} from "./protocol.ts";
import { attemptOf, type JobRow, jobOf, newJobRows, outcomeOf, outcomeRow, summaryOf } from "./rows.ts";
import { findLeftBehind } from "./sqlite-left-behind.ts";
import { SqliteRecords } from "./sqlite-records.ts";
import { StoreThread } from "./sqlite-thread.ts";
import { SqliteUpkeep } from "./sqlite-upkeep.ts";
import { type UsageKey, usageRowOf } from "./sqlite-usage-sums.ts";

export interface SqliteStoreOptions {
  /** The folder of the files. It is created if it is missing. */
  dataDir: string;
  /** Environments by name. The jobs of an environment are in `<database>.sqlite`; environments may share a database. */
  environments: Record<string, { database: string }>;
  /** Logs what the operator should know. Default: nothing is logged. */
  log?: Pick<Logger, "warn">;
  /** Called with the number of writes that were committed together. Must not throw. */
  onCommit?: (writes: number) => void;
}

/**
 * Opens the store: locks the folder, creates missing files, and brings old ones up to date.
 * @throws StoreOpenError if another process uses the folder, a newer version wrote it, or it cannot be written to
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<JobStore> {
  const { dataDir } = options;
  const databases = Object.fromEntries(Object.entries(options.environments).map(([name, e]) => [name, e.database]));
  Object.values(databases).forEach(checkDatabaseName);
  const unlock = lockDataFolder(dataDir);
  try {
    finishRestore(dataDir);
  } catch (error) {
    unlock();
    throw openErrorOf(error, dataDir, dataDir);
  }
  makeFilesPrivate(dataDir, [...Object.values(databases), serviceDatabase]);
  const mode = openFolderMode(dataDir);
  if (mode !== undefined) {
    const advice = `chmod 700 ${dataDir}`;
    options.log?.warn({ dataDir, mode, advice }, "found a data folder that other users can access");
  }
  const starting = [
    StoreThread.start<WriteOperations>({ role: "writer", dataDir, databases }, options.onCommit),
    StoreThread.start<ReadOperations>({ role: "reader", dataDir, databases }),
  ] as const;
  try {
    const [writer, reader] = await Promise.all(starting);
    const blobs = new FolderBlobs(dataDir, Object.keys(databases));
    blobs.checkWritable();
    return new SqliteStore(dataDir, databases, blobs, writer, reader, unlock);
  } catch (error) {
    for (const thread of await Promise.allSettled(starting)) {
      if (thread.status === "fulfilled") await thread.value.close();
    }
    unlock();
    throw error;
  }
}

function checkDatabaseName(database: DatabaseName): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(database) && database.toLowerCase() !== serviceDatabase) return;
  throw new StoreOpenError(
    `"${database}" is not a valid database name: it becomes a file name. Use letters, digits, dots, hyphens and underscores, and not "${serviceDatabase}".`,
  );
}

class SqliteStore implements JobStore {
  readonly records: RecordStore;
  readonly blobs: BlobStore;
  readonly upkeep: UpkeepStore;
  readonly #dataDir: string;
  readonly #databases: Record<string, DatabaseName>;
  readonly #writer: StoreThread<WriteOperations>;
  readonly #reader: StoreThread<ReadOperations>;
  readonly #unlock: () => void;

  constructor(
    dataDir: string,
    databases: Record<string, DatabaseName>,
    blobs: BlobStore,
    writer: StoreThread<WriteOperations>,
    reader: StoreThread<ReadOperations>,
    unlock: () => void,
  ) {
    this.blobs = blobs;
    this.#dataDir = dataDir;
    this.#databases = databases;
    this.#writer = writer;
    this.#reader = reader;
    this.#unlock = unlock;
    this.records = new SqliteRecords(databases, writer, reader);
    this.upkeep = new SqliteUpkeep(dataDir, databases, writer, reader);
  }

  async insertMany(jobs: readonly Job[]): Promise<("inserted" | "exists")[]> {
    // Most calls insert one job. Grouping by database would take 2 us more.
    if (jobs.length === 1) return this.#insert(this.#place(jobs[0]!.environment).database, jobs);
    const parts = new Map<DatabaseName, number[]>();
    for (const [index, job] of jobs.entries()) {
      const { database } = this.#place(job.environment);
      const part = parts.get(database);
      if (part) part.push(index);
      else parts.set(database, [index]);
    }
    const answers: ("inserted" | "exists")[] = [];
    await Promise.all(
      Array.from(parts, async ([database, indexes]) => {
        const answer = await this.#insert(
          database,
          indexes.map((index) => jobs[index]!),
        );
        for (const [i, index] of indexes.entries()) answers[index] = answer[i]!;
      }),
    );
    return answers;
  }

  #insert(database: DatabaseName, jobs: readonly Job[]): Promise<("inserted" | "exists")[]> {
    return this.#writer.ask("insert", { database, jobs: newJobRows(jobs) });
  }

  async get(jobId: JobId): Promise<JobRecord | undefined> {
    const rows = await this.#reader.ask("get", { jobId });
    if (!rows) return undefined;
    const record: JobRecord = {
      job: jobOf(rows.job.head, rows.request),
      state: rows.job.status,
      attempts: rows.attempts.map(attemptOf),
    };
    if (rows.outcome) record.outcome = outcomeOf(rows.outcome);
    return record;
  }

  async getRequests(environment: string, jobIds: readonly JobId[]): Promise<Map<JobId, JobRequest>> {
    const requests = await this.#reader.ask("getRequests", { ...this.#place(environment), jobIds });
    return new Map(requests.map(([jobId, request]) => [jobId, requestFromJson(request)]));
  }

  async list(query: ListQuery): Promise<Page<JobSummary>> {
    checkLimit(query.limit, 1_000);
    if (needsExamination(query)) return listExamined(query, (part) => this.list(part));
    const { tenant, model, priority, limit, lines } = query;
    const from = lines ? ([lines.submittedAt, lines.from] as const) : firstKey;
    const before = lines ? ([lines.submittedAt, lines.to] as const) : lastKey;
    const page = await this.#reader.ask("list", {
      environments: this.#environments(query.environment),
      status: query.state,
      tenant,
      model,
      priority,
      from: later(startOf(query.submittedFrom) ?? firstKey, from),
      before: earlier(earlier(startOf(query.submittedTo) ?? lastKey, before), cursorKey(query.cursor) ?? lastKey),
      limit,
    });
    return pageOf(page, summaryOf);
  }

  async lines(query: LinesQuery): Promise<LineRecord[]> {
    checkLimit(query.limit, 1_000);
    const rows = await this.#reader.ask("lines", { ...this.#place(query.environment), ...query });
    return rows.map(({ job, outcome }) => ({
      job: JSON.parse(job.head) as JobHead,
      state: job.status,
      ...(outcome && { outcome: outcomeOf(outcome) }),
    }));
  }

  async countLines(range: LineRange): Promise<Record<JobState, number>> {
    const rows = await this.#reader.ask("countLines", { ...this.#place(range.environment), ...range });
    return Object.fromEntries(rows.map(({ status, jobs }) => [status, jobs])) as Record<JobState, number>;
  }

  async beginAttempt(begin: BeginAttempt): Promise<BeginResult> {
    const { database } = this.#place(begin.environment);
    const result = await this.#writer.ask("begin", { database, begin });
    if (result.status === "ended") return { status: "ended", outcome: outcomeOf(result.outcome) };
    if (result.status !== "begun") return result;
    return {
      status: "begun",
      job: jobOf(result.head, result.request),
      attempt: attemptOf(result.attempt),
      earlier: result.earlier.map(attemptOf),
    };
  }

  async endAttempt(environment: string, jobId: JobId, n: number, end: AttemptEnd): Promise<void> {
    await this.#writer.ask("end", { ...this.#place(environment), jobId, end: endRow(n, end) });
  }

  async finish(environment: string, outcome: Outcome, attempt?: { n: number; end: AttemptEnd }): Promise<FinishResult> {
    const end = attempt && endRow(attempt.n, attempt.end);
    return (await this.#finish(environment, outcome, { end }))!;
  }

  finishIdle(environment: string, outcome: Outcome): Promise<FinishResult | undefined> {
    return this.#finish(environment, outcome, { idle: true });
  }

  async #finish(
    environment: string,
    outcome: Outcome,
    { end, idle }: { end?: EndRow | undefined; idle?: boolean },
  ): Promise<FinishResult | undefined> {
    const { database } = this.#place(environment);
    const error = outcome.error ? JSON.stringify(outcome.error) : null;
    const result = await this.#writer.ask("finish", {
      database,
      environment,
      outcome: outcomeRow(outcome),
      error,
      end,
      idle,
    });
    if (result.status === "open") return undefined;
    if (result.status === "first") return { first: true, outcome };
    if (result.status === "ended") {
      const stands = outcomeOf(result.outcome);
      return { first: isDeepStrictEqual(stands, asStored(outcome)), outcome: stands };
    }
    throw new SluiceError("job_not_found", `There is no job ${outcome.jobId} in ${environment}.`, {
      jobId: outcome.jobId,
    });
  }

  async eraseTexts(environment: string, jobId: JobId, erasure: Erasure = "texts"): Promise<void> {
    await this.#writer.ask("erase", { ...this.#place(environment), jobId, erasure });
  }

  async remove(environment: string, jobId: JobId): Promise<void> {
    await this.#writer.ask("remove", { ...this.#place(environment), jobId });
  }

  async update(environment: string, jobId: JobId, change: JobChange): Promise<JobHead | undefined> {
    const head = await this.#writer.ask("update", { ...this.#place(environment), jobId, change });
    return head === undefined ? undefined : (JSON.parse(head) as JobHead);
  }

  async unfinished(query: UnfinishedQuery): Promise<Page<UnfinishedJob>> {
    checkLimit(query.limit, 10_000);
    const page = await this.#reader.ask("unfinished", {
      environments: this.#environments(query.environment),
      after: later(startOf(query.submittedFrom) ?? firstKey, cursorKey(query.cursor) ?? firstKey),
      before: startOf(query.submittedTo) ?? lastKey,
      expiresUntil: query.expiresUntil,
      limit: query.limit,
    });
    return pageOf(page, (row) => ({ job: JSON.parse(row.head), state: row.status as UnfinishedJob["state"] }));
  }

  async attemptsSince(query: AttemptsQuery): Promise<Page<Attempt>> {
    checkLimit(query.limit, 10_000);
    const start = [query.chargedFrom, "", 0] as const;
    const after = query.cursor === undefined ? start : decodeCursor(query.cursor, start);
    const { rows, more } = await this.#reader.ask("attempts", { after, limit: query.limit });
    const last = rows.at(-1);
    const page: Page<Attempt> = { items: rows.map(attemptOf) };
    if (more && last) page.next = encodeCursor([last.charged_at, last.job_id, last.n]);
    return page;
  }

  async usage({ environment, fromDay, toDay, limit, cursor }: UsageQuery): Promise<Page<UsageRow>> {
    checkLimit(limit, 10_000);
    const start: UsageKey = [fromDay, "", "", ""];
    const after = cursor === undefined ? start : decodeCursor(cursor, start);
    const rows = await this.#reader.ask("usage", { ...this.#place(environment), after, toDay, limit: limit + 1 });
    const page: Page<UsageRow> = { items: rows.slice(0, limit).map(usageRowOf) };
    const last = rows[limit - 1];
    if (rows.length > limit && last) page.next = encodeCursor([last.day, last.tenant, last.keyId, last.model]);
    return page;
  }

  async counts(): Promise<Record<string, Record<JobState, number>>> {
    const none = () => Object.fromEntries(jobStates.map((state) => [state, 0])) as Record<JobState, number>;
    const counts = Object.fromEntries(Object.keys(this.#databases).map((environment) => [environment, none()]));
    for (const { environment, status, jobs } of await this.#reader.ask("counts", {})) {
      const states = counts[environment];
      if (states) states[status as JobState] = jobs;
    }
    return counts;
  }

  async saveCheckpoint(name: string, value: unknown): Promise<void> {
    await this.#writer.ask("saveCheckpoint", {
      database: serviceDatabase,
      name,
      value: JSON.stringify(value ?? null),
      at: Date.now(),
    });
  }

  async loadCheckpoint(name: string): Promise<unknown> {
    const value = await this.#reader.ask("loadCheckpoint", { name });
    return value === undefined ? undefined : JSON.parse(value);
  }

  async leftBehind(): Promise<LeftBehind[]> {
    return findLeftBehind(this.#dataDir, this.#databases);
  }

  /** Writes a row, because only a write shows that the disk has space and is not read-only. */
  async ping(): Promise<void> {
    await this.saveCheckpoint("ping", null);
  }

  /** Closes the writer last: the last connection to close a file moves its log into it. */
  async close(): Promise<void> {
    await this.#reader.close();
    await this.#writer.close();
    this.#unlock();
  }

  /** @throws SluiceError `unknown_environment` */
  #place(environment: string): Place {
    return { database: databaseOf(this.#databases, environment), environment };
  }

  #environments(only: string | undefined): string[] {
    return only === undefined ? Object.keys(this.#databases) : [this.#place(only).environment];
  }
}

function endRow(n: number, end: AttemptEnd): EndRow {
  return { n, at: end.at, result: end.result, ending: JSON.stringify(end) };
}

/** Returns the outcome as a read would return it, without keys that are undefined. */
function asStored(outcome: Outcome): Outcome {
  return outcomeOf(outcomeRow(outcome));
}

function pageOf<T>({ rows, more, resumeAt }: Rows<JobRow>, decode: (row: JobRow) => T): Page<T> {
  const page: Page<T> = { items: rows.map(decode) };
  const last = rows.at(-1);
  if (more && last) page.next = encodeCursor([last.submitted_at, last.job_id]);
  else if (resumeAt) page.next = encodeCursor(resumeAt);
  return page;
}
