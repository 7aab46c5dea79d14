// The worker with everything real around it but time and the provider: SQLite, scheduler, events, token counter.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { pino } from "pino";
import { afterEach } from "vitest";
import type { FileSettings } from "../../../src/config/config-schema.ts";
import { schedulerConfigOf } from "../../../src/config/scheduler-config.ts";
import type { JobId } from "../../../src/domain/ids.ts";
import type { AttemptResult, JobRecord, JobState } from "../../../src/domain/job.ts";
import type { JobEvent } from "../../../src/events/event-bus.ts";
import { createMemoryEventBus } from "../../../src/events/memory/memory-event-bus.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import type { CanonicalInput } from "../../../src/jobs/submit/submit-input.ts";
import { createTokenCounter } from "../../../src/jobs/tokens/token-counter.ts";
import type { Provider } from "../../../src/providers/provider.ts";
import { createMemoryScheduler } from "../../../src/scheduler/memory/memory-scheduler.ts";
import type { Scheduler } from "../../../src/scheduler/scheduler.ts";
import type { JobStore } from "../../../src/store/job-store.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite-store.ts";
import type { Tracing } from "../../../src/telemetry/tracing.ts";
import { SendSlots } from "../../../src/worker/attempt/send-slots.ts";
import { Orphans } from "../../../src/worker/recovery/orphans.ts";
import { recover } from "../../../src/worker/recovery/recovery.ts";
import { repeat } from "../../../src/worker/timers.ts";
import { createTokenSizer } from "../../../src/worker/token-sizer.ts";
import { sampleMs, WaitSampler } from "../../../src/worker/wait-sampler.ts";
import { createWorker, type Worker } from "../../../src/worker/worker.ts";
import type { WorkerContext } from "../../../src/worker/worker-context.ts";
import { testSettings } from "../../support/jobs-context.ts";
import { ManualTime } from "./manual-time.ts";
import { type ScriptedProvider, type SeenCall, scriptedProvider } from "./scripted-provider.ts";

export const deployment = "bedrock/us-east-1/us.meta.llama3-3-70b-instruct-v1:0";

/** One model on one deployment with these quotas. */
export function oneModel(quotas: NonNullable<FileSettings["models"]>[string]["deployments"][number]["quotas"] = []) {
  const modelId = "us.meta.llama3-3-70b-instruct-v1:0";
  return { llama: { maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId, quotas }] } };
}

export interface HarnessOptions {
  /** Default: one model without quotas. */
  file?: FileSettings;
  /** Called with each call to the provider; without it calls stay open until the test answers. */
  respond?: (call: SeenCall) => void;
  /** Goes on with the data and the time of a harness that was closed or abandoned. */
  after?: Harness;
  /** Whether waits are split by their reasons. Default: false, because it needs a timer every second. */
  waits?: boolean;
  /** Default: tracing is off. */
  tracing?: Tracing;
  /** Puts something between the worker and the store. */
  store?: (real: JobStore, time: ManualTime) => Partial<JobStore>;
  scheduler?: (real: Scheduler, time: ManualTime) => Partial<Scheduler>;
}

export interface Harness {
  context: WorkerContext;
  worker: Worker;
  orphans: Orphans;
  provider: ScriptedProvider;
  time: ManualTime;
  dataDir: string;
  /** What was logged at level warn and above. */
  complaints: string[];
  submit(prompt: string, input?: Partial<CanonicalInput>): Promise<JobId>;
  record(jobId: JobId): Promise<JobRecord>;
  /** How each of the job's attempts ended. */
  ends(jobId: JobId): Promise<(AttemptResult | undefined)[]>;
  /** All events of the job from now on. */
  listen(jobId: JobId): JobEvent[];
  /** Resolves when nothing moves any more until time does: no operation of store, scheduler or counter is under way. */
  quiet(): Promise<void>;
  /** Lets time pass, timer by timer, and waits after each until nothing moves. */
  advance(ms: number): Promise<void>;
  /** Closes the store as it is, as a kill would: no call is ended, nothing is handed back. */
  abandon(): Promise<void>;
  close(): Promise<void>;
}

