// sluice simulate: the real command, called by the official SDK.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { expect, onTestFinished, test, vi } from "vitest";
import { run, start } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

function callerOf(endpoint: string, credentials = { accessKeyId: "local", secretAccessKey: "local" }) {
  const client = new BedrockRuntimeClient({
    endpoint,
    region: "us-east-1",
    credentials,
    requestHandler: new NodeHttpHandler(),
    maxAttempts: 1,
  });
  onTestFinished(() => client.destroy());
  const command = new ConverseCommand({
    modelId: "us.meta.llama3-3-70b-instruct-v1:0",
    messages: [{ role: "user", content: [{ text: "Why is the sky blue?" }] }],
    inferenceConfig: { maxTokens: 100 },
  });
  return () => client.send(command);
}

test("answers the SDK, keeps the quota that was asked for, and stops on SIGTERM", async () => {
  const simulator = start(["simulate", "--port", "0", "--requests-per-minute", "2", "--window", "bucket"]);
  const [, url] = await simulator.printed(/AWS_ENDPOINT_URL_BEDROCK_RUNTIME=(\S+)/);
  const call = callerOf(url!);

  expect((await call()).output?.message?.content?.[0]?.text).toBeTruthy();
  await call();
  await expect(call()).rejects.toMatchObject({ name: "ThrottlingException" });

  simulator.child.kill("SIGTERM");
  expect(await simulator.ended).toMatchObject({ code: 0, stderr: "" });
});

test("a port that is taken is one clear line and exit code 1", async () => {
  const first = start(["simulate", "--port", "0"]);
  const [, port] = await first.printed(/listens on http:\/\/127\.0\.0\.1:(\d+);/);

  const second = await run(["simulate", "--port", port!]);
  expect(second).toMatchObject({ code: 1, stdout: "" });
  expect(second.stderr).toBe(`Port ${port} on 127.0.0.1 is in use. Choose another with --port.\n`);
});

test("faults, other people's traffic and keys come from flags and from a file; the journal is there to read", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-simulate-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "simulator.yaml");
  writeFileSync(file, "tokensPerDay: 1000\nregions: { us-east-1: { requestsPerMinute: 9 } }\nseed: 7\n");
  const simulator = start([
    ..."simulate --port 0 --requests-per-minute 2 --credentials key:se:cret --outage eu-west-1".split(" "),
    ...["--fault", "html,every=2", "--foreign", "requestsPerMinute=1,tokensPerRequest=100", "--options", file],
  ]);
  const [, url] = await simulator.printed(/AWS_ENDPOINT_URL_BEDROCK_RUNTIME=(\S+)/);
  await expect(callerOf(url!)()).rejects.toMatchObject({ name: "UnrecognizedClientException" });
  const call = callerOf(url!, { accessKeyId: "key", secretAccessKey: "se:cret" });
  await call();
  await expect(call()).rejects.toMatchObject({ $metadata: { httpStatusCode: 502 } });

  const read = async (page: string) => (await fetch(`${url}/__simulator/${page}`)).json();
  expect(await read("journal")).toMatchObject({
    total: 3,
    calls: [{ status: 403 }, { status: 200, prompt: "Why is the sky blue?" }, { status: 502, fault: "html" }],
  });
  expect(await read("quotas")).toMatchObject({
    deployments: [{ admitted: 1, requests: { limit: 9 }, foreign: { admitted: 1, tokens: 100 } }],
    days: [{ region: "us-east-1", limit: 1_000 }],
  });
});

test("a fault that there is not is a usage error that names those that there are", async () => {
  const wrong = await run(["simulate", "--port", "0", "--fault", "flood"]);
  expect(wrong).toMatchObject({ code: 2, stdout: "" });
  expect(wrong.stderr).toMatch(/fault\.kind must be one of error, overloaded, .*; got "flood"/);
});
