// Records what this process does, minute by minute, and stores each minute once it is over. It receives the same events as
// the metrics. A process that is killed loses the minute that is under way.
import type { Settings } from "../../config/settings.ts";
import type { Clock } from "../../domain/clock.ts";
import { observe } from "../../domain/log-histogram.ts";
import type { QuotaSnapshot, SchedulerSnapshot } from "../../scheduler/scheduler-reports.ts";
import type { JobStore } from "../../store/job-store.ts";
import { KnownNames } from "../../telemetry/known-names.ts";
import type { EndedCall, Metrics, ThrottleKind } from "../../telemetry/metrics.ts";
import { minuteMs, startOf, storePart, type TimedPeriod } from "./history-records.ts";
import { longInputTokens, PeriodSum } from "./period.ts";

/** The events that the history counts. */
export type HistoryEvents = Pick<Metrics, "jobSubmitted" | "jobFinished" | "callStarted" | "callEnded">;

export interface RecorderContext {
  settings: Pick<Settings, "models" | "environments">;
  store: Pick<JobStore, "records">;
  clock: Pick<Clock, "wall">;
}

/** Share of a quota from which it counts as used up if jobs wait. Less than one job of an average cost may be left. */
const fullShare = 0.95;
/** Minutes that wait for an unavailable store. Older ones are dropped. */
const mostPending = 120;

export class HistoryRecorder implements HistoryEvents {
  readonly #context: RecorderContext;
  readonly #processId: string;
  readonly #known: KnownNames;
  #minute: number;
  #sum = new PeriodSum();
  #isEmpty = true;
  /** Minutes that are over and not stored, with the ids of their parts. */
  #pending: (TimedPeriod & { id: string })[] = [];
  /** Distinguishes parts of the same minute, if the clock steps back. */
  #parts = 0;

  /** @param processId unique among all processes, also after a restart; printable ASCII without spaces */
  constructor(context: RecorderContext, processId: string) {
    this.#context = context;
    this.#processId = processId;
    this.#known = new KnownNames(context.settings);
    this.#minute = startOf(context.clock.wall(), minuteMs);
  }

  // -------------------------------------------------------------- events

  jobSubmitted({ environment, priority, model }: Parameters<Metrics["jobSubmitted"]>[0]): void {
    this.#queue(environment, priority, model).submitted++;
  }

  jobFinished(
    { environment, priority = "standard", model }: Parameters<Metrics["jobFinished"]>[0],
    outcome: Parameters<Metrics["jobFinished"]>[1],
  ): void {
    this.#queue(environment, priority, model)[outcome === "expired" ? "failed" : outcome]++;
  }

