// The operations that change one database, as statements inside a transaction that the caller begins and commits.
// Each operation reads before it writes, or writes under a condition, so that a repetition changes nothing.
import { mayTry } from "../../domain/attempts.ts";
import {
  type AttemptEnd,
  erasedHead,
  erasedOutcome,
  erasedRequest,
  isFinal,
  type JobHead,
  type JobState,
} from "../../domain/job.ts";
import type { JobRequest } from "../../domain/request.ts";
import { type BeginAttempt, changedHead } from "../job-store.ts";
import type { Database } from "./driver.ts";
import type { BeginAnswer, EndRow, Write, WriteOperations } from "./protocol.ts";
import {
  type AttemptRow,
  attemptColumns,
  attemptOf,
  environmentAt,
  jobIdAt,
  type NewJobRows,
  newJobColumns,
  type OutcomeRow,
  outcomeColumns,
  outcomeOf,
  outcomeRow,
} from "./rows.ts";
import { UsageWriter, type UsedAttempt } from "./sqlite-usage-sums.ts";

type JobWrite = Extract<Write, { kind: "insert" | "begin" | "end" | "finish" | "erase" | "remove" | "update" }>;

/**
 * Rows of one INSERT, if at least so many are inserted. A job takes 9.4 us of the thread's time with 100 rows, 10.1 with
 * 50, 11.8 with 10, and 12.5 with a statement for each.
 */
const rowsAtOnce = 100;
const width = newJobColumns.length;

export class JobWriter {
  readonly #sql: ReturnType<typeof prepare>;
  /** Changes of `job_counts` in this transaction, written once per commit: triggers would add 10 us to the 24 of an insert. */
  readonly #counts = new Map<string, { environment: string; status: JobState; change: number }>();
  readonly #usage: UsageWriter;

  constructor(db: Database) {
    this.#sql = prepare(db);
    this.#usage = new UsageWriter(db);
  }

  apply(write: JobWrite): WriteOperations[JobWrite["kind"]]["answer"] {
    switch (write.kind) {
      case "insert":
        return this.#insert(write.jobs);
      case "begin":
        return this.#begin(write.begin);
      case "end":
        return this.#end(write.environment, write.jobId, write.end);
      case "finish":
        return this.#finish(write);
      case "erase":
        return this.#erase(write);
      case "remove":
        return this.#remove(write.environment, write.jobId);
      case "update":
        return this.#update(write);
    }
  }

  /** Writes the changed counts. Call it before COMMIT. */
  writeSums(): void {
    this.#usage.write();
    for (const { environment, status, change } of this.#counts.values()) {
      if (change !== 0) this.#sql.count.run(environment, status, change);
    }
    this.#counts.clear();
  }

  /** Drops the changed counts. Call it after ROLLBACK. */
  dropSums(): void {
    this.#usage.drop();
    this.#counts.clear();
  }

