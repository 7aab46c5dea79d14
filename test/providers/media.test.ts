// Images, documents and reasoning as they leave for Bedrock and for servers with OpenAI's API.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CanonicalRequest, ContentBlock } from "../../src/domain/request.ts";
import { toChatCompletion } from "../../src/providers/openai/openai-request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { base64, jpeg, pdf, png } from "../support/media.ts";
import {
  ask,
  event,
  type FakeBedrock,
  failureOf,
  json,
  type ProviderOptions,
  providerFor,
  start,
  startFakeBedrock,
  stop,
  stream,
  usage,
  wholeAnswer,
} from "./fake-bedrock.ts";

let fake: FakeBedrock;
const opened: Provider[] = [];
beforeAll(async () => {
  fake = await startFakeBedrock();
});
afterAll(() => fake.close());
beforeEach(() => {
  fake.requests.length = 0;
  fake.respond(stream(wholeAnswer));
});
afterEach(async () => {
  for (const provider of opened.splice(0)) await provider.close();
});

const text: ContentBlock = { type: "text", text: "What is this?" };
const image: ContentBlock = { type: "image", format: "jpeg", data: base64(jpeg()), detail: "low" };
const document = (name: string): ContentBlock => ({ type: "document", format: "pdf", name, data: base64(pdf()) });
const requestOf = (...content: ContentBlock[]): CanonicalRequest => ({
  messages: [{ role: "user", content }],
  parameters: { maxTokens: 4_000 },
});

/** The parts of a body that these tests look at. */
interface Sent {
  messages: { role: string; content: { document?: { name: string } }[] }[];
  additionalModelRequestFields?: object;
  outputConfig?: object;
}

async function sent(request: CanonicalRequest, traits: ProviderOptions["traits"] = {}) {
  const provider = providerFor(fake.url, { traits });
  opened.push(provider);
  await ask(provider, { request });
  return fake.requests[0]!.body as Sent;
}

describe("Bedrock", () => {
  test("gets images and documents with their bytes, in the caller's order", async () => {
    const { messages } = await sent(requestOf(image, text, document("report")));
    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { image: { format: "jpeg", source: { bytes: base64(jpeg()) } } },
          { text: "What is this?" },
          { document: { format: "pdf", name: "report", source: { bytes: base64(pdf()) } } },
        ],
      },
    ]);
  });

  test("gets names of documents that it accepts, each once", async () => {
    const names = ["report.pdf", "report.pdf", "Größe  (2) [a]_b-c", "../../etc/passwd", "報告", "", "x".repeat(500)];
    const { messages } = await sent(requestOf(text, ...names.map(document)));
    const found = messages[0]!.content.slice(1).map((block) => block.document!.name);
    expect(found.slice(0, 6)).toEqual([
      "report-pdf",
      "report-pdf (2)",
      "Gr-e (2) [a]_b-c",
      "-etc-passwd",
      "document",
      "document (2)",
    ]);
    expect(new Set(found).size).toBe(names.length);
    for (const name of found) expect(name).toMatch(/^(?!.*\s\s)[a-zA-Z0-9\s()[\]_-]{1,200}$/);
  });

  const signed: ContentBlock = { type: "reasoning", text: "Hm.", signature: "c2ln" };
  const plain: ContentBlock = { type: "reasoning", text: "Plain." };
  const redacted: ContentBlock = { type: "reasoning", text: "", redacted: base64(Buffer.from([1, 2, 255])) };
  const past = (...content: ContentBlock[]): CanonicalRequest => ({
    messages: [
      { role: "user", content: [text] },
      { role: "assistant", content },
      { role: "user", content: [text] },
    ],
    parameters: { maxTokens: 4_000 },
  });
  const asSent = {
    signed: { reasoningContent: { reasoningText: { text: "Hm.", signature: "c2ln" } } },
    plain: { reasoningContent: { reasoningText: { text: "Plain." } } },
    redacted: { reasoningContent: { redactedContent: "AQL/" } },
    text: { text: "What is this?" },
  };

  test.each([
    ["signed", [asSent.signed, asSent.redacted, asSent.text]],
    ["sent", [asSent.signed, asSent.plain, asSent.redacted, asSent.text]],
    [undefined, [asSent.signed, asSent.plain, asSent.redacted, asSent.text]],
    ["dropped", [asSent.text]],
  ] as const)("gets reasoning of earlier turns as a model with %s takes it", async (pastReasoning, content) => {
    const { messages } = await sent(past(signed, plain, redacted, text), pastReasoning && { pastReasoning });
    expect(messages[1]).toEqual({ role: "assistant", content });
  });

  test("gets no message of reasoning alone, and no two messages of one role", async () => {
    for (const pastReasoning of ["signed", "dropped"] as const) {
      fake.requests.length = 0;
      const { messages } = await sent(past(signed), { pastReasoning });
      expect(messages).toEqual([{ role: "user", content: [asSent.text, asSent.text] }]);
    }
  });

  test.each([
    ["budget", "low", { thinking: { type: "enabled", budget_tokens: 1_024 } }, undefined],
    ["budget", "high", { thinking: { type: "enabled", budget_tokens: 3_200 } }, undefined],
    ["adaptive", "max", { thinking: { type: "adaptive" } }, { effort: "max" }],
    ["nova", "medium", { reasoningConfig: { type: "enabled", maxReasoningEffort: "medium" } }, undefined],
    ["adaptive", "none", undefined, undefined],
    [undefined, "low", undefined, undefined],
  ] as const)("a model thinks by %s with the effort %s", async (thinking, reasoningEffort, additional, output) => {
    const request = { ...requestOf(text), parameters: { maxTokens: 4_000, reasoningEffort } };
    const body = await sent(request, thinking && { thinking });
    expect(body.additionalModelRequestFields).toEqual(additional);
    expect(body.outputConfig).toEqual(output);
  });
});

