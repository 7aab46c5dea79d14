// What the simulator answers other than free text, through the real SDKs: tool calls, and JSON of a schema.
import { ConverseCommand, type ConverseCommandInput, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { describedObject } from "../../src/simulator/json-hints.ts";
import { ask, collect, post, simulate, textOf } from "./support.ts";

const nova = "us.amazon.nova-2-lite-v1:0";
const haiku45 = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const spec = (name: string, json: object = city) => ({ toolSpec: { name, inputSchema: { json } } });
type Messages = NonNullable<ConverseCommandInput["messages"]>;

function asking(tools: string[], more: Partial<ConverseCommandInput> & { choice?: object } = {}) {
  const { choice, ...fields } = more;
  const toolConfig = { tools: tools.map((name) => spec(name)), ...(choice && { toolChoice: choice }) };
  return { ...ask("What is the weather?", 500, nova), toolConfig, ...fields } as ConverseCommandInput;
}

function call(id: string, name: string): Messages {
  return [
    { role: "assistant", content: [{ toolUse: { toolUseId: id, name, input: {} } }] },
    { role: "user", content: [{ toolResult: { toolUseId: id, content: [{ text: "It is noon." }] } }] },
  ];
}

describe("F12: tools", () => {
  test("calls one tool, the same for the same question, with input that is marked as synthetic", async () => {
    const { client } = await simulate();
    const answer = await client.send(new ConverseCommand(asking(["get_weather"])));
    expect(answer.stopReason).toBe("tool_use");
    const use = answer.output!.message!.content![0]!.toolUse!;
    expect(use).toEqual({
      toolUseId: expect.stringMatching(/^tooluse_synthetic_\w+$/),
      name: "get_weather",
      input: { city: expect.stringMatching(/^synthetic city \d+$/) },
    });
    expect(answer.usage!.outputTokens).toBeGreaterThan(0);
    const again = await client.send(new ConverseCommand(asking(["get_weather"])));
    expect(again.output).toEqual(answer.output);
  });

  test("streams its input in chunks", async () => {
    const { client } = await simulate();
    const { stream } = await client.send(new ConverseStreamCommand(asking(["get_weather"])));
    const events = await collect(stream);
    expect(events[1]!.contentBlockStart!.start!.toolUse!.name).toBe("get_weather");
    const input = events.map((event) => event.contentBlockDelta?.delta?.toolUse?.input ?? "").join("");
    expect(JSON.parse(input)).toEqual({ city: expect.stringContaining("synthetic") });
    expect(textOf(events)).toBe("");
    expect(events.find((event) => event.messageStop)!.messageStop!.stopReason).toBe("tool_use");
  });

  test("calls the tool that the user mentions, or the first", async () => {
    const { client } = await simulate();
    const called = async (prompt: string) => {
      const messages = ask(prompt, 100, nova).messages;
      const { output } = await client.send(new ConverseCommand(asking(["get_weather", "find_train"], { messages })));
      return output!.message!.content![0]!.toolUse!.name;
    };
    expect(await called("Please find train connections.")).toBe("find_train");
    expect(await called("Hello?")).toBe("get_weather");
  });

  test("after its result answers with text that quotes it, and a new question begins anew", async () => {
    const { client } = await simulate();
    const messages = [...ask("What time is it?").messages, ...call("a", "clock")] as Messages;
    const answer = await client.send(new ConverseCommand(asking(["clock"], { messages })));
    expect(answer.stopReason).toBe("end_turn");
    expect(answer.output!.message!.content![0]!.text).toMatch(/^\[synthetic answer .*It is noon/);
    const more = [...messages, answer.output!.message!, ...ask("And now?").messages] as Messages;
    expect((await client.send(new ConverseCommand(asking(["clock"], { messages: more })))).stopReason).toBe("tool_use");
  });

  test("if one must be called, calls each once and then the last one again", async () => {
    const { client } = await simulate();
    let messages = ask("What time is it?").messages as Messages;
    const names: string[] = [];
    for (const id of ["a", "b", "c"]) {
      const input = asking(["clock", "get_weather", "final_result"], { messages, choice: { any: {} } });
      const { output } = await client.send(new ConverseCommand(input));
      const { name } = output!.message!.content![0]!.toolUse!;
      names.push(name!);
      messages = [...messages, ...call(id, name!)];
    }
    expect(names).toEqual(["clock", "get_weather", "final_result"]);
    const choice = { tool: { name: "get_weather" } };
    const { output } = await client.send(new ConverseCommand(asking(["clock", "get_weather"], { messages, choice })));
    expect(output!.message!.content![0]!.toolUse!.name).toBe("get_weather");
  });

  test("truncates an input that is longer than the answer may be", async () => {
    const { client } = await simulate();
    const input = asking(["get_weather"], { inferenceConfig: { maxTokens: 1 } });
    const whole = await client.send(new ConverseCommand(input));
    expect(whole).toMatchObject({ stopReason: "max_tokens", usage: { outputTokens: 1 } });
    const events = await collect((await client.send(new ConverseStreamCommand(input))).stream);
    const text = events.map((event) => event.contentBlockDelta?.delta?.toolUse?.input ?? "").join("");
    expect(() => JSON.parse(text)).toThrow();
  });
});

test("F12: an answer follows its schema", async () => {
  const { client } = await simulate();
  const schema = JSON.stringify({ ...city, additionalProperties: false });
  const outputConfig = {
    textFormat: { type: "json_schema" as const, structure: { jsonSchema: { schema, name: "a" } } },
  };
  const answer = await client.send(new ConverseCommand({ ...ask("Where?", 100, haiku45), outputConfig }));
  expect(answer.stopReason).toBe("end_turn");
  expect(JSON.parse(answer.output!.message!.content![0]!.text!)).toEqual({
    city: expect.stringContaining("synthetic"),
  });
});

describe("F12: OpenAI's interface", () => {
  const tools = [{ type: "function" as const, function: { name: "get_weather", parameters: city } }];
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the weather?" }];
  const setUp = async () => {
    const { simulator } = await simulate();
    return new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: "none", maxRetries: 0 });
  };

  test("calls a function, unstreamed and streamed, and answers in text after its result", async () => {
    const client = await setUp();
    const { choices } = await client.chat.completions.create({ model: nova, messages, tools });
    const { message, finish_reason } = choices[0]!;
    expect(finish_reason).toBe("tool_calls");
    const [made] = message.tool_calls!;
    expect(made).toMatchObject({ type: "function", function: { name: "get_weather" } });
    const streamed = await client.chat.completions.stream({ model: nova, messages, tools }).finalChatCompletion();
    expect(streamed.choices[0]!.message.tool_calls).toMatchObject([{ function: { name: "get_weather" } }]);
    const result = { role: "tool" as const, tool_call_id: made!.id, content: "Rain." };
    const second = await client.chat.completions.create({
      model: nova,
      messages: [...messages, message, result],
      tools,
    });
    expect(second.choices[0]!).toMatchObject({
      finish_reason: "stop",
      message: { content: expect.stringContaining("synthetic") },
    });
    const none = await client.chat.completions.create({ model: nova, messages, tools, tool_choice: "none" });
    expect(none.choices[0]!.finish_reason).toBe("stop");
  });

  test("follows a schema, and returns JSON of any form", async () => {
    const client = await setUp();
    const read = async (format: OpenAI.ChatCompletionCreateParams["response_format"], content = "Where?") => {
      const asked = { model: nova, messages: [{ role: "user" as const, content }], response_format: format! };
      return JSON.parse((await client.chat.completions.create(asked)).choices[0]!.message.content!);
    };
    const text = expect.stringContaining("synthetic");
    expect(await read({ type: "json_schema", json_schema: { name: "a", schema: city } })).toEqual({ city: text });
    expect(await read({ type: "json_object" })).toEqual({ synthetic: text });
    expect(await read({ type: "json_object" }, 'Answer as {"place": "Rome", "days": 3}.')).toEqual({
      place: text,
      days: expect.any(Number),
    });
  });

  test("follows the references of a schema in the conversation", async () => {
    const client = await setUp();
    const defs = { Season: { enum: ["spring", "autumn"] }, Trip: { type: "object", properties: {} as object } };
    defs.Trip.properties = { season: { $ref: "#/$defs/Season" }, stops: { type: "array", items: city, minItems: 1 } };
    const stop = { city: expect.stringContaining("synthetic") };
    const trip = { season: expect.stringMatching(/^(spring|autumn)$/), stops: expect.arrayContaining([stop]) };
    const schemas = [
      { ...defs.Trip, $defs: defs },
      { $ref: "#/$defs/Trip", $defs: defs },
      { type: "json_schema", json_schema: { name: "trip", schema: { ...defs.Trip, $defs: defs } } },
    ];
    for (const schema of schemas) {
      const content = `Answer in JSON. Keep to this schema: ${JSON.stringify(schema)}`;
      const asked = {
        messages: [{ role: "user" as const, content }],
        response_format: { type: "json_object" as const },
      };
      const { choices } = await client.chat.completions.create({ model: nova, ...asked });
      expect(JSON.parse(choices[0]!.message.content!)).toEqual(trip);
    }
  });
});