  #insert({ values, requests }: NewJobRows): ("inserted" | "exists")[] {
    const answers: ("inserted" | "exists")[] = [];
    const { insertJobs, insertJob, insertRequests, insertRequest } = this.#sql;
    for (let from = 0; from < requests.length; ) {
      const rows = requests.length - from >= rowsAtOnce ? rowsAtOnce : 1;
      const jobs = values.slice(from * width, (from + rows) * width);
      const { changes } = (rows === 1 ? insertJob : insertJobs).run(...jobs);
      if (rows > 1 && changes === rows) {
        insertRequests.run(
          ...requests.slice(from, from + rows).flatMap((text, i) => [jobs[i * width + jobIdAt], text]),
        );
        for (let i = 0; i < rows; i++) answers.push("inserted");
      } else {
        // Some exist, and the statement does not say which. A job and its request are inserted together, so a missing
        // request belongs to a new job.
        for (let i = 0; i < rows; i++) {
          const isNew = changes > 0 && insertRequest.run(jobs[i * width + jobIdAt], requests[from + i]).changes > 0;
          answers.push(isNew ? "inserted" : "exists");
        }
      }
      from += rows;
    }
    for (const [i, answer] of answers.entries()) {
      if (answer === "inserted") this.#count(values[i * width + environmentAt] as string, "queued", 1);
    }
    return answers;
  }

  #begin(begin: BeginAttempt): BeginAnswer {
    const { environment, jobId } = begin;
    const job = this.#sql.toBegin.get(jobId, environment) as
      | { status: JobState; head: string; request: string; tried: 0 | 1 }
      | undefined;
    if (!job) return { status: "not_found" };
    if (isFinal(job.status)) return { status: "ended", outcome: this.#outcome(jobId) };

    const { request } = job;
    const attempts = job.tried ? (this.#sql.attempts.all(jobId) as AttemptRow[]) : [];
    const repeated = attempts.findIndex((a) => a.grant_token === begin.grant);
    if (repeated >= 0) {
      const attempt = attempts[repeated]!;
      return { status: "begun", head: job.head, request, attempt, earlier: attempts.slice(0, repeated) };
    }

    const head = JSON.parse(job.head) as JobHead;
    const allowed = mayTry(head, attempts.map(attemptOf), begin.maxFailedTries);
    if (!allowed.ok) return { status: "refused", error: allowed.error };

    const attempt: AttemptRow = {
      job_id: jobId,
      n: attempts.length + 1,
      grant_token: begin.grant,
      deployment: begin.deployment,
      model: begin.model,
      worker: begin.worker,
      charged_at: begin.chargedAt,
      reserved_input: begin.reserved.input,
      reserved_output: begin.reserved.output,
      reserved_nano_usd: begin.reservedNanoUsd ?? null,
      ending: null,
    };
    const owner = { environment, tenant: head.tenant, key_id: head.keyId ?? null };
    this.#sql.insertAttempt.run(...Object.values(attempt), ...Object.values(owner));
    this.#usage.begun({ ...attempt, ...owner });
    if (job.status === "queued") this.#move(environment, jobId, "queued", "in_progress");
    return { status: "begun", head: job.head, request, attempt, earlier: attempts };
  }

  #end(environment: string, jobId: string, end: EndRow): undefined {
    const job = this.#sql.job.get(jobId, environment) as { status: JobState } | undefined;
    if (!job || !this.#endAttempt(jobId, end)) return;
    // Another attempt may be open: its worker died, or its call still runs.
    if (job.status === "in_progress" && !this.#sql.openAttempt.get(jobId)) {
      this.#move(environment, jobId, "in_progress", "queued");
    }
  }

  #finish(write: Extract<Write, { kind: "finish" }>): WriteOperations["finish"]["answer"] {
    const { environment, outcome, error, end, idle } = write;
    const { job_id: jobId, status, finished_at: at } = outcome;
    // The usual case comes first: the job runs.
    if (end && this.#sql.finishRunning.run(status, at, error, jobId, environment).changes > 0) {
      this.#endAttempt(jobId, end);
      this.#insertOutcome(environment, outcome, "in_progress");
      return { status: "first" };
    }
    const job = this.#sql.job.get(jobId, environment) as { status: JobState } | undefined;
    if (!job) return { status: "not_found" };
    // The attempt has ended, whether or not its outcome won.
    if (end) this.#endAttempt(jobId, end);
    if (isFinal(job.status)) return { status: "ended", outcome: this.#outcome(jobId) };
    if (idle && this.#sql.openAttempt.get(jobId)) return { status: "open" };
    this.#sql.finishJob.run(status, at, error, jobId);
    this.#insertOutcome(environment, outcome, job.status);
    return { status: "first" };
  }

  #insertOutcome(environment: string, outcome: OutcomeRow, before: JobState): void {
    const { job_id: jobId, status, finished_at, deployment, model, text, details } = outcome;
    this.#sql.insertOutcome.run(jobId, environment, status, finished_at, deployment, model, text, details);
    this.#count(environment, before, -1);
    this.#count(environment, status, 1);
  }

  #erase({ environment, jobId, erasure }: Extract<Write, { kind: "erase" }>): undefined {
    const job = this.#sql.job.get(jobId, environment) as { status: JobState; head: string } | undefined;
    if (!job || !isFinal(job.status)) return;
    const { request } = this.#sql.request.get(jobId) as { request: string };
    const outcome = erasedOutcome(outcomeOf(this.#outcome(jobId)), erasure);
    const row = outcomeRow(outcome);
    this.#sql.eraseRequest.run(JSON.stringify(erasedRequest(JSON.parse(request) as JobRequest)), jobId);
    this.#sql.eraseOutcome.run(row.text, row.details, jobId);
    const head = JSON.stringify(erasedHead(JSON.parse(job.head) as JobHead, erasure));
    this.#sql.eraseJob.run(head, outcome.error ? JSON.stringify(outcome.error) : null, jobId);
    if (erasure === "all") this.#sql.silenceAttempts.run(jobId);
  }

  #remove(environment: string, jobId: string): undefined {
    const job = this.#sql.job.get(jobId, environment) as { status: JobState } | undefined;
    if (!job || !isFinal(job.status)) return;
    for (const remove of this.#sql.removeJob) remove.run(jobId);
    this.#sql.silenceAttempts.run(jobId);
    this.#count(environment, job.status, -1);
  }

  #update({ environment, jobId, change }: Extract<Write, { kind: "update" }>): string | undefined {
    const job = this.#sql.job.get(jobId, environment) as { status: JobState; head: string } | undefined;
    if (!job || isFinal(job.status)) return undefined;
    const head = changedHead(JSON.parse(job.head) as JobHead, change);
    const text = JSON.stringify(head);
    this.#sql.amendJob.run(head.priority, text, jobId);
    return text;
  }

  #endAttempt(jobId: string, { n, at, result, ending }: EndRow): boolean {
    const attempt = this.#sql.endAttempt.get(at, result, ending, jobId, n) as UsedAttempt | undefined;
    if (!attempt) return false;
    this.#usage.ended(attempt, JSON.parse(ending) as AttemptEnd);
    return true;
  }

  #outcome(jobId: string): OutcomeRow {
    return this.#sql.outcome.get(jobId) as OutcomeRow;
  }

  #move(environment: string, jobId: string, from: JobState, to: JobState): void {
    this.#sql.moveJob.run(to, jobId);
    this.#count(environment, from, -1);
    this.#count(environment, to, 1);
  }

  #count(environment: string, status: JobState, change: number): void {
    const key = `${status} ${environment}`;
    const entry = this.#counts.get(key);
    if (entry) entry.change += change;
    else this.#counts.set(key, { environment, status, change });
  }
}

