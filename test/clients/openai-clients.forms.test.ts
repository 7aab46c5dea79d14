// What people already use, unchanged but for the address: OpenAI's client, LangChain and Vercel's AI SDK, against the
// whole service in both its forms. The simulator answers.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Settings } from "../../src/config/settings.ts";
import { type CanonicalRequest, canonicalPart } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import type { StartOptions } from "../../src/service/start-service.ts";
import { clientOf } from "../http/openai/client.ts";
import { describeForm } from "../support/forms.ts";
import { testSettings } from "../support/jobs-context.ts";
import { dataUrl, png } from "../support/media.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

const models: Parameters<typeof testSettings>[0] = {
  models: {
    nova: { deployments: [{ region: "us-east-1", modelId: "us.amazon.nova-lite-v1:0" }] },
    claude: { deployments: [{ region: "us-east-1", modelId: "us.anthropic.claude-sonnet-4-5-20250929-v1:0" }] },
  },
  defaultModel: "nova",
};
const settings = (): Settings => ({ ...testSettings(models), logLevel: "silent", simulator: true });

const within = { timeout: 15_000, interval: 20 };
const messages = [{ role: "user" as const, content: "Why is the sky blue?" }];

describeForm((form) => {
  const start = (options?: StartOptions) => startForm(form, settings(), options);
  describe("with", () => {
    let started: StartedService;
    let client: OpenAI;
    beforeAll(async () => {
      started = await start();
      client = clientOf(started.url);
    });
    afterAll(() => started?.stop());

    test("OpenAI's client: models", async () => {
      expect((await client.models.list()).data.map((model) => model.id)).toEqual(["nova", "claude"]);
    });

    test("OpenAI's client: a chat, whole", async () => {
      const answer = await client.chat.completions.create({ model: "nova", messages, max_completion_tokens: 100 });
      expect(answer.choices[0]!.message.content).toContain("synthetic");
      expect(answer.choices[0]!.finish_reason).toBe("stop");
      expect(answer.usage!.completion_tokens).toBeGreaterThan(5);
    });

    test("OpenAI's client: a chat as it comes", async () => {
      const stream = client.chat.completions.stream({
        model: "nova",
        messages,
        stream_options: { include_usage: true },
      });
      const answer = await stream.finalChatCompletion();
      expect(answer.choices[0]!.message.content).toContain("synthetic");
      expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
    });

    test("OpenAI's client: a schema", async () => {
      const schema = { type: "object", properties: { why: { type: "string" } }, required: ["why"] };
      const answer = await client.chat.completions.create({
        model: "claude",
        messages,
        response_format: { type: "json_schema", json_schema: { name: "answer", schema } },
      });
      expect(answer.choices[0]!.message.content).toBeTruthy();
    });

    test("OpenAI's client: errors are of its own classes", async () => {
      await expect(client.chat.completions.create({ model: "gpt-4o", messages })).rejects.toBeInstanceOf(
        OpenAI.NotFoundError,
      );
      await expect(client.chat.completions.create({ model: "nova", messages, n: 2 })).rejects.toBeInstanceOf(
        OpenAI.BadRequestError,
      );
    });

    test("OpenAI's client: a response in the background", async () => {
      const { id } = await client.responses.create({ model: "nova", input: "Why?", background: true });
      await vi.waitFor(async () => expect((await client.responses.retrieve(id)).status).toBe("completed"), within);
      expect((await client.responses.retrieve(id)).output_text).toContain("synthetic");
    });

    test("OpenAI's client: an image, and reasoning that goes back with its signature", async () => {
      const image = { type: "image_url" as const, image_url: { url: dataUrl("image/png", png(300, 250)) } };
      const content = [{ type: "text" as const, text: "What is this?" }, image];
      const ask = { model: "claude", reasoning_effort: "low" as const };
      const first = await client.chat.completions.create({ ...ask, messages: [{ role: "user", content }] });
      expect(first.usage!.prompt_tokens).toBe(103);
      const { message } = first.choices[0]!;
      expect(message).toHaveProperty("reasoning_details.0.signature");
      const history = [{ role: "user" as const, content }, message, ...messages];
      const second = await client.chat.completions.create({ ...ask, messages: history });
      expect(second.choices[0]!.message.content).toContain("synthetic");
    });

    test("the events of a job: text as it comes, from another process", async () => {
      const submitted = await fetch(`${started.url}/v1/jobs`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt: "Why?", environment: "UAT", model: "nova" }),
      });
      const { job_id } = (await submitted.json()) as { job_id: string };
      const events = await (await fetch(`${started.url}/v1/jobs/${job_id}/events`)).text();
      expect(events).toMatch(/event: text\n/);
      expect(events).toMatch(/event: state\ndata: \{"job_id":"[^"]+","status":"completed"\}\n\n$/);
    });

    test("LangChain", async () => {
      const model = new ChatOpenAI({
        model: "nova",
        apiKey: "none",
        maxRetries: 0,
        configuration: { baseURL: `${started.url}/v1` },
      });
      const answer = await model.invoke([new HumanMessage("Why is the sky blue?")]);
      expect(answer.content).toContain("synthetic");
      expect(answer.usage_metadata!.output_tokens).toBeGreaterThan(5);
      let text = "";
      for await (const chunk of await model.stream("Why?")) text += chunk.content;
      expect(text).toContain("synthetic");
    });

    test("Vercel's AI SDK", async () => {
      const sluice = createOpenAICompatible({ name: "sluice", baseURL: `${started.url}/v1`, includeUsage: true });
      const ask = { model: sluice("nova"), prompt: "Why is the sky blue?", maxRetries: 0 };
      const { text, finishReason, usage } = await generateText(ask);
      expect(text).toContain("synthetic");
      expect(finishReason).toBe("stop");
      expect(usage.outputTokens).toBeGreaterThan(5);
      const stream = streamText(ask);
      expect(await stream.text).toContain("synthetic");
      expect((await stream.usage).outputTokens).toBeGreaterThan(5);
    });
  });
});

