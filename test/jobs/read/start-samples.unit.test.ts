// How well starts are predicted: one sample a second, of jobs that start in any process.
import { pino } from "pino";
import { expect, test } from "vitest";
import type { Job, JobState } from "../../../src/domain/job.ts";
import { createMemoryEventBus } from "../../../src/events/memory/memory-event-bus.ts";
import { StartSamples } from "../../../src/jobs/read/start-samples.ts";
import type { Explanation } from "../../../src/scheduler/scheduler.ts";
import { makeJob } from "../../store/conformance/support.ts";

const waiting = (startsInMs?: number): Explanation => ({
  state: "waiting",
  position: 1,
  waitingOn: { kind: "fairness" },
  ...(startsInMs !== undefined && { startsInMs }),
});

function start(predict: () => Promise<Explanation> = async () => waiting(4000)) {
  let now = 0;
  const clock = { now: () => now, wall: () => now };
  const bus = createMemoryEventBus();
  const listening = new Set<string>();
  const compared: [predictedMs: number, realMs: number][] = [];
  const samples = new StartSamples({
    scheduler: { estimatePosition: predict },
    events: {
      subscribe(jobId, ...rest) {
        listening.add(jobId);
        const unsubscribe = bus.subscribe(jobId, ...rest);
        return () => {
          listening.delete(jobId);
          unsubscribe();
        };
      },
    },
    clock,
    metrics: { startCompared: (predictedMs, realMs) => compared.push([predictedMs, realMs]) },
    log: pino({ level: "silent" }),
  });
  return {
    compared,
    listening,
    /** Observes a job at a time, and waits until its start is predicted. */
    async submit(atMs: number, fields: Partial<Job> = {}): Promise<Job> {
      now = atMs;
      const job = makeJob(fields);
      samples.observe(job);
      await new Promise(setImmediate);
      return job;
    },
    publish(atMs: number, { id: jobId, environment }: Job, state: JobState) {
      now = atMs;
      bus.publish({ type: "state", jobId, environment, state, at: 0 });
    },
  };
}

test("compares the predicted with the real time until the start, once", async () => {
  const { submit, publish, compared, listening } = start();
  const job = await submit(1000);
  publish(1000, job, "queued");
  publish(6000, job, "in_progress");
  publish(7000, job, "in_progress");
  publish(8000, job, "completed");
  expect(compared).toEqual([[4000, 5000]]);
  expect(listening.size).toBe(0);
});

test("samples one job a second, and none with a time of its own", async () => {
  const { submit, listening } = start();
  const [first, delayed, second, third] = [
    await submit(0),
    await submit(999),
    await submit(1000, { notBefore: 5000 }),
    await submit(1000),
  ];
  expect([...listening]).toEqual([first!.id, third!.id]);
  expect([...listening]).not.toContain(delayed!.id);
  expect([...listening]).not.toContain(second!.id);
});

test("a job that starts before its prediction is compared when the prediction arrives", async () => {
  let answer: (place: Explanation) => void = () => {};
  const { submit, publish, compared } = start(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  const job = await submit(0);
  publish(30, job, "in_progress");
  expect(compared).toEqual([]);
  answer(waiting(0));
  await new Promise(setImmediate);
  expect(compared).toEqual([[0, 30]]);
});

test.each([
  ["ends without a start", async () => waiting(1), "cancelled" as const],
  ["has no prediction", async () => waiting(), undefined],
  ["is running already", async (): Promise<Explanation> => ({ state: "running", deployment: "d" }), undefined],
  ["cannot be predicted", async () => Promise.reject(new Error("away")), undefined],
])("forgets a job that %s", async (_, predict, state) => {
  const { submit, publish, compared, listening } = start(predict);
  const job = await submit(0);
  if (state) publish(10, job, state);
  expect(listening.size).toBe(0);
  expect(compared).toEqual([]);
});

test("keeps at most 200 samples, and none for longer than a day", async () => {
  const { submit, listening } = start();
  for (let n = 0; n < 210; n++) await submit(n * 1000);
  expect(listening.size).toBe(200);
  await submit(24 * 3_600_000 + 100_500);
  expect(listening.size).toBe(100);
});
