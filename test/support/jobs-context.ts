// All that the application layer works with, for tests: the real SQLite store in a folder of its own, the real
// scheduler, event bus and token counter. Nothing takes jobs out of the queue: the test plays the worker.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { resolve } from "../../src/config/resolve.ts";
import { schedulerConfigOf } from "../../src/config/scheduler-config.ts";
import type { Settings } from "../../src/config/settings.ts";
import { type Clock, systemClock } from "../../src/domain/clock.ts";
import type { JobId } from "../../src/domain/ids.ts";
import type { Attempt, AttemptEnd, Job, Outcome } from "../../src/domain/job.ts";
import { createMemoryEventBus } from "../../src/events/memory/memory-event-bus.ts";
import type { JobsContext } from "../../src/jobs/jobs-context.ts";
import { CallDurations } from "../../src/jobs/read/durations.ts";
import { buildJob } from "../../src/jobs/submit/build-job.ts";
import { createTokenCounter } from "../../src/jobs/tokens/token-counter.ts";
import { announceEnd } from "../../src/jobs/webhooks/webhook-records.ts";
import { createMemoryScheduler } from "../../src/scheduler/memory/memory-scheduler.ts";
import type { JobStore } from "../../src/store/job-store.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";

export interface TestContext extends JobsContext {
  /** Everything that was logged, as JSON lines. */
  logged: string[];
  durations: CallDurations;
  /** All jobs on record. */
  countJobs(): Promise<number>;
  /** Begins an attempt, as a worker does that was granted the job. */
  begin(jobId: JobId, deployment?: string): Promise<Attempt>;
  /** Stores an outcome and tells of it, as a worker does; with it the end of the job's open attempt. */
  end(jobId: JobId, outcome: Omit<Outcome, "jobId" | "at">, end?: Omit<AttemptEnd, "at">): Promise<void>;
  close(): Promise<void>;
}

const smallModels: FileSettings["models"] = {
  "llama3-3-70b": {
    maxOutputTokens: 512,
    maxOutputTokensLimit: 2048,
    contextTokens: 50_000,
    deployments: [
      {
        region: "us-east-1",
        modelId: "us.meta.llama3-3-70b-instruct-v1:0",
        quotas: [
          { unit: "requests", per: "minute", limit: 3 },
          { unit: "tokens", per: "minute", limit: 20_000 },
        ],
      },
    ],
  },
  "nova-lite": {
    maxOutputTokens: 1024,
    maxOutputTokensLimit: 5000,
    contextTokens: 300_000,
    deployments: [
      {
        region: "eu-west-1",
        modelId: "eu.amazon.nova-lite-v1:0",
        quotas: [{ unit: "tokens", per: "minute", limit: 1_000_000 }],
      },
    ],
  },
};

/** The two models of this file, unless told otherwise; defaults for everything else. */
export function testSettings(file: FileSettings = {}): Settings {
  const { settings, problems } = resolve({ models: smallModels, defaultModel: "llama3-3-70b", ...file });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return {
    source: "test",
    simulator: false,
    authentication: "keys",
    dashboard: true,
    role: "all",
    runs: Object.keys(settings.environments),
    ...settings,
  };
}

export interface TestStore {
  store: JobStore;
  close(): Promise<void>;
}

/** A store for the tests of one file to share: opening one takes a second, because its threads load TypeScript. */
export async function openTestStore(): Promise<TestStore> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-"));
  const store = await openSqliteStore({ dataDir, environments: testSettings().environments });
  return {
    store,
    async close() {
      await store.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** @param shared a store that is not closed with the context; by default it has one of its own */
export async function openTestContext(
  file: FileSettings = {},
  shared?: TestStore,
  clock: Clock = systemClock,
): Promise<TestContext> {
  const settings = testSettings(file);
  const opened = shared ?? (await openTestStore());
  const store = ownMethods(opened.store);
  const scheduler = createMemoryScheduler({ config: schedulerConfigOf(settings), clock });
  await scheduler.finishRebuild((await scheduler.beginRebuild())!);
  const events = createMemoryEventBus();
  const tokenCounter = createTokenCounter();
  const logged: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => logged.push(line) });

  const context: TestContext = {
    settings,
    store,
    durations: new CallDurations({ store, clock, log }),
    scheduler,
    events,
    tokenCounter,
    clock,
    log,
    logged,
    async countJobs() {
      const counts = await store.counts();
      return Object.values(counts)
        .flatMap((byState) => Object.values(byState))
        .reduce((a, b) => a + b, 0);
    },
    async begin(jobId, deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0") {
      const { job } = (await store.get(jobId))!;
      const begun = await store.beginAttempt({
        environment: job.environment,
        jobId,
        grant: crypto.randomUUID(),
        deployment,
        model: job.model,
        worker: "test",
        chargedAt: clock.wall(),
        reserved: job.tokens,
        maxFailedTries: 3,
      });
      if (begun.status !== "begun") throw new Error(`the attempt was not begun: ${begun.status}`);
      return begun.attempt;
    },
    async end(jobId, outcome, end) {
      const { job, attempts } = (await store.get(jobId))!;
      const at = clock.wall();
      const open = attempts.at(-1);
      const { outcome: winning } = await store.finish(
        job.environment,
        { jobId, at, ...outcome },
        open && end ? { n: open.n, end: { at, ...end } } : undefined,
      );
      await context.limits?.ended(job.environment, jobId, { outcome: winning });
      await announceEnd(context, job);
      events.publish({ type: "state", jobId, environment: job.environment, state: outcome.status, at });
      await scheduler.remove([jobId]);
    },
    async close() {
      await Promise.all([scheduler.close(), events.close(), tokenCounter.close()]);
      if (!shared) await opened.close();
    },
  };
  return context;
}

/** The same store behind methods that a test can replace for its own context alone. */
function ownMethods(store: JobStore): JobStore {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(store)) as (keyof JobStore | "constructor")[];
  const methods = names.filter((name) => name !== "constructor") as (keyof Omit<
    JobStore,
    "records" | "blobs" | "upkeep"
  >)[];
  return {
    ...Object.fromEntries(methods.map((name) => [name, store[name]!.bind(store)])),
    records: store.records,
    blobs: store.blobs,
    upkeep: store.upkeep,
  } as unknown as JobStore;
}

/** A checked job of UAT to make others from. */
export async function templateJob(context: JobsContext): Promise<Job> {
  const messages = [{ role: "user" as const, content: [{ type: "text" as const, text: "Why?" }] }];
  return buildJob(context, { environment: "UAT", messages, messagesField: "prompt" }, { tenant: "t", admin: false });
}
