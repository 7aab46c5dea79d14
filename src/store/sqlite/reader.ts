// Everything that only reads, over all databases. What has to be consistent (a job with its attempts, a page that is
// merged from two states) is read in one transaction: it sees one moment, however many commits happen meanwhile.
import { join } from "node:path";
import { type Database, openForReading, type Statement } from "./driver.ts";
import {
  type DatabaseName,
  type JobRows,
  type ListRequest,
  type Read,
  type ReadOperations,
  type Rows,
  serviceDatabase,
  type UnfinishedRequest,
} from "./protocol.ts";
import { type AttemptRow, attemptColumns, type JobRow, type OutcomeRow, outcomeColumns } from "./rows.ts";

/** The filters of a list, in the order in which they narrow it down, each with the index that serves it. */
const listFilters = ["tenant", "model", "priority", "status"] as const;
type ListFilter = (typeof listFilters)[number];

interface Source {
  db: Database;
  sql: ReturnType<typeof prepare>;
  environments: Set<string>;
}

export class Reader {
  readonly #sources = new Map<DatabaseName, Source>();
  readonly #service: Database;
  readonly #checkpoint: Statement;

  /** @param databases by environment; the files must have been opened for writing before */
  constructor(dataDir: string, databases: Record<string, DatabaseName>) {
    const open = (name: DatabaseName) => openForReading(join(dataDir, `${name}.sqlite`));
    for (const [environment, name] of Object.entries(databases)) {
      const source = this.#sources.get(name);
      if (source) {
        source.environments.add(environment);
      } else {
        const db = open(name);
        this.#sources.set(name, { db, sql: prepare(db), environments: new Set([environment]) });
      }
    }
    this.#service = open(serviceDatabase);
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
      case "attempts":
        return this.#attempts(read);
      case "counts":
        return this.#counts();
      case "loadCheckpoint":
        return (this.#checkpoint.get(read.name) as { value: string } | undefined)?.value;
    }
  }

  close(): void {
    for (const { db } of this.#sources.values()) db.close();
    this.#service.close();
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
    const parts = this.#each(query.environments, (sql, environment) => [
      sql.list[walk].all({
        $environment: environment,
        $status: query.status ?? null,
        $tenant: query.tenant ?? null,
        $model: query.model ?? null,
        $priority: query.priority ?? null,
        $from: query.from[0],
        $fromId: query.from[1],
        $before: query.before[0],
        $beforeId: query.before[1],
        $limit: query.limit + 1,
      }) as JobRow[],
    ]);
    return merge(parts, (a, b) => bySubmission(b, a), query.limit);
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

  #attempts({ after, limit }: Extract<Read, { kind: "attempts" }>): Rows<AttemptRow> {
    const parts = [...this.#sources.values()].map(
      ({ sql }) => sql.attemptsAfter.all(...after, limit + 1) as AttemptRow[],
    );
    return merge(parts, byCharge, limit);
  }

  #counts(): ReadOperations["counts"]["answer"] {
    return [...this.#sources.values()].flatMap(
      ({ sql }) => sql.counts.all() as unknown as ReadOperations["counts"]["answer"],
    );
  }

  /** Sorted parts of every environment; those of one database are read at one moment. */
  #each(environments: readonly string[], read: (sql: Source["sql"], environment: string) => JobRow[][]): JobRow[][] {
    return [...this.#sources.values()].flatMap((source) =>
      atOneMoment(source.db, () =>
        environments.filter((e) => source.environments.has(e)).flatMap((e) => read(source.sql, e)),
      ),
    );
  }
}

/**
 * Which index a list walks; the other filters are checked row by row. A state other than completed is rare among many
 * jobs, so it goes first; `completed` is most of them, so it goes last.
 */
function walkFor(query: ListRequest): ListFilter | "all" {
  if (query.status !== undefined && query.status !== "completed") return "status";
  return listFilters.find((filter) => query[filter] !== undefined) ?? "all";
}

function atOneMoment<T>(db: Database, read: () => T): T {
  db.exec("BEGIN");
  try {
    return read();
  } finally {
    // An I/O error may have ended it already.
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

/** The first `limit` rows of several parts, each of which has one row more than that if there are more. */
function merge<Row>(parts: Row[][], compare: Compare<Row>, limit: number): Rows<Row> {
  // Sorting runs that are sorted already is a merge (that is how V8 sorts).
  const rows = parts.length === 1 ? parts[0]! : parts.flat().sort(compare);
  return rows.length > limit ? { rows: rows.slice(0, limit), more: true } : { rows, more: false };
}

const jobColumns = "submitted_at, job_id, status, finished_at, error, head";

function prepare(db: Database) {
  /** The index is named, so that no statistics can make SQLite choose one that it would have to sort after. */
  const list = (walk: ListFilter | "all") =>
    db.prepare(
      `SELECT ${jobColumns} FROM jobs ${walk === "all" ? "" : `INDEXED BY jobs_by_${walk}`}
       WHERE environment = $environment
         ${listFilters.map((f) => (f === walk ? `AND ${f} = $${f}` : `AND ($${f} IS NULL OR +${f} = $${f})`)).join("\n")}
         AND (submitted_at, job_id) >= ($from, $fromId) AND (submitted_at, job_id) < ($before, $beforeId)
       ORDER BY submitted_at DESC, job_id DESC LIMIT $limit`,
    );
  const range = "(submitted_at, job_id) > ($after, $afterId) AND (submitted_at, job_id) < ($before, $beforeId)";
  return {
    job: db.prepare(`SELECT ${jobColumns} FROM jobs WHERE job_id = ?`),
    request: db.prepare("SELECT request FROM requests WHERE job_id = ?"),
    requestIn: db.prepare(
      "SELECT request FROM jobs JOIN requests USING (job_id) WHERE jobs.job_id = ? AND environment = ?",
    ),
    attempts: db.prepare(`SELECT ${attemptColumns} FROM attempts WHERE job_id = ? ORDER BY n`),
    outcome: db.prepare(`SELECT ${outcomeColumns} FROM outcomes WHERE job_id = ?`),
    list: {
      all: list("all"),
      status: list("status"),
      tenant: list("tenant"),
      model: list("model"),
      priority: list("priority"),
    },
    unfinished: db.prepare(
      `SELECT ${jobColumns} FROM jobs INDEXED BY jobs_by_status
       WHERE environment = $environment AND status = $status AND ${range}
       ORDER BY submitted_at, job_id LIMIT $limit`,
    ),
    expiring: db.prepare(
      `SELECT ${jobColumns} FROM jobs INDEXED BY jobs_by_deadline
       WHERE environment = $environment AND finished_at IS NULL AND expires_at <= $until AND ${range}
       ORDER BY submitted_at, job_id LIMIT $limit`,
    ),
    attemptsAfter: db.prepare(
      `SELECT ${attemptColumns} FROM attempts INDEXED BY attempts_by_charge
       WHERE (charged_at, job_id, n) > (?, ?, ?) ORDER BY charged_at, job_id, n LIMIT ?`,
    ),
    counts: db.prepare("SELECT environment, status, jobs FROM job_counts"),
  };
}
