// What the proofs of boto3 share: simulators of Bedrock whose journals count its calls, and the programs in test/python.
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";

export const nova = "us.amazon.nova-lite-v1:0";
/** Secrets of the programs. They look like those of AWS, and must not be found anywhere. */
export const secrets = { AWS_ACCESS_KEY_ID: "AKIAPLANTEDACCESSKEY", AWS_SESSION_TOKEN: "IQoJb3JpZ2luX2VjPLANTEDTOKEN" };

const programTimeoutMs = 120_000;
/** Suites of bedrock_sdk.py with their number of tests, in the processes that run them at the same time. */
const suites = [
  [["Calls", "LangChain"], 11],
  [["HeldCalls"], 1],
  [["TimedOutCalls"], 1],
  [["WaitingStreams"], 1],
] as const;

export interface Simulators {
  quick: Simulator;
  slow: Simulator;
  slower: Simulator;
  /** The models that the programs call. */
  models: FileSettings["models"];
  stop(): Promise<void>;
}

export async function startSimulators(): Promise<Simulators> {
  const [quick, slow, slower] = await Promise.all([
    startSimulator(),
    startSimulator({ latencyMs: 3_500 }),
    // boto3 gives up three times within 6 s, whatever its random delays.
    startSimulator({ latencyMs: 6_500 }),
  ]);
  const served = (modelId: string, { url: endpoint }: Simulator, fields = {}) => ({
    deployments: [{ region: "us-east-1", modelId, endpoint, ...fields }],
  });
  return {
    quick,
    slow,
    slower,
    models: {
      nova: served(nova, quick),
      "llama-8b": served("us.meta.llama3-1-8b-instruct-v1:0", quick),
      waiting: served("us.amazon.nova-micro-v1:0", quick),
      slow: served("us.amazon.nova-pro-v1:0", slow, { maxConcurrency: 1 }),
      slower: served("us.meta.llama3-3-70b-instruct-v1:0", slower),
    },
    async stop() {
      await Promise.all([quick.stop(), slow.stop(), slower.stop()]);
    },
  };
}

/**
 * Runs Python against a service.
 * @throws Error with everything that the program printed, if it fails
 */
export function runPython(
  python: string,
  args: readonly string[],
  { url, simulators, home }: { url: string; simulators: Simulators; home: string },
): Promise<{ stdout: string; stderr: string }> {
  const { quick, slow, slower } = simulators;
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    PYTHONDONTWRITEBYTECODE: "1",
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url,
    ...secrets,
    AWS_SECRET_ACCESS_KEY: "any",
    AWS_REGION: "us-east-1",
    AWS_DEFAULT_REGION: "us-east-1",
    SIMULATOR_URLS: [quick, slow, slower].map((simulator) => simulator.url).join(" "),
  };
  return promisify(execFile)(python, args, { env, timeout: programTimeoutMs });
}

export function program(name: string): string {
  return resolve(import.meta.dirname, "../python", name);
}

/** Runs all suites, and expects that they pass. */
export async function expectSuites(run: (args: string[]) => Promise<{ stderr: string }>): Promise<void> {
  await Promise.all(
    suites.map(async ([names, count]) => {
      const { stderr } = await run([program("bedrock_sdk.py"), ...names]);
      expect(stderr).toMatch(new RegExp(`^Ran ${count} tests? in .*\n\nOK$`, "m"));
    }),
  );
}
