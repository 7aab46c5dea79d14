// Nothing is altered: random requests through every API to an OpenAI-compatible server and to Bedrock, over sockets and
// through the AWS SDK, and random answers back through every dialect. The only rewrites are those of docs/openai.md.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linesIn, startTestService, type TestService, untilStatus } from "../batches/support.ts";
import * as bedrock from "../providers/fake-bedrock.ts";
import * as openai from "../providers/fake-openai.ts";
import {
  type Answered,
  type Api,
  type Asked,
  answered,
  asked,
  chatBody,
  expectedMessages,
  int64,
  jobBody,
  quoted,
  responseBody,
} from "../support/conversations.ts";

const models = ["server", "server-whole", "bedrock", "bedrock-whole"] as const;
type Model = (typeof models)[number];
const isBedrock = (model: Model) => model.startsWith("bedrock");

let service: TestService;
let fakeServer: openai.FakeOpenAi;
let fakeBedrock: bedrock.FakeBedrock;
beforeAll(async () => {
  [fakeServer, fakeBedrock] = await Promise.all([openai.startFakeOpenAi(), bedrock.startFakeBedrock()]);
  const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 1_000_000, burst: 1_000_000 }];
  const deployments = (model: Model) =>
    isBedrock(model)
      ? [{ region: "us-east-1", modelId: `any.${model}`, quotas }]
      : [{ provider: "openai" as const, baseUrl: fakeServer.url, modelId: model, quotas }];
  service = await startTestService("embedded", {
    file: {
      defaultModel: "server",
      models: Object.fromEntries(models.map((model) => [model, { deployments: deployments(model) }])),
    },
    providerFor({ provider, modelId }) {
      const streaming = !modelId.endsWith("-whole");
      return provider === "bedrock"
        ? bedrock.providerFor(fakeBedrock.url, { modelId, streaming })
        : openai.openAiFor(fakeServer.url, { modelId, streaming });
    },
  });
});
afterAll(async () => {
  await service?.close();
  await Promise.all([fakeServer?.close(), fakeBedrock?.close()]);
});

interface Converse {
  system?: object[];
  messages: {
    role: string;
    content: {
      text?: string;
      toolUse?: { toolUseId: string; name: string };
      toolResult?: { toolUseId: string; content: object[] };
    }[];
  }[];
}

/** Bedrock's blocks in order, without what tells turns apart. */
function expectBedrock(asked: Asked, sent: string, body: unknown): void {
  const { system, messages } = body as Converse;
  expect(system).toEqual(asked.system === undefined ? undefined : [{ text: asked.system }]);
  const said = [{ user: [asked.first] }, ...asked.turns, { user: [asked.last] }].flatMap((turn) =>
    "user" in turn ? turn.user : [turn.assistant],
  );
  const blocks = messages.flatMap(({ content }) => content);
  expect(blocks.flatMap((b) => b.text ?? [])).toEqual(said.filter((t) => t.trim() !== ""));
  const calls = asked.turns.flatMap((turn) => ("calls" in turn ? turn.calls : []));
  const uses = blocks.flatMap((b) => b.toolUse ?? []);
  const results = blocks.flatMap((b) => b.toolResult ?? []);
  expect(results.map((r) => r.toolUseId)).toEqual(uses.map((u) => u.toolUseId));
  expect(results.map((r) => r.content)).toEqual(
    calls.map(({ result }) => [{ text: result.trim() === "" ? "(empty)" : result }]),
  );
  const ids = new Map(calls.map(({ id }, i) => [id, uses[i]!.toolUseId]));
  expect(new Set(ids.values()).size).toBe(ids.size);
  for (const [i, { name, id, args }] of calls.entries()) {
    const { toolUseId, name: sentName } = uses[i]!;
    expect(sentName).toMatch(name === "look_up" ? /^look_up$/ : /^functions_get_weather_\w{16}$/);
    expect(toolUseId).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    if (/^[a-zA-Z0-9_-]{1,64}$/.test(id)) expect(toolUseId).toBe(id);
    expect(toolUseId).toBe(ids.get(id));
    // Byte for byte.
    expect(sent).toContain(`"name":"${sentName}","input":${args}}`);
  }
}

function expectSchema({ schema }: Asked, sent: string, before: string): void {
  const at = sent.indexOf(before) + before.length;
  expect(at).toBeGreaterThan(before.length);
  // Without such a number it is what JavaScript prints of it.
  const wanted = schema.includes(int64) ? schema : JSON.stringify(JSON.parse(schema));
  expect(sent.slice(at, at + wanted.length)).toBe(wanted);
}

