// A process of its own for bench/enqueue.ts: the HTTP interface over the real store and queue (`durable`), the same with
// metrics (`measured`), or the very same one over nothing (`nothing`): same route, same validation, same job built, but
// neither stored nor queued.

import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createHttpServer } from "../../src/http/server.ts";
import { WaitingCallers } from "../../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../../src/jobs/control/pause-watch.ts";
import { openKeyRegistry } from "../../src/jobs/keys/key-registry.ts";
import { makeJobs, openEmbedded } from "./embedded.ts";

export interface Cpu {
  /** CPU time of the main thread so far, in microseconds. On other systems than Linux, the time it was not idle. */
  mainUs: number;
  /** CPU time of the whole process so far, in microseconds. */
  processUs: number;
}

/** The server's answers, by question. */
export interface Answers {
  cpu: Cpu;
  /** The number of writes in each commit since the last question. */
  groups: number[];
  /** Times of durable writes of one job, one after another on an idle server, in milliseconds, ascending. */
  writes: number[];
}

let groups: number[] = [];
const { context, worker, close } = await openEmbedded({
  // Few enough that what is measured is taking jobs in, while the queue that they go into is a real one.
  quotas: [{ unit: "requests", per: "minute", limit: 3 }],
  concurrency: 50,
  metrics: process.argv[2] === "measured",
  onCommit: (writes) => groups.push(writes),
});
if (process.argv[2] === "nothing") {
  context.store.insertMany = async (jobs) => jobs.map(() => "inserted" as const);
  context.scheduler.enqueue = async () => 0;
}
const keys = await openKeyRegistry(context);
const http = createHttpServer({
  ...context,
  keys,
  callers: new WaitingCallers(context),
  pauses: new PauseWatch(context),
});

function cpu(): Cpu {
  const { user, system } = process.cpuUsage();
  const mainUs =
    process.platform === "linux"
      ? Number.parseInt(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8"), 10) / 1000
      : performance.eventLoopUtilization().active * 1000;
  return { mainUs, processUs: user + system };
}

async function durableWrites(): Promise<number[]> {
  const times: number[] = [];
  for (const job of makeJobs(300)) {
    const startedAt = performance.now();
    await context.store.insertMany([job]);
    times.push(performance.now() - startedAt);
  }
  return times.sort((a, b) => a - b);
}

async function answerTo(question: keyof Answers): Promise<Answers[keyof Answers]> {
  if (question === "cpu") return cpu();
  if (question === "writes") return durableWrites();
  const sizes = groups;
  groups = [];
  return sizes;
}

await http.listen({ host: "127.0.0.1", port: 0 });
worker.start();
process.send!((http.server.address() as AddressInfo).port);
process.on("message", async (message: keyof Answers | "stop") => {
  if (message !== "stop") return process.send!(await answerTo(message));
  await http.close();
  await keys.close();
  await close();
  process.disconnect();
});
