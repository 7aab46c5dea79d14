// Anthropic's SDK and Claude Code, unchanged but for the address, against the whole service in both its forms. The
// simulator is Bedrock.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { describeForm } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { base64, png } from "../support/media.ts";
import { nativeMember } from "../support/native-bodies.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

const region = "us-east-1";
const messages = [{ role: "user" as const, content: "Why is the sky blue?" }];
const ask = { model: "claude-sonnet-4-5", max_tokens: 100, messages };

describeForm((form) => {
  let bedrock: Simulator;
  let recorder: Server;
  /** Bodies that arrived at the recorder, which answers each with the same message. */
  let bodies: string[];
  let service: StartedService;
  let client: Anthropic;
  beforeAll(async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    bodies = [];
    bedrock = await startSimulator();
    recorder = createServer(async (request, response) => {
      bodies.push(Buffer.concat(await request.toArray()).toString());
      response.setHeader("content-type", "application/json").end(recordedAnswer);
    }).listen(0, "127.0.0.1");
    await once(recorder, "listening");
    const recorderUrl = `http://127.0.0.1:${(recorder.address() as AddressInfo).port}`;
    const settings = testSettings({
      models: {
        sonnet: {
          deployments: [{ region, modelId: "us.anthropic.claude-sonnet-4-5-20250929-v1:0", endpoint: bedrock.url }],
        },
        recorded: {
          deployments: [{ region, modelId: "us.anthropic.claude-opus-4-6-v1", endpoint: recorderUrl }],
        },
      },
      defaultModel: "sonnet",
    });
    service = await startForm(form, { ...settings, logLevel: "silent" });
    client = new Anthropic({ baseURL: service.url, apiKey: "none", maxRetries: 0 });
  });
  afterAll(async () => {
    await service?.stop();
    await bedrock?.stop();
    recorder?.closeAllConnections();
    recorder?.close();
    vi.unstubAllEnvs();
  });

  describe("Anthropic's SDK", () => {
    test("a message, whole", async () => {
      const { data, request_id } = await client.messages.create(ask).withResponse();
      expect(data).toMatchObject({ type: "message", role: "assistant", content: [{ type: "text" }] });
      expect(JSON.stringify(data.content)).toContain("synthetic");
      expect(data.usage.output_tokens).toBeGreaterThan(5);
      expect(request_id).toEqual(expect.any(String));
    });

    test("a message as it comes", async () => {
      const stream = client.messages.stream(ask);
      const types: string[] = [];
      stream.on("streamEvent", ({ type }) => types.push(type));
      const message = await stream.finalMessage();
      expect(JSON.stringify(message.content)).toContain("synthetic");
      expect(message.stop_reason).toBe("end_turn");
      expect([types[0], types.at(-1)]).toEqual(["message_start", "message_stop"]);
    });

    test.each([false, true])("tools, streamed: %s", async (streamed) => {
      const tool: Anthropic.Tool = {
        name: "get_weather",
        input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      };
      const wanted = { ...ask, tools: [tool], tool_choice: { type: "tool" as const, name: tool.name } };
      const message = await (streamed ? client.messages.stream(wanted).finalMessage() : client.messages.create(wanted));
      const call = message.content.find((block) => block.type === "tool_use")!;
      expect([message.stop_reason, call.name]).toEqual(["tool_use", tool.name]);
      expect(call.input).toEqual({ city: expect.any(String) });
      const answer = await client.messages.create({
        ...wanted,
        tool_choice: { type: "none" },
        messages: [
          ...messages,
          { role: "assistant", content: message.content },
          { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "Sunny." }] },
        ],
      });
      expect(JSON.stringify(answer.content)).toContain("synthetic");
    });

    test("an image", async () => {
      const source = { type: "base64" as const, media_type: "image/png" as const, data: base64(png()) };
      const content = [
        { type: "image" as const, source },
        { type: "text" as const, text: "What is this?" },
      ];
      const message = await client.messages.create({ ...ask, messages: [{ role: "user", content }] });
      expect(JSON.stringify(message.content)).toContain("synthetic");
    });

    test("features in beta", async () => {
      const message = await client.beta.messages.create({ ...ask, betas: ["context-management-2025-06-27"] });
      expect(message.type).toBe("message");
    });

    test("counts, and models page by page", async () => {
      const { input_tokens } = await client.messages.countTokens({ model: "sonnet", messages });
      expect(input_tokens).toBeGreaterThan(5);
      const models: string[] = [];
      for await (const { id } of client.models.list({ limit: 1 })) models.push(id);
      expect(models).toEqual(["sonnet", "recorded"]);
      expect((await client.models.retrieve("claude-sonnet-4-5")).display_name).toBe("Claude Sonnet 4.5");
    });

    test("errors are of its own classes", async () => {
      const unknown = client.messages.create({ ...ask, model: "claude-opus-4-1" });
      await expect(unknown).rejects.toBeInstanceOf(Anthropic.NotFoundError);
      await expect(unknown).rejects.toMatchObject({ type: "not_found_error", requestID: expect.any(String) });
      const refused = client.messages.create({ ...ask, messages: [] });
      await expect(refused).rejects.toBeInstanceOf(Anthropic.BadRequestError);
      await expect(client.messages.stream({ ...ask, messages: [] }).finalMessage()).rejects.toMatchObject({
        type: "invalid_request_error",
      });
    });
  });

  test("Claude Code: its recorded requests are answered", async () => {
    const calls = bedrock.callCount;
    for (const { method, path, headers, body } of recordedRequests()) {
      const sent = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
      const response = await fetch(service.url + path, sent);
      expect(response.status, path).toBe(200);
      if (method === "POST") expect(await response.text()).toMatch(/^event: message_start\n.*\nevent: message_stop\n/s);
    }
    expect(bedrock.callCount - calls).toBe(2);
  });

  test("any body arrives at the provider with the documented edit, and nothing else", async () => {
    const removed = fc.constantFrom('"model":"recorded"', '\n"model" : "claude-opus-4-6"', '"mod\\u0065l":"recorded" ');
    const streams = fc.constantFrom('"stream":false', ' "stream" : null\t', '"str\\u0065am": false');
    const parts = fc.tuple(
      fc.array(nativeMember, { maxLength: 3 }),
      removed,
      fc.array(nativeMember, { maxLength: 3 }),
      fc.option(streams),
      fc.array(nativeMember, { maxLength: 3 }),
    );
    await fc.assert(
      fc.asyncProperty(parts, async ([first, model, second, stream, third]) => {
        const members = [...first, model, ...second, ...(stream === null ? [] : [stream]), ...third];
        bodies.length = 0;
        const response = await fetch(`${service.url}/v1/messages`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: ` {${members.join(",")}}\n`,
        });
        expect([response.status, await response.text()]).toEqual([200, recordedAnswer]);
        const kept = ['"anthropic_version":"bedrock-2023-05-31"', ...first, ...second, ...third];
        expect(bodies).toEqual([` {${kept.join(",")}}\n`]);
      }),
      { numRuns: form === "embedded" ? 40 : 100 },
    );
  });
});

const recordedAnswer = '{"type":"message", "content":[{"type":"text","text":"Because."}],"stop_reason":"end_turn"}';

interface RecordedRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: object;
}

function recordedRequests(): RecordedRequest[] {
  return JSON.parse(readFileSync(resolve(import.meta.dirname, "../fixtures/claude-code.json"), "utf8"));
}
