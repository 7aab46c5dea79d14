// The system of record in MongoDB 6 or later, or in a server that speaks its protocol: one database for each environment,
// and one of the service itself. Any number of processes may use it at once, also of two versions.
//
// Nothing relies on atomic conditional updates, transactions or change streams, because not every such server has them
// (docs/decisions/mongo-inserts-decide.md).
import { type Db, MongoClient, type MongoClientOptions } from "mongodb";
import { type Clock, systemClock } from "../../domain/clock.ts";
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
import { checkLimit, type Page } from "../cursor.ts";
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
import type { UpkeepStore } from "../upkeep-store.ts";
import { putDocument } from "./commands.ts";
import { CountCache } from "./count-cache.ts";
import { dateOf, type JobDocument, requestOf } from "./documents.ts";
import { environmentIndexes, type IndexKey, serviceIndexes } from "./indexes.ts";
import { JobDatabase } from "./job-database.ts";
import { MongoBlobs } from "./mongo-blobs.ts";
import { closedError, storeError } from "./mongo-errors.ts";
import { findLeftBehind, rememberDatabases } from "./mongo-left-behind.ts";
import { Pages } from "./mongo-pages.ts";
import { countIndex, countLinesPipeline, countPipeline } from "./mongo-queries.ts";
import { MongoRecords } from "./mongo-records.ts";
import { MongoUpkeep } from "./mongo-upkeep.ts";
import { MongoUsage } from "./mongo-usage.ts";
import { find, findByIds } from "./reads.ts";

export interface MongoStoreOptions {
  /**
   * A MongoDB connection string. Its options win over the defaults below, except for the write concern, on which
   * durability depends, and the read preference, on which reading one's own writes depends.
   */
  url: string;
  /** Environments by name. They may share a database. */
  environments: Record<string, { database: string }>;
  /** The database of the service itself. Default: `sluice`. */
  serviceDatabase?: string;
  clock?: Clock;
  /** Called with the number of documents that one command inserted. Must not throw. */
  onCommit?: (writes: number) => void;
}

/**
 * The client notices an unreachable server within about five seconds: by the heartbeat on idle and half-open connections,
 * and at once if the server closes the socket. A submit that finds no server fails after three seconds.
 */
const defaults = {
  serverSelectionTimeoutMS: 3_000,
  connectTimeoutMS: 3_000,
  heartbeatFrequencyMS: 2_000,
  maxPoolSize: 20,
} as const satisfies MongoClientOptions;

/**
 * Connects and creates missing indexes.
 * @throws StoreOpenError if the connection string is wrong, no server answers in time, or the server denies access
 */
export async function openMongoStore(options: MongoStoreOptions): Promise<JobStore> {
  const { url, environments, serviceDatabase = "sluice", clock = systemClock, onCommit } = options;
  const databases = new Set(Object.values(environments).map(({ database }) => database));
  for (const database of databases) checkDatabaseName(database, serviceDatabase);
  let client: MongoClient | undefined;
  try {
    client = new MongoClient(url, {
      ...without(defaults, url),
      appName: "sluice",
      readPreference: "primary",
      ignoreUndefined: true,
    });
    await client.connect();
    for (const database of databases) await createIndexes(client.db(database), environmentIndexes);
    await createIndexes(client.db(serviceDatabase), serviceIndexes);
  } catch (error) {
    await client?.close();
    const { message } = error as Error;
    throw new StoreOpenError(
      `MongoDB cannot be used (MONGODB_URL): ${message.replace(/\.$/, "")}. ` +
        "Check that the server runs, that the address and the password are right, and that the user may create indexes.",
      { cause: error },
    );
  }
  return new MongoStore(client, environments, serviceDatabase, clock, onCommit);
}

function without<Options extends object>(options: Options, url: string): Partial<Options> {
  const named = new Set(Array.from(url.matchAll(/[?&]([A-Za-z]+)=/g), ([, name]) => name!.toLowerCase()));
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => !named.has(name.toLowerCase())),
  ) as Partial<Options>;
}