function expectArrived(model: Model, api: Api, asked: Asked): void {
  if (isBedrock(model)) {
    const sent = fakeBedrock.texts.at(-1)!;
    expectBedrock(asked, sent, fakeBedrock.requests.at(-1)!.body);
    expectSchema(asked, sent, '"inputSchema":{"json":');
  } else {
    expect(fakeServer.requests.at(-1)!.body.messages).toEqual(expectedMessages(asked, api));
    expectSchema(asked, fakeServer.texts.at(-1)!, '"parameters":');
  }
}

// ---------------------------------------------------------------- how it is answered

function pieces(whole: string, cuts: number[]): string[] {
  const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
  // A pair of surrogates is never cut: neither protocol could carry half of one.
  return [...whole].length === whole.length ? at.slice(1).map((end, i) => whole.slice(at[i], end)) : [whole];
}

function answerWith({ text, calls, cuts }: Answered): void {
  const reason = calls.length > 0 ? "tool_calls" : "stop";
  fakeServer.respond((res) => {
    const isWhole = fakeServer.requests.at(-1)!.body.stream !== true;
    const toolCalls = calls.map(({ id, name, args }) => ({
      id,
      type: "function",
      function: { name, arguments: args },
    }));
    if (isWhole) {
      const message = { role: "assistant", content: text, ...(calls.length > 0 && { tool_calls: toolCalls }) };
      return openai.completion(message, reason)(res);
    }
    const chunks = [
      ...pieces(text, cuts).map(openai.text),
      ...calls.flatMap(({ id, name, args }, index) => [
        openai.chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }),
        ...pieces(args, cuts).map((piece) => openai.chunk({ tool_calls: [{ index, function: { arguments: piece } }] })),
      ]),
    ];
    openai.stream([...chunks, openai.stop(reason), openai.usage, openai.done])(res);
  });
  fakeBedrock.respond((res, req) => {
    const stopReason = calls.length > 0 ? "tool_use" : "end_turn";
    if (!req.url?.includes("converse-stream")) {
      const uses = calls.map(
        ({ id, name, args }) => `{"toolUse": {"toolUseId": ${quoted(id)}, "name": ${quoted(name)}, "input": ${args} }}`,
      );
      const content = [`{"text": ${quoted(text)}}`, ...uses];
      const usage = '{"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}';
      res.writeHead(200, { "content-type": "application/json" });
      res.end(
        `{"output": {"message": {"role": "assistant", "content": [${content}]}}, "stopReason": "${stopReason}", "usage": ${usage}}`,
      );
      return;
    }
    const events = [
      bedrock.start,
      ...pieces(text, cuts).map(bedrock.text),
      ...calls.flatMap(({ id, name, args }, i) => [
        bedrock.event("contentBlockStart", {
          ...{ contentBlockIndex: i + 1, start: { toolUse: { toolUseId: id, name } } },
        }),
        ...pieces(args, cuts).map((input) =>
          bedrock.event("contentBlockDelta", { contentBlockIndex: i + 1, delta: { toolUse: { input } } }),
        ),
      ]),
    ];
    bedrock.stream([...events, bedrock.stop(stopReason), bedrock.usage])(res, req);
  });
}

// ---------------------------------------------------------------- what comes back, in one form

interface Told {
  text: string;
  calls: { id: string; name: string; args: string }[];
}

