// Jobs and calls as the cases need them, and eras (see conformance.ts).
import { randomUUID } from "node:crypto";
import { newJobId } from "../../../src/domain/ids.ts";
import type { Attempt, Job } from "../../../src/domain/job.ts";
import type { Page } from "../../../src/store/cursor.ts";
import type { BeginAttempt, JobStore } from "../../../src/store/job-store.ts";

export interface Era {
  /** Milliseconds since the epoch; `from` is included, `to` is not. */
  from: number;
  to: number;
  /** Limits a list or a scan to the era. */
  range: { submittedFrom: number; submittedTo: number };
}

const dayMs = 86_400_000;
let eras = 0;

export function newEra(): Era {
  const from = Date.UTC(2026, 0, 1) + eras++ * dayMs;
  return { from, to: from + dayMs, range: { submittedFrom: from, submittedTo: from + dayMs } };
}

export function makeJob(fields: Partial<Job> = {}): Job {
  return {
    id: newJobId(),
    environment: "UAT",
    tenant: "default",
    priority: "standard",
    model: "llama",
    fallbackModels: [],
    tokens: { input: 20, output: 100 },
    submittedAt: newEra().from,
    onUnknown: "retry",
    request: {
      messages: [{ role: "user", content: [{ type: "text", text: "Write a line about sluices." }] }],
      parameters: { maxTokens: 100 },
    },
    ...fields,
  };
}

/** The beginning of an attempt, by a grant of its own unless told otherwise. */
export function beginning(job: Job, fields: Partial<BeginAttempt> = {}): BeginAttempt {
  return {
    environment: job.environment,
    jobId: job.id,
    grant: randomUUID(),
    deployment: "bedrock/us-east-1/some-model",
    model: job.model,
    worker: "worker-1",
    chargedAt: job.submittedAt,
    reserved: { input: 21, output: 100 },
    maxFailedTries: 3,
    ...fields,
  };
}

/** Inserts a job and begins its first attempt. */
export async function begun(store: JobStore, fields: Partial<Job> = {}): Promise<{ job: Job; attempt: Attempt }> {
  const job = makeJob(fields);
  await store.insertMany([job]);
  return { job, attempt: await mustBegin(store, beginning(job)) };
}

/** Begins an attempt that nothing may stop. */
export async function mustBegin(store: JobStore, begin: BeginAttempt): Promise<Attempt> {
  const result = await store.beginAttempt(begin);
  if (result.status !== "begun") throw new Error(`not begun: ${JSON.stringify(result)}`);
  return result.attempt;
}

/** The order of lists. */
export function newestFirst(a: Job, b: Job): number {
  return b.submittedAt - a.submittedAt || (a.id < b.id ? 1 : -1);
}

/** All pages. `between` is called after each page. */
export async function allPages<T>(
  page: (cursor: string | undefined) => Promise<Page<T>>,
  between: () => Promise<unknown> = async () => {},
): Promise<T[][]> {
  const pages: T[][] = [];
  let cursor: string | undefined;
  do {
    const { items, next } = await page(cursor);
    pages.push(items);
    cursor = next;
    await between();
  } while (cursor !== undefined);
  return pages;
}
