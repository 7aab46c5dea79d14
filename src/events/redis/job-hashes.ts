// Mirrors the state of jobs to Redis for programs that read it there, as the Python service before Sluice did. Each job
// has a hash `job:<uuid>` with `status`, and `prompt` if configured. It is a best-effort copy. Nothing waits for it,
// and Sluice never reads it. The store is the truth.
//
// Only the latest state per job waits to be written, so an outage costs little memory and ends with correct states.

import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { JobId } from "../../domain/ids.ts";
import { isFinal, type Job, type JobState } from "../../domain/job.ts";
import { nativeContent } from "../../domain/native-content.ts";
import { isNative } from "../../domain/request.ts";
import type { JobEvent } from "../event-bus.ts";
import { reasonOf } from "./event-connection.ts";

export interface JobHashSettings {
  /**
   * Whether a job has a hash from its submit on, with its prompt. If not, it has one from its first call on, without
   * its prompt.
   */
  prompt: boolean;
  /** How long a hash remains after the job's last change of state, in seconds. 0: no hash is written. */
  ttlSeconds: number;
  /** Returns whether a job's prompt never goes into its hash. That of a job with `ephemeral` never does. Default: all others do. */
  hidesPrompt?: (job: Job) => boolean;
}

/** Number of jobs whose latest state is remembered, so a late `in_progress` does not replace an end. */
const maxRemembered = 50_000;
/** Maximum number of jobs that wait to be written. */
const maxPending = 10_000;
/** Maximum length of the waiting prompts together, in characters. */
const maxPendingChars = 16 * 1024 * 1024;
/** Maximum number of jobs that are written at a time. */
const maxWriting = 1000;

interface Fields {
  status: JobState;
  prompt?: string;
}

/** Writes the state of jobs to Redis. */
export class JobHashes {
  readonly #redis: Redis;
  readonly #settings: JobHashSettings;
  readonly #log: Logger;
  readonly #latest = new Map<JobId, JobState>();
  readonly #pending = new Map<JobId, Fields>();
  readonly #writing = new Set<Promise<void>>();
  #pendingChars = 0;
  #flushing = false;
  #refused = false;
  #dropped = 0;

  constructor(redis: Redis, settings: JobHashSettings, log: Logger) {
    this.#redis = redis;
    this.#settings = settings;
    this.#log = log;
    redis.on("ready", () => this.#flushSoon());
  }

  /** Number of writes that were given up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Records jobs that were accepted. */
  publishAccepted(jobs: readonly Job[]): void {
    if (this.#settings.ttlSeconds === 0 || !this.#settings.prompt) return;
    const { hidesPrompt } = this.#settings;
    const hidden = (job: Job) => job.ephemeral === true || hidesPrompt?.(job) === true;
    for (const job of jobs) {
      const status = this.#latest.get(job.id) ?? "queued";
      this.#put(job.id, hidden(job) ? { status } : { status, prompt: promptOf(job) });
    }
  }

  /** Records a job's new state. */
  onStateChange({ jobId, state }: Extract<JobEvent, { type: "state" }>): void {
    if (this.#settings.ttlSeconds === 0) return;
    const before = this.#latest.get(jobId);
    if (before !== undefined && isFinal(before)) return;
    // Before its first call a job has a hash only if configured. A requeued job has one that says in_progress.
    if (state === "queued" && before === undefined && !this.#settings.prompt) return;
    this.#remember(jobId, state);
    this.#put(jobId, { status: state });
  }

  /** Resolves when everything that can be written now is written. */
  async idle(): Promise<void> {
    while (this.#redis.status === "ready" && (this.#pending.size > 0 || this.#writing.size > 0)) {
      this.#flush();
      await Promise.all(this.#writing);
    }
  }

  #remember(jobId: JobId, state: JobState): void {
    this.#latest.delete(jobId);
    this.#latest.set(jobId, state);
    if (this.#latest.size > maxRemembered) this.#latest.delete(oldestOf(this.#latest)!);
  }

  #put(jobId: JobId, fields: Fields): void {
    const merged = { ...this.#take(jobId), ...fields };
    if (this.#pendingChars + (merged.prompt?.length ?? 0) > maxPendingChars) {
      delete merged.prompt;
      this.#dropped++;
    }
    this.#pending.set(jobId, merged);
    this.#pendingChars += merged.prompt?.length ?? 0;
    if (this.#pending.size > maxPending) {
      this.#take(oldestOf(this.#pending)!);
      this.#dropped++;
    }
    this.#flushSoon();
  }

  #take(jobId: JobId): Fields | undefined {
    const fields = this.#pending.get(jobId);
    this.#pending.delete(jobId);
    this.#pendingChars -= fields?.prompt?.length ?? 0;
    return fields;
  }

  /** Flushes once per iteration of the event loop, so a job that begins and ends within one is written once. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    for (const jobId of this.#pending.keys()) {
      if (this.#redis.status !== "ready" || this.#writing.size >= maxWriting) return;
      const written = this.#write(jobId, this.#take(jobId)!).finally(() => {
        this.#writing.delete(written);
        if (this.#pending.size > 0) this.#flushSoon();
      });
      this.#writing.add(written);
    }
  }

  async #write(jobId: JobId, fields: Fields): Promise<void> {
    const key = `job:${jobId}`;
    try {
      // Both commands go into one pipeline.
      await Promise.all([this.#redis.hset(key, fields), this.#redis.expire(key, this.#settings.ttlSeconds)]);
      this.#refused = false;
    } catch (error) {
      if (isRefusal(error)) return this.#giveUp(error);
      // The connection was lost, perhaps with a later state on its way too. The latest state counts.
      this.#put(jobId, { ...fields, status: this.#latest.get(jobId) ?? fields.status, ...this.#pending.get(jobId) });
    }
  }

  /** Drops a write that Redis refused: out of memory, or not permitted. Logs once, not for each job. */
  #giveUp(error: unknown): void {
    this.#dropped++;
    if (!this.#refused) this.#log.warn({ reason: reasonOf(error) }, "failed to write the state of jobs to Redis");
    this.#refused = true;
  }
}

/**
 * Whether Redis refused the command. READONLY does not count: Redis became a replica, and the connection is replaced.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError" && !error.message.startsWith("READONLY");
}

/**
 * Returns the user's text. In a conversation that is the text of all user messages, and of a native request all that the
 * model reads.
 */
function promptOf({ request }: Job): string {
  if (isNative(request)) return nativeContent(JSON.parse(request.native.body) as object).texts.join("\n\n");
  const blocks = request.messages.filter(({ role }) => role === "user").flatMap(({ content }) => content);
  return blocks.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n\n");
}

function oldestOf<K>(map: ReadonlyMap<K, unknown>): K | undefined {
  return map.keys().next().value;
}
