// How long a prompt to an idle distributed service takes to reach the provider. One process stores and queues it, and
// another acquires it; Redis and a server of MongoDB's protocol are in between. The time from accept to call contains
// adding to the queue, the notice, acquire, and one durable write of the attempt. The baseline is one durable write of
// a job in the same store. Its time depends on the document database, so the figure names that.
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { schedulerConfigOf } from "../src/config/scheduler-config.ts";
import { systemClock } from "../src/domain/clock.ts";
import { createRedisEventBus } from "../src/events/redis/redis-event-bus.ts";
import { queueEntryOf } from "../src/jobs/queue-entry.ts";
import { createRedisScheduler } from "../src/scheduler/redis/redis-scheduler.ts";
import { openMongoStore } from "../src/store/mongo/mongo-store.ts";
import { recover } from "../src/worker/recovery/recovery.ts";
import { createWorker } from "../src/worker/worker.ts";
import type { WorkerContext } from "../src/worker/worker-context.ts";
import { findRedis } from "../test/support/find-servers.ts";
import { launchRedis } from "../test/support/servers.ts";
import { makeJobs, openEmbedded } from "./support/embedded.ts";
import { compare, type Figure, quantile } from "./support/measure.ts";
import { openMongo } from "./support/mongo-server.ts";

const repeats = 3;
const prompts = 100;

export async function benchDistributedLatency(): Promise<Figure[]> {
  const [redis, mongo] = await Promise.all([launchRedis(await findRedis()), openMongo()]);
  const rounds: Round[] = [];
  try {
    for (let i = 0; i < repeats; i++) rounds.push(await round(redis.url, mongo.url));
  } finally {
    await Promise.all([redis.close(), mongo.close()]);
  }
  const figure = (q: number, goal?: string) =>
    compare(
      `idle, distributed (Redis, ${mongo.name}): accepted -> provider call, p${q * 100}`,
      "ms",
      rounds.map((r) => ({ ours: quantile(r.fromAccept, q), baseline: quantile(r.write, q) })),
      "one durable write",
      goal,
    );
  return [figure(0.5), figure(0.99, "< 10 ms")];
}

/** Milliseconds, ascending. */
interface Round {
  fromAccept: number[];
  write: number[];
}

async function round(redisUrl: string, mongoUrl: string): Promise<Round> {
  let called = (_at: number) => {};
  const base = await openEmbedded({
    quotas: [{ unit: "requests", per: "minute", limit: 1_000_000 }],
    concurrency: 50,
    onCall: () => called(performance.now()),
  });
  const { environments } = base.context.settings;
  const config = schedulerConfigOf(base.context.settings);
  /** What one process has: connections of its own. */
  const open = async () => ({
    store: await openMongoStore({ url: mongoUrl, environments }),
    scheduler: await createRedisScheduler({ redis: redisUrl, config }),
    events: await createRedisEventBus({ url: redisUrl, clock: systemClock, log: pino({ level: "warn" }) }),
  });
  const [api, ofWorker] = await Promise.all([open(), open()]);
  const context: WorkerContext = { ...base.context, ...ofWorker };
  const worker = createWorker(context, {
    rebuild: (giveUp) => recover(context, worker.renewLeases, giveUp),
    onWaiting: () => {},
    onAcquired: () => {},
  });
  worker.start();
  const times: Round = { fromAccept: [], write: [] };
  try {
    for (const [i, job] of makeJobs(prompts + 20).entries()) {
      await sleep(20);
      const call = new Promise<number>((resolve) => {
        called = resolve;
      });
      await api.store.insertMany([job]);
      const acceptedAt = performance.now();
      await api.scheduler.enqueue([queueEntryOf(job, Date.now())]);
      const calledAt = await call;
      if (i >= 20) times.fromAccept.push(calledAt - acceptedAt);
    }
    await worker.stop();
    for (const job of makeJobs(prompts)) {
      await sleep(5);
      const start = performance.now();
      await api.store.insertMany([job]);
      times.write.push(performance.now() - start);
    }
  } finally {
    for (const { store, scheduler, events } of [api, ofWorker]) {
      await Promise.all([store.close(), scheduler.close(), events.close()]);
    }
    await base.close();
  }
  for (const values of [times.fromAccept, times.write]) values.sort((a, b) => a - b);
  return times;
}