export async function openHarness(options: HarnessOptions = {}): Promise<Harness> {
  const time = options.after?.time ?? new ManualTime();
  const dataDir = options.after?.dataDir ?? (await mkdtemp(join(tmpdir(), "sluice-worker-")));
  const settings = { ...testSettings({ models: oneModel(), defaultModel: "llama", ...options.file }), dataDir };
  const operations = new Set<Promise<unknown>>();
  const complaints: string[] = [];
  const provider = scriptedProvider(time, options.respond);

  const realStore = await openSqliteStore({ dataDir, environments: settings.environments });
  const realScheduler = createMemoryScheduler({ config: schedulerConfigOf(settings), clock: time });
  const tokenCounter = createTokenCounter();
  const context: WorkerContext = {
    settings,
    store: watched(overlaid(realStore, options.store?.(realStore, time)), operations),
    scheduler: watched(overlaid(realScheduler, options.scheduler?.(realScheduler, time)), operations),
    events: createMemoryEventBus(),
    tokenCounter: watched(tokenCounter, operations),
    ...(options.tracing && { tracing: options.tracing }),
    clock: time,
    timers: time,
    log: pino({ level: "warn" }, { write: (line: string) => void complaints.push(line) }),
    random: () => 0.5,
    workerId: "test-worker",
    providers: new Map<string, Provider>([[deployment, provider]]),
  };
  const tokenSizer = createTokenSizer(context);
  const orphans = new Orphans(context, "p2");
  const sendSlots = new SendSlots();
  const waits = new WaitSampler(context);
  if (options.waits) context.waits = waits;
  const hooks = {
    rebuild: (giveUp: AbortSignal) => recover({ ...context, orphans }, worker.renewLeases, giveUp),
    onWaiting: tokenSizer.size,
    onAcquired: waits.want,
  };
  const worker: Worker = createWorker(context, hooks, sendSlots);
  const watchWaits = () => repeat(time, sampleMs, waits.round.bind(waits), () => {});
  const stopWaits = options.waits ? watchWaits() : undefined;

  async function quiet(): Promise<void> {
    // What an operation leads to starts within a few turns of the event loop.
    for (let still = 0; still < 5; still++) {
      if (operations.size > 0) still = 0;
      await Promise.allSettled(operations);
      await sendSlots.next();
      await setImmediate();
    }
  }

  async function advance(ms: number): Promise<void> {
    const until = time.now() + ms;
    do {
      await quiet();
    } while (time.runNext(until));
    await quiet();
  }

  async function abandon(): Promise<void> {
    await Promise.all([realScheduler.close(), tokenCounter.close(), realStore.close()]);
  }

  return {
    context,
    worker,
    orphans,
    provider,
    time,
    dataDir,
    complaints,
    async submit(prompt, input = {}) {
      const messages: CanonicalInput["messages"] = [{ role: "user", content: [{ type: "text", text: prompt }] }];
      const [job] = await submit(context, [{ environment: "UAT", messages, messagesField: "prompt", ...input }]);
      return job!.id;
    },
    async record(jobId) {
      return (await context.store.get(jobId))!;
    },
    async ends(jobId) {
      return (await context.store.get(jobId))!.attempts.map((attempt) => attempt.end?.result);
    },
    listen(jobId) {
      const heard: JobEvent[] = [];
      context.events.subscribe(jobId, (event) => heard.push(event));
      return heard;
    },
    quiet,
    advance,
    abandon,
    async close() {
      const stopped = worker.stop();
      await advance(settings.worker.drainMs + 10_000);
      await stopped;
      await stopWaits?.();
      await abandon();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** To be called once in a test file: gives the function that opens harnesses with a running worker, each for one test. */
export function runningWorkers(): (options?: HarnessOptions) => Promise<Harness> {
  const opened: Harness[] = [];
  afterEach(async () => {
    for (const harness of opened.splice(0)) await harness.close();
  });
  return async (options) => {
    const harness = await openHarness(options);
    opened.push(harness);
    harness.worker.start();
    await harness.quiet();
    return harness;
  };
}

export function states(events: readonly JobEvent[]): JobState[] {
  return events.flatMap((event) => (event.type === "state" ? [event.state] : []));
}

/** The object, with some of its methods replaced. */
function overlaid<T extends object>(real: T, replaced: Partial<T> = {}): T {
  return new Proxy(real, {
    get(target, key) {
      const source = key in replaced ? (replaced as T) : target;
      const value = source[key as keyof T];
      return typeof value === "function" ? value.bind(source) : value;
    },
  });
}

/** The object, with every promise that it returns in `operations` until it is settled. */
function watched<T extends object>(real: T, operations: Set<Promise<unknown>>): T {
  return new Proxy(real, {
    get(target, key) {
      const value = target[key as keyof T];
      // The records of the store are an object of their own.
      if (typeof value === "object" && value !== null) return watched(value, operations);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const result = value.apply(target, args);
        if (result instanceof Promise) {
          operations.add(result);
          const over = () => operations.delete(result);
          result.then(over, over);
        }
        return result;
      };
    },
  });
}
