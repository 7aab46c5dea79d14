// Shared by the simulator's tests: the official SDK, a clock that only the test moves, a raw request.
import { BedrockRuntimeClient, type ConverseStreamOutput } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { onTestFinished } from "vitest";
import type { Clock } from "../../src/domain/clock.ts";
import type { SimulatorOptions } from "../../src/simulator/options.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";

export const llama = "us.meta.llama3-3-70b-instruct-v1:0";

/** Starts a simulator and a client that calls it once per attempt. Both end with the test. */
export async function simulate(options: SimulatorOptions = {}): Promise<{
  simulator: Simulator;
  client: BedrockRuntimeClient;
}> {
  const simulator = await startSimulator(options);
  onTestFinished(() => simulator.stop());
  return { simulator, client: clientOf(simulator) };
}

export function clientOf(simulator: Simulator, region = "us-east-1"): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: simulator.url,
    region,
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler(),
  });
  onTestFinished(() => client.destroy());
  return client;
}

/** Input of Converse and ConverseStream with one user message. */
export function ask(prompt: string, maxTokens = 500, modelId = llama) {
  return {
    modelId,
    messages: [{ role: "user" as const, content: [{ text: prompt }] }],
    inferenceConfig: { maxTokens },
  };
}

export async function collect<T>(stream: AsyncIterable<T> | undefined): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream ?? []) items.push(item);
  return items;
}

export function textOf(events: ConverseStreamOutput[]): string {
  return events.map((event) => event.contentBlockDelta?.delta?.text ?? "").join("");
}

/** An error as the SDK creates it. */
interface Failure extends Error {
  code?: string;
  $fault?: string;
  $metadata?: { httpStatusCode?: number; requestId?: string };
  $response?: { headers: Record<string, string> };
}

/** Returns the error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Failure> {
  return promise.then(
    () => {
      throw new Error("It did not fail.");
    },
    (error: Failure) => error,
  );
}

export function manualClock(start = 0): Clock & { time: number } {
  return {
    time: start,
    now() {
      return this.time;
    },
    wall() {
      return this.time;
    },
  };
}

const signature =
  "AWS4-HMAC-SHA256 Credential=test/20261122/eu-west-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";

/** Sends a POST without the SDK, for requests that the SDK would not send. */
export function post(simulator: Simulator, path: string, body: string, headers: Record<string, string> = {}) {
  return fetch(simulator.url + path, { method: "POST", body, headers: { authorization: signature, ...headers } });
}

export function converseResult(simulator: Simulator, body: unknown, modelId = llama) {
  return post(simulator, `/model/${encodeURIComponent(modelId)}/converse`, JSON.stringify(body));
}

/** Polls for effects behind a socket. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("The condition did not become true within 10 s.");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