describeForm((form) => {
  const start = (options?: StartOptions) => startForm(form, settings(), options);
  describe("with a model that takes its time", () => {
    /** Goes on with the answer that is being streamed. */
    let goOn = () => {};
    const asked: CanonicalRequest[] = [];
    let started: StartedService;
    let client: OpenAI;
    beforeAll(async () => {
      const createProvider = (): Provider => ({
        async call({ request: sent, onText }) {
          const request = canonicalPart(sent);
          asked.push(request);
          const [tool] = request.tools ?? [];
          if (tool && request.messages.length === 1) {
            const toolCalls = [{ id: "c1", name: tool.name, arguments: '{"key":"sky"}' }];
            return { text: "", toolCalls, finishReason: "tool_calls" };
          }
          onText?.("Ray");
          const waited = new Promise<void>((resolve) => {
            goOn = resolve;
          });
          // No client may have subscribed before the first piece.
          const more = setInterval(() => onText?.(""), 20);
          await waited;
          clearInterval(more);
          onText?.("leigh.");
          return { text: "Rayleigh.", toolCalls: [], finishReason: "stop" };
        },
        close: async () => {},
      });
      started = await start({ createProvider });
      client = clientOf(started.url);
    });
    afterAll(() => started?.stop());

    test("OpenAI's client has the first piece while the rest is still to come", async () => {
      const stream = await client.chat.completions.create({ model: "nova", messages, stream: true });
      let text = "";
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        if (text === "Ray") goOn();
      }
      expect(text).toBe("Rayleigh.");
    });

    test("a call that runs when its caller disconnects finishes, and its answer is stored", async () => {
      const { data: stream, response } = await client.chat.completions
        .create({ model: "nova", messages, stream: true })
        .withResponse();
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
      const job = async () =>
        (await (await fetch(`${started.url}/v1/jobs/${response.headers.get("x-sluice-job-id")}`)).json()) as object;
      expect(await job()).toMatchObject({ status: "in_progress" });
      goOn();
      await vi.waitFor(
        async () => expect(await job()).toMatchObject({ status: "completed", text: "Rayleigh." }),
        within,
      );
    });

    test("OpenAI's client: functions and their results", async () => {
      const parameters = { type: "object", properties: { key: { type: "string" } } };
      const ask = { model: "nova", tools: [{ type: "function" as const, function: { name: "look_up", parameters } }] };
      const first = await client.chat.completions.create({ ...ask, messages, tool_choice: "required" });
      const { message, finish_reason } = first.choices[0]!;
      expect(finish_reason).toBe("tool_calls");
      expect(message.tool_calls).toEqual([
        { id: "c1", type: "function", function: { name: "look_up", arguments: '{"key":"sky"}' } },
      ]);
      expect(asked.at(-1)).toMatchObject({
        tools: [{ name: "look_up", inputSchema: parameters }],
        toolChoice: "required",
      });
      const result = { role: "tool" as const, tool_call_id: "c1", content: "42" };
      const second = client.chat.completions.create({ ...ask, messages: [...messages, message, result] });
      await vi.waitFor(() => expect(asked.at(-1)!.messages).toHaveLength(3), within);
      goOn();
      expect((await second).choices[0]!.message.content).toBe("Rayleigh.");
    });
  });
});
