// A process of its own for bench/enqueue.ts: the HTTP interface over the real store and queue (`durable`), the same with
// metrics (`measured`), or the very same one over nothing (`nothing`): same route, same validation, same job built, but
// neither stored nor queued.

import type { AddressInfo } from "node:net";
import { createHttpServer } from "../../src/http/server.ts";
import { WaitingCallers } from "../../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../../src/jobs/control/pause-watch.ts";
import { openKeyRegistry } from "../../src/jobs/keys/key-registry.ts";
import { openEmbedded } from "./embedded.ts";

const { context, worker, close } = await openEmbedded({
  // Few enough that what is measured is taking jobs in, while the queue that they go into is a real one.
  quotas: [{ unit: "requests", per: "minute", limit: 3 }],
  concurrency: 50,
  metrics: process.argv[2] === "measured",
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
await http.listen({ host: "127.0.0.1", port: 0 });
worker.start();
process.send!((http.server.address() as AddressInfo).port);
process.on("message", async (message) => {
  if (message === "cpu") {
    const { user, system } = process.cpuUsage();
    process.send!(user + system);
    return;
  }
  await http.close();
  await keys.close();
  await close();
  process.disconnect();
});
