// Large jobs and answers, and stores that fail or die.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Job, Outcome } from "../../src/domain/job.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { type LargeTextStore, withLargeTexts } from "../../src/store/large-texts.ts";
import { makeJob } from "./conformance/support.ts";

export const large = "Sluices hold water back. ".repeat(12_000);

export function largeJob(text = large, fields: Partial<Job> = {}): Job {
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text }] }];
  return makeJob({ ...fields, request: { messages, parameters: { maxTokens: 100 } } });
}

export function nativeAnswer(body: string) {
  return { body, headers: { "content-type": "application/json" } };
}

export function answerOf(job: Job, fields: Partial<Outcome> = {}): Outcome {
  return {
    jobId: job.id,
    status: "completed",
    at: 9,
    text: "short",
    native: nativeAnswer(large),
    attempt: 1,
    ...fields,
  };
}

/** Returns the store with every text in a blob, however short. */
export function allLarge(store: JobStore): LargeTextStore {
  const environments = ["UAT", "PROD"];
  return withLargeTexts(store, { clock: { wall: Date.now }, environments, largeBytes: 0 });
}

/** Names of the files of a data folder, unfinished ones too. */
export function readBlobs(dataDir: string): string[] {
  try {
    return readdirSync(join(dataDir, "files"));
  } catch {
    return [];
  }
}

/** Returns the store with other methods or parts. */
export function overlaid(store: JobStore, others: Partial<JobStore>): JobStore {
  return { ...wrapped(store, (_, method) => method), ...others };
}

/**
 * Returns the store of a process that dies.
 * @param steps steps before: an operation is one, and so is its reply. Default: it does not die
 */
export function crashing(store: JobStore, steps = Number.POSITIVE_INFINITY): JobStore {
  let left = steps;
  const step = () => {
    if (left-- <= 0) throw new Error("crashed");
  };
  const wrap = (_: unknown, method: Method) => {
    return async (...args: unknown[]) => {
      step();
      const answer = await method(...args);
      step();
      return answer;
    };
  };
  const { records, blobs } = store;
  return Object.assign(wrapped(store, wrap), { records: wrapped(records, wrap), blobs: wrapped(blobs, wrap) });
}

type Method = (...args: unknown[]) => unknown;

/** Returns the object with its methods wrapped. */
function wrapped<T extends object>(of: T, wrap: (name: string, method: Method) => unknown): T {
  const all = { ...of } as Record<string, unknown>;
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(of))) {
    const method = (of as Record<string, unknown>)[name];
    if (typeof method === "function") all[name] = wrap(name, method.bind(of) as Method);
  }
  return all as T;
}
