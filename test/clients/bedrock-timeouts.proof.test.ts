// A call that outlives the read timeout of its SDK three times causes one call of Bedrock, in both forms of the service.
// This file has the SDK for JavaScript. The proofs of Python and Go have theirs.
import { BedrockRuntimeClient, ConverseCommand } from "@aws-sdk/client-bedrock-runtime";
import { NodeHttp2Handler, NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { ask } from "../simulator/support.ts";
import type { Form } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

const withoutServers = withoutMongo() || withoutRedis();
const model = "us.amazon.nova-lite-v1:0";
const timeoutMs = 60_000;
/** The SDK gives up three times within 6 s, whatever its random delays. */
const latencyMs = 6_500;
const readTimeoutMs = 1_000;

describe.each<Form>(["embedded", "distributed"])("%s", (form) => {
  describe.skipIf(form === "distributed" && withoutServers)("a call that outlives its read timeout", () => {
    let simulator: Simulator;
    let service: StartedService;
    beforeAll(async () => {
      vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
      vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
      simulator = await startSimulator({ latencyMs });
      const models = { slower: { deployments: [{ region: "us-east-1", modelId: model, endpoint: simulator.url }] } };
      const settings = testSettings({ models, defaultModel: "slower" });
      service = await startForm(form, { ...settings, logLevel: "silent" });
    }, timeoutMs);
    afterAll(async () => {
      await service?.stop();
      await simulator?.stop();
      vi.unstubAllEnvs();
    });
    const callsOf = (prompt: string) => simulator.calls.filter((call) => call.prompt === prompt);

    test.concurrent.each([
      ["HTTP/1.1", () => new NodeHttpHandler({ requestTimeout: readTimeoutMs, throwOnRequestTimeout: true })],
      ["HTTP/2", () => new NodeHttp2Handler({ requestTimeout: readTimeoutMs })],
    ])(
      "of the SDK for JavaScript over %s runs once",
      async (name, handler) => {
        const client = new BedrockRuntimeClient({
          endpoint: service.url,
          region: "us-east-1",
          credentials: { accessKeyId: "any", secretAccessKey: "any" },
          maxAttempts: 20,
          requestHandler: handler(),
        });
        onTestFinished(() => client.destroy());
        const prompt = `outlive ${name}`;
        const { output, $metadata } = await client.send(new ConverseCommand(ask(prompt, 50, model)));
        expect(output?.message?.content?.[0]?.text).toContain("synthetic");
        expect($metadata.attempts).toBeGreaterThan(3);
        expect(callsOf(prompt)).toHaveLength(1);
      },
      timeoutMs,
    );
  });
});
