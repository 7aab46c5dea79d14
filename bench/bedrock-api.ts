// What a call of an AWS SDK takes longer through Sluice than straight to the simulator, while every quota is free: whole,
// and until the first event of a stream. Both clients are the SDK for JavaScript, in turn, with a connection of their own.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { pino } from "pino";
import { resolve } from "../src/config/resolve.ts";
import type { Settings } from "../src/config/settings.ts";
import { startService } from "../src/service/start-service.ts";
import { startSimulator } from "../src/simulator/simulator.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite-store.ts";
import { makeJobs } from "./support/embedded.ts";
import { compare, type Figure, quantile } from "./support/measure.ts";

const repeats = 5;
const calls = 100;
const warmUps = 20;
const modelId = "us.amazon.nova-lite-v1:0";

export async function benchBedrockApi(): Promise<Figure[]> {
  process.env.AWS_ACCESS_KEY_ID ??= "bench";
  process.env.AWS_SECRET_ACCESS_KEY ??= "bench";
  const rounds: Round[] = [];
  for (let i = 0; i < repeats; i++) rounds.push(await round());
  const added = (what: string, of: (r: Round) => Pair) =>
    compare(
      `${what}: added by Sluice, p50`,
      "ms",
      rounds.map((r) => ({
        ours: quantile(of(r).through, 0.5) - quantile(of(r).direct, 0.5),
        beside: 3 * quantile(r.write, 0.5) + 1,
      })),
      "3 durable writes + 1 ms",
      "ratio <= 1",
    );
  return [added("Converse", (r) => r.whole), added("ConverseStream, first event", (r) => r.streamed)];
}

/** Milliseconds, ascending. */
interface Pair {
  through: number[];
  direct: number[];
}

interface Round {
  whole: Pair;
  streamed: Pair;
  write: number[];
}

async function round(): Promise<Round> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const simulator = await startSimulator({ answerTokens: 20 });
  const settings = settingsFor(join(dataDir, "service"), simulator.url);
  const service = await startService(settings, { log: pino({ level: "silent" }) });
  const clients = [clientOf(service.url!), clientOf(simulator.url)] as const;
  const [through, direct] = clients;
  const times: Round = {
    whole: { through: [], direct: [] },
    streamed: { through: [], direct: [] },
    write: [],
  };
  const bare = await openSqliteStore({ dataDir: join(dataDir, "bare"), environments: settings.environments });
  try {
    for (let i = -warmUps; i < calls; i++) {
      const measured = [
        [times.whole.through, () => whole(through, i)],
        [times.whole.direct, () => whole(direct, i)],
        [times.streamed.through, () => streamed(through, i)],
        [times.streamed.direct, () => streamed(direct, i)],
      ] as const;
      for (const [list, run] of measured) {
        await sleep(5);
        const ms = await run();
        if (i >= 0) list.push(ms);
      }
    }
    for (const job of makeJobs(calls)) {
      await sleep(5);
      const start = performance.now();
      await bare.insertMany([job]);
      times.write.push(performance.now() - start);
    }
  } finally {
    for (const client of clients) client.destroy();
    await service.stop();
    await bare.close();
    await simulator.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
  const { whole: one, streamed: other } = times;
  for (const list of [one.through, one.direct, other.through, other.direct, times.write]) list.sort((a, b) => a - b);
  return times;
}

function settingsFor(dataDir: string, endpoint: string): Settings {
  const { settings, problems } = resolve({
    models: { nova: { deployments: [{ region: "us-east-1", modelId, endpoint }] } },
  });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return {
    source: "bench",
    authentication: "keys",
    dashboard: true,
    simulator: false,
    role: "all",
    runs: Object.keys(settings.environments),
    ...settings,
    dataDir,
    port: 0,
    logLevel: "silent",
  };
}

function clientOf(endpoint: string): BedrockRuntimeClient {
  const credentials = { accessKeyId: "bench", secretAccessKey: "bench" };
  return new BedrockRuntimeClient({
    endpoint,
    region: "us-east-1",
    credentials,
    requestHandler: new NodeHttpHandler(),
  });
}

function ask(i: number) {
  const messages = [{ role: "user" as const, content: [{ text: `Prompt ${i}` }] }];
  return { modelId, messages, inferenceConfig: { maxTokens: 50 } };
}

async function whole(client: BedrockRuntimeClient, i: number): Promise<number> {
  const start = performance.now();
  await client.send(new ConverseCommand(ask(i)));
  return performance.now() - start;
}

async function streamed(client: BedrockRuntimeClient, i: number): Promise<number> {
  const start = performance.now();
  const { stream } = await client.send(new ConverseStreamCommand(ask(i)));
  let firstMs: number | undefined;
  for await (const _ of stream!) firstMs ??= performance.now() - start;
  return firstMs!;
}