test.each<[string, string, object | undefined]>([
  ["a schema", `Keep to this schema: ${JSON.stringify(city)} and nothing else {}`, city],
  [
    "an example",
    'Like {"a": {"b": [1.5]}, "c": null}',
    {
      type: "object",
      properties: {
        a: { type: "object", properties: { b: { type: "array", items: { type: "number" } } }, required: ["b"] },
        c: { type: "null" },
      },
      required: ["a", "c"],
    },
  ],
  [
    "names of keys",
    "Return a JSON blob with keys 'answer' and 'justification'.\n\nWhat's heavier?",
    {
      type: "object",
      properties: { answer: { type: "string" }, justification: { type: "string" } },
      required: ["answer", "justification"],
    },
  ],
  ["nothing", "Say { or } or {not json}", undefined],
])("F12: JSON of any form follows %s in the conversation", (_, text, expected) => {
  expect(describedObject(text)).toEqual(expected);
});

describe("schemas and input that ask for too much", () => {
  const closed = { type: "object", additionalProperties: false };
  const outputConfig = (schema: string) => ({
    outputConfig: { textFormat: { type: "json_schema" as const, structure: { jsonSchema: { schema, name: "a" } } } },
  });
  const levels = Array.from({ length: 31 }, (_, i) => {
    const next = { $ref: `#/$defs/L${i + 1}` };
    return [`L${i}`, { ...closed, properties: { x: next, y: next }, required: ["x", "y"] }];
  });
  const branching = { $ref: "#/$defs/L0", $defs: Object.fromEntries([...levels, ["L31", { type: "string" }]]) };

  test("a schema that branches 30 times is answered, truncated", async () => {
    const { client } = await simulate();
    const input = { ...ask("Fill it.", 4_000, haiku45), ...outputConfig(JSON.stringify(branching)) };
    const answer = await client.send(new ConverseCommand(input));
    expect(answer.stopReason).toBe("max_tokens");
    expect(answer.output!.message!.content![0]!.text).toMatch(/^{"x":{"x":/);
    expect(answer.usage!.outputTokens).toBeLessThanOrEqual(4_000);

    const toolConfig = { tools: [spec("f", { ...closed, ...branching })] };
    const tool = { ...ask("Fill it.", 4_000, nova), toolConfig } as ConverseCommandInput;
    const called = await client.send(new ConverseCommand(tool));
    expect(called.stopReason).toBe("max_tokens");
    expect(called.output!.message!.content![0]!.toolUse!.input).toEqual({});
  });

  test("a number of the schema that JavaScript cannot represent is answered exactly", async () => {
    const { simulator } = await simulate();
    const id = '"properties":{"id":{"enum":[9007199254740993]}},"required":["id"]';
    const json = `{"type":"object",${id},"additionalProperties":false}`;
    const send = async (modelId: string, fields: object) => {
      const body = JSON.stringify({ messages: ask("Fill it.").messages, ...fields }).replace('"JSON"', json);
      return (await post(simulator, `/model/${modelId}/converse`, body)).text();
    };
    expect(await send(haiku45, outputConfig(json))).toContain('{\\"id\\":9007199254740993}');
    const toolConfig = { tools: [{ toolSpec: { name: "f", inputSchema: { json: "JSON" } } }], toolChoice: { any: {} } };
    expect(await send(nova, { toolConfig })).toContain('"input":{"id":9007199254740993}');
    const format = `{"type":"json_schema","json_schema":{"name":"a","schema":${json}}}`;
    const body = `{"model":"${haiku45}","messages":[{"role":"user","content":"Hi"}],"response_format":${format}}`;
    expect(await (await post(simulator, "/v1/chat/completions", body)).text()).toContain('{\\"id\\":9007199254740993}');
  });

  test("a body that is nested too deeply is refused", async () => {
    const { simulator } = await simulate();
    for (const levels of [5_000, 100_000]) {
      const input = `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
      const use = `{"toolUse":{"toolUseId":"t","name":"f","input":${input}}}`;
      const messages = `[{"role":"user","content":[{"text":"Hi"}]},{"role":"assistant","content":[${use}]}]`;
      for (const path of [`/model/${nova}/converse`, "/v1/chat/completions"]) {
        expect((await post(simulator, path, `{"model":"${nova}","messages":${messages}}`)).status).toBe(400);
      }
    }
    const example = `${'{"a":'.repeat(15_000)}1${"}".repeat(15_000)}`;
    expect(describedObject(`Answer in JSON like ${example}`)).toBeUndefined();
  });
});
