// Structured output and tool loops through the clients that people use, against the service as it is from a clean clone:
// the models of the default configuration, without AWS. The simulator answers.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { type BaseMessage, HumanMessage, type ToolMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { generateObject, generateText, stepCountIs, streamObject, tool } from "ai";
import type OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defaultModel, defaultModels } from "../../src/config/defaults.ts";
import { type Service, startService } from "../../src/service/start-service.ts";
import { clientOf } from "../http/openai/client.ts";
import { testSettings } from "../support/jobs-context.ts";

const model = "nova-2-lite";
const messages = [{ role: "user" as const, content: "Plan a trip to Rome." }];

const Plan = z.object({
  city: z.string().describe("Where to go."),
  days: z.number().int().min(1).max(14),
  season: z.enum(["spring", "autumn"]),
  stops: z.array(z.object({ name: z.string(), cost: z.number().nullable() })).min(1),
  budget: z.object({ currency: z.literal("EUR"), amount: z.number() }),
});
const synthetic = expect.stringContaining("synthetic");

let dataDir: string;
let service: Service;
let client: OpenAI;
let baseURL: string;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-structured-"));
  const settings = testSettings({ models: defaultModels, defaultModel });
  service = await startService({ ...settings, port: 0, logLevel: "silent", simulator: true, dataDir });
  baseURL = `${service.url}/v1`;
  client = clientOf(service.url!);
});
afterAll(async () => {
  await service.stop();
  await rm(dataDir, { recursive: true, force: true });
});

describe("F12: the quick starts of docs/openai.md", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../../docs/openai.md"), "utf8");
  const [chat, tools, parse] = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!);

  /** Runs a program of the page as it stands there but for the address, and returns what it prints. */
  async function printed(program: string): Promise<string> {
    const code = program.replace("http://127.0.0.1:8000/v1", baseURL);
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
      cwd: resolve(import.meta.dirname, "../.."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    return text(child.stdout);
  }

  test("a chat, a tool loop and a form", async () => {
    expect(await printed(chat!)).toMatch(/^\[synthetic answer .* blue/);
    expect(await printed(tools!)).toMatch(/21 degrees in synthetic city/);
    expect(await printed(parse!)).toMatch(/city: 'synthetic city \d+',\s+days: \d+,\s+season: '(spring|autumn)'/);
  });
});

describe("F12: OpenAI's client", () => {
  test("chat.completions.parse with zod, whole and as it comes", async () => {
    const ask = { model, messages, response_format: zodResponseFormat(Plan, "plan") };
    const { choices } = await client.chat.completions.parse(ask);
    expect(choices[0]!.finish_reason).toBe("stop");
    expect(choices[0]!.message.parsed).toMatchObject({ city: synthetic, budget: { currency: "EUR" } });
    const stream = client.chat.completions.stream(ask);
    const pieces: string[] = [];
    stream.on("content", (piece) => pieces.push(piece));
    const streamed = await stream.finalChatCompletion();
    expect(streamed.choices[0]!.message.parsed).toEqual(choices[0]!.message.parsed);
    expect(pieces.length).toBeGreaterThan(1);
  });

  test("responses.parse with zod", async () => {
    const response = await client.responses.parse({
      model,
      input: "Plan a trip to Rome.",
      text: { format: zodTextFormat(Plan, "plan") },
    });
    expect(Plan.parse(response.output_parsed)).toMatchObject({ city: synthetic });
  });

  test("json_object", async () => {
    const content = 'Plan a trip to Rome. Answer in JSON with the keys "city" and "reason".';
    const { choices } = await client.chat.completions.create({
      model,
      messages: [{ role: "user", content }],
      response_format: { type: "json_object" },
    });
    expect(JSON.parse(choices[0]!.message.content!)).toEqual({ city: synthetic, reason: synthetic });
  });

  test("runTools calls the function and ends with an answer", async () => {
    const asked: unknown[] = [];
    const parameters = z.object({ city: z.string() });
    const runner = client.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: "What is the weather in Rome?" }],
      tools: [
        zodFunction({
          name: "get_weather",
          parameters,
          function: (args) => {
            asked.push(args);
            return { celsius: 21 };
          },
        }),
      ],
    });
    expect(await runner.finalContent()).toMatch(/synthetic.*celsius/);
    expect(asked).toEqual([{ city: synthetic }]);
  });

  test("a loop of functions through responses", async () => {
    const ask = {
      model,
      tools: [
        {
          type: "function" as const,
          name: "get_weather",
          strict: true,
          parameters: {
            type: "object",
            properties: { city: { type: "string" } },
            required: ["city"],
            additionalProperties: false,
          },
        },
      ],
    };
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: "What is the weather?" }];
    const first = await client.responses.create({ ...ask, input });
    const call = first.output.find((item) => item.type === "function_call")!;
    expect(JSON.parse(call.arguments)).toEqual({ city: synthetic });
    input.push(call, { type: "function_call_output", call_id: call.call_id, output: "21 degrees" });
    expect((await client.responses.create({ ...ask, input })).output_text).toMatch(/21 degrees/);
  });

  test("a schema and functions at once: first the function, then the answer in the schema's form", async () => {
    const ask = {
      model,
      tools: [zodFunction({ name: "get_weather", parameters: z.object({ city: z.string() }) })],
      response_format: zodResponseFormat(Plan, "plan"),
    };
    const first = await client.chat.completions.parse({ ...ask, messages });
    const { message } = first.choices[0]!;
    expect(message.tool_calls![0]!.function).toMatchObject({
      name: "get_weather",
      parsed_arguments: { city: synthetic },
    });
    const result = { role: "tool" as const, tool_call_id: message.tool_calls![0]!.id, content: "21 degrees" };
    const second = await client.chat.completions.parse({ ...ask, messages: [...messages, message, result] });
    expect(Plan.parse(second.choices[0]!.message.parsed)).toMatchObject({ city: synthetic });
  });

  test("Llama's refusal names the model that can", async () => {
    const response_format = zodResponseFormat(Plan, "plan");
    const refused = client.chat.completions.parse({ model: "llama3-3-70b", messages, response_format });
    await expect(refused).rejects.toMatchObject({
      status: 400,
      param: "response_format",
      message: expect.stringMatching(/answers in free text only\. Use a model that can: nova-2-lite\.$/),
    });
  });
});