describe("reasoning that Bedrock sends", () => {
  const open = (options: Partial<ProviderOptions> = {}) => {
    const provider = providerFor(fake.url, options);
    opened.push(provider);
    return provider;
  };
  const delta = (contentBlockIndex: number, reasoningContent: object) =>
    event("contentBlockDelta", { contentBlockIndex, delta: { reasoningContent } });
  const said = (piece: string) => event("contentBlockDelta", { contentBlockIndex: 2, delta: { text: piece } });

  test("is collected by block from a stream, and is not streamed as text", async () => {
    const frames = [
      start,
      ...[delta(0, { text: "Let me " }), delta(0, { text: "see." }), delta(0, { signature: "c2ln" })],
      ...[delta(1, { redactedContent: "AQL/" }), said("Yes."), stop("end_turn"), usage],
    ];
    fake.respond(stream(frames));
    const texts: string[] = [];
    const answer = await ask(open(), { onText: (piece) => texts.push(piece) });
    expect(answer.reasoning).toEqual([
      { text: "Let me see.", signature: "c2ln" },
      { text: "", redacted: "AQL/" },
    ]);
    expect([answer.text, texts]).toEqual(["Yes.", ["Yes."]]);
  });

  test("is read from an answer in one piece; blocks without anything are left out", async () => {
    const content = [
      { reasoningContent: { reasoningText: { text: "", signature: "hidden" } } },
      { reasoningContent: { redactedContent: "AQL/" } },
      { reasoningContent: {} },
      { reasoningContent: 5 },
      { text: "Yes." },
    ];
    const message = { role: "assistant", content };
    fake.respond(
      json(200, { output: { message }, stopReason: "end_turn", usage: { inputTokens: 1, outputTokens: 2 } }),
    );
    const { reasoning } = await ask(open({ streaming: false }));
    expect(reasoning).toEqual([
      { text: "", signature: "hidden" },
      { text: "", redacted: "AQL/" },
    ]);
  });

  test("counts against the size of an answer", async () => {
    const large = Array.from({ length: 5 }, () => delta(0, { text: "x".repeat(1024 * 1024) }));
    fake.respond(stream([start, ...large, said("Yes."), stop("end_turn"), usage]));
    expect(await failureOf(ask(open()))).toMatchObject({ kind: "permanent", code: "answer_too_large" });
  });
});

describe("a server with OpenAI's API", () => {
  const options = { modelId: "m", streaming: false, streamUsage: false, maxTokensField: "max_tokens" } as const;

  test("gets images and documents as parts", () => {
    expect(toChatCompletion(requestOf(image, text, document("a.pdf")), options).messages).toEqual([
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/jpeg;base64,${base64(jpeg())}`, detail: "low" } },
          { type: "text", text: "What is this?" },
          { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${base64(pdf())}` } },
        ],
      },
    ]);
    const alone: ContentBlock = { type: "image", format: "png", data: base64(png()) };
    expect(toChatCompletion(requestOf(alone), options).messages).toEqual([
      { role: "user", content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${base64(png())}` } }] },
    ]);
  });

  test("gets reasoning of earlier turns only if its model needs that", () => {
    const request: CanonicalRequest = {
      messages: [
        { role: "user", content: [text] },
        { role: "assistant", content: [{ type: "reasoning", text: "Hm." }, { type: "reasoning", text: "Yes." }, text] },
      ],
      parameters: { maxTokens: 10 },
    };
    const answer = { role: "assistant", content: "What is this?" };
    const messages = (more: object) => toChatCompletion(request, { ...options, ...more }).messages as object[];
    expect(messages({})[1]).toEqual(answer);
    expect(messages({ pastReasoning: "dropped" })[1]).toEqual(answer);
    expect(messages({ pastReasoning: "sent" })[1]).toEqual({ ...answer, reasoning_content: "Hm.\n\nYes." });
  });
});
