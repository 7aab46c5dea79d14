// Images, documents and reasoning through OpenAI's client and LangChain, unchanged but for the address. The simulator
// refuses what Bedrock refuses, and checks Claude's signatures.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import type OpenAI from "openai";
import { toFile } from "openai";
import type { ChatCompletionMessageParam, ChatCompletionTool } from "openai/resources";
import type { ResponseInputItem, Tool } from "openai/resources/responses/responses";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Service, startService } from "../../src/service/start-service.ts";
import { clientOf } from "../http/openai/client.ts";
import { testSettings } from "../support/jobs-context.ts";
import { base64, dataUrl, jpeg, pdf, png } from "../support/media.ts";

let dataDir: string;
let service: Service;
let client: OpenAI;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-content-"));
  const deployment = (modelId: string) => ({ maxOutputTokens: 2_000, deployments: [{ region: "us-east-1", modelId }] });
  const settings = testSettings({
    models: {
      claude: deployment("us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
      adaptive: deployment("us.anthropic.claude-opus-4-7"),
      nova: deployment("us.amazon.nova-lite-v1:0"),
      nova2: deployment("us.amazon.nova-2-lite-v1:0"),
      server: {
        deployments: [{ provider: "openai", baseUrl: "http://127.0.0.1:1/v1", modelId: "llava", region: "local" }],
      },
    },
    defaultModel: "claude",
  });
  service = await startService({ ...settings, dataDir, port: 0, logLevel: "silent", simulator: true });
  client = clientOf(service.url!);
});
afterAll(async () => {
  await service.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const image = dataUrl("image/jpeg", jpeg(600, 400));
const file = dataUrl("application/pdf", pdf(2));
/** The parts of a job, and of its request, that these tests look at. */
interface JobAnswer {
  job_id: string;
  status: string;
  text: string;
  reasoning: object[];
  attempts: { usage: { input_tokens: number } }[];
  messages: object[];
}
const get = async (path: string) => (await fetch(`${service.url}${path}`)).json() as Promise<JobAnswer>;
const jobs = (body: object) =>
  fetch(`${service.url}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ environment: "UAT", ...body }),
  }).then((response) => response.json() as Promise<JobAnswer>);

describe("images and documents", () => {
  test.each(["claude", "nova", "server"])(
    "a chat with %s: the call is settled to what the image counts",
    async (model) => {
      const { data, response } = await client.chat.completions
        .create({
          model,
          messages: [
            {
              role: "user",
              content: [
                { type: "text", text: "What is this?" },
                { type: "image_url", image_url: { url: image, detail: "high" } },
                { type: "file", file: { filename: "report.v2.pdf", file_data: file } },
              ],
            },
          ],
        })
        .withResponse();
      expect(data.choices[0]!.message.content).toContain("synthetic");
      // The simulator counts 320 for the image and 1,000 for each page.
      expect(data.usage!.prompt_tokens).toBe(320 + 2_000 + 3);
      const { attempts } = await get(`/v1/jobs/${response.headers.get("x-sluice-job-id")}`);
      expect(attempts[0]!.usage.input_tokens).toBe(2_323);
    },
  );

  test("a response, and its stream", async () => {
    const input: ResponseInputItem[] = [
      {
        role: "user",
        content: [
          { type: "input_image", image_url: image, detail: "auto" },
          { type: "input_file", filename: "a.pdf", file_data: file },
          { type: "input_text", text: "What is this?" },
        ],
      },
    ];
    const whole = await client.responses.create({ model: "nova", input });
    expect(whole.output_text).toContain("synthetic");
    const stream = client.responses.stream({ model: "nova", input });
    expect((await stream.finalResponse()).output_text).toBe(whole.output_text);
  });

  test("LangChain", async () => {
    const model = new ChatOpenAI({
      model: "nova",
      apiKey: "none",
      maxRetries: 0,
      configuration: { baseURL: `${service.url}/v1` },
    });
    const content = [
      { type: "text", text: "What is this?" },
      { type: "image_url", image_url: { url: image } },
    ];
    const answer = await model.invoke([new HumanMessage({ content })]);
    expect(answer.usage_metadata!.input_tokens).toBe(323);
  });

  test("lines of a batch; a line that is known to fail fails the check", async () => {
    const line = (custom_id: string, url: string) =>
      JSON.stringify({
        custom_id,
        method: "POST",
        url: "/v1/chat/completions",
        body: {
          model: "nova",
          messages: [
            {
              role: "user",
              content: [
                { type: "image_url", image_url: { url } },
                { type: "text", text: "What?" },
              ],
            },
          ],
        },
      });
    const run = async (lines: string[]) => {
      const { id } = await client.files.create({
        file: await toFile(Buffer.from(lines.join("\n")), "lines.jsonl"),
        purpose: "batch",
      });
      const batch = await client.batches.create({
        input_file_id: id,
        endpoint: "/v1/chat/completions",
        completion_window: "24h",
      });
      return vi.waitFor(
        async () => {
          const now = await client.batches.retrieve(batch.id);
          expect(["completed", "failed"]).toContain(now.status);
          return now;
        },
        { timeout: 15_000, interval: 20 },
      );
    };
    const good = await run([line("a", image), line("b", dataUrl("image/png", png()))]);
    expect([good.status, good.request_counts?.completed]).toEqual(["completed", 2]);
    const results = await (await client.files.content(good.output_file_id!)).text();
    expect(results.match(/synthetic answer/g)).toHaveLength(2);
    const bad = await run([line("a", image), line("b", "https://example.com/cat.png")]);
    expect([bad.status, bad.errors?.data?.[0]]).toEqual([
      "failed",
      expect.objectContaining({
        line: 2,
        param: "body.messages[0].content[0].image_url",
        message: expect.stringContaining("does not fetch URLs"),
      }),
    ]);
  });
});

const thought = /^\[synthetic reasoning/;
/** What Sluice adds to OpenAI's message. */
interface Thinking {
  reasoning_content?: string;
  reasoning_details?: { type: string; text?: string; signature?: string; index: number }[];
}
const question: ChatCompletionMessageParam = { role: "user", content: "What is the weather in Rome?" };
const weather: ChatCompletionTool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

describe("reasoning", () => {
  test.each([
    ["claude", "low"],
    ["adaptive", "high"],
  ] as const)("a tool loop of %s: signatures go back unchanged", async (model, reasoning_effort) => {
    const ask = { model, reasoning_effort, tools: [weather] };
    const first = await client.chat.completions.create({ ...ask, messages: [question] });
    const message = first.choices[0]!.message as (typeof first.choices)[0]["message"] & Thinking;
    expect(message.tool_calls).toHaveLength(1);
    expect(message.reasoning_content).toMatch(thought);
    expect(message.reasoning_details).toEqual([
      {
        type: "reasoning.text",
        text: message.reasoning_content,
        signature: expect.stringMatching(/^\S{20,}$/),
        index: 0,
      },
    ]);
    const result = { role: "tool" as const, tool_call_id: message.tool_calls![0]!.id, content: "21 degrees" };
    const second = await client.chat.completions.create({ ...ask, messages: [question, message, result] });
    expect(second.choices[0]!.message.content).toContain("synthetic");

    // The simulator refuses a changed text, as Claude does. Only then has it seen the signature.
    const changed = {
      ...message,
      reasoning_details: message.reasoning_details!.map((detail) => ({ ...detail, text: "Hm." })),
    };
    const refused = client.chat.completions.create({ ...ask, messages: [question, changed, result] });
    await expect(refused).rejects.toThrow(/Invalid `signature` in `thinking` block/);
    // Without a signature, Claude would refuse it. Sluice leaves it out.
    const unsigned = { ...message, reasoning_details: undefined };
    const third = await client.chat.completions.create({ ...ask, messages: [question, unsigned, result] });
    expect(third.choices[0]!.message.content).toContain("synthetic");
  });

  test("a stream has the reasoning before its end", async () => {
    const stream = await client.chat.completions.create({
      model: "claude",
      reasoning_effort: "medium",
      messages: [question],
      stream: true,
    });
    let text = "";
    let reasoning = "";
    for await (const chunk of stream) {
      const delta = chunk.choices[0]!.delta as { content?: string | null } & Thinking;
      text += delta.content ?? "";
      reasoning += delta.reasoning_content ?? "";
    }
    expect([text, reasoning]).toEqual([expect.stringContaining("synthetic answer"), expect.stringMatching(thought)]);
  });

  test("Nova 2 shows its reasoning, and does not get it back, because it would refuse it", async () => {
    const ask = { model: "nova2", reasoning_effort: "low" as const };
    const first = await client.chat.completions.create({ ...ask, messages: [question] });
    expect(first.choices[0]!.message).toMatchObject({ reasoning_content: expect.stringMatching(thought) });
    const again = { ...ask, messages: [question, first.choices[0]!.message, question] };
    expect((await client.chat.completions.create(again)).choices[0]!.finish_reason).toBe("stop");
    const most = client.chat.completions.create({ ...ask, reasoning_effort: "high", messages: [question] });
    await expect(most).rejects.toThrow("reasoning_effort must be one of none, low, medium");
  });

  test("a server with OpenAI's API shows its reasoning, and does not get it back", async () => {
    const ask = { model: "server", reasoning_effort: "low" as const };
    const first = await client.chat.completions.create({ ...ask, messages: [question] });
    const message = first.choices[0]!.message as (typeof first.choices)[0]["message"] & Thinking;
    expect(message.reasoning_content).toMatch(thought);
    expect(first.usage!.completion_tokens_details!.reasoning_tokens).toBeGreaterThan(5);
    const next = await client.chat.completions.create({ ...ask, messages: [question, message, question] });
    const before = await client.chat.completions.create({
      ...ask,
      messages: [question, { role: "assistant", content: message.content }, question],
    });
    expect(next.usage!.prompt_tokens).toBe(before.usage!.prompt_tokens);
  });

  test("responses: items go back as they came, also those of a stream", async () => {
    const tool: Tool = {
      type: "function",
      strict: null,
      ...weather.function,
      parameters: weather.function.parameters ?? null,
    };
    const ask = {
      model: "claude",
      reasoning: { effort: "low" as const },
      tools: [tool],
      include: ["reasoning.encrypted_content" as const],
    };
    const input: ResponseInputItem[] = [{ role: "user", content: "What is the weather in Rome?" }];
    const first = await client.responses.create({ ...ask, input });
    expect(first.output.map(({ type }) => type)).toEqual(["reasoning", "function_call"]);
    const [reasoning] = first.output;
    expect(reasoning).toMatchObject({
      summary: [{ type: "summary_text", text: expect.stringMatching(thought) }],
      encrypted_content: expect.any(String),
    });
    const stored = await client.responses.retrieve(first.id);
    expect(stored.output).toEqual(first.output);
    const call = first.output[1] as { call_id: string };
    const result = { type: "function_call_output" as const, call_id: call.call_id, output: "21 degrees" };
    const { data: second, response } = await client.responses
      .create({
        ...ask,
        input: [...input, ...(first.output as ResponseInputItem[]), result],
      })
      .withResponse();
    expect(second.output_text).toContain("synthetic");
    const sent = await get(`/v1/jobs/${response.headers.get("x-sluice-job-id")}/request`);
    const text = (reasoning as { summary: { text: string }[] }).summary[0]!.text;
    expect(sent.messages[1]).toMatchObject({
      role: "assistant",
      content: [{ type: "reasoning", text, signature: expect.stringMatching(/^\S{20,}$/) }, { type: "tool_call" }],
    });

    const stream = client.responses.stream({ ...ask, input: "Why?", tools: [] });
    const events: string[] = [];
    stream.on("event", ({ type }) => events.push(type));
    const final = await stream.finalResponse();
    expect(final.output.map(({ type }) => type)).toEqual(["reasoning", "message"]);
    expect(events).toContain("response.reasoning_summary_text.delta");
    const answered: ResponseInputItem[] = [{ role: "user", content: "Why?" }, ...(final.output as ResponseInputItem[])];
    const third = await client.responses.create({
      ...ask,
      tools: [],
      input: [...answered, { role: "user", content: "And?" }],
    });
    expect(third.status).toBe("completed");
  });

  test("/v1/jobs: the answer has it, and takes it back", async () => {
    const { job_id } = await jobs({ prompt: "Why?", reasoning_effort: "high" });
    const job = await get(`/v1/jobs/${job_id}?wait=10`);
    expect(job.reasoning).toEqual([{ text: expect.stringMatching(thought), signature: expect.any(String) }]);
    const messages = [
      { role: "user", content: "Why?" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", ...job.reasoning[0] },
          { type: "text", text: job.text },
        ],
      },
      { role: "user", content: "And?" },
    ];
    const next = await jobs({ messages, reasoning_effort: "high" });
    expect((await get(`/v1/jobs/${next.job_id}?wait=10`)).status).toBe("completed");
    expect((await get(`/v1/jobs/${next.job_id}/request`)).messages[1]).toEqual(messages[1]);
  });

  test("two pieces, encrypted and plain, and reasoning alone are taken", async () => {
    const reasoning = [
      { type: "reasoning", text: "Hm." },
      { type: "reasoning", redacted: base64(Buffer.from("secret")) },
    ];
    const { job_id } = await jobs({
      messages: [
        { role: "user", content: "Why?" },
        { role: "assistant", content: [...reasoning, { type: "text", text: "Because." }] },
        { role: "user", content: "And?" },
        { role: "assistant", content: reasoning },
        { role: "user", content: "Then?" },
      ],
    });
    expect(await get(`/v1/jobs/${job_id}?wait=10`)).toMatchObject({ status: "completed", error: null });
  });

  test.each([
    [{ temperature: 0.5 }, "temperature"],
    [{ top_k: 5 }, "top_k"],
    [{ tool_choice: "required", tools: [weather] }, "tool_choice"],
    [{ max_tokens: 1_000 }, "reasoning_effort"],
    [{ reasoning_effort: "max" }, "reasoning_effort"],
  ])("what Claude refuses while it thinks is refused: %j", async (fields, param) => {
    const body = { model: "claude", reasoning_effort: "low", messages: [question], ...fields };
    const response = await fetch(`${service.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const { error } = (await response.json()) as { error: { param: string } };
    expect([response.status, error.param]).toEqual([400, param]);
  });

  test.each([
    [{}, "messages[1].content[0]"],
    [{ redacted: "not base64!" }, "messages[1].content[0].redacted"],
    [{ text: "Hm.", signature: "" }, "messages[1].content[0].signature"],
  ])("reasoning %j of /v1/jobs is refused", async (reasoning, field) => {
    const past = {
      role: "assistant",
      content: [
        { type: "reasoning", ...reasoning },
        { type: "text", text: "Hm." },
      ],
    };
    const answer = await jobs({ messages: [question, past, question] });
    expect(answer).toMatchObject({ error: { code: "invalid_request", field } });
  });

  test("reasoning of the user is refused", async () => {
    const answer = await jobs({ messages: [{ role: "user", content: [{ type: "reasoning", text: "Hm." }] }] });
    expect(answer).toMatchObject({ error: { code: "invalid_request", field: "messages" } });
  });

  test.each([
    [{ role: "user", content: "Why?", reasoning_content: "ignored" }, undefined],
    [{ role: "assistant", content: "Hm.", reasoning_content: 5 }, "messages[1].reasoning_content"],
    [{ role: "assistant", content: "Hm.", reasoning_details: {} }, "messages[1].reasoning_details"],
    [{ role: "assistant", content: "Hm.", reasoning_details: [5] }, "messages[1].reasoning_details[0]"],
    [
      { role: "assistant", content: "Hm.", reasoning_details: [{ type: "reasoning.text", text: "x", signature: "ü" }] },
      "messages[1].reasoning_details[0].signature",
    ],
    [{ role: "assistant", content: "Hm.", reasoning_details: [{ type: "new" }], reasoning_content: null }, undefined],
    [{ role: "assistant", content: "Hm.", reasoning_details: [{ type: "reasoning.text", text: "" }] }, undefined],
    [
      { role: "assistant", content: "Hm.", reasoning_details: [{ type: "reasoning.encrypted", data: "g_-" }] },
      undefined,
    ],
    [{ role: "assistant", content: "Hm.", reasoning: { effort: "low" } }, undefined],
  ])("a past message %j", async (message, param) => {
    const body = { model: "nova", messages: [question, message, question], dry_run: true };
    const response = await fetch(`${service.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const { error } = (await response.json()) as { error?: { param: string } };
    expect([response.status, error?.param]).toEqual([param === undefined ? 200 : 400, param]);
  });
});