function insertJobsSql(rows: number): string {
  const row = `('queued', ${newJobColumns.map(() => "?").join(", ")})`;
  const all = new Array<string>(rows).fill(row).join(", ");
  return `INSERT INTO jobs (status, ${newJobColumns.join(", ")}) VALUES ${all} ON CONFLICT DO NOTHING`;
}

function insertRequestsSql(rows: number): string {
  const all = new Array<string>(rows).fill("(?, ?)").join(", ");
  return `INSERT INTO requests (job_id, request) VALUES ${all} ON CONFLICT DO NOTHING`;
}

function prepare(db: Database) {
  return {
    insertJob: db.prepare(insertJobsSql(1)),
    insertJobs: db.prepare(insertJobsSql(rowsAtOnce)),
    insertRequest: db.prepare(insertRequestsSql(1)),
    insertRequests: db.prepare(insertRequestsSql(rowsAtOnce)),
    job: db.prepare("SELECT status, head FROM jobs WHERE job_id = ? AND environment = ?"),
    toBegin: db.prepare(
      `SELECT status, head, request, EXISTS (SELECT 1 FROM attempts WHERE attempts.job_id = jobs.job_id) AS tried
       FROM jobs JOIN requests USING (job_id) WHERE job_id = ? AND environment = ?`,
    ),
    request: db.prepare("SELECT request FROM requests WHERE job_id = ?"),
    moveJob: db.prepare("UPDATE jobs SET status = ? WHERE job_id = ?"),
    finishRunning: db.prepare(
      `UPDATE jobs SET status = ?, finished_at = ?, error = ?
       WHERE job_id = ? AND environment = ? AND status = 'in_progress'`,
    ),
    finishJob: db.prepare("UPDATE jobs SET status = ?, finished_at = ?, error = ? WHERE job_id = ?"),
    attempts: db.prepare(`SELECT ${attemptColumns} FROM attempts WHERE job_id = ? ORDER BY n`),
    openAttempt: db.prepare("SELECT 1 FROM attempts WHERE job_id = ? AND ended_at IS NULL LIMIT 1"),
    insertAttempt: db.prepare(
      `INSERT INTO attempts (${attemptColumns}, environment, tenant, key_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    endAttempt: db.prepare(
      `UPDATE attempts SET ended_at = ?, result = ?, ending = ? WHERE job_id = ? AND n = ? AND ended_at IS NULL
       RETURNING n, charged_at, model, reserved_input, reserved_output, reserved_nano_usd, environment, tenant, key_id`,
    ),
    insertOutcome: db.prepare(
      `INSERT INTO outcomes (job_id, environment, status, finished_at, deployment, model, text, details)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    removeJob: [
      db.prepare("DELETE FROM jobs WHERE job_id = ?"),
      db.prepare("DELETE FROM requests WHERE job_id = ?"),
      db.prepare("DELETE FROM outcomes WHERE job_id = ?"),
    ],
    silenceAttempts: db.prepare(
      `UPDATE attempts SET ending = json_remove(ending, '$.error')
       WHERE job_id = ? AND ending IS NOT NULL AND json_type(ending, '$.error') IS NOT NULL`,
    ),
    eraseJob: db.prepare("UPDATE jobs SET head = ?, error = ? WHERE job_id = ?"),
    amendJob: db.prepare("UPDATE jobs SET priority = ?, head = ? WHERE job_id = ?"),
    eraseRequest: db.prepare("UPDATE requests SET request = ? WHERE job_id = ?"),
    eraseOutcome: db.prepare("UPDATE outcomes SET text = ?, details = ? WHERE job_id = ?"),
    outcome: db.prepare(`SELECT ${outcomeColumns} FROM outcomes WHERE job_id = ?`),
    count: db.prepare(
      `INSERT INTO job_counts (environment, status, jobs) VALUES (?, ?, ?)
       ON CONFLICT (environment, status) DO UPDATE SET jobs = jobs + excluded.jobs`,
    ),
  };
}
