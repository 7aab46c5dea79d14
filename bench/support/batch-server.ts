// A process of its own for bench/batch.ts: HTTP, the driver of batches and the real store and queue; nothing takes jobs
// out. Says its port, then `durable` when as many jobs as its argument says are on disk, with its peak memory in bytes.

import type { AddressInfo } from "node:net";
import { createHttpServer } from "../../src/http/server.ts";
import { WaitingCallers } from "../../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../../src/jobs/control/pause-watch.ts";
import { openKeyRegistry } from "../../src/jobs/keys/key-registry.ts";
import { Limits } from "../../src/jobs/limits/limits.ts";
import { lineFormats } from "../../src/wire/openai/line-formats.ts";
import { startBatchDriver } from "../../src/worker/batches/batch-driver.ts";
import { openEmbedded } from "./embedded.ts";

const expected = Number(process.argv[2]);
const { context, worker, close } = await openEmbedded({
  quotas: [{ unit: "requests", per: "minute", limit: 3 }],
  concurrency: 1,
});
await context.scheduler.finishRebuild((await context.scheduler.beginRebuild())!);
let accepted = 0;
const add = context.scheduler.enqueue.bind(context.scheduler);
// Nothing is put into the queue before it is on disk.
context.scheduler.enqueue = async (entries) => {
  const added = await add(entries);
  accepted += entries.length;
  if (accepted === expected) process.send!({ durable: true });
  return added;
};
const keys = await openKeyRegistry(context);
context.limits = new Limits({ ...context, keys });
const driver = startBatchDriver({ ...context, formats: lineFormats(context.settings) });
const http = createHttpServer({
  ...context,
  onBatch: driver.wake,
  keys,
  callers: new WaitingCallers(context),
  pauses: new PauseWatch(context),
});
await http.listen({ host: "127.0.0.1", port: 0 });
const { port } = http.server.address() as AddressInfo;
process.send!({ port, dataDir: context.settings.dataDir, rss: process.memoryUsage.rss() });
process.on("message", async (message) => {
  if (message === "peak") {
    process.send!({ peak: process.resourceUsage().maxRSS * 1024 });
    return;
  }
  await http.close();
  await driver.stop();
  await worker.stop();
  await close();
  process.disconnect();
});