  callStarted({ environment, priority, model }: Parameters<Metrics["callStarted"]>[0], waitedMs: number): void {
    observe(this.#queue(environment, priority, model).waitedMs, waitedMs);
  }

  callEnded({ attempt, end, throttle }: EndedCall): void {
    if (end.result === "not_sent") return;
    const { model, deployment } = attempt;
    const calls = this.#current().callsOf(this.#known.model(model), this.#known.deployment(deployment));
    const input = tokens(end.usage?.input) + tokens(end.usage?.cacheRead) + tokens(end.usage?.cacheWrite);
    const output = tokens(end.usage?.output);
    calls.attempts++;
    calls[end.result === "completed" || end.result === "throttled" ? end.result : "failed"]++;
    calls.inputTokens += input;
    calls.outputTokens += output;
    for (const quota of this.#quotasOf(model, deployment)) {
      const use = this.#sum.quota(quota.name);
      use.requests++;
      if (throttle !== undefined && isRefusedBy(throttle, quota)) use.throttles++;
      if (end.usage === undefined) continue;
      use.answered++;
      use.inputTokens += input;
      use.outputTokens += output;
      if (input > longInputTokens) use.longInputs++;
    }
  }

  // -------------------------------------------------------------- samples

  /** Adds a sample of the scheduler, which all processes share. */
  sample({ open, quotas, waiting }: SchedulerSnapshot): void {
    // While the queue is rebuilt, its use and depth are not known.
    if (!open) return;
    const sum = this.#current();
    sum.countSample();
    const now = this.#context.clock.wall();
    const wanted = new Set<string>();
    const waitedFor = new Set<string>();
    for (const { environment, priority, model, ready, delayed, oldestOrder, waitingOn } of waiting) {
      const queue = this.#queue(environment, priority, model);
      queue.waitingSum += ready + delayed;
      queue.waitingMax = Math.max(queue.waitingMax, ready + delayed);
      if (ready === 0) continue;
      if (oldestOrder !== undefined) queue.oldestMaxMs = Math.max(queue.oldestMaxMs, now - oldestOrder);
      for (const quota of this.#quotasOf(model)) wanted.add(quota.name);
      if (waitingOn?.kind === "quota") waitedFor.add(waitingOn.quota);
    }
    for (const quota of quotas) {
      const isFull = wanted.has(quota.name) && quota.used >= fullShare * quota.effectiveLimit;
      addSample(sum, quota, isFull || waitedFor.has(quota.name));
    }
  }

  // -------------------------------------------------------------- storing

  /**
   * Stores the minutes that are over.
   * @throws what the store throws; the minutes are kept and stored by a later call
   */
  async flush(): Promise<void> {
    this.#turnMinute();
    while (this.#pending.length > 0) {
      const [part] = this.#pending as [TimedPeriod & { id: string }];
      await storePart(this.#context.store, part, part.id);
      if (this.#pending[0] === part) this.#pending.shift();
    }
  }

  /** Stores everything, with the minute that is under way. For the end of the process. */
  async close(): Promise<void> {
    this.#end();
    await this.flush();
  }

  /** Returns the sum of the minute that is under way, to be added to. */
  #current(): PeriodSum {
    this.#turnMinute();
    this.#isEmpty = false;
    return this.#sum;
  }

  /** Ends the minute if it is over. */
  #turnMinute(): void {
    const minute = startOf(this.#context.clock.wall(), minuteMs);
    if (minute === this.#minute) return;
    this.#end();
    this.#minute = minute;
  }

  #end(): void {
    if (this.#isEmpty) return;
    this.#pending.push({ at: this.#minute, period: this.#sum.period, id: `${this.#processId}.${this.#parts++}` });
    this.#sum = new PeriodSum();
    this.#isEmpty = true;
    if (this.#pending.length > mostPending) this.#pending.shift();
  }

  #queue(environment: string, priority: string, model: string | undefined) {
    return this.#current().queue(this.#known.environment(environment), priority, this.#known.model(model));
  }

  /** Returns the quotas of a model's deployment, or of all of its deployments. */
  #quotasOf(model: string, deployment?: string) {
    const { models } = this.#context.settings;
    if (!Object.hasOwn(models, model)) return [];
    const chosen = models[model]!.deployments.filter(({ id }) => deployment === undefined || id === deployment);
    return chosen.flatMap(({ quotas }) => quotas);
  }
}

function addSample(sum: PeriodSum, quota: QuotaSnapshot, isLimited: boolean): void {
  const use = sum.quota(quota.name);
  use.samples++;
  if (isLimited) use.limited++;
  use.usedSum += quota.used;
  use.usedMax = Math.max(use.usedMax, quota.used);
  use.reservedSum += quota.reserved;
  use.configuredSum += quota.configuredLimit;
  use.effectiveSum += quota.effectiveLimit;
}

/** Whether a refusal can be due to a quota. A provider that does not name its quota may mean any of them. */
function isRefusedBy(
  throttle: ThrottleKind,
  { unit, per }: Settings["models"][string]["deployments"][number]["quotas"][number],
) {
  if (throttle === "unknown") return true;
  if (throttle === "tokens_per_day") return per === "day";
  return per === "minute" && (unit === "requests") === (throttle === "requests");
}

/** Usage that a provider reported or an earlier version stored may be any number. */
function tokens(count: number | undefined): number {
  return count !== undefined && count > 0 && count < 1e12 ? count : 0;
}
