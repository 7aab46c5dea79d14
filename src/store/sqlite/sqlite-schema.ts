// The tables, as a list of migrations. Never edit a released migration; append a new one. The file's `user_version`
// counts the migrations that were applied. SQLite keeps the comments inside a statement, so `.schema` in the sqlite3
// shell shows them.
//
// docs/decisions/sqlite-schema.md gives the reasons and figures of this layout.

const recordsTable = `
CREATE TABLE records (
  -- Small records of the service, by collection: what they mean stands in their JSON.
  collection TEXT NOT NULL,
  id         TEXT NOT NULL,      -- unique in its collection
  ord        TEXT NOT NULL,      -- decides the place in a list
  value      TEXT NOT NULL,      -- JSON
  PRIMARY KEY (collection, id)
) WITHOUT ROWID;

CREATE INDEX records_by_order ON records (collection, ord, id);
`;

/** Migrations of `<database>.sqlite`: the jobs of one environment, or of several that share a database. */
export const environmentMigrations: readonly string[] = [
  `
CREATE TABLE jobs (
  -- One row for each job: what lists and scans need. All times in this file are milliseconds since 1970 (UTC);
  -- datetime(submitted_at / 1000, 'unixepoch') shows them. Only the service may write; read as you like.
  environment  TEXT NOT NULL,
  submitted_at INTEGER NOT NULL,
  job_id       TEXT NOT NULL UNIQUE,
  status       TEXT NOT NULL,    -- queued, in_progress, completed, failed, cancelled or expired; derived from attempts and outcomes
  tenant       TEXT NOT NULL,
  priority     TEXT NOT NULL,    -- interactive, standard or batch
  model        TEXT NOT NULL,    -- the alias that was asked for
  expires_at   INTEGER,          -- the deadline
  finished_at  INTEGER,          -- set with the outcome
  error        TEXT,             -- JSON {code, message} of a job that did not complete
  head         TEXT NOT NULL,    -- JSON: the job without its request
  PRIMARY KEY (environment, submitted_at, job_id)
) WITHOUT ROWID;

CREATE INDEX jobs_by_status   ON jobs (environment, status, submitted_at, job_id);
CREATE INDEX jobs_by_tenant   ON jobs (environment, tenant, submitted_at, job_id);
CREATE INDEX jobs_by_model    ON jobs (environment, model, submitted_at, job_id);
CREATE INDEX jobs_by_priority ON jobs (environment, priority, submitted_at, job_id);
CREATE INDEX jobs_by_deadline ON jobs (environment, expires_at) WHERE finished_at IS NULL AND expires_at IS NOT NULL;

CREATE TABLE requests (
  -- What was asked; never rewritten.
  job_id  TEXT PRIMARY KEY NOT NULL,
  request TEXT NOT NULL          -- JSON: messages, system, tools, parameters
);

CREATE TABLE attempts (
  -- One row for each call to a provider, written before the call is made.
  job_id          TEXT NOT NULL,
  n               INTEGER NOT NULL,  -- 1 for the first
  grant_token     TEXT NOT NULL,
  deployment      TEXT NOT NULL,
  model           TEXT NOT NULL,
  worker          TEXT NOT NULL,
  charged_at      INTEGER NOT NULL,
  reserved_input  INTEGER NOT NULL,  -- tokens
  reserved_output INTEGER NOT NULL,
  ended_at        INTEGER,           -- empty while it runs, and for ever if nobody knows how it ended
  result          TEXT,              -- completed, throttled, capacity, transient, permanent, aborted or not_sent
  ending          TEXT,              -- JSON: the result with usage, error and durations
  PRIMARY KEY (job_id, n)
) WITHOUT ROWID;

CREATE INDEX attempts_by_charge ON attempts (charged_at, job_id, n);

CREATE TABLE outcomes (
  -- One row for each job that has ended. The first one that is written stays.
  job_id      TEXT PRIMARY KEY NOT NULL,
  environment TEXT NOT NULL,
  status      TEXT NOT NULL,     -- completed, failed, cancelled or expired
  finished_at INTEGER NOT NULL,
  deployment  TEXT,              -- who answered
  model       TEXT,
  text        TEXT,              -- the answer
  details     TEXT NOT NULL      -- JSON: usage, finishReason, toolCalls, attempt, error
);

CREATE TABLE job_counts (
  -- How many jobs are in each state. Changed in the transaction that changes jobs.status.
  environment TEXT NOT NULL,
  status      TEXT NOT NULL,
  jobs        INTEGER NOT NULL,
  PRIMARY KEY (environment, status)
) WITHOUT ROWID;

CREATE VIEW generated_texts AS
  -- The answers, for those who only want those.
  SELECT job_id, text, environment, model, deployment,
         json_extract(details, '$.finishReason') AS finish_reason,
         strftime('%Y-%m-%dT%H:%M:%fZ', finished_at / 1000.0, 'unixepoch') AS completed_at
  FROM outcomes
  WHERE status = 'completed';
`,
  recordsTable,
  `
-- Whose call it was, so that what was used can be added up, also when the job is gone.
ALTER TABLE attempts ADD COLUMN environment TEXT;
ALTER TABLE attempts ADD COLUMN tenant TEXT;
ALTER TABLE attempts ADD COLUMN key_id TEXT;
UPDATE attempts SET environment = jobs.environment, tenant = jobs.tenant, key_id = json_extract(jobs.head, '$.keyId')
FROM jobs WHERE jobs.job_id = attempts.job_id;
`,
  `
-- What the reservation would cost, in billionths of a US dollar.
ALTER TABLE attempts ADD COLUMN reserved_nano_usd INTEGER;

CREATE TABLE usage_sums (
  -- What attempts have used, by UTC day of their charge. Changed in the transaction that changes the attempts.
  environment       TEXT NOT NULL,
  day               INTEGER NOT NULL,  -- whole days since 1970
  tenant            TEXT NOT NULL,
  key_id            TEXT NOT NULL,     -- empty where there are no keys
  model             TEXT NOT NULL,
  jobs              INTEGER NOT NULL,  -- whose first attempt it was
  attempts          INTEGER NOT NULL,
  open              INTEGER NOT NULL,  -- of those: running, or with an unknown result
  unpriced          INTEGER NOT NULL,  -- of those: without a known price
  estimated         INTEGER NOT NULL,  -- of those: whose usage is an estimate
  input             INTEGER NOT NULL,  -- tokens
  output            INTEGER NOT NULL,
  cache_read        INTEGER NOT NULL,
  cache_write       INTEGER NOT NULL,
  nano_usd          INTEGER NOT NULL,  -- billionths of a US dollar
  estimated_input    INTEGER NOT NULL, -- the parts of input, output and nano_usd that are estimates
  estimated_output   INTEGER NOT NULL,
  estimated_nano_usd INTEGER NOT NULL,
  PRIMARY KEY (environment, day, tenant, key_id, model)
) WITHOUT ROWID;

-- The sums of the attempts so far. Usage that earlier versions took from a provider unchecked is bounded.
WITH ends AS (
  SELECT *, COALESCE(result, 'unknown') IN ('unknown', 'aborted') AS open,
    CASE WHEN ending ->> '$.usage' IS NOT NULL THEN 'reported'
         WHEN COALESCE(result, 'unknown') IN ('unknown', 'aborted') THEN 'estimated' ELSE 'none' END AS known
  FROM attempts WHERE environment IS NOT NULL
), counted AS (
  SELECT environment, tenant, key_id, model, n, result, open, known,
    CASE WHEN charged_at < 0 THEN (charged_at - 86399999) / 86400000 ELSE charged_at / 86400000 END AS day,
    CASE known WHEN 'reported' THEN ${whole("ending ->> '$.usage.input'")}
               WHEN 'estimated' THEN reserved_input ELSE 0 END AS input,
    CASE known WHEN 'reported' THEN ${whole("ending ->> '$.usage.output'")}
               WHEN 'estimated' THEN reserved_output ELSE 0 END AS output,
    CASE known WHEN 'reported' THEN ${whole("ending ->> '$.usage.cacheRead'")} ELSE 0 END AS cache_read,
    CASE known WHEN 'reported' THEN ${whole("ending ->> '$.usage.cacheWrite'")} ELSE 0 END AS cache_write,
    CASE known WHEN 'reported' THEN ${whole("ending ->> '$.costNanoUsd'")} ELSE 0 END AS nano_usd,
    known = 'estimated' OR (known = 'reported' AND ending ->> '$.costNanoUsd' IS NULL) AS unpriced
  FROM ends
)
INSERT INTO usage_sums
SELECT environment, day, COALESCE(tenant, 'default'), COALESCE(key_id, ''), model, SUM(n = 1), SUM(result IS NOT 'not_sent'),
  SUM(open), SUM(unpriced), SUM(known = 'estimated'), SUM(input), SUM(output), SUM(cache_read), SUM(cache_write),
  SUM(nano_usd), SUM(IIF(known = 'estimated', input, 0)), SUM(IIF(known = 'estimated', output, 0)), 0
FROM counted GROUP BY 1, 2, 3, 4, 5;
`,
  `
-- Jobs in the order of their ends, for retention.
CREATE INDEX jobs_by_end ON jobs (environment, finished_at, job_id) WHERE finished_at IS NOT NULL;
`,
];

/** Returns SQL for a whole number from 0 to 1e12, which is as much as one call can ever use. */
function whole(json: string): string {
  return `CAST(ROUND(MAX(0, MIN(COALESCE(${json}, 0), 1e12))) AS INTEGER)`;
}

/** Migrations of `sluice.sqlite`: data of the service, which belongs to no environment. */
export const serviceMigrations: readonly string[] = [
  `
CREATE TABLE checkpoints (
  -- Small named values: learned limits, daily usage.
  name     TEXT PRIMARY KEY NOT NULL,
  value    TEXT NOT NULL,        -- JSON
  saved_at INTEGER NOT NULL      -- milliseconds since 1970 (UTC)
);
`,
  recordsTable,
];
