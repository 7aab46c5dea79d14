// boto3 and LangChain's ChatBedrockConverse against the compiled service. The simulators are in this process, so that their
// journals count the calls of Bedrock. bedrock-clients.forms.test.ts has the SDK for JavaScript.
import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { stringify } from "yaml";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { startSluice } from "../support/sluice-process.ts";

const python = inject("python");
const timeoutMs = 120_000;
const nova = "us.amazon.nova-lite-v1:0";
/** A token that looks like one of AWS's, and must not be found anywhere. */
const sessionToken = "IQoJb3JpZ2luX2VjPLANTEDTOKEN";
const accessKey = "AKIAPLANTEDACCESSKEY";

describe.skipIf(python === null)("Python", () => {
  let folder: string;
  let simulator: Simulator;
  let slow: Simulator;
  let slower: Simulator;
  let child: ChildProcess;
  let url: string;
  const printed: string[] = [];
  beforeAll(async () => {
    // boto3 gives up three times within 6 s, whatever its random delays.
    const latencies = [0, 3_500, 6_500];
    [simulator, slow, slower] = (await Promise.all(latencies.map((latencyMs) => startSimulator({ latencyMs })))) as [
      Simulator,
      Simulator,
      Simulator,
    ];
    folder = await mkdtemp(join(tmpdir(), "sluice-boto3-"));
    const served = (modelId: string, region: string, { url: endpoint }: Simulator, fields = {}) => ({
      deployments: [{ region, modelId, endpoint, ...fields }],
    });
    const models = {
      nova: served(nova, "us-east-1", simulator),
      "llama-8b": served("us.meta.llama3-1-8b-instruct-v1:0", "us-east-1", simulator),
      waiting: served("us.amazon.nova-micro-v1:0", "us-east-1", simulator),
      slower: served("us.meta.llama3-3-70b-instruct-v1:0", "us-east-1", slower),
      slow: served("us.amazon.nova-pro-v1:0", "us-east-1", slow, { maxConcurrency: 1 }),
    };
    await writeFile(join(folder, "sluice.yaml"), stringify({ models, defaultModel: "nova" }));
    await start("0");
  });
  afterAll(async () => {
    child?.kill("SIGKILL");
    await Promise.all([simulator?.stop(), slow?.stop(), slower?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  async function start(port: string): Promise<void> {
    const aws = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_EC2_METADATA_DISABLED: "true" };
    const env = { ...process.env, ...aws, PORT: port, SLUICE_LOG_LEVEL: "debug" };
    ({ child, url } = await startSluice(["serve"], { cwd: folder, env }));
    for (const output of [child.stdout!, child.stderr!]) output.on("data", (text) => printed.push(String(text)));
  }

  /** @throws Error with everything that the program printed, if it fails */
  function runPython(args: string[]): Promise<{ stdout: string; stderr: string }> {
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      PYTHONDONTWRITEBYTECODE: "1",
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url,
      AWS_ACCESS_KEY_ID: accessKey,
      AWS_SECRET_ACCESS_KEY: "any",
      AWS_SESSION_TOKEN: sessionToken,
      AWS_REGION: "us-east-1",
      AWS_DEFAULT_REGION: "us-east-1",
      SIMULATOR_URLS: [simulator, slow, slower].map((one) => one.url).join(" "),
    };
    return promisify(execFile)(python!, args, { env, timeout: timeoutMs });
  }
  const program = (name: string) => resolve(import.meta.dirname, "../python", name);

  test(
    "calls, streams, errors, waits and returns",
    async () => {
      const suites = [
        [["Calls", "LangChain"], 10],
        [["HeldCalls"], 1],
        [["TimedOutCalls"], 1],
        [["WaitingStreams"], 1],
      ] as const;
      await Promise.all(
        suites.map(async ([names, count]) => {
          const { stderr } = await runPython([program("bedrock_sdk.py"), ...names]);
          expect(stderr).toMatch(new RegExp(`^Ran ${count} tests? in .*\n\nOK$`, "m"));
        }),
      );
    },
    timeoutMs,
  );

  test(
    "a call whose service is killed while it waits gets its answer from the next one, and runs once",
    async () => {
      const send = (path: string, body: object) =>
        fetch(`${url}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const blocking = { prompt: "block", environment: "UAT", model: "slow", on_unknown: "fail" };
      expect((await send("/v1/jobs", blocking)).status).toBe(200);
      const prompt = "survive";
      const answered = runPython([program("bedrock_once.py"), prompt]);
      const waiting = async () => {
        const { data } = (await (await fetch(`${url}/v1/jobs?status=queued`)).json()) as { data: unknown[] };
        return data.length;
      };
      await vi.waitFor(async () => expect(await waiting()).toBe(1), { timeout: 20_000, interval: 50 });
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      await start(new URL(url).port);
      expect((await answered).stdout).toContain("synthetic");
      expect(slow.calls.filter((call) => call.prompt === prompt)).toHaveLength(1);
    },
    timeoutMs,
  );

  test(
    "the first program of docs/bedrock-api.md runs as written",
    async () => {
      const page = readFileSync(resolve(import.meta.dirname, "../../docs/bedrock-api.md"), "utf8");
      const [, code] = /^```python\n(.*?)^```$/ms.exec(page)!;
      const { stdout } = await runPython(["-c", code!.replace("us.amazon.nova-2-lite-v1:0", nova)]);
      expect(stdout).toContain("synthetic");
    },
    timeoutMs,
  );

  test("neither a session token nor an access key is in the log or on disk", async () => {
    const files = await readdir(folder, { recursive: true, withFileTypes: true });
    const texts = files
      .filter((file) => file.isFile())
      .map((file) => readFile(join(file.parentPath, file.name), "latin1"));
    const all = [...(await Promise.all(texts)), ...printed].join("\n");
    // The texts of the prompts are there, so the files were read.
    expect(all).toContain("Why is the sky blue?");
    expect(all).not.toContain(sessionToken);
    expect(all).not.toContain(accessKey);
  });
});
