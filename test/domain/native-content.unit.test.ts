// What a model reads of a body in the format of each family: what is counted as text, and what is not.
import { expect, test } from "vitest";
import { mediaTokens, withoutMedia } from "../../src/domain/media-tokens.ts";
import { nativeContent } from "../../src/domain/native-content.ts";
import type { JobRequest } from "../../src/domain/request.ts";
import { countInput } from "../../src/domain/tokens.ts";

const base64 = "A".repeat(40);
const nothing = { messages: 0, images: 0, documents: [], otherTokens: 0 };

test.each<[string, object, object]>([
  [
    "Converse",
    {
      system: [{ text: "s" }, { cachePoint: { type: "default" } }],
      messages: [
        {
          role: "user",
          content: [
            { text: "a" },
            { image: { format: "png", source: { bytes: base64 } } },
            { document: { format: "pdf", name: "d", source: { bytes: base64 } } },
            { document: { format: "txt", name: "e", source: { text: "inner" } } },
            { video: { format: "mp4", source: { bytes: base64 } } },
            { guardContent: { text: { text: "guarded" } } },
          ],
        },
        {
          role: "assistant",
          content: [
            { reasoningContent: { reasoningText: { text: "why", signature: base64 } } },
            { reasoningContent: { redactedContent: base64 } },
            { toolUse: { toolUseId: "t1", name: "f", input: { q: 1 } } },
          ],
        },
        { role: "user", content: [{ toolResult: { toolUseId: "t1", content: [{ json: { r: [true] } }] } }] },
      ],
      toolConfig: { tools: [{ toolSpec: { name: "f" } }] },
      inferenceConfig: { maxTokens: 10, stopSequences: ["stop"] },
      guardrailConfig: { guardrailIdentifier: "g", guardrailVersion: "1" },
    },
    {
      texts: [
        "s",
        "a",
        "d",
        "e",
        "inner",
        "guarded",
        "why",
        "f",
        '{"q":1}',
        '{"r":[true]}',
        '{"tools":[{"toolSpec":{"name":"f"}}]}',
      ],
      messages: 4,
      images: 1,
      documents: [{ format: "pdf", data: base64 }],
      otherTokens: 10.4,
    },
  ],
  [
    "Claude",
    {
      anthropic_version: "bedrock-2023-05-31",
      anthropic_beta: ["b"],
      max_tokens: 10,
      system: "s",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a", cache_control: { type: "ephemeral" } },
            { type: "image", source: { type: "base64", media_type: "image/png", data: base64 } },
            { type: "document", source: { type: "base64", media_type: "application/pdf", data: base64 }, title: "d" },
            { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" } },
            { type: "document", source: { type: "content", content: [{ type: "text", text: "part" }] } },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "why", signature: base64 },
            { type: "redacted_thinking", data: base64 },
            { type: "tool_use", id: "t", name: "f", input: { q: 1 } },
          ],
        },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "r" }] },
      ],
      tools: [{ name: "f" }],
    },
    {
      texts: ["s", "a", "d", "plain", "part", "why", "f", '{"q":1}', "r", '[{"name":"f"}]'],
      messages: 4,
      images: 1,
      documents: [{ format: "pdf", data: base64 }],
      otherTokens: 10,
    },
  ],
  ["Llama", { prompt: "p", images: [base64, base64], max_gen_len: 5 }, { ...nothing, texts: ["p"], images: 2 }],
  ["Titan", { inputText: "p", textGenerationConfig: { maxTokenCount: 5 } }, { ...nothing, texts: ["p"] }],
  ["Titan with an image", { inputText: "p", inputImage: base64 }, { ...nothing, texts: ["p"], images: 1 }],
  [
    "Cohere",
    { texts: ["a", "b"], input_type: "search_query", images: [base64] },
    { ...nothing, texts: ["a", "b"], images: 1 },
  ],
  [
    "OpenAI's format",
    {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${base64}` } },
          ],
        },
      ],
    },
    { ...nothing, texts: ["a"], messages: 1, images: 1 },
  ],
])("%s", (_, body, expected) => {
  expect(nativeContent(body)).toEqual(expected);
});

test("the input of a native request is its texts and the template around its messages", () => {
  const body = JSON.stringify({ system: "s", messages: [{ role: "user", content: [{ text: "abc" }] }] });
  const request = { native: { operation: "converse" as const, streamed: false, body }, parameters: { maxTokens: 1 } };
  expect(countInput(request, (text) => text.length)).toBe(5 + 2 * 5 + 4);
});

test("images and documents count apart, and are not sent to the thread that counts texts", () => {
  const image = { image: { format: "png", source: { bytes: base64 } } };
  const body = JSON.stringify({
    system: [{ text: "s" }],
    messages: [{ role: "user", content: [{ text: "abc" }, image] }],
  });
  const request = { native: { operation: "converse" as const, streamed: false, body }, parameters: { maxTokens: 1 } };
  expect(mediaTokens(request, 1_600)).toEqual({ images: 1_600, documents: 0 });
  const stripped = withoutMedia(request);
  expect(JSON.stringify(stripped)).not.toContain(base64);
  const count = (one: JobRequest) => countInput(one, (text) => text.length);
  expect(count(stripped)).toBe(count(request));
  const plain = { ...request, native: { ...request.native, body: '{"prompt":"a"}' } };
  expect(withoutMedia(plain)).toBe(plain);
});
