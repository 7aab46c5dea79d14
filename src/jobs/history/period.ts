// What the history holds about a stretch of time: a minute of one process, a minute, or any number of minutes. Numbers of
// several processes, and of several minutes, combine field by field, in any order. Pure.
import { addHistogram, type LogHistogram, observe } from "../../domain/log-histogram.ts";

/**
 * How the numbers of a quota combine. The scheduler is sampled every few seconds, by each process. What ends with `Sum` is
 * a sum over samples, so its mean is that sum divided by `samples`.
 */
const quotaNumbers = {
  /** Samples of the scheduler that have this quota. */
  samples: "sum",
  /** Samples in which the quota held up waiting jobs. */
  limited: "sum",
  /** Amount in the quota's window: reserved by running calls and used by ended ones. */
  usedSum: "sum",
  usedMax: "max",
  /** The part of the amount that running calls reserve. */
  reservedSum: "sum",
  configuredSum: "sum",
  effectiveSum: "sum",
  /** Calls that were sent to deployments with this quota, counted when they end. */
  requests: "sum",
  /** Requests whose tokens are known. */
  answered: "sum",
  inputTokens: "sum",
  outputTokens: "sum",
  /** Requests with more input than `longInputTokens`. */
  longInputs: "sum",
  /** Requests that the provider refused because of this quota. */
  throttles: "sum",
} as const;

/** How the numbers of a model's deployment combine. */
const callNumbers = {
  attempts: "sum",
  completed: "sum",
  throttled: "sum",
  /** Attempts that ended neither completed nor throttled. */
  failed: "sum",
  inputTokens: "sum",
  outputTokens: "sum",
} as const;

/** How the numbers of an environment, a priority and a model combine. */
const queueNumbers = {
  submitted: "sum",
  completed: "sum",
  /** Jobs that failed or expired. */
  failed: "sum",
  cancelled: "sum",
  /** Waiting jobs, as a sum over the period's samples. */
  waitingSum: "sum",
  waitingMax: "max",
  /** Age of the oldest job that could run, in milliseconds. */
  oldestMaxMs: "max",
} as const;

type Numbers<R> = { -readonly [Name in keyof R]: number };

/** A quota. `requestsPerMinute` and `tokensPerMinute` count the minutes with requests, once the period has ended. */
export type QuotaUse = { name: string } & Numbers<typeof quotaNumbers> & {
    requestsPerMinute: LogHistogram;
    tokensPerMinute: LogHistogram;
  };

/** The calls of one model to one of its deployments. */
export type Calls = { model: string; deployment: string } & Numbers<typeof callNumbers>;

/** The jobs of one environment, priority and model. `waitedMs` is the time from acceptance to the first call. */
export type Queue = { environment: string; priority: string; model: string } & Numbers<typeof queueNumbers> & {
    waitedMs: LogHistogram;
  };

/** A stretch of time. Rows in which nothing happened may be absent. */
export interface Period {
  /** Minutes that are added up. */
  minutes: number;
  /** Samples of the scheduler, of all processes together. */
  samples: number;
  quotas: QuotaUse[];
  calls: Calls[];
  queues: Queue[];
}

/** Input tokens above which AWS's form counts a request as long. */
export const longInputTokens = 25_000;

// ---------------------------------------------------------------- rows

type Rules = Readonly<Record<string, "sum" | "max">>;

function zeros<R extends Rules>(rules: R): Numbers<R> {
  return Object.fromEntries(Object.keys(rules).map((name) => [name, 0])) as Numbers<R>;
}

/** Adds a row to another, in place. A field that an earlier version did not store counts as 0. */
function combine<R extends Rules>(rules: R, into: Numbers<R>, more: Partial<Numbers<R>>): void {
  for (const name of Object.keys(rules) as (keyof R)[]) {
    const value = more[name] ?? 0;
    into[name] = rules[name] === "sum" ? into[name] + value : Math.max(into[name], value);
  }
}