// biome-ignore-start lint/suspicious/noExplicitAny: answers are compared with what they must be
async function post(path: string, body: string): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(service.url + path, { method: "POST", headers, body });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()} to ${body}`);
  return response;
}

async function eventsOf(response: Response): Promise<any[]> {
  const data = (await response.text())
    .split("\n")
    .flatMap((line) => (line.startsWith("data: ") ? [line.slice(6)] : []));
  return data.filter((line) => line !== "[DONE]").map((line) => JSON.parse(line));
}

const toldByChat = ({ choices: [{ message }] }: any): Told => ({
  text: message.content ?? "",
  calls: (message.tool_calls ?? []).map((c: any) => ({ id: c.id, name: c.function.name, args: c.function.arguments })),
});

function toldByResponse({ output }: any): Told {
  const message = output.find(({ type }: any) => type === "message");
  const calls = output.filter(({ type }: any) => type === "function_call");
  return {
    text: message?.content[0].text ?? "",
    calls: calls.map((c: any) => ({ id: c.call_id, name: c.name, args: c.arguments })),
  };
}

const ask: Record<Exclude<Api, "batch">, (asked: Asked, model: Model) => Promise<Told>> = {
  chat: async (asked, model) =>
    toldByChat(await (await post("/v1/chat/completions", chatBody(asked, `, "model": "${model}"`))).json()),
  async "chat stream"(asked, model) {
    const chunks = await eventsOf(
      await post("/v1/chat/completions", chatBody(asked, `, "model": "${model}", "stream": true`)),
    );
    const deltas = chunks.map(({ choices }) => choices[0].delta);
    return toldByChat({
      choices: [
        {
          message: {
            content: deltas.map(({ content }) => content ?? "").join(""),
            tool_calls: deltas.flatMap(({ tool_calls = [] }) => tool_calls),
          },
        },
      ],
    });
  },
  responses: async (asked, model) =>
    toldByResponse(await (await post("/v1/responses", responseBody(asked, `, "model": "${model}"`))).json()),
  async "responses stream"(asked, model) {
    const events = await eventsOf(
      await post("/v1/responses", responseBody(asked, `, "model": "${model}", "stream": true`)),
    );
    const told = toldByResponse(events.at(-1).response);
    const of = (type: string) => events.filter((event) => event.type === type);
    expect(
      of("response.output_text.delta")
        .map(({ delta }) => delta)
        .join(""),
    ).toBe(told.text);
    expect(of("response.function_call_arguments.delta").map(({ delta }) => delta)).toEqual(
      told.calls.map((c) => c.args),
    );
    return told;
  },
  async jobs(asked, model) {
    const job: any = await (await post("/v1/jobs", jobBody(asked, `, "model": "${model}"`))).json();
    const ended: any = await (await fetch(`${service.url}/v1/jobs/${job.job_id}?wait=30`)).json();
    expect(ended.status, JSON.stringify(ended.error)).toBe("completed");
    const calls = (ended.tool_calls ?? []).map((c: any) => ({ id: c.id, name: c.name, args: c.arguments }));
    return { text: ended.text, calls };
  },
};
// biome-ignore-end lint/suspicious/noExplicitAny: answers are compared with what they must be

describe("D1: what was asked arrives, and what was answered comes back, unchanged", () => {
  test.each(Object.keys(ask) as Exclude<Api, "batch">[])("through %s", async (api) => {
    await fc.assert(
      fc.asyncProperty(asked, answered, fc.constantFrom(...models), async (asked, answer, model) => {
        answerWith(answer);
        const told = await ask[api](asked, model);
        expectArrived(model, api.replace(" stream", "") as Api, asked);
        expect(told).toEqual({ text: answer.text, calls: answer.calls });
      }),
      { seed: 1, numRuns: 25 },
    );
  });

  test("through the lines of a batch", async () => {
    const conversations = fc.sample(asked, { seed: 2, numRuns: 12 });
    const answer = {
      text: "",
      calls: [{ id: "c", name: "f", args: '{"b": 1.0, "2": 9223372036854775807}' }],
      cuts: [3],
    };
    answerWith(answer);
    for (const [endpoint, body, tell, api] of [
      ["/v1/chat/completions", chatBody, toldByChat, "batch"],
      ["/v1/responses", responseBody, toldByResponse, "responses"],
    ] as const) {
      const from = [fakeServer.requests.length, fakeBedrock.requests.length] as const;
      const lines = conversations.map((asked, i) => {
        const more = `, "model": "${models[i % models.length]}"`;
        return `{"custom_id": "${i}", "method": "POST", "url": "${endpoint}", "body": ${body(asked, more).replaceAll("\n", " ")}}`;
      });
      const file = await service.client.files.create({
        file: new File([lines.join("\n")], "in.jsonl"),
        purpose: "batch",
      });
      const { id } = await service.client.batches.create({
        ...{ input_file_id: file.id, endpoint, completion_window: "24h" },
      });
      const { output_file_id } = await untilStatus(service, id, "completed");
      const results = await linesIn(service, output_file_id);
      expect(results.map(({ response }) => tell(response.body))).toEqual(
        lines.map(() => ({ text: answer.text, calls: answer.calls })),
      );
      const arrived = [...fakeServer.requests.slice(from[0]), ...fakeBedrock.requests.slice(from[1])];
      expect(arrived).toHaveLength(lines.length);
      for (const [i, asked] of conversations.entries()) {
        if (isBedrock(models[i % models.length]!)) continue;
        const messages = expectedMessages(asked, api);
        expect(arrived.map(({ body }) => (body as { messages: object[] }).messages)).toContainEqual(messages);
      }
    }
  });
});