function checkDatabaseName(database: string, serviceDatabase: string): void {
  // Names that MongoDB allows on every system. It treats names that differ only in case as the same.
  if (/^[^/\\. "$*<>:|?\0]{1,63}$/.test(database) && database.toLowerCase() !== serviceDatabase.toLowerCase()) return;
  throw new StoreOpenError(
    `"${database}" is not a valid database name in MongoDB: use at most 63 letters, digits, hyphens and underscores, and not "${serviceDatabase}".`,
  );
}

/** Processes that start at the same time create the same collections. On FerretDB, one of them may fail the first time. */
const createTries = 3;

/** Creates one index at a time: FerretDB 1.24 panics if one command creates several that exist. */
async function createIndexes(db: Db, indexes: Record<string, Record<string, IndexKey>>): Promise<void> {
  for (const [collection, byName] of Object.entries(indexes)) {
    for (const [name, key] of Object.entries(byName)) {
      for (let tries = 1; ; tries++) {
        try {
          await db.collection(collection).createIndex(key, { name });
          break;
        } catch (error) {
          if (tries === createTries) throw error;
        }
      }
    }
  }
}

class MongoStore implements JobStore {
  readonly records: RecordStore;
  readonly blobs: BlobStore;
  readonly upkeep: UpkeepStore;
  readonly #client: MongoClient;
  readonly #service: Db;
  readonly #databases: Record<string, string>;
  /** Jobs by name of the database. */
  readonly #jobs = new Map<string, JobDatabase>();
  readonly #pages: Pages;
  readonly #counts: CountCache;
  readonly #usage: MongoUsage;
  /** Running calls. Closing waits for them. */
  readonly #calls = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(
    client: MongoClient,
    environments: Record<string, { database: string }>,
    serviceDatabase: string,
    clock: Clock,
    onCommit: MongoStoreOptions["onCommit"],
  ) {
    this.#client = client;
    this.#usage = new MongoUsage((environment) => this.#db(environment), clock);
    this.#service = client.db(serviceDatabase);
    this.#databases = Object.fromEntries(Object.entries(environments).map(([name, e]) => [name, e.database]));
    for (const database of new Set(Object.values(this.#databases))) {
      this.#jobs.set(database, new JobDatabase(client.db(database), onCommit));
    }
    this.#pages = new Pages(
      Object.keys(this.#databases),
      Array.from(this.#jobs, ([database, jobs]) => ({ db: client.db(database), jobs })),
      (environment) => ({ db: this.#db(environment), jobs: this.#in(environment) }),
    );
    this.records = new MongoRecords(
      (place) => ("environment" in place ? this.#db(place.environment) : this.#service),
      (operation) => this.#call(operation),
    );
    this.blobs = new MongoBlobs(
      (environment) => this.#db(environment),
      (operation) => this.#call(operation),
    );
    this.upkeep = new MongoUpkeep(
      { pages: this.#pages, usage: this.#usage, databases: [...this.#jobs.keys(), serviceDatabase] },
      (name) => client.db(name),
      (environment) => this.#databaseOf(environment),
      (operation) => this.#call(operation),
    );
    this.#counts = new CountCache(() => this.#count(), clock);
  }

  insertMany(jobs: readonly Job[]): Promise<("inserted" | "exists")[]> {
    return this.#call(async () => {
      // Resolve all environments first: if one is unknown, nothing is written.
      const places = jobs.map((job) => this.#in(job.environment));
      const answers = await Promise.allSettled(jobs.map((job, i) => places[i]!.insert(job)));
      const failures = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as Error] : []));
      if (failures.length === 0) return answers.map((a) => (a as PromiseFulfilledResult<"inserted" | "exists">).value);
      throw partlyWritten(failures, answers.length);
    });
  }

  get(jobId: JobId): Promise<JobRecord | undefined> {
    return this.#call(async () => {
      const records = await Promise.all(Array.from(this.#jobs.values(), (jobs) => jobs.get(jobId)));
      return records.find((record) => record !== undefined);
    });
  }

  getRequests(environment: string, jobIds: readonly JobId[]): Promise<Map<JobId, JobRequest>> {
    return this.#call(async () => {
      const found = await findByIds<JobDocument>(this.#db(environment), "jobs", jobIds);
      const own = found.filter((job) => job.environment === environment);
      return new Map(own.map((job) => [job._id, requestOf(job)]));
    });
  }

  list(query: ListQuery): Promise<Page<JobSummary>> {
    return this.#call(async () => {
      checkLimit(query.limit, 1_000);
      const list = (part: ListQuery) => this.#pages.list(part);
      return needsExamination(query) ? listExamined(query, list) : list(query);
    });
  }

  lines(query: LinesQuery): Promise<LineRecord[]> {
    return this.#call(async () => {
      checkLimit(query.limit, 1_000);
      return this.#pages.lines(query);
    });
  }

  countLines(range: LineRange): Promise<Record<JobState, number>> {
    return this.#call(async () => {
      const jobs = this.#db(range.environment).collection("jobs");
      await this.#in(range.environment).statesWritten();
      const groups = await find((limited) =>
        jobs.aggregate(countLinesPipeline(range), { hint: countIndex, ...limited }).toArray(),
      );
      return { ...noJobs(), ...Object.fromEntries(groups.map((g) => [g._id, g.jobs])) };
    });
  }

  beginAttempt(begin: BeginAttempt): Promise<BeginResult> {
    return this.#call(async () => this.#in(begin.environment).begin(begin));
  }

  endAttempt(environment: string, jobId: JobId, n: number, end: AttemptEnd): Promise<void> {
    return this.#call(async () => this.#in(environment).end(environment, jobId, n, end));
  }

  finish(environment: string, outcome: Outcome, attempt?: { n: number; end: AttemptEnd }): Promise<FinishResult> {
    return this.#call(async () => this.#in(environment).finish(environment, outcome, attempt));
  }

  finishIdle(environment: string, outcome: Outcome): Promise<FinishResult | undefined> {
    return this.#call(async () => this.#in(environment).finishIdle(environment, outcome));
  }

  eraseTexts(environment: string, jobId: JobId, erasure: Erasure = "texts"): Promise<void> {
    return this.#call(async () => this.#in(environment).erase(environment, jobId, erasure));
  }

  remove(environment: string, jobId: JobId): Promise<void> {
    return this.#call(async () => this.#in(environment).remove(environment, jobId));
  }

  update(environment: string, jobId: JobId, change: JobChange): Promise<JobHead | undefined> {
    return this.#call(async () => this.#in(environment).update(environment, jobId, change));
  }

  unfinished(query: UnfinishedQuery): Promise<Page<UnfinishedJob>> {
    return this.#call(async () => {
      checkLimit(query.limit, 10_000);
      return this.#pages.unfinished(query);
    });
  }

  attemptsSince(query: AttemptsQuery): Promise<Page<Attempt>> {
    return this.#call(async () => {
      checkLimit(query.limit, 10_000);
      return this.#pages.attempts(query);
    });
  }

  usage(query: UsageQuery): Promise<Page<UsageRow>> {
    return this.#call(() => this.#usage.page(query));
  }

  counts(): Promise<Record<string, Record<JobState, number>>> {
    return this.#call(() => this.#counts.get());
  }

  saveCheckpoint(name: string, value: unknown): Promise<void> {
    const document = { _id: name, value: JSON.stringify(value ?? null), saved_at: dateOf(Date.now()) };
    return this.#call(() => putDocument(this.#service, "checkpoints", document));
  }

  loadCheckpoint(name: string): Promise<unknown> {
    return this.#call(async () => {
      const checkpoints = this.#service.collection<{ _id: string; value: string }>("checkpoints");
      const found = await find((limited) => checkpoints.findOne({ _id: name }, limited));
      return found ? JSON.parse(found.value) : undefined;
    });
  }

  leftBehind(): Promise<LeftBehind[]> {
    return this.#call(async () => {
      const load = (name: string) => this.loadCheckpoint(name);
      const save = (name: string, value: unknown) => this.saveCheckpoint(name, value);
      const names = await rememberDatabases(this.#databases, load, save);
      return findLeftBehind(this.#client, names, this.#databases);
    });
  }

  /** Writes, because only a write shows that there is a primary with a majority and space on the disk. */
  ping(): Promise<void> {
    return this.saveCheckpoint("ping", null);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled(this.#calls);
      await Promise.all(Array.from(this.#jobs.values(), (jobs) => jobs.statesWritten()));
      await this.#client.close();
    })();
    return this.#closing;
  }

  async #count(): Promise<Record<string, Record<JobState, number>>> {
    const counted = Object.keys(this.#databases).map(async (environment) => {
      const jobs = this.#db(environment).collection("jobs");
      await this.#in(environment).statesWritten();
      const groups = await find((limited) =>
        jobs.aggregate(countPipeline(environment), { hint: countIndex, ...limited }).toArray(),
      );
      return [environment, { ...noJobs(), ...Object.fromEntries(groups.map((g) => [g._id, g.jobs])) }] as const;
    });
    return Object.fromEntries(await Promise.all(counted));
  }

  /** @throws SluiceError `unavailable` once the store is closed */
  async #call<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#closing) throw closedError();
    const call = operation();
    this.#calls.add(call);
    try {
      return await call;
    } catch (error) {
      throw storeError(error);
    } finally {
      this.#calls.delete(call);
    }
  }

  /** @throws SluiceError `unknown_environment` */
  #in(environment: string): JobDatabase {
    return this.#jobs.get(this.#databaseOf(environment))!;
  }

  #db(environment: string): Db {
    return this.#client.db(this.#databaseOf(environment));
  }

  #databaseOf(environment: string): string {
    return databaseOf(this.#databases, environment);
  }
}

function noJobs(): Record<JobState, number> {
  return Object.fromEntries(jobStates.map((state) => [state, 0])) as Record<JobState, number>;
}

/**
 * If a call sent its jobs in several commands, some jobs may be written and others not. "Nothing was written" is true only
 * if it is true of all commands.
 */
function partlyWritten(failures: readonly Error[], jobs: number): Error {
  const worst = failures.find((e) => e instanceof SluiceError && e.code === "fate_unknown") ?? failures[0]!;
  if (failures.length === jobs || !(worst instanceof SluiceError) || worst.code === "fate_unknown") return worst;
  return new SluiceError(
    "fate_unknown",
    `${failures.length} of ${jobs} jobs were not written; the others were. ${worst.message}`,
    worst.details,
    { cause: worst },
  );
}
