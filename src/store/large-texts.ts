// Keeps large requests and answers in the blob store, around any adapter. A row then has a stub that names the blob.
// Neither adapters nor use cases know of it: callers write and read whole jobs. Small texts stay in their row, and
// Sluice only measures their length (docs/decisions/large-texts.md).
import { isDeepStrictEqual } from "node:util";
import { SluiceError } from "../domain/errors.ts";
import type { JobId } from "../domain/ids.ts";
import { type Erasure, type Job, type JobRecord, type Outcome, withheldRequest } from "../domain/job.ts";
import type { JobRequest } from "../domain/request.ts";
import type {
  BeginAttempt,
  BeginResult,
  FinishResult,
  JobStore,
  LineRecord,
  LinesQuery,
  TextParts,
} from "./job-store.ts";
import { outcomeFromRecord, requestFromJson } from "./stored-forms.ts";
import { type NewText, type TextBlob, TextBlobs } from "./text-blobs.ts";
import { isLongerThan } from "./text-length.ts";

export interface LargeTextStore extends JobStore {
  /**
   * Removes blobs that interrupted writes and erasures left behind. Call it regularly.
   * @param all also removes blobs of writes that may still run; only if no other process uses the store. Default: false
   */
  sweepTexts(all?: boolean): Promise<void>;
}

export interface LargeTextOptions {
  clock: { wall(): number };
  environments: readonly string[];
  /** Length above which a request or an answer becomes a blob: about its bytes as JSON. Default: 256 KiB. */
  largeBytes?: number;
  /** Length of large texts after which a read of several jobs returns what it has. Default: 64 MiB. */
  readAtOnce?: number;
}

/** Returns the store with large texts in its blobs. */
export function withLargeTexts(store: JobStore, { clock, environments, ...options }: LargeTextOptions): LargeTextStore {
  const keysOf = async (jobId: JobId) => {
    const record = await store.get(jobId);
    return record ? keysIn(record) : [];
  };
  const texts = new LargeTexts(store, new TextBlobs({ store, clock, keysOf }), { ...defaults, ...options });
  return {
    records: store.records,
    blobs: store.blobs,
    upkeep: store.upkeep,
    insertMany: (jobs) => texts.insertMany(jobs),
    get: (jobId, parts) => texts.get(jobId, parts),
    getRequests: (environment, jobIds) => texts.getRequests(environment, jobIds),
    list: (query) => store.list(query),
    lines: (query) => texts.lines(query),
    countLines: (range) => store.countLines(range),
    beginAttempt: (begin) => texts.beginAttempt(begin),
    endAttempt: (...args) => store.endAttempt(...args),
    finish: async (environment, outcome, attempt) =>
      (await texts.end(environment, outcome, (stub) => store.finish(environment, stub, attempt)))!,
    finishIdle: (environment, outcome) =>
      texts.end(environment, outcome, (stub) => store.finishIdle(environment, stub)),
    eraseTexts: (environment, jobId, erasure?: Erasure) =>
      texts.erase(environment, jobId, () => store.eraseTexts(environment, jobId, erasure)),
    remove: (environment, jobId) => texts.erase(environment, jobId, () => store.remove(environment, jobId)),
    update: (...args) => store.update(...args),
    unfinished: (query) => store.unfinished(query),
    attemptsSince: (query) => store.attemptsSince(query),
    usage: (query) => store.usage(query),
    counts: () => store.counts(),
    saveCheckpoint: (name, value) => store.saveCheckpoint(name, value),
    loadCheckpoint: (name) => store.loadCheckpoint(name),
    leftBehind: () => store.leftBehind(),
    ping: () => store.ping(),
    async close() {
      await texts.idle();
      await store.close();
    },
    async sweepTexts(all = false) {
      for (const environment of environments) await texts.blobs.sweep(environment, all);
    },
  };
}

