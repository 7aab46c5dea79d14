// What spans say about images, documents and reasoning: what they are, and nothing of the bytes.
import { expect, test } from "vitest";
import { erasedOutcome, type Outcome } from "../../../src/domain/job.ts";
import { genAiNames } from "../../../src/telemetry/span-names.ts";
import { inputContent, outputContent } from "../../../src/worker/attempt/span-content.ts";
import { base64, pdf, png } from "../../support/media.ts";

const names = genAiNames(undefined);

test("images and documents are described, and reasoning has its text without the signature", () => {
  const attributes = inputContent(names, {
    messages: [
      {
        role: "user",
        content: [
          { type: "image", format: "png", data: base64(png()) },
          { type: "document", format: "pdf", name: "a.pdf", data: base64(pdf()) },
        ],
      },
      { role: "assistant", content: [{ type: "reasoning", text: "Hm.", signature: "c2ln" }] },
    ],
    parameters: { maxTokens: 10 },
  });
  const messages = JSON.parse(String(attributes[names.inputMessages]));
  expect(messages).toEqual([
    {
      role: "user",
      parts: [
        { type: "blob", modality: "image", mime_type: "image/png", size: png().length },
        { type: "blob", modality: "document", mime_type: "application/pdf", size: pdf().length },
      ],
    },
    { role: "assistant", parts: [{ type: "reasoning", content: "Hm." }] },
  ]);
});

test("an answer has its reasoning before its text", () => {
  const answer = { text: "Yes.", reasoning: [{ text: "Hm.", signature: "c2ln" }], finishReason: "stop" as const };
  const attributes = outputContent(names, answer);
  expect(JSON.parse(String(attributes[names.outputMessages]))).toEqual([
    {
      role: "assistant",
      parts: [
        { type: "reasoning", content: "Hm." },
        { type: "text", content: "Yes." },
      ],
      finish_reason: "stop",
    },
  ]);
});

test("an erased outcome has no reasoning", () => {
  const outcome: Outcome = { jobId: "j", status: "completed", at: 1, text: "Yes.", reasoning: [{ text: "Hm." }] };
  expect(erasedOutcome(outcome)).toEqual({ jobId: "j", status: "completed", at: 1, text: "" });
});
