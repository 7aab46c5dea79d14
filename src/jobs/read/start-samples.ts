// Measures how well starts are predicted. It samples at most one submitted job a second, remembers its predicted start, and
// learns of the real one from the event bus, also if another process starts the job.
import type { JobId } from "../../domain/ids.ts";
import { isFinal, type JobHead } from "../../domain/job.ts";
import type { EventBus } from "../../events/event-bus.ts";
import type { Scheduler } from "../../scheduler/scheduler.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { JobsContext, StartSampler } from "../jobs-context.ts";
import { queueEntryOf } from "../queue-entry.ts";

type Context = Pick<JobsContext, "clock" | "log"> & {
  scheduler: Pick<Scheduler, "estimatePosition">;
  events: Pick<EventBus, "subscribe">;
  metrics: Pick<Metrics, "startCompared">;
};

const sampleEachMs = 1_000;
/** Maximum number of sampled jobs that wait. Without a place, no job is sampled until one of them starts. */
const maxWaiting = 200;
/** Age at which a sample is dropped, in milliseconds. Its start may have been missed. */
const longestMs = 24 * 3_600_000;

interface Sample {
  /** When the job was submitted, by the monotonic clock in milliseconds. */
  at: number;
  predictedMs?: number;
  realMs?: number;
  unsubscribe(): void;
}

export class StartSamples implements StartSampler {
  readonly #context: Context;
  readonly #waiting = new Map<JobId, Sample>();
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(context: Context) {
    this.#context = context;
  }

  observe(job: JobHead): void {
    const { clock, events } = this.#context;
    const now = clock.now();
    // The start of a delayed job is known without a prediction.
    if (now < this.#nextAt || job.notBefore !== undefined) return;
    this.#nextAt = now + sampleEachMs;
    for (const [id, { at }] of this.#waiting) if (now - at > longestMs) this.#drop(id);
    if (this.#waiting.size >= maxWaiting) return;
    const sample: Sample = {
      at: now,
      unsubscribe: events.subscribe(
        job.id,
        (event) => {
          if (event.type !== "state" || event.state === "queued") return;
          if (event.state === "in_progress") sample.realMs = clock.now() - now;
          if (isFinal(event.state)) this.#drop(job.id);
          else this.#compare(job.id, sample);
        },
        "states",
      ),
    };
    this.#waiting.set(job.id, sample);
    void this.#predict(job, sample);
  }

  async #predict(job: JobHead, sample: Sample): Promise<void> {
    const { scheduler, clock, log } = this.#context;
    try {
      const place = await scheduler.estimatePosition(queueEntryOf(job, clock.wall()));
      if (place.state !== "waiting" || place.startsInMs === undefined) return this.#drop(job.id);
      sample.predictedMs = place.startsInMs;
      this.#compare(job.id, sample);
    } catch (error) {
      log.debug({ err: error }, "failed to predict the start of a sampled job");
      this.#drop(job.id);
    }
  }

  #compare(jobId: JobId, { predictedMs, realMs }: Sample): void {
    if (predictedMs === undefined || realMs === undefined) return;
    this.#context.metrics.startCompared(predictedMs, realMs);
    this.#drop(jobId);
  }

  #drop(jobId: JobId): void {
    this.#waiting.get(jobId)?.unsubscribe();
    this.#waiting.delete(jobId);
  }
}
