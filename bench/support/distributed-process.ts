// One process for bench/distributed.ts. As `service`, it is the API or a worker of the distributed form. The worker's
// provider is in the process and answers at once. As `bullmq`, it is the same HTTP route with a queue of BullMQ in
// place of the store, or a BullMQ worker whose jobs do nothing. It sends its addresses once it runs.
import { once } from "node:events";
import { Socket } from "node:net";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { createHttpServer } from "../../src/http/server.ts";
import { WaitingCallers } from "../../src/jobs/callers/waiting-callers.ts";
import { PauseWatch } from "../../src/jobs/control/pause-watch.ts";
import { openKeyRegistry } from "../../src/jobs/keys/key-registry.ts";
import { startService } from "../../src/service/start-service.ts";
import { instantProvider, openEmbedded } from "./embedded.ts";
import { serviceSettings } from "./service-settings.ts";

export interface ProcessOptions {
  what: "service" | "bullmq";
  role: "api" | "worker";
  mongoUrl: string;
  redisUrl: string;
}

/** Addresses of the API and of the metrics. */
export interface Started {
  url?: string;
  metricsUrl?: string;
}

/** Jobs that one worker runs at a time. */
const concurrency = 200;
const quotas = [
  { unit: "requests", per: "minute", limit: 10_000_000 },
  { unit: "tokens", per: "minute", limit: 1_000_000_000, burst: 1_000_000_000 },
] as const;

async function startSluice({ role, mongoUrl, redisUrl }: ProcessOptions): Promise<Started> {
  const deployment = { region: "us-east-1", modelId: "amazon.nova-lite-v1:0" };
  const deployments = [{ ...deployment, maxConcurrency: 2 * concurrency, quotas: [...quotas] }];
  const models = { llama: { maxOutputTokens: 100, deployments } };
  const settings = serviceSettings({ models, worker: { concurrency } }, "");
  const { url, metricsUrl } = await startService(
    {
      ...settings,
      role,
      distributed: { mongoUrl, redisUrl },
      metrics: { ...settings.metrics, host: "127.0.0.1", port: 0 },
    },
    { createProvider: () => instantProvider() },
  );
  return { ...(url && { url }), ...(metricsUrl && { metricsUrl }) };
}

async function startBullmq({ role, redisUrl }: ProcessOptions): Promise<Started> {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  if (role === "worker") {
    await new Worker("bench", async () => "An answer.", { connection, concurrency }).waitUntilReady();
    return {};
  }
  const queue = new Queue("bench", { connection });
  const { context } = await openEmbedded({ quotas: [...quotas], concurrency });
  context.store.insertMany = async (jobs) => jobs.map(() => "inserted" as const);
  context.scheduler.enqueue = async (entries) => {
    const jobs = entries.map(({ jobId }) => ({ name: "j", data: {}, opts: { jobId } }));
    await (jobs.length === 1 ? queue.add("j", {}, jobs[0]!.opts) : queue.addBulk(jobs));
    return entries.length;
  };
  const [keys, callers, pauses] = [
    await openKeyRegistry(context),
    new WaitingCallers(context),
    new PauseWatch(context),
  ];
  const http = createHttpServer({ ...context, keys, callers, pauses });
  return { url: await http.listen({ host: "127.0.0.1", port: 0 }) };
}

/** Commands sent to the document database, by name and collection. */
const commands: Record<string, number> = {};

/** Counts what the driver writes: each write is one OP_MSG, whose document begins with the command's name. */
function countCommands(mongoPort: number): void {
  const write = Socket.prototype.write;
  const nameAt = 26;
  Socket.prototype.write = function (this: Socket, data: Uint8Array | string, ...rest: never[]) {
    if (this.remotePort === mongoPort && typeof data !== "string") {
      const text = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, 100)).toString("latin1", nameAt);
      const [name, collection] = [text.split("\0", 1)[0]!, text.slice(text.indexOf("\0") + 5).split("\0", 1)[0]!];
      const key = `${name} ${collection}`;
      commands[key] = (commands[key] ?? 0) + 1;
    }
    return write.call(this, data, ...rest);
  } as typeof write;
}

const options = JSON.parse(process.argv[2]!) as ProcessOptions;
countCommands(Number(new URL(options.mongoUrl).port));
process.on("message", () => process.send!(commands));
process.send!(await (options.what === "service" ? startSluice(options) : startBullmq(options)));
// The benchmark kills the processes at the end, because nothing that they hold is kept.
await once(process, "disconnect");
process.exit();