describe("F12: LangChain", () => {
  const chat = () =>
    new ChatOpenAI({ model, apiKey: "none", maxRetries: 0, configuration: { baseURL }, useResponsesApi: false });

  test.each(["functionCalling", "jsonSchema"] as const)("withStructuredOutput, %s", async (method) => {
    const structured = chat().withStructuredOutput(Plan, { method, name: "plan" });
    expect(await structured.invoke("Plan a trip to Rome.")).toMatchObject({ city: synthetic });
  });

  test("withStructuredOutput, jsonMode", async () => {
    const Answer = z.object({ answer: z.string(), justification: z.string() });
    const structured = chat().withStructuredOutput(Answer, { method: "jsonMode" });
    const asked = "Return a JSON blob with keys 'answer' and 'justification'. What is heavier?";
    expect(await structured.invoke(asked)).toEqual({ answer: synthetic, justification: synthetic });
  });

  test("a tool loop", async () => {
    const weather = langchainTool(async ({ city }) => `21 degrees in ${city}`, {
      name: "get_weather",
      description: "The weather of a city.",
      schema: z.object({ city: z.string() }),
    });
    const withTools = chat().bindTools([weather]);
    const history: BaseMessage[] = [new HumanMessage("What is the weather?")];
    let answer = await withTools.invoke(history);
    expect(answer.tool_calls).toHaveLength(1);
    while (answer.tool_calls?.length) {
      history.push(answer);
      for (const call of answer.tool_calls) history.push((await weather.invoke(call)) as ToolMessage);
      answer = await withTools.invoke(history);
    }
    expect(answer.content).toMatch(/21 degrees in synthetic/);
  });
});

describe("F12: Vercel's AI SDK", () => {
  const sluice = () => createOpenAICompatible({ name: "sluice", baseURL, supportsStructuredOutputs: true })(model);

  test("generateObject and streamObject", async () => {
    const ask = { model: sluice(), schema: Plan, prompt: "Plan a trip to Rome.", maxRetries: 0 };
    expect((await generateObject(ask)).object).toMatchObject({ city: synthetic, budget: { currency: "EUR" } });
    const { partialObjectStream, object } = streamObject(ask);
    const partial: unknown[] = [];
    for await (const piece of partialObjectStream) partial.push(piece);
    expect(partial.length).toBeGreaterThan(1);
    expect(await object).toMatchObject({ city: synthetic });
  });

  test("generateText with tools", async () => {
    const { text: said, steps } = await generateText({
      model: sluice(),
      prompt: "What is the weather?",
      tools: {
        get_weather: tool({
          inputSchema: z.object({ city: z.string() }),
          execute: async ({ city }) => `21 degrees in ${city}`,
        }),
      },
      stopWhen: stepCountIs(5),
      maxRetries: 0,
    });
    expect(steps).toHaveLength(2);
    expect(said).toMatch(/21 degrees in synthetic/);
  });
});