type Limits = Required<Omit<LargeTextOptions, "clock" | "environments">>;
const defaults: Limits = {
  largeBytes: 256 * 1024,
  readAtOnce: 64 * 1024 * 1024,
};

class LargeTexts {
  readonly #store: JobStore;
  readonly blobs: TextBlobs;
  readonly #limits: Limits;
  /** Running operations with large texts. `close` waits for them. */
  readonly #running = new Set<Promise<unknown>>();

  constructor(store: JobStore, blobs: TextBlobs, limits: Limits) {
    this.#store = store;
    this.#limits = limits;
    this.blobs = blobs;
  }

  insertMany(jobs: readonly Job[]): Promise<("inserted" | "exists")[]> {
    const { largeBytes } = this.#limits;
    const large = jobs.flatMap((job, at) => (isLongerThan(job.request, largeBytes) ? [at] : []));
    return large.length === 0 ? this.#store.insertMany(jobs) : this.#tracked(this.#insertLarge(jobs, large));
  }

  /** @param large indexes of the jobs with a large request */
  async #insertLarge(jobs: readonly Job[], large: readonly number[]): Promise<("inserted" | "exists")[]> {
    const written = await this.blobs.write(
      large.map((at) => {
        const { environment, id, request } = jobs[at]!;
        return { environment, jobId: id, json: JSON.stringify(request) };
      }),
    );
    const rows = [...jobs];
    for (const [i, at] of large.entries()) {
      rows[at] = { ...jobs[at]!, request: stubOf(jobs[at]!.request, written[i]!.key) };
    }
    const answers = await this.#withBlobs(written, () => this.#store.insertMany(rows));
    const isNew = (_: unknown, i: number) => answers[large[i]!] === "inserted";
    await this.blobs.keep(written.filter(isNew));
    await this.blobs.discard(written.filter((text, i) => !isNew(text, i)));
    return answers;
  }

  async get(jobId: JobId, parts: TextParts = "all"): Promise<JobRecord | undefined> {
    return this.#whole(jobId, (record) => this.#recordWith(record, parts));
  }

  async getRequests(environment: string, jobIds: readonly JobId[]): Promise<Map<JobId, JobRequest>> {
    const requests = await this.#store.getRequests(environment, jobIds);
    if (![...requests.values()].some((request) => keyIn(request))) return requests;
    const whole = new Map<JobId, JobRequest>();
    let read = 0;
    for (const jobId of jobIds) {
      const request = requests.get(jobId);
      if (!request) continue;
      const key = keyIn(request);
      if (key === undefined) {
        whole.set(jobId, request);
        continue;
      }
      if (read > this.#limits.readAtOnce) break;
      const text = await this.blobs.read(environment, key);
      read += text?.length ?? 0;
      // A missing text was erased a moment ago.
      if (text !== undefined) whole.set(jobId, requestFromJson(text));
    }
    return whole;
  }

  async lines(query: LinesQuery): Promise<LineRecord[]> {
    const page = await this.#store.lines(query);
    const whole: LineRecord[] = [];
    let read = 0;
    for (const record of page) {
      const { outcome } = record;
      const key = outcome && keyIn(outcome);
      if (!outcome || key === undefined) {
        whole.push(record);
      } else if (!query.answers) {
        whole.push({ ...record, outcome: shown(outcome) });
      } else {
        if (read > this.#limits.readAtOnce) break;
        const answer = await this.#answerOf(record.job, outcome, key);
        read += answer?.length ?? 0;
        whole.push({ ...record, outcome: answer?.outcome ?? shown(outcome) });
      }
    }
    return whole;
  }

  async beginAttempt(begin: BeginAttempt): Promise<BeginResult> {
    const result = await this.#store.beginAttempt(begin);
    if (result.status === "ended") return { ...result, outcome: await this.#outcomeWith(begin, result.outcome) };
    if (result.status !== "begun" || keyIn(result.job.request) === undefined) return result;
    // The job may have been cancelled and erased in between.
    const record = await this.get(begin.jobId);
    if (!record) return { status: "not_found" };
    if (record.outcome) return { status: "ended", outcome: record.outcome };
    return { ...result, job: { ...result.job, request: record.job.request } };
  }

  /**
   * Ends a job.
   * @param write writes the outcome, whose large answer is replaced by its key
   */
  async end<Result extends FinishResult | undefined>(
    environment: string,
    outcome: Outcome,
    write: (stub: Outcome) => Promise<Result>,
  ): Promise<Result | FinishResult> {
    const { jobId } = outcome;
    const { row, answer } = split(outcome, this.#limits);
    if (!answer) {
      const result = await write(outcome);
      if (!result || result.first) return result;
      return { first: false, outcome: await this.#outcomeWith({ environment, jobId }, result.outcome) };
    }
    return this.#tracked(this.#endLarge({ environment, jobId, json: JSON.stringify(answer) }, outcome, row, write));
  }

  async #endLarge<Result extends FinishResult | undefined>(
    text: NewText,
    outcome: Outcome,
    row: Outcome,
    write: (stub: Outcome) => Promise<Result>,
  ): Promise<Result | FinishResult> {
    const written = await this.blobs.write([text]);
    const result = await this.#withBlobs(written, () => write({ ...row, textsIn: written[0]!.key }));
    if (result?.first) {
      await this.blobs.keep(written);
      return { first: true, outcome };
    }
    await this.blobs.discard(written);
    if (!result) return result;
    const stored = await this.#outcomeWith(text, result.outcome);
    // If the write that won is repeated, its blob has another key. So the texts are compared.
    return { first: isDeepStrictEqual(stored, JSON.parse(JSON.stringify(outcome))), outcome: stored };
  }

  /** Writes rows that name blobs. If an error does not say whether a row was written, the sweep checks its blobs. */
  async #withBlobs<T>(blobs: readonly TextBlob[], write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (error instanceof SluiceError && nothingWritten.has(error.code)) await this.blobs.discard(blobs);
      throw error;
    }
  }

  /** @param eraseRow erases or removes the row */
  async erase(environment: string, jobId: JobId, eraseRow: () => Promise<void>): Promise<void> {
    const record = await this.#store.get(jobId);
    // Without this check, a job could end between the read and the erasure, with a key that was not read.
    const own = record?.job.environment === environment ? record : undefined;
    if (own && !own.outcome) return;
    const keys = own ? keysIn(own) : [];
    if (keys.length === 0) return eraseRow();
    const texts = keys.map((key): TextBlob => ({ environment, jobId, key }));
    await this.#tracked(this.blobs.erase(texts, eraseRow));
  }

  /** Resolves when no operation with large texts runs. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async #tracked<T>(operation: Promise<T>): Promise<T> {
    this.#running.add(operation);
    try {
      return await operation;
    } finally {
      this.#running.delete(operation);
    }
  }

  /**
   * Reads a job again until all of its texts exist. A missing text was erased after its row was read, so the row no
   * longer names it.
   * @throws SluiceError `internal` if the row names a blob that does not exist
   */
  async #whole(
    jobId: JobId,
    complete: (record: JobRecord) => Promise<JobRecord | undefined>,
  ): Promise<JobRecord | undefined> {
    for (let before: readonly string[] | undefined; ; ) {
      const record = await this.#store.get(jobId);
      const whole = record && (await complete(record));
      if (!record || whole) return whole;
      const keys = keysIn(record);
      if (before && isDeepStrictEqual(keys, before)) throw missing(jobId, keys);
      before = keys;
    }
  }

  /** Returns the job with its texts, or undefined if one of them is gone. */
  #recordWith(record: JobRecord, parts: TextParts): Promise<JobRecord | undefined> {
    const requestKey = keyIn(record.job.request);
    const answerKey = record.outcome && keyIn(record.outcome);
    if (requestKey === undefined && answerKey === undefined) return Promise.resolve(record);
    return this.#tracked(this.#withTexts(record, parts, { requestKey, answerKey }));
  }

  async #withTexts(
    record: JobRecord,
    parts: TextParts,
    { requestKey, answerKey }: { requestKey: string | undefined; answerKey: string | undefined },
  ): Promise<JobRecord | undefined> {
    const { job, outcome } = record;
    const { environment } = job;
    const whole = { ...record };
    if (requestKey !== undefined) {
      const text = parts === "all" ? await this.blobs.read(environment, requestKey) : undefined;
      if (parts === "all" && text === undefined) return undefined;
      whole.job = { ...job, request: text === undefined ? shown(job.request) : requestFromJson(text) };
    }
    if (outcome && answerKey !== undefined) {
      const answer = parts === "none" ? undefined : await this.#answerOf(job, outcome, answerKey);
      if (parts !== "none" && !answer) return undefined;
      whole.outcome = answer?.outcome ?? shown(outcome);
    }
    return whole;
  }

  /** Returns a stored outcome with its answer, or without it if the answer was erased in the meantime. */
  async #outcomeWith(job: { environment: string; jobId: JobId }, outcome: Outcome): Promise<Outcome> {
    const key = keyIn(outcome);
    if (key === undefined) return outcome;
    const answer = await this.#answerOf(job, outcome, key);
    return answer?.outcome ?? (await this.get(job.jobId))?.outcome ?? shown(outcome);
  }

  async #answerOf(
    { environment }: { environment: string },
    outcome: Outcome,
    key: string,
  ): Promise<{ outcome: Outcome; length: number } | undefined> {
    const text = await this.blobs.read(environment, key);
    return text === undefined
      ? undefined
      : { outcome: outcomeFromRecord({ ...shown(outcome), ...(JSON.parse(text) as Answer) }), length: text.length };
  }
}

