// How much later a held call is answered than a call of the provider itself, when the quotas admit it at once. Each SDK
// calls the service and the simulator in turn. Client, service and simulator are three processes. Between the calls, the
// store of another SQLite file writes one job.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import {
  BedrockRuntimeClient,
  ConverseCommand,
  ConverseStreamCommand,
  InvokeModelCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import OpenAI from "openai";
import type { JobStore } from "../src/store/job-store.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite-store.ts";
import { answerOf } from "./support/child-answer.ts";
import { makeJobs } from "./support/embedded.ts";
import { claude, nova } from "./support/held-models.ts";
import { compare, type Figure, quantile } from "./support/measure.ts";

const repeats = 5;
const calls = 100;
const warmUps = 20;
const prompt = "Why is the sky blue?";
const maxTokens = 20;
const environments = { UAT: { database: "bench", weight: 1 } };

/** Makes one call, and returns how long it took in milliseconds. */
type Call = () => Promise<number>;

/** A way to call a model through the service, and next to it the call of the simulator that causes the same work. */
interface Dialect {
  name: string;
  held: Call;
  direct: Call;
  /** What `direct` is. */
  baseline: string;
  close: () => void;
}

/** Milliseconds, ascending. */
interface Round {
  held: number[];
  direct: number[];
  write: number[];
}

export async function benchHeld(): Promise<Figure[]> {
  const simulator = await startServer();
  const service = await startServer(simulator.url);
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const store = await openSqliteStore({ dataDir, environments });
  const dialects = dialectsOf(service.url, simulator.url);
  const rounds = new Map(dialects.map((dialect) => [dialect, [] as Round[]]));
  try {
    for (let i = 0; i < repeats; i++) {
      for (const [dialect, all] of rounds) all.push(await round(dialect, store));
    }
  } finally {
    for (const { close } of dialects) close();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
    for (const { child } of [service, simulator]) {
      child.send("stop");
      await once(child, "exit");
    }
  }
  return [...rounds].flatMap(([dialect, all]) => figuresOf(dialect, all));
}

async function startServer(...args: string[]): Promise<{ url: string; child: ChildProcess }> {
  // The service signs its calls. The simulator accepts any signature.
  const env = { ...process.env, AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "secret" };
  const child = fork(new URL("./support/held-server.js", import.meta.url), args, { env });
  return { url: await answerOf<string>(child), child };
}

function dialectsOf(service: string, simulator: string): Dialect[] {
  return [
    bedrockDialect("Bedrock Converse, SDK for JavaScript over HTTP/1.1", service, simulator, http1),
    // The simulator speaks HTTP/1.1 only.
    bedrockDialect("Bedrock Converse, SDK for JavaScript over HTTP/2", service, simulator, () => ({})),
    streamDialect(service, simulator),
    chatDialect(service, simulator),
    messagesDialect(service, simulator),
  ];
}

function bedrockClient(endpoint: string, options: object): BedrockRuntimeClient {
  const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret" };
  return new BedrockRuntimeClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 1, ...options });
}

const http1 = () => ({ requestHandler: new NodeHttpHandler() });

const asked = {
  modelId: nova,
  messages: [{ role: "user" as const, content: [{ text: prompt }] }],
  inferenceConfig: { maxTokens },
};

function bedrockDialect(name: string, service: string, simulator: string, transport: () => object): Dialect {
  const clients = [bedrockClient(service, transport()), bedrockClient(simulator, http1())] as const;
  const [held, direct] = clients.map((client) => timed(() => client.send(new ConverseCommand(asked)))) as [Call, Call];
  return { name, held, direct, baseline: "the SDK over HTTP/1.1, direct", close: () => destroyAll(clients) };
}

function streamDialect(service: string, simulator: string): Dialect {
  const clients = [bedrockClient(service, http1()), bedrockClient(simulator, http1())] as const;
  const firstEvent = (client: BedrockRuntimeClient) => async (): Promise<number> => {
    const began = performance.now();
    let firstMs: number | undefined;
    const { stream } = await client.send(new ConverseStreamCommand(asked));
    for await (const _ of stream!) firstMs ??= performance.now() - began;
    return firstMs!;
  };
  const [held, direct] = clients.map(firstEvent) as [Call, Call];
  const name = "Bedrock ConverseStream over HTTP/1.1, first event";
  return { name, held, direct, baseline: "the SDK, direct", close: () => destroyAll(clients) };
}

function destroyAll(clients: readonly BedrockRuntimeClient[]): void {
  for (const client of clients) client.destroy();
}

function chatDialect(service: string, simulator: string): Dialect {
  const chat = (url: string, model: string) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
    const messages = [{ role: "user" as const, content: prompt }];
    return timed(() => client.chat.completions.create({ model, messages, max_tokens: maxTokens }));
  };
  return {
    name: "OpenAI chat",
    held: chat(service, "chat"),
    direct: chat(simulator, nova),
    baseline: "the SDK, direct",
    close: () => {},
  };
}

/** The simulator does not speak Anthropic's API, so InvokeModel with the same body is next to it. */
function messagesDialect(service: string, simulator: string): Dialect {
  const body = { max_tokens: maxTokens, messages: [{ role: "user" as const, content: prompt }] };
  const anthropic = new Anthropic({ baseURL: service, apiKey: "any", maxRetries: 0 });
  const bedrock = bedrockClient(simulator, http1());
  const native = JSON.stringify({ anthropic_version: "bedrock-2023-05-31", ...body });
  return {
    name: "Anthropic messages",
    held: timed(() => anthropic.messages.create({ model: "claude", ...body })),
    direct: timed(() => bedrock.send(new InvokeModelCommand({ modelId: claude, body: native }))),
    baseline: "InvokeModel over HTTP/1.1, direct",
    close: () => bedrock.destroy(),
  };
}

async function round({ held, direct }: Dialect, store: JobStore): Promise<Round> {
  const times: Round = { held: [], direct: [], write: [] };
  for (const [i, job] of makeJobs(calls + warmUps).entries()) {
    const took = { direct: await direct(), held: await held(), write: await timed(() => store.insertMany([job]))() };
    if (i < warmUps) continue;
    for (const what of ["direct", "held", "write"] as const) times[what].push(took[what]);
  }
  for (const values of [times.held, times.direct, times.write]) values.sort((a, b) => a - b);
  return times;
}

function timed(run: () => Promise<unknown>): Call {
  return async () => {
    const began = performance.now();
    await run();
    return performance.now() - began;
  };
}

function figuresOf({ name, baseline }: Dialect, rounds: readonly Round[]): Figure[] {
  const at = (values: number[], q: number) => quantile(values, q);
  const added = (round: Round, q: number) => at(round.held, q) - at(round.direct, q);
  const held = (q: number) =>
    compare(
      `${name}, held, p${q * 100}`,
      "ms",
      rounds.map((r) => ({ ours: at(r.held, q), baseline: at(r.direct, q) })),
      baseline,
    );
  const more = (q: number, what: string, limit: (writeMs: number) => number, goal?: string) =>
    compare(
      `${name}, added, p${q * 100}`,
      "ms",
      rounds.map((r) => ({ ours: added(r, q), baseline: limit(at(r.write, q)) })),
      what,
      goal,
    );
  return [
    held(0.5),
    more(0.5, "3 durable writes + 1 ms", (ms) => 3 * ms + 1, "ratio <= 1"),
    held(0.9),
    more(0.9, "one durable write", (ms) => ms),
  ];
}