/** Adds up periods, row by row. */
export class PeriodSum {
  #minutes = 0;
  #samples = 0;
  readonly #quotas = new Map<string, QuotaUse>();
  readonly #calls = new Map<string, Calls>();
  readonly #queues = new Map<string, Queue>();

  /** Counts a sample of the scheduler. */
  countSample(): void {
    this.#samples++;
  }

  /** Returns the row of a quota, to be changed by the caller. */
  quota(name: string): QuotaUse {
    return rowOf(this.#quotas, name, () => ({
      name,
      ...zeros(quotaNumbers),
      requestsPerMinute: {},
      tokensPerMinute: {},
    }));
  }

  /** Returns the row of a model's deployment, to be changed by the caller. */
  callsOf(model: string, deployment: string): Calls {
    return rowOf(this.#calls, `${model}\n${deployment}`, () => ({
      model,
      deployment,
      ...zeros(callNumbers),
    }));
  }

  /** Returns the row of a queue, to be changed by the caller. */
  queue(environment: string, priority: string, model: string): Queue {
    return rowOf(this.#queues, `${environment}\n${priority}\n${model}`, () => ({
      ...{ environment, priority, model },
      ...zeros(queueNumbers),
      waitedMs: {},
    }));
  }

  add(period: Period): void {
    this.#minutes += period.minutes;
    this.#samples += period.samples;
    for (const quota of period.quotas) {
      const row = this.quota(quota.name);
      combine(quotaNumbers, row, quota);
      addHistogram(row.requestsPerMinute, quota.requestsPerMinute ?? {});
      addHistogram(row.tokensPerMinute, quota.tokensPerMinute ?? {});
    }
    for (const calls of period.calls) combine(callNumbers, this.callsOf(calls.model, calls.deployment), calls);
    for (const queue of period.queues) {
      const row = this.queue(queue.environment, queue.priority, queue.model);
      combine(queueNumbers, row, queue);
      addHistogram(row.waitedMs, queue.waitedMs ?? {});
    }
  }

  get period(): Period {
    return {
      minutes: this.#minutes,
      samples: this.#samples,
      quotas: [...this.#quotas.values()],
      calls: [...this.#calls.values()],
      queues: [...this.#queues.values()],
    };
  }
}

function rowOf<Row>(rows: Map<string, Row>, key: string, create: () => Row): Row {
  const known = rows.get(key);
  if (known !== undefined) return known;
  const row = create();
  rows.set(key, row);
  return row;
}

// ---------------------------------------------------------------- periods

/** Adds up periods of any length. */
export function sumOf(periods: Iterable<Period>): Period {
  const sum = new PeriodSum();
  for (const period of periods) sum.add(period);
  return sum.period;
}

/**
 * Returns the minute that parts of several processes make up. Only a whole minute knows its requests and tokens per
 * minute, so they are counted here.
 */
export function minuteOf(parts: Iterable<Period>): Period {
  const minute = { ...sumOf(parts), minutes: 1 };
  for (const quota of minute.quotas) {
    if (quota.requests === 0) continue;
    quota.requestsPerMinute = {};
    quota.tokensPerMinute = {};
    observe(quota.requestsPerMinute, quota.requests);
    observe(quota.tokensPerMinute, quota.inputTokens + quota.outputTokens);
  }
  return minute;
}

/** Returns a smaller period with the same sum: fields that are 0 or empty are absent. For storing. */
export function withoutZeros({ minutes, samples, quotas, calls, queues }: Period): Period {
  const smaller = <Row extends object>(row: Row) =>
    Object.fromEntries(
      Object.entries(row).filter(
        ([, value]) => value !== 0 && (typeof value !== "object" || Object.keys(value).length > 0),
      ),
    ) as Row;
  return { minutes, samples, quotas: quotas.map(smaller), calls: calls.map(smaller), queues: queues.map(smaller) };
}
