// Imports waiting jobs from the queue of the Python service that preceded Sluice: a Redis list of ids, and a hash with
// the prompt for each id. The import removes an id from the list only when its job is durable under the same id. So it
// can be killed at any point and repeated: it finds jobs that it stored before. The old service wrote the id before the
// prompt, and moved ids from head to tail while it was limited. So an id may lack a prompt, or be in the list twice.
import { SluiceError } from "../domain/errors.ts";
import { isUuid, type JobId } from "../domain/ids.ts";
import { finalStates, type Job } from "../domain/job.ts";
import { keylessCaller } from "../jobs/caller.ts";
import { buildJob } from "../jobs/submit/build-job.ts";
import type { FeasibilityContext } from "../jobs/submit/feasibility.ts";
import { requireEnvironment } from "../jobs/submit/policy.ts";
import type { JobStore } from "../store/job-store.ts";

/** The old queue. Positions count from the head, where the old service took its next job. */
export interface OldQueue {
  length(): Promise<number>;
  ids(from: number, count: number): Promise<string[]>;
  /** Reads the hashes, in the order of the ids. It does not read prompts longer than `maxPromptBytes`. */
  read(ids: readonly string[], maxPromptBytes: number): Promise<OldJob[]>;
  /** Removes the first occurrence of each id. */
  remove(ids: readonly string[]): Promise<void>;
}

export interface OldJob {
  status?: string;
  prompt?: string;
  /** Size of the prompt in bytes. 0 without a prompt. */
  promptBytes: number;
}

export interface ImportContext extends FeasibilityContext {
  store: Pick<JobStore, "get" | "insertMany">;
}

export interface ImportOptions {
  environment: string;
  /** Whether to count without changing anything. */
  dryRun: boolean;
  /** Called for every id that stays in the list, with the reason. */
  onLeft: (id: string, why: string) => void;
  /** Called after every page of ids. */
  onProgress: (counts: ImportCounts) => void;
}

export interface ImportCounts {
  /** Ids in the list when the import began. The import examines this many. */
  found: number;
  /** Jobs stored, or in a dry run, jobs that would be stored. */
  imported: number;
  /** Ids whose jobs existed already, from an earlier run or because the id was in the list twice. */
  existing: number;
  /** Ids that stay in the list. */
  left: number;
}

/** Ids per page. All prompts of a page are in memory together: 100 MB if each has the maximum default size. */
const pageSize = 100;

/**
 * Imports the waiting jobs in the order of the list.
 * @throws SluiceError `unavailable`, `fate_unknown` or `storage_full` of the store, and what the queue throws; nothing
 *   is lost, and the import can be repeated
 */
export async function importQueue(
  context: ImportContext,
  queue: OldQueue,
  options: ImportOptions,
): Promise<ImportCounts> {
  const { store, clock, settings } = context;
  const { environment, dryRun, onLeft, onProgress } = options;
  requireEnvironment(settings, environment);
  const startedAt = clock.wall();
  const counts: ImportCounts = { found: await queue.length(), imported: 0, existing: 0, left: 0 };
  const taken = new Set<JobId>();
  let seen = 0;
  while (seen < counts.found) {
    // Ids that stay precede the ids still to read. In a dry run every id stays.
    const ids = await queue.ids(dryRun ? seen : counts.left, Math.min(pageSize, counts.found - seen));
    if (ids.length === 0) break;
    const hashes = await queue.read(ids, settings.limits.maxPromptBytes);
    const jobs: Job[] = [];
    const done: string[] = [];
    for (const [i, id] of ids.entries()) {
      const jobId = id.toLowerCase();
      if (taken.has(jobId) || (isUuid(jobId) && (await store.get(jobId, "none")))) {
        counts.existing++;
        done.push(id);
        continue;
      }
      const job = await jobOf(context, jobId, hashes[i]!, environment);
      if ("left" in job) {
        counts.left++;
        onLeft(id, job.left);
        continue;
      }
      // One millisecond apart, because jobs of the same millisecond are ordered by id, and these ids are random.
      jobs.push({ ...job, submittedAt: startedAt - (counts.found - seen - i) });
      taken.add(jobId);
      done.push(id);
    }
    if (!dryRun) {
      const inserted = await store.insertMany(jobs);
      counts.existing += inserted.filter((result) => result === "exists").length;
      await queue.remove(done);
      counts.imported += inserted.filter((result) => result === "inserted").length;
    } else {
      counts.imported += jobs.length;
    }
    seen += ids.length;
    onProgress({ ...counts });
  }
  return counts;
}

/** Returns the job that a submit would create, but with its old id, or why it cannot be created. */
async function jobOf(
  context: ImportContext,
  id: string,
  { status, prompt, promptBytes }: OldJob,
  environment: string,
): Promise<Job | { left: string }> {
  if (!isUuid(id)) return { left: "is not a UUID" };
  if (isEnd(status)) return { left: `has ended: its hash says ${status}` };
  const { maxPromptBytes } = context.settings.limits;
  if (promptBytes > maxPromptBytes) {
    return { left: `has a prompt of ${promptBytes} bytes; allowed: at most ${maxPromptBytes}` };
  }
  if (!prompt) return { left: "has no prompt" };
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: prompt }] }];
  try {
    return { ...(await buildJob(context, { environment, messages, messagesField: "prompt" }, keylessCaller)), id };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.status >= 500) throw error;
    return { left: `is refused: ${error.code}: ${error.message}` };
  }
}

function isEnd(status: string | undefined): boolean {
  return (finalStates as readonly (string | undefined)[]).includes(status);
}
