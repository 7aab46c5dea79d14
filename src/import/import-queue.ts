// Taking over the jobs that wait in the queue of the Python service before Sluice: a Redis list of ids, and a hash for
// each with its prompt.
//
// An id is removed from the list only when its job is durable here, under the same id. So the import can be killed
// anywhere and repeated: what was stored is found stored. The old service wrote the id before the prompt, and moved ids
// from the head to the tail while it was limited; so an id may have no prompt yet, or stand in the list twice.
import { SluiceError } from "../domain/errors.ts";
import { isUuid, type JobId } from "../domain/ids.ts";
import { finalStates, type Job } from "../domain/job.ts";
import { anybody } from "../jobs/caller.ts";
import { buildJob } from "../jobs/submit/build-job.ts";
import type { FeasibilityContext } from "../jobs/submit/feasibility.ts";
import { requireEnvironment } from "../jobs/submit/policy.ts";
import type { JobStore } from "../store/job-store.ts";

/** The old queue. Positions are counted from the head, where the old service took its next job. */
export interface OldQueue {
  length(): Promise<number>;
  ids(from: number, count: number): Promise<string[]>;
  /** What the hashes say, in the order of the ids. A prompt of more than `maxPromptBytes` is not read. */
  read(ids: readonly string[], maxPromptBytes: number): Promise<OldJob[]>;
  /** Removes each id once, where it stands first. */
  remove(ids: readonly string[]): Promise<void>;
}

export interface OldJob {
  status?: string;
  prompt?: string;
  /** 0 if there is none. */
  promptBytes: number;
}

export interface ImportContext extends FeasibilityContext {
  store: Pick<JobStore, "get" | "insertMany">;
}

export interface ImportOptions {
  environment: string;
  /** Looks, counts and changes nothing. */
  dryRun: boolean;
  /** Told of every id that stays in the list, and why. */
  onLeft: (id: string, why: string) => void;
  /** Told after every page of ids. */
  onProgress: (counts: ImportCounts) => void;
}

export interface ImportCounts {
  /** Ids in the list when the import began: so many are looked at. */
  found: number;
  /** Jobs that were stored; in a dry run, that would be. */
  imported: number;
  /** Ids whose jobs were stored before, by an earlier run or because the id stood in the list twice. */
  existing: number;
  /** Ids that stay in the list. */
  left: number;
}

/** Prompts of one page are in memory together: 100 MB if each is as long as the default allows. */
const pageSize = 100;

/**
 * Imports what waits in the queue. Jobs keep their order in the list.
 * @throws SluiceError `unavailable`, `fate_unknown` or `storage_full` of the store, and what the queue throws; then
 *   nothing is lost, and the import can be repeated
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
    // What stays in the list stands before what is still to come; in a dry run everything stays.
    const ids = await queue.ids(dryRun ? seen : counts.left, Math.min(pageSize, counts.found - seen));
    if (ids.length === 0) break;
    const hashes = await queue.read(ids, settings.limits.maxPromptBytes);
    const jobs: Job[] = [];
    const done: string[] = [];
    for (const [i, id] of ids.entries()) {
      const jobId = id.toLowerCase();
      if (taken.has(jobId) || (isUuid(jobId) && (await store.get(jobId)))) {
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
      // A millisecond apart: jobs submitted in the same one are ordered by their ids, which are random here.
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

/** The job as a submit would make it, but under its old id; or why it cannot be made. */
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
    return { ...(await buildJob(context, { environment, messages, messagesField: "prompt" }, anybody)), id };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.status >= 500) throw error;
    return { left: `is refused: ${error.code}: ${error.message}` };
  }
}

function isEnd(status: string | undefined): boolean {
  return (finalStates as readonly (string | undefined)[]).includes(status);
}
