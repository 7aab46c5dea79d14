// sluice simulate: the real command, called by the official SDK.
import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { expect, onTestFinished, test, vi } from "vitest";
import { run, start } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

function callerOf(endpoint: string) {
  const client = new BedrockRuntimeClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
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