/**
 * The part of an outcome that goes to a blob. The text does not: programs read it in `generated_texts`, and it has at
 * most 4 MiB (providers/bounds.ts).
 */
type Answer = Pick<Outcome, "toolCalls" | "reasoning" | "native" | "vectors">;

/** Splits a large answer from its outcome. */
function split(outcome: Outcome, { largeBytes }: Limits): { row: Outcome; answer?: Answer } {
  const { toolCalls, reasoning, native, vectors, ...row } = outcome;
  if (!isLongerThan([toolCalls, reasoning, native, vectors], largeBytes)) return { row: outcome };
  const answer = {
    ...(toolCalls && { toolCalls }),
    ...(reasoning && { reasoning }),
    ...(native && { native }),
    ...(vectors && { vectors }),
  };
  return { row, answer };
}

type Stub = { textsIn?: string };

function stubOf(request: JobRequest, key: string): JobRequest & Stub {
  return { ...withheldRequest(request), textsIn: key };
}

/** Returns the key of the blob, if this is a stub. */
function keyIn(stub: JobRequest | Outcome): string | undefined {
  return (stub as Stub).textsIn;
}

function keysIn({ job, outcome }: Pick<JobRecord, "job" | "outcome">): string[] {
  return [keyIn(job.request), outcome && keyIn(outcome)].filter((key) => key !== undefined);
}

/** Returns a stub without its key. */
function shown<T extends JobRequest | Outcome>(stub: T): T {
  const { textsIn: _, ...rest } = stub as T & Stub;
  return rest as T;
}

/** Codes of the errors after which no row was written. */
const nothingWritten = new Set<string>(["storage_full", "unavailable", "job_not_found", "unknown_environment"]);

function missing(jobId: JobId, keys: readonly string[]): SluiceError {
  const text = `The texts of job ${jobId} are missing: there is no blob ${keys.join(" or ")}.`;
  return new SluiceError("internal", text, { jobId });
}
