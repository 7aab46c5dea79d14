// The AWS SDK for JavaScript, unchanged but for its endpoint, against the whole service in both its forms: with its
// default transport, which is HTTP/2 without TLS here, and over HTTP/1.1. The simulator is Bedrock.
import {
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  ConverseCommand,
  ConverseStreamCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
} from "@aws-sdk/client-bedrock-runtime";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { ask, collect, textOf } from "../simulator/support.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { describeForm } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

const nova = "us.amazon.nova-lite-v1:0";
const llama = "us.meta.llama3-3-70b-instruct-v1:0";
const llama8b = "us.meta.llama3-1-8b-instruct-v1:0";
const novaArn = `arn:aws:bedrock:us-east-1:123456789012:inference-profile/${nova}`;

describeForm((form) => {
  let quick: Simulator;
  let slow: Simulator;
  let service: StartedService;
  beforeAll(async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    [quick, slow] = await Promise.all([startSimulator(), startSimulator({ latencyMs: 1_200 })]);
    const settings = testSettings({
      models: {
        nova: { deployments: [{ region: "us-east-1", modelId: nova, endpoint: quick.url }] },
        "llama-8b": { deployments: [{ region: "us-east-1", modelId: llama8b, endpoint: quick.url }] },
        // One call at a time, so that the second one waits in the queue.
        llama: { deployments: [{ region: "us-east-1", modelId: llama, endpoint: slow.url, maxConcurrency: 1 }] },
      },
      defaultModel: "nova",
    });
    service = await startForm(form, { ...settings, logLevel: "silent" });
  });
  afterAll(async () => {
    await service?.stop();
    await Promise.all([quick?.stop(), slow?.stop()]);
    vi.unstubAllEnvs();
  });

  const clients: BedrockRuntimeClient[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
  });
  const clientOf = (options: BedrockRuntimeClientConfig = {}) => {
    const credentials = { accessKeyId: "AKIA", secretAccessKey: "secret" };
    const client = new BedrockRuntimeClient({ endpoint: service.url, region: "eu-west-1", credentials, ...options });
    clients.push(client);
    return client;
  };

  const transports = [
    ["its default transport", () => ({})],
    ["NodeHttpHandler", () => ({ requestHandler: new NodeHttpHandler() })],
  ] as const;

  describe.each(transports)("with %s", (_name, transport) => {
    test.each([
      ["an alias", "nova"],
      ["a bare ID", "amazon.nova-lite-v1:0"],
      ["a profile", nova],
      ["an ARN", novaArn],
    ])("Converse by %s", async (_kind, modelId) => {
      const { output, usage, $metadata } = await clientOf(transport()).send(
        new ConverseCommand(ask("Why is the sky blue?", 100, modelId)),
      );
      expect(output?.message?.content?.[0]?.text).toContain("synthetic");
      expect(usage?.outputTokens).toBeGreaterThan(5);
      expect($metadata).toMatchObject({ httpStatusCode: 200, attempts: 1, requestId: expect.any(String) });
    });

    test("ConverseStream", async () => {
      const { stream } = await clientOf(transport()).send(new ConverseStreamCommand(ask("Why?", 100, nova)));
      const events = await collect(stream);
      expect(textOf(events)).toContain("synthetic");
      expect(events.at(-1)?.metadata?.usage?.outputTokens).toBeGreaterThan(5);
    });

    const invoked = { modelId: "llama-8b", body: JSON.stringify({ prompt: "Why?", max_gen_len: 60 }) };

    test("InvokeModel", async () => {
      const { body, contentType } = await clientOf(transport()).send(new InvokeModelCommand(invoked));
      expect(JSON.parse(body.transformToString()).generation).toContain("synthetic");
      expect(contentType).toBe("application/json");
    });

    test("InvokeModelWithResponseStream", async () => {
      const { body } = await clientOf(transport()).send(new InvokeModelWithResponseStreamCommand(invoked));
      const chunks = (await collect(body)).map((event) => Buffer.from(event.chunk?.bytes ?? []).toString());
      expect(chunks.join("")).toContain("synthetic");
    });

    test("CountTokens, of any model", async () => {
      const { messages } = ask("Why is the sky blue?");
      const client = clientOf(transport());
      const count = async (input: object) =>
        (await client.send(new CountTokensCommand({ modelId: llama, input: input as never }))).inputTokens;
      expect(await count({ converse: { messages } })).toBeGreaterThan(5);
      const body = Buffer.from(JSON.stringify({ prompt: "Why is the sky blue?" }));
      expect(await count({ invokeModel: { body } })).toBeGreaterThan(5);
    });

    test("errors are of its own classes, and it does not repeat them", async () => {
      const client = clientOf(transport());
      const failure = (input: object) => client.send(new ConverseCommand(input as never)).catch((error) => error);
      const unknown = await failure(ask("Why?", 100, "amazon.titan-text-lite-v1"));
      expect(unknown).toMatchObject({ name: "ResourceNotFoundException", $metadata: { attempts: 1 } });
      expect(unknown.message).toContain("amazon.nova-lite-v1:0");
      const refused = await failure({ modelId: nova, messages: [] });
      expect(refused).toMatchObject({ name: "ValidationException", $metadata: { attempts: 1 } });
    });
  });

  describe("with a queue", () => {
    test("a stream waits in it, and the SDK sees nothing of it", async () => {
      const client = clientOf();
      const calls = slow.callCount;
      const [first, second] = await Promise.all(
        ["first", "second"].map(async (prompt) => {
          const { stream } = await client.send(new ConverseStreamCommand(ask(prompt, 50, llama)));
          return collect(stream);
        }),
      );
      for (const events of [first!, second!]) {
        expect(textOf(events)).toContain("synthetic");
        expect(events[0]?.messageStart).toBeDefined();
      }
      expect(slow.callCount - calls).toBe(2);
    });

    test.each(transports)(
      "a call whose connection breaks is repeated, and runs once, with %s",
      async (name, transport) => {
        const proxy = await startFaultProxy(Number(new URL(service.url).port));
        onTestFinished(() => proxy.close());
        const prompt = `break ${name}`;
        const calls = () => slow.calls.filter((call) => call.prompt === prompt);
        const client = clientOf({ ...transport(), endpoint: proxy.through(service.url) });
        const answered = client.send(new ConverseCommand(ask(prompt, 50, llama)));
        await vi.waitFor(() => expect(calls()).toHaveLength(1), { timeout: 10_000, interval: 20 });
        proxy.cut();
        const { output, $metadata } = await answered;
        expect(output?.message?.content?.[0]?.text).toContain("synthetic");
        expect($metadata.attempts).toBe(2);
        expect(calls()).toHaveLength(1);
      },
    );

    test("a call that is held too long is repeated by the SDK, and runs once", async () => {
      const calls = slow.callCount;
      const held = clientOf({ maxAttempts: 10 });
      held.middlewareStack.add(
        (next) => (args) => {
          (args.request as { headers: Record<string, string> }).headers["x-sluice-max-wait"] = "1";
          return next(args);
        },
        { step: "build" },
      );
      const { output, $metadata } = await held.send(new ConverseCommand(ask("hold me", 50, llama)));
      expect(output?.message?.content?.[0]?.text).toContain("synthetic");
      expect($metadata.attempts).toBeGreaterThan(1);
      expect(slow.callCount - calls).toBe(1);
    });
  });
});
