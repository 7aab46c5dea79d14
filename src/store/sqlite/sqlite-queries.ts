// The reads of an environment's database. Every query walks an index in the order of its answer, so the cost of a page
// depends on its size and not on the table's. test/store/sqlite-queries.test.ts checks the query plans.
import type { Database } from "./driver.ts";
import { attemptColumns, outcomeColumns } from "./rows.ts";
import { usageSql } from "./sqlite-usage-sums.ts";

/** The filters of a list, the most selective first, each with the index that serves it. */
export const listFilters = ["tenant", "model", "priority", "status"] as const;
type ListFilter = (typeof listFilters)[number];

/** The filter whose index a list walks. The other filters are checked row by row. */
export type Walk = ListFilter | "all";

export function others(walk: Walk): ListFilter[] {
  return listFilters.filter((filter) => filter !== walk);
}

const jobColumns = "submitted_at, job_id, status, finished_at, error, head";

export type Queries = ReturnType<typeof prepareQueries>;

export function prepareQueries(db: Database) {
  /** The index is named, so that no statistics can make SQLite choose one that it would have to sort after. */
  const walkOf = (walk: Walk) =>
    `FROM jobs ${walk === "all" ? "" : `INDEXED BY jobs_by_${walk}`}
     WHERE environment = $environment ${walk === "all" ? "" : `AND ${walk} = $${walk}`}
       AND (submitted_at, job_id) >= ($from, $fromId) AND (submitted_at, job_id) < ($before, $beforeId)`;
  const list = (walk: Walk) => ({
    page: db.prepare(
      `SELECT ${jobColumns} ${walkOf(walk)}
         ${others(walk)
           .map((f) => `AND ($${f} IS NULL OR +${f} = $${f})`)
           .join(" ")}
       ORDER BY submitted_at DESC, job_id DESC LIMIT $limit`,
    ),
    /** Finds the job that many steps down the walk, whatever the other filters say. */
    step: db.prepare(
      `SELECT submitted_at, job_id ${walkOf(walk)} ORDER BY submitted_at DESC, job_id DESC LIMIT 1 OFFSET $steps`,
    ),
  });
  const range = "(submitted_at, job_id) > ($after, $afterId) AND (submitted_at, job_id) < ($before, $beforeId)";
  const linesIn = (index: string, condition: string) =>
    `FROM jobs ${index} WHERE environment = $environment ${condition}
       AND submitted_at = $submittedAt AND job_id >= $from AND job_id < $to`;
  const lines = linesIn("", "");
  const linesByStatus = linesIn("INDEXED BY jobs_by_status", "AND status = $status");
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
    lines: db.prepare(`SELECT ${jobColumns} ${lines} ORDER BY job_id LIMIT $limit`),
    linesInState: db.prepare(`SELECT ${jobColumns} ${linesByStatus} ORDER BY job_id LIMIT $limit`),
    countLines: db.prepare(`SELECT COUNT(*) AS jobs ${linesByStatus}`),
    unfinished: db.prepare(
      `SELECT ${jobColumns} FROM jobs INDEXED BY jobs_by_status
       WHERE environment = $environment AND status = $status AND ${range}
       ORDER BY submitted_at, job_id LIMIT $limit`,
    ),
    /**
     * The one query that sorts: all deadlines that have passed. It sorts within the index, and fetches only the rows of
     * the page.
     */
    expiring: db.prepare(
      `SELECT ${jobColumns.replace("submitted_at, job_id", "jobs.submitted_at, jobs.job_id")}
       FROM (SELECT environment, submitted_at, job_id FROM jobs INDEXED BY jobs_by_deadline
             WHERE environment = $environment AND finished_at IS NULL AND expires_at <= $until AND ${range}
             ORDER BY submitted_at, job_id LIMIT $limit) AS due
       JOIN jobs USING (environment, submitted_at, job_id)
       ORDER BY due.submitted_at, due.job_id`,
    ),
    ended: db.prepare(
      `SELECT ${jobColumns} FROM jobs INDEXED BY jobs_by_end
       WHERE environment = $environment AND finished_at IS NOT NULL
         AND (finished_at, job_id) > ($after, $afterId) AND finished_at < $before
       ORDER BY finished_at, job_id LIMIT $limit`,
    ),
    attemptsAfter: db.prepare(
      `SELECT ${attemptColumns} FROM attempts INDEXED BY attempts_by_charge
       WHERE (charged_at, job_id, n) > (?, ?, ?) ORDER BY charged_at, job_id, n LIMIT ?`,
    ),
    usage: db.prepare(usageSql),
    counts: db.prepare("SELECT environment, status, jobs FROM job_counts"),
  };
}
